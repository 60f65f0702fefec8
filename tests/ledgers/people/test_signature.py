"""Signatures of people agree with OpenSSH's, and nothing else passes for one."""

from __future__ import annotations

import subprocess
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgers.people.signature import (
    BEGIN,
    END,
    NAMESPACE,
    Invalid,
    PublicKey,
    public_of,
    read_private,
    read_public,
    sign,
    verify,
)

MESSAGE = b'{"answer":"approve"}'


def ssh_keygen(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Call OpenSSH."""
    return subprocess.run(
        ["ssh-keygen", "-q", *map(str, words)], input=given, capture_output=True, check=False
    )


def make(folder: Path, kind: str, *more: str) -> Path:
    """Make a key without a passphrase; give where its private part is."""
    path = folder / kind
    assert ssh_keygen("-t", kind, *more, "-N", "", "-C", "", "-f", path).returncode == 0
    return path


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Ed25519 key's file."""
    return make(tmp_path_factory.mktemp("keys"), "ed25519")


def public(private: Path) -> PublicKey:
    """Read the public part beside a private key."""
    return read_public(private.with_suffix(".pub").read_text("ascii"))


@pytest.mark.parametrize("kind", [("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "384"),
                                  ("ecdsa", "-b", "521")])  # fmt: skip
def test_what_openssh_signs_is_taken(tmp_path: Path, kind: tuple[str, ...]) -> None:
    """With a file, an agent or hardware: it is one format."""
    key = make(tmp_path, *kind)
    signed = ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", key, given=MESSAGE).stdout.decode()
    verify(MESSAGE, signed, public(key))
    with pytest.raises(Invalid, match="not made over these words"):
        verify(MESSAGE + b" ", signed, public(key))


def test_openssh_takes_what_is_signed_here_and_would_sign_the_same(private: Path) -> None:
    """Neither of the two ways to sign can be told from the other."""
    signed = sign(MESSAGE, read_private(private.read_bytes()))
    theirs = ssh_keygen("-Y", "sign", "-n", NAMESPACE, "-f", private, given=MESSAGE).stdout
    assert signed.encode() == theirs
    verify(MESSAGE, signed, public(private))


def test_a_key_is_named_as_openssh_names_it(private: Path) -> None:
    """So that a policy can name a key by what `ssh-keygen -l` prints."""
    key = public(private)
    listed = ssh_keygen("-l", "-f", private.with_suffix(".pub")).stdout.decode()
    assert key.fingerprint in listed.split()
    assert public_of(read_private(private.read_bytes())) == key


def test_a_signature_for_another_use_is_none(private: Path) -> None:
    """Nobody approves a run by signing a commit."""
    signed = ssh_keygen("-Y", "sign", "-n", "git", "-f", private, given=MESSAGE).stdout.decode()
    with pytest.raises(Invalid, match="another use"):
        verify(MESSAGE, signed, public(private))


def test_a_signature_of_another_key_is_none(private: Path, tmp_path: Path) -> None:
    """Both keys are named, so that the mistake is found."""
    other = make(tmp_path, "ed25519")
    with pytest.raises(Invalid, match="not with SHA256:"):
        verify(MESSAGE, sign(MESSAGE, read_private(other.read_bytes())), public(private))


@given(st.data())
def test_no_changed_byte_of_a_signature_passes(private: Path, data: st.DataObject) -> None:
    """Wherever the byte is: in a length, a name, the key or the signature."""
    signed = sign(MESSAGE, read_private(private.read_bytes()))
    blob = bytearray(b64decode("".join(signed.splitlines()[1:-1])))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Invalid):
        verify(MESSAGE, f"{BEGIN}\n{b64encode(blob).decode()}\n{END}\n", public(private))


@given(st.text(max_size=200))
def test_no_other_text_passes(private: Path, text: str) -> None:
    """Whatever somebody sends in place of a signature or key is refused in words."""
    for armoured in (text, f"{BEGIN}\n{text}\n{END}"):
        with pytest.raises(Invalid):
            verify(MESSAGE, armoured, public(private))
    with pytest.raises(Invalid):
        read_public(text)


def test_a_security_key_counts_if_it_was_touched() -> None:
    """Made by hand after PROTOCOL.u2f: no security key is here."""
    import hashlib
    import struct

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def join(*parts: bytes) -> bytes:
        return b"".join(struct.pack(">I", len(part)) + part for part in parts)

    inner, kind = Ed25519PrivateKey.generate(), b"sk-ssh-ed25519@openssh.com"
    blob = join(kind, inner.public_key().public_bytes_raw(), b"ssh:")
    key = read_public(f"{kind.decode()} {b64encode(blob).decode()}")
    over = b"SSHSIG" + join(b"tutela", b"", b"sha512", hashlib.sha512(MESSAGE).digest())

    def armour(flags: int) -> str:
        said = bytes([flags]) + struct.pack(">I", 7)
        raw = inner.sign(hashlib.sha256(b"ssh:").digest() + said + hashlib.sha256(over).digest())
        outer = join(blob, b"tutela", b"", b"sha512", join(kind, raw) + said)
        text = b64encode(b"SSHSIG" + struct.pack(">I", 1) + outer).decode()
        lines = [text[start : start + 70] for start in range(0, len(text), 70)]
        return "\n".join((BEGIN, *lines, END, ""))

    verify(MESSAGE, armour(1), key)
    with pytest.raises(Invalid, match="touched"):
        verify(MESSAGE, armour(0), key)
