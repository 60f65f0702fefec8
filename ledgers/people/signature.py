"""Signatures of people: SSHSIG, the format of `ssh-keygen -Y sign`, by Ed25519 and NIST curves.

One format, whether tutela signs with a key's file or OpenSSH does, with an agent or a security key.
A key is named by its fingerprint as OpenSSH prints it. This knows bytes and keys alone: not whose a
key is, nor whether it counts. The format: PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from expectations.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

NAMESPACE: Final = "tutela"
"""What a signature is for: one that somebody made for git or a file is none here."""
BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
END: Final = "-----END SSH SIGNATURE-----"
MAGIC: Final = b"SSHSIG"
PLAIN: Final = "ssh-ed25519"
TOUCHED: Final = "sk-ssh-ed25519@openssh.com"
"""Ed25519 in a security key, which signs what a browser's key would: PROTOCOL.u2f."""
CURVES: Final = {
    "ecdsa-sha2-nistp256": "sha256",
    "ecdsa-sha2-nistp384": "sha384",
    "ecdsa-sha2-nistp521": "sha512",
}
KINDS: Final = frozenset((PLAIN, TOUCHED, *CURVES))
FOR_SSH: Final = b"ssh:"
"""How the application of a security key begins that was made for OpenSSH, and for no browser."""
OF_SMALL_ORDER: Final = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)
SMALL: Final = frozenset(map(bytes.fromhex, OF_SMALL_ORDER))
"""Ed25519's points of an order of at most eight, without the sign: any signature holds for them.

As listed by Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs" (2020).
"""
UNCOMPRESSED: Final = b"\4"
"""How a point of a NIST curve begins that has both of its numbers."""
FIELD: Final = (2**255 - 19).to_bytes(32, "big")
"""The first number that names no point."""
PRESENT: Final = 1
"""The flag by which a security key says that somebody touched it."""
LONGEST: Final = 16_384
"""Characters of a key or signature: the longest that is made has under 1,000."""
LINE: Final = 70
AGENT_SECONDS: Final = 120
"""How long somebody may look for their security key."""


class Invalid(UsageError):
    """A key or signature that cannot be read or does not verify; the words say why."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A person's public key: its kind and its bytes as OpenSSH has them."""

    kind: str
    blob: bytes

    @property
    def line(self) -> str:
        """The key as it stands in a `.pub` file, without a comment."""
        return f"{self.kind} {b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """The key's name, `SHA256:` and 43 characters, as `ssh-keygen -l` prints it."""
        digest = b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"


class _Signature(NamedTuple):
    """What an armoured signature says."""

    key: PublicKey
    namespace: str
    digest: str
    kind: str
    blob: bytes
    flags: bytes
    """Flags and counter of a security key."""


def read_public(line: str) -> PublicKey:
    """Read a line of a `.pub` file; `Invalid` for what is none, or of a kind that does not sign."""
    kind, _, rest = line.strip().partition(" ")
    if kind not in KINDS or len(line) > LONGEST:
        raise Invalid(f"it is not a public key of one of the kinds {', '.join(sorted(KINDS))}")
    key = PublicKey(kind, _unpack64(rest.partition(" ")[0]))
    named, *_ = _strings(key.blob)
    if named != kind.encode():
        raise Invalid("its two parts name different kinds of keys")
    _load(key)
    return key


def verify(message: bytes, armoured: str, key: PublicKey) -> None:
    """Raise `Invalid` unless `armoured` is a signature of `message` by `key`, made for tutela."""
    read = _read(armoured)
    if read.key != key:
        raise Invalid(f"it was made with {read.key.fingerprint}, not with {key.fingerprint}")
    if read.namespace != NAMESPACE:
        raise Invalid(f"it was made for another use: sign with the namespace {NAMESPACE}")
    if read.digest not in {"sha256", "sha512"} or read.kind != key.kind:
        raise Invalid("it names another kind of key or digest than it may")
    _check(read, _signed(message, read.digest))


def sign(message: bytes, private: Ed25519PrivateKey) -> str:
    """Sign as `ssh-keygen -Y sign -n tutela` does; byte for byte, since Ed25519 draws nothing."""
    public = public_of(private)
    signature = _join(PLAIN.encode(), private.sign(_signed(message, "sha512")))
    said = _join(public.blob, NAMESPACE.encode(), b"", b"sha512", signature)
    return _arm(MAGIC + struct.pack(">I", 1) + said)


def sign_by_agent(message: bytes, public: Path) -> str:
    """Let `ssh-keygen` sign, with the agent or security key that has `public`'s private part.

    Raises ServiceError where it does not.
    """
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(public)]
    try:
        ran = subprocess.run(  # noqa: S603  # fixed words, and the signer's own file
            command, input=message, capture_output=True, check=False, timeout=AGENT_SECONDS
        )
    except FileNotFoundError:
        raise ServiceError("ssh-keygen is not installed: install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"ssh-keygen did not sign within {AGENT_SECONDS} seconds") from None
    if ran.returncode != 0:
        raise ServiceError(
            f"ssh-keygen did not sign with {public}: see that `ssh-add -l` lists the key"
        )
    return ran.stdout.decode("ascii", "replace")


def read_private(content: bytes, password: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key of Ed25519, as OpenSSH or PEM; UsageError for what cannot be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    ours = content.lstrip().startswith(b"-----BEGIN OPENSSH")
    load = serialization.load_ssh_private_key if ours else serialization.load_pem_private_key
    try:
        key = load(content, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        wrong = "needs another passphrase" if password else "has a passphrase"
        raise UsageError(f"the private key cannot be read, or {wrong}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("only Ed25519 keys are read from a file: sign others by `--ssh KEY.pub`")
    return key


def is_locked(content: bytes) -> bool:
    """Whether a private key's file has a passphrase; False for what is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    ours = content.lstrip().startswith(b"-----BEGIN OPENSSH")
    load = serialization.load_ssh_private_key if ours else serialization.load_pem_private_key
    try:
        load(content, None)
    except TypeError:  # which the library raises for a passphrase that is missing
        return True
    except (ValueError, UnsupportedAlgorithm):
        return False
    return False


def public_of(private: Ed25519PrivateKey) -> PublicKey:
    """Give the public part of a private key."""
    raw = private.public_key().public_bytes_raw()
    return PublicKey(PLAIN, _join(PLAIN.encode(), raw))


def _arm(blob: bytes) -> str:
    """Write a signature's bytes as `ssh-keygen` does."""
    text = b64encode(blob).decode()
    lines = [text[start : start + LINE] for start in range(0, len(text), LINE)]
    return "\n".join((BEGIN, *lines, END, ""))


def _read(armoured: str) -> _Signature:
    lines = armoured.splitlines()
    if len(armoured) > LONGEST or len(lines) < 3 or (lines[0], lines[-1]) != (BEGIN, END):
        raise Invalid("it is not an SSH signature")
    blob = _unpack64("".join(lines[1:-1]))
    if _arm(blob) != armoured:
        raise Invalid("it is not in the form that ssh-keygen writes")
    if blob[:10] != MAGIC + struct.pack(">I", 1):
        raise Invalid("it is an SSH signature of another version")
    try:
        key, namespace, reserved, digest, signature = _strings(blob[10:])
        kind, *_ = _strings(key)
        made, raw, flags = _read_raw(signature)
        if reserved:
            raise Invalid("it has a part that is not in use")
        return _Signature(PublicKey(kind.decode(), key), namespace.decode(), digest.decode(),
                          made.decode(), raw, flags)  # fmt: skip
    except ValueError:
        raise Invalid("it is not whole") from None


def _read_raw(signature: bytes) -> tuple[bytes, bytes, bytes]:
    """Give kind, signature, and a security key's flag and counter (five bytes)."""
    if not signature.startswith(_join(TOUCHED.encode())):
        made, raw = _strings(signature)
        return made, raw, b""
    made, raw = _strings(signature[:-5])
    return made, raw, signature[-5:]


def _check(read: _Signature, signed: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    loaded = _load(read.key)
    try:
        if isinstance(loaded, EllipticCurvePublicKey):
            first, second = (_read_positive(part) for part in _strings(read.blob))
            used = ECDSA(
                {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}[
                    CURVES[read.kind]
                ]
            )
            loaded.verify(encode_dss_signature(first, second), signed, used)
        elif read.kind == TOUCHED:
            if not read.flags[0] & PRESENT:
                raise Invalid("nobody touched the security key")
            *_, application = _strings(read.key.blob)
            said = hashlib.sha256(application).digest() + read.flags
            loaded.verify(read.blob, said + hashlib.sha256(signed).digest())
        else:
            loaded.verify(read.blob, signed)
    except (InvalidSignature, ValueError):
        raise Invalid("it was not made over these words, or was changed") from None


def _read_positive(part: bytes) -> int:
    number = int.from_bytes(part, "big")
    if number <= 0 or part != number.to_bytes(number.bit_length() // 8 + 1, "big"):
        raise Invalid("a number of it is in another form than SSH's")
    return number


def _load(key: PublicKey) -> Ed25519PublicKey | EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        if key.kind == TOUCHED:
            loaded: object = Ed25519PublicKey.from_public_bytes(_find_touched(key))
        else:
            loaded = load_ssh_public_key(key.line.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Invalid("it is not a whole public key") from None
    if isinstance(loaded, Ed25519PublicKey):
        _refuse_small(loaded.public_bytes_raw())
    elif not isinstance(loaded, EllipticCurvePublicKey):
        raise Invalid("it is a key of another kind")
    elif [*_strings(key.blob)][-1][:1] != UNCOMPRESSED:
        raise Invalid("its point is not written as OpenSSH writes it")
    return loaded


def _find_touched(key: PublicKey) -> bytes:
    """Give the bytes of a security key's own key; ValueError where it has other parts."""
    _, raw, application = _strings(key.blob)
    if not application.startswith(FOR_SSH):
        raise Invalid("it is the key of a browser, and not one of SSH")
    return raw


def _refuse_small(raw: bytes) -> None:
    """Raise for a key under which a signature of any text holds, and for a second name of one."""
    unsigned = raw[:31] + bytes([raw[31] & 0x7F])
    if unsigned in SMALL or unsigned[::-1] >= FIELD:
        raise Invalid("it is a key under which any signature holds: make another by ssh-keygen")


def _signed(message: bytes, digest: str) -> bytes:
    """Give what a signature is over: never the message alone."""
    hashed = hashlib.new(digest, message).digest()
    return MAGIC + _join(NAMESPACE.encode(), b"", digest.encode(), hashed)


def _join(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _strings(blob: bytes) -> Iterator[bytes]:
    """Give the strings of which bytes consist, each after its length; `Invalid` for others."""
    start = 0
    while start < len(blob):
        if len(blob) < start + 4:
            raise Invalid("it is cut off")
        (length,) = struct.unpack_from(">I", blob, start)
        start += 4 + length
        if start > len(blob):
            raise Invalid("it is cut off")
        yield blob[start - length : start]


def _unpack64(text: str) -> bytes:
    try:
        blob = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise Invalid("it is not base64") from None
    if b64encode(blob).decode() != text:
        raise Invalid("it is not base64 in its one form")
    return blob
