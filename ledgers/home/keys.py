"""The home's lasting keys: one root key, and the operator's pair for incidents.

Every key that need not end before the home does is derived from the root by a label (HKDF, RFC
5869), so that each use has its own and none can be turned into another. Keys that are rotated and
destroyed are random, and lie sealed in `ledgers.key_ledger`. Without a passphrase the root lies in
clear in a file of mode 0600: whoever reads the home can then open everything that it sealed. With
one, the private keys are wrapped by AES-GCM under scrypt (RFC 7914; N = 2^17, r = 8, p = 1, the
OWASP password-storage setting). In memory the root stands in clear as long as the process lives.

An incident is the full text of a failure, which may quote people, and so is sealed to the
operator's public key, for one reader only. Sealing needs no passphrase and no private key, so it
works when nothing else does. The seal is HPKE (RFC 9180: X25519, HKDF-SHA256, AES-128-GCM) with
the incident's id as its context. The operator's private key lies in the same home: without a
passphrase the seal only keeps the text from those who cannot read the home. The text's length
stays visible.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from expectations.errors import HomeError, ServiceError, UsageError
from ledgers.home.home import Home, Settings
from ledgers.home.private_files import disk_failure, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite

WRAPPED = b"tutela-scrypt-1:"
KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12
CREDENTIAL: Final = "tutela-passphrase"
"""The name of the passphrase among the credentials that systemd gives a service."""
COMMAND_LIMIT: Final = 60
"""Seconds for a command that asks a key server for the passphrase."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The root key of a home, in memory; it derives keys and seals bytes, and never leaves."""

    home: Home
    root: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys do not leave the process: hand on a reference to a data set instead")

    @classmethod
    def open(cls, home: Home, passphrase: str | None = None) -> Keys:
        """Read the root key; the passphrase is the given one, else as `find_passphrase` says.

        Raises HomeError when the passphrase is missing, wrong, or given for unwrapped keys.
        """
        return cls(home, read_key(home, "root.key", passphrase))

    def derive(self, label: str) -> bytes:
        """Give the 32-byte key for `label`, such as "digest": the same one for ever."""
        return derive_key(self.root, label)

    def seal(self, data: bytes, label: str) -> bytes:
        """Encrypt and authenticate `data` under the key of `label` (AES-256-GCM)."""
        return encrypt(self.derive(f"seal:{label}"), data, label)

    def unseal(self, sealed: bytes, label: str) -> bytes:
        """Give back what `seal` was given; raises ServiceError if it or the label was changed."""
        data = decrypt(self.derive(f"seal:{label}"), sealed, label)
        if data is None:
            raise ServiceError(
                f"what was sealed as '{label}' does not open: it was changed, or sealed under the "
                "keys of another home"
            )
        return data

    def seal_incident(self, text: str) -> str:
        """Seal `text` for the operator; gives the incident's id."""
        return seal_incident(self.home, text)

    def open_incident(self, incident: str, passphrase: str | None = None) -> str:
        """Open an incident with the operator's key."""
        return open_incident(self.home, incident, passphrase)


def derive_key(secret: bytes, label: str, size: int = KEY_BYTES) -> bytes:
    """Give the key of `size` bytes that `secret` has for `label` (HKDF-SHA-256, RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), size, salt=None, info=label.encode()).derive(secret)


def encrypt(key: bytes, data: bytes, label: str) -> bytes:
    """Encrypt under a fresh random nonce, which is put first; `label` is authenticated."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, label.encode())


def decrypt(key: bytes, sealed: bytes, label: str) -> bytes | None:
    """Undo `encrypt`; None when the key, the label or a byte is not the one used."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, label.encode())
    except (InvalidTag, ValueError):
        return None


def create_keys(folder: Path, passphrase: str | None = None) -> None:
    """Write a new root key and operator's pair into `folder`, wrapped if a passphrase is given.

    Raises HomeError for an empty passphrase.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    operator = X25519PrivateKey.generate()
    phrase, _ = find_passphrase(Settings(), passphrase)
    for name, key in (
        ("root.key", os.urandom(KEY_BYTES)),
        ("operator.key", operator.private_bytes_raw()),
    ):
        write_private(folder / name, key if phrase is None else _wrap(key, phrase, name))
    write_private(folder / "operator.pub", operator.public_key().public_bytes_raw())


def read_key(home: Home, name: str, passphrase: str | None = None) -> bytes:
    """Read a private key of a home, unwrapped; raises HomeError as `Keys.open` says."""
    file = home.keys / name
    try:
        stored = file.read_bytes()
    except OSError:
        raise HomeError(f"{file} cannot be read: restore it from a backup") from None
    phrase, source = find_passphrase(home.settings, passphrase, home.root)
    if len(stored) == KEY_BYTES:
        if phrase is not None:
            raise HomeError(f"{file} has no passphrase: give none (take {source} away)")
        return stored
    if not stored.startswith(WRAPPED):
        raise HomeError(f"{file} is not a key of tutela: restore it from a backup")
    if phrase is None:
        raise HomeError(
            f"{file} has a passphrase, and none was found: set TUTELA_PASSPHRASE, name a "
            "passphrase_file or passphrase_command in settings.toml, or give a systemd service the "
            f"credential {CREDENTIAL}"
        )
    salt, wrapped = stored[len(WRAPPED) :][:SALT_BYTES], stored[len(WRAPPED) + SALT_BYTES :]
    key = decrypt(stretch(phrase, salt), wrapped, file.name)
    if key is None:
        raise HomeError(f"the passphrase does not open {file}: correct {source}")
    return key


def is_wrapped(home: Home) -> bool:
    """Whether the home's keys need a passphrase."""
    return (home.keys / "root.key").read_bytes().startswith(WRAPPED)


def find_passphrase(
    settings: Settings, given: str | None, root: Path = Path()
) -> tuple[str | None, str]:
    """Give the passphrase and where it is from; None where nothing names one.

    In this order: the given one, `TUTELA_PASSPHRASE`, the file or the command in the settings, and
    systemd's credential. An empty variable means none. Raises HomeError for one that is named and
    cannot be had; what a command says is shown to nobody.
    """
    if given == "":
        raise HomeError("the passphrase is empty: give one of several words, or none")
    if given:
        return given, "the passphrase that was given"
    if phrase := os.environ.get("TUTELA_PASSPHRASE"):
        return phrase, "TUTELA_PASSPHRASE"
    if settings.passphrase_file:
        file = root / Path(settings.passphrase_file).expanduser()
        return _read_phrase(file, "passphrase_file"), f"passphrase_file ({file})"
    if settings.passphrase_command:
        return _ask_command(settings.passphrase_command), "passphrase_command in settings.toml"
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (file := Path(folder) / CREDENTIAL).is_file():
        return _read_phrase(file, "the systemd credential"), f"the systemd credential {CREDENTIAL}"
    return None, ""


def _read_phrase(file: Path, named: str) -> str:
    """Read a passphrase, without the end of its line; HomeError where others can read it too."""
    try:
        if file.stat().st_mode & 0o007:
            raise HomeError(f"{named}: every account can reach {file}: chmod o= {file}")
        phrase = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise HomeError(f"{named}: {file} cannot be read: correct its path and rights") from None
    return _whole(phrase, f"{named}: {file}")


def _ask_command(command: str) -> str:
    """Run a command without a shell, and take the passphrase that it prints."""
    try:
        ran = subprocess.run(  # noqa: S603 - the owner's own, from the home's settings
            shlex.split(command), check=True, capture_output=True, text=True,
            stdin=subprocess.DEVNULL, timeout=COMMAND_LIMIT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        how = f"did not end within {COMMAND_LIMIT} s"
    except subprocess.CalledProcessError as error:
        how = f"ended with status {error.returncode}"
    except (OSError, ValueError):
        how = "cannot be started"
    else:
        return _whole(ran.stdout.rstrip("\r\n"), "passphrase_command")
    raise HomeError(
        f"passphrase_command in settings.toml {how}: run it by hand to see why, under this account"
    )


def _whole(phrase: str, named: str) -> str:
    if not phrase:
        raise HomeError(f"{named} gives an empty passphrase: correct it, or take it away")
    return phrase


def _wrap(key: bytes, passphrase: str, name: str) -> bytes:
    salt = os.urandom(SALT_BYTES)
    return WRAPPED + salt + encrypt(stretch(passphrase, salt), key, name)


def stretch(passphrase: str, salt: bytes) -> bytes:
    """Give the key that a passphrase or code stands for, which takes a guesser long (scrypt)."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=KEY_BYTES, n=2**17, r=8, p=1).derive(passphrase.encode())


def seal_incident(home: Home, text: str) -> str:
    """Write `text` to the home's `incidents/ID`, readable by the operator only; gives the id.

    Raises ServiceError when the disk refuses, HomeError when the public key is missing.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    incident = secrets.token_hex(6)
    try:
        public = X25519PublicKey.from_public_bytes((home.keys / "operator.pub").read_bytes())
    except (OSError, ValueError):
        raise HomeError(f"{home.keys}/operator.pub is missing or damaged: restore it") from None
    sealed = _suite().encrypt(text.encode(errors="backslashreplace"), public, incident.encode())
    try:
        write_private(home.incidents / incident, sealed)
    except OSError as error:
        raise ServiceError(
            f"no incident can be written to {home.incidents}: {disk_failure(error)}"
        ) from None
    return incident


def open_incident(home: Home, incident: str, passphrase: str | None = None) -> str:
    """Give the text of `incident`: it may quote people, so show it to the operator only.

    Raises UsageError for an unknown id, HomeError for a wrong or missing passphrase,
    ServiceError for a file that was changed.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    file = home.incidents / incident
    if not re.fullmatch("[0-9a-f]{12}", incident) or not file.is_file():
        raise UsageError(f"there is no incident '{incident[:12]}' in {home.incidents}: see its ids")
    private = X25519PrivateKey.from_private_bytes(read_key(home, "operator.key", passphrase))
    try:
        return _suite().decrypt(file.read_bytes(), private, incident.encode()).decode()
    except (InvalidTag, ValueError):
        raise ServiceError(f"{file} does not open: it was changed, or is another home's") from None


def make_recovery_pair() -> tuple[bytes, bytes]:
    """Make the two halves, private and public, of a key to which backups are sealed."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def seal_for(public: bytes, data: bytes, label: str) -> bytes:
    """Seal `data` to a public key (HPKE, as incidents); HomeError for what is none."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        return _suite().encrypt(data, X25519PublicKey.from_public_bytes(public), label.encode())
    except ValueError:
        raise HomeError("a public key of the home is damaged: restore it") from None


def open_sealed(private: bytes, sealed: bytes, label: str) -> bytes | None:
    """Undo `seal_for`; None when the key, the label or a byte is not the one used."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    try:
        key = X25519PrivateKey.from_private_bytes(private)
        return _suite().decrypt(sealed, key, label.encode())
    except (InvalidTag, ValueError):
        return None


def _suite() -> Suite:
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
