"""A receipt beside what it is about, as its recipient has both: no home, and no network.

It shares no code with what writes receipts, and knows no run: whose key it is, somebody must say.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from pathlib import Path
from typing import Any, Final

from expectations.errors import ServiceError, UsageError

KIND: Final = b"application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:tutela:receipt:1"
MODEL: Final = "tutela.json"
LONGEST: Final = 1 << 22
"""Bytes of a receipt: the longest policy's has a tenth of it."""


def read_receipt(path: Path, key: str) -> dict[str, Any]:
    """Give the statement of a receipt that a home's key signed.

    `key` is the public key in hex, as the sender told it. Raises UsageError for a file that is no
    receipt, and ServiceError for one that this key did not sign so.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
    except ValueError:
        raise UsageError("the key is 64 hex digits, as the line of a checkpoint has it") from None
    envelope = _read_envelope(path)
    payload = b64decode(envelope["payload"], validate=True)
    over = b"DSSEv1 %d %s %d %s" % (len(KIND), KIND, len(payload), payload)
    signatures = [b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
    for signature in signatures:
        try:
            public.verify(signature, over)
        except InvalidSignature:
            continue
        said: dict[str, Any] = json.loads(payload)
        if (said.get("_type"), said.get("predicateType")) != (STATEMENT, PREDICATE):
            raise UsageError(f"{path} is signed, but is no receipt of this version")
        return said
    raise ServiceError(
        f"{path} was not signed with this key, or was changed: ask the sender for both again"
    )


def _read_envelope(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LONGEST:
            raise UsageError(f"{path} is too long for a receipt")
        said = json.loads(path.read_bytes())
        whole = said["payloadType"].encode() == KIND and isinstance(said["payload"], str)
        whole &= all(isinstance(one["sig"], str) for one in said["signatures"])
        for text in (said["payload"], *(one["sig"] for one in said["signatures"])):
            b64decode(text, validate=True)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole = False
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not whole:
        raise UsageError(f"{path} is no receipt: an envelope of DSSE with a statement of in-toto")
    return dict(said)


def check_receipt(folder: Path, path: Path, key: str) -> dict[str, Any]:
    """Hold a folder that was handed over against its receipt; give the receipt's statement.

    Raises as `read_receipt`, and ServiceError for another folder's receipt, or a changed folder.
    """
    said = read_receipt(path, key)
    there = digest_folder(folder)
    if there not in {one["digest"].get("sha256") for one in said["subject"]}:
        raise ServiceError(
            f"{folder} is not what {path} is about: its files were changed, or the receipt is of "
            "another package"
        )
    return said


def digest_folder(folder: Path) -> str:
    """Digest a package: of a model its list, whose files are compared; of a table all files."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give the package as it was handed over")
    listed = folder / MODEL
    if listed.is_file():
        content = listed.read_bytes()
        try:
            files = json.loads(content)["files"]
            whole = all(
                hashlib.sha256((folder / name).read_bytes()).hexdigest() == known
                for name, known in files.items()
                if _is_inside(folder, name)
            ) and all(_is_inside(folder, name) for name in files)
        except (ValueError, TypeError, KeyError, AttributeError, OSError):
            whole = False
        return hashlib.sha256(content).hexdigest() if whole else "changed"
    names = sorted(one.name for one in folder.iterdir() if one.is_file() and one.name[:1] != ".")
    sums = (hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names)
    lines = "".join(f"{one}  {name}\n" for one, name in zip(sums, names, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def _is_inside(folder: Path, name: str) -> bool:
    return (folder / name).resolve().is_relative_to(folder.resolve())
