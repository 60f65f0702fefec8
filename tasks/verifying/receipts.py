"""A receipt beside what it is about, as its recipient has both: no home, and no network.

It shares no code with what writes receipts, and knows no run: whose key it is, somebody must say.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from expectations.errors import ServiceError, UsageError
from tasks.verifying.bundle_parts import Receipt
from tasks.verifying.envelopes import LONGEST, Unsigned, open_envelope
from tasks.verifying.public_keys import read_ed25519

KIND: Final = "application/vnd.in-toto+json"
MODEL: Final = "tutela.json"
KEY: Final = re.compile("[0-9a-f]{64}")


def read_receipt(path: Path, key: str) -> dict[str, Any]:
    """Give the statement of a receipt that a home's key signed.

    `key` is the public key in hex, as the sender told it. Raises UsageError for a file that is no
    receipt, and ServiceError for one that this key did not sign so.
    """
    told = key.lower()
    if not KEY.fullmatch(told):
        raise UsageError("the key is 64 hex digits, as the line of a checkpoint has it")
    try:
        read_ed25519(bytes.fromhex(told))
    except ValueError:
        raise UsageError("no key is this, or one under which any signature holds") from None
    try:
        with path.open("rb") as file:
            envelope = open_envelope(file.read(LONGEST + 1), KIND)
    except Unsigned:
        envelope = None
    except ValueError as error:
        raise UsageError(f"{path} is no receipt: {error}") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if envelope is None or envelope.key != told:
        raise ServiceError(
            f"{path} was not signed with this key, or was changed: ask the sender for both again"
        )
    try:
        Receipt.model_validate(envelope.said)
    except ValidationError:
        raise UsageError(f"{path} is signed, but is no receipt of this version") from None
    return envelope.said


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
