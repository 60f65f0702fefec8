"""What the recipient of a model gets: its folder, and the list that proves the files whole.

`tutela.json` in the folder names each file with its SHA-256, and a random number. Its own SHA-256
is the package's digest, which the run's record holds: who has the folder can see whether it is the
one on record, and who has the record alone can confirm no guess of what is in it. Cards that are
put beside later are not on the list, and are not part of what is loaded.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path
from typing import Final

from expectations.errors import ServiceError, UsageError

LIST: Final = "tutela.json"
TYPE: Final = "tutela.model"
VERSION: Final = 1
NONCE_BYTES: Final = 32
CONTENT: Final = "model.skops"
"""The file in a model's folder that holds the model itself."""


def list_files(folder: Path) -> None:
    """Write the list of a folder's files into it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {str(one.relative_to(folder)): digest(one.read_bytes()) for one in paths}
    nonce = secrets.token_hex(NONCE_BYTES)
    said = {"type": TYPE, "version": VERSION, "nonce": nonce, "files": files}
    text = json.dumps(said, sort_keys=True, indent=1)
    (folder / LIST).write_text(f"{text}\n", encoding="utf-8")


def digest(content: bytes) -> str:
    """Give the SHA-256 in 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def read_whole(folder: Path, expected: str | None = None) -> bytes:
    """Give the model in a folder, if each file is the one on its list.

    The list is the one with the `expected` digest, where one is given. UsageError for a folder that
    is none of a model; ServiceError for one that was changed.
    """
    listed = folder / LIST
    if not listed.is_file():
        raise UsageError(
            f"{folder} has no {LIST}: give the folder of a model as MLflow gives it, of a run by "
            "this version or a newer one"
        )
    content = listed.read_bytes()
    if expected is not None and digest(content) != expected.lower():
        _refuse(folder, f"its {LIST} is another one than the digest names")
    for name, known in read_list(content).items():
        place = folder / name
        if not place.resolve().is_relative_to(folder.resolve()) or not place.is_file():
            _refuse(folder, f"{name!r} is missing")
        if digest(place.read_bytes()) != known:
            _refuse(folder, f"{name!r} was changed")
    return (folder / CONTENT).read_bytes()


def read_list(content: bytes) -> dict[str, str]:
    """Read the list; ServiceError where it is none that has a model on it."""
    try:
        said = json.loads(content)
        if (said["type"], said["version"]) == (TYPE, VERSION) and CONTENT in said["files"]:
            return {str(name): str(known) for name, known in said["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ServiceError(f"{LIST} is not a list of a model's files that this version can read")


def _refuse(folder: Path, what: str) -> None:
    raise ServiceError(
        f"the model in {folder} is not the one that was handed over: {what}. Do not load it; get "
        "it again from whoever handed it over"
    )
