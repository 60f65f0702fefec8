"""Signatures of people, read by code of its own: SSHSIG, and the keys that OpenSSH has.

By PROTOCOL.sshsig and PROTOCOL.u2f of OpenSSH, and the forms that `docs/approvals.md` has of both.
It does not know who a key's person is, nor whether the key counts.
"""

from __future__ import annotations

import hashlib
import struct
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, Final

from tasks.verifying.envelopes import write_exact
from tasks.verifying.public_keys import read_ed25519

NAMESPACE: Final = b"tutela"
VERSION: Final = 1
"""Of all three formats."""
MAGIC: Final = b"SSHSIG\0\0\0\1"
"""How a signature begins: its kind, and version 1."""
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
LINE: Final = 70
"""Letters in a line of a signature, as `ssh-keygen` writes it."""
HASHES: Final = frozenset((b"sha256", b"sha512"))
"""Those that the format allows: who may choose another can sign two statements at once."""
PLAIN: Final = b"ssh-ed25519"
TOUCHED: Final = b"sk-ssh-ed25519@openssh.com"
CURVES: Final = {
    b"ecdsa-sha2-nistp256": (b"nistp256", "SECP256R1", "SHA256"),
    b"ecdsa-sha2-nistp384": (b"nistp384", "SECP384R1", "SHA384"),
    b"ecdsa-sha2-nistp521": (b"nistp521", "SECP521R1", "SHA512"),
}
"""The other kinds of keys: their curve's name in SSH, and what the library calls curve and hash."""
FOR_SSH: Final = b"ssh:"
"""How the application of a security key begins: one that a browser made is none."""
PRESENT: Final = 1
"""The flag of a security key that somebody touched."""
UNCOMPRESSED: Final = b"\4"


def read_signed(said: object) -> str | None:
    """Give the fingerprint of the key that signed a statement about the request beside it."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        return _read_signed(said)
    except (
        AttributeError, InvalidSignature, KeyError, RecursionError, TypeError, ValueError,
        UnsupportedAlgorithm, struct.error,
    ):  # fmt: skip
        return None


def _read_signed(said: Any) -> str | None:  # noqa: ANN401  # somebody else can have written it
    parts = {"signed": said, "statement": said["statement"], "request": said["request"]}
    for name, part in parts.items():
        if (part["type"], part["version"]) != (f"tutela.{name}", VERSION):
            return None
    statement, line = said["statement"], said["key"]
    asked = hashlib.sha256(write_exact(said["request"])).hexdigest()
    key = fingerprint(line)
    if (statement["request"], statement["key"]) != (asked, key):
        return None
    blob = _unarm(said["signature"])
    kind, _, text = line.partition(" ")
    public, namespace, reserved, digest, signature = _cut(blob[10:])
    if (blob[:10], namespace, reserved) != (MAGIC, NAMESPACE, b"") or digest not in HASHES:
        return None
    if public != _unpack64(text):
        return None
    hashed = hashlib.new(digest.decode(), write_exact(statement)).digest()
    over = b"SSHSIG" + _glue(NAMESPACE, b"", digest, hashed)
    _verify(kind.encode(), public, signature, over)
    return key


def _unarm(armour: str) -> bytes:
    """Give a signature's bytes; ValueError where it is not as `ssh-keygen` writes it."""
    text = armour.removeprefix(BEGIN).removesuffix(END).replace("\n", "")
    lines = [text[start : start + LINE] + "\n" for start in range(0, len(text), LINE)]
    if "".join((BEGIN, *lines, END)) != armour:
        raise ValueError("it is not in the form that ssh-keygen writes")
    return _unpack64(text)


def _verify(kind: bytes, public: bytes, signature: bytes, over: bytes) -> None:
    """Raise unless a key made this signature; by the kind of the key."""
    named, *parts = _cut(public)
    flags = b""
    if kind == TOUCHED:
        signature, flags = signature[:-5], signature[-5:]
    made_by, made = _cut(signature)
    if not kind == named == made_by:
        raise ValueError("key and signature are of different kinds")
    if kind in CURVES:
        _verify_curve(kind, parts, made, over)
        return
    if kind == TOUCHED:
        raw, application = parts
        if not (flags[0] & PRESENT and application.startswith(FOR_SSH)):
            raise ValueError("nobody touched it, or it is not for SSH")
        over = hashlib.sha256(application).digest() + flags + hashlib.sha256(over).digest()
    elif kind == PLAIN:
        (raw,) = parts
    else:
        raise ValueError("a key of another kind")
    read_ed25519(raw).verify(made, over)


def _verify_curve(kind: bytes, parts: list[bytes], made: bytes, over: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    (name, point), (known, curve, digest) = parts, CURVES[kind]
    if name != known or point[:1] != UNCOMPRESSED:
        raise ValueError("a point of another curve, or in another form")
    first, second = (_read_positive(part) for part in _cut(made))
    key = ec.EllipticCurvePublicKey.from_encoded_point(getattr(ec, curve)(), point)
    key.verify(encode_dss_signature(first, second), over, ec.ECDSA(getattr(hashes, digest)()))


def _read_positive(part: bytes) -> int:
    """Read a positive number as SSH writes it: with a zero in front where it looked negative."""
    number = int.from_bytes(part, "big")
    if not number or number.to_bytes(number.bit_length() // 8 + 1, "big") != part:
        raise ValueError("a number in another form")
    return number


def fingerprint(line: str) -> str:
    """Name a public key as OpenSSH does."""
    try:
        digest = hashlib.sha256(b64decode(line.split(" ")[1])).digest()
    except (IndexError, ValueError):
        return "no key"
    return "SHA256:" + b64encode(digest).decode().rstrip("=")


def _unpack64(text: str) -> bytes:
    blob = b64decode(text, validate=True)
    if b64encode(blob).decode() != text:
        raise ValueError("not base64 in its one form")
    return blob


def _glue(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def _cut(blob: bytes) -> Iterator[bytes]:
    """Give the strings of which bytes consist, each after its length."""
    start = 0
    while start < len(blob):
        (length,) = struct.unpack_from(">I", blob, start)
        start += 4 + length
        if start > len(blob):
            raise ValueError("it is cut off")
        yield blob[start - length : start]
