"""Checkpoints: one signed line over the signed heads of all ledgers, numbered, each after the last.

A ledger's own heads (`ledgers.signed_heads`) say where it ends; a checkpoint says where all of them
ended together, so that a part put back to an older state meets a line that names a later one. It is
taken after every run and every night's upkeep, and by the next command where a crash came in
between: entries beyond the newest checkpoint are covered by the next one. Each run's record names
the checkpoint that stood when it began, so that lines cut off show too.

The format is published, in `docs/verify.md`, and whoever has the public key can check a line
without tutela. What does not show in the home: all of it put back together. Copies elsewhere, which
this appends to where the settings say (`anchors`), show that.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import sqlalchemy as sa

from expectations.errors import ServiceError, TutelaError
from ledgers.acts import Acts
from ledgers.home.database import RESTORED, stamp
from ledgers.home.keys import Keys
from ledgers.home.line_file import LineFile
from ledgers.home.private_files import disk_failure, locked
from ledgers.signed_heads import LINKS, Heads

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME: Final = "checkpoints.jsonl"
KEY: Final = "checkpoints"
TYPE: Final = "tutela.checkpoint"
VERSION: Final = 1
BEFORE_ALL: Final = "0" * 64
"""What the first checkpoint names in place of the digest of the one before."""
GIT_SECONDS: Final = 60
Said: TypeAlias = "str | int | float | bool | list[Said] | dict[str, Said] | None"
"""What JSON can say."""
Ends: TypeAlias = "dict[str, dict[str, int | str]]"
"""Where each ledger that has begun ends: its number and link."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a line says, and the line itself as it was signed."""

    chain: str
    number: int
    at: str
    heads: Ends
    line: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the line, by which the next one and a run's record name it."""
        return hashlib.sha256(self.line).hexdigest()

    @classmethod
    def read(cls, line: bytes) -> Checkpoint:
        """Read a line, unchecked; ServiceError where it is none."""
        try:
            said = json.loads(line)
            return cls(said["chain"], said["number"], said["at"], said["heads"], line)
        except (ValueError, TypeError, KeyError):
            raise ServiceError(f"the last line of {NAME} is not a checkpoint") from None


def write_canonical(said: object) -> bytes:
    """Write text and whole numbers in one form only: RFC 8785, where all names are ASCII."""
    return json.dumps(
        said, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    ).encode()


def find_ends(engine: sa.Engine, keys: Keys) -> Ends:
    """Give where each ledger ends, by its last signed head; Refusal where one is forged."""
    ends: Ends = {}
    for name in LINKS:
        head = Heads(engine, keys, name).last()
        if head is not None:
            ends[name.partition("-")[0]] = {"seq": head.seq, "link": head.link}
    if keys.home.settings.journal is not None:
        seq, link = Acts(keys).end()
        ends["acts"] = {"seq": seq, "link": link}
    return ends


def last_checkpoint(keys: Keys) -> Checkpoint | None:
    """Give the newest checkpoint of a home, unchecked; None before the first."""
    line = LineFile(keys.home.root / NAME).last()
    return None if line is None else Checkpoint.read(line)


def name_checkpoint(keys: Keys) -> dict[str, Said] | None:
    """Give what a run's record keeps of the checkpoint that stands as it begins."""
    last = last_checkpoint(keys)
    return (
        None
        if last is None
        else {"chain": last.chain, "number": last.number, "digest": last.digest}
    )


def take_checkpoint(engine: sa.Engine, keys: Keys) -> list[str]:
    """Sign where all ledgers end, unless that is signed, and bring the anchors up to date.

    Gives a sentence for what did not work; what is on record stays, and the next covers it.
    """
    home = keys.home
    if (home.root / RESTORED).is_file():
        return []
    try:
        with locked(home.keys):
            _append(keys, find_ends(engine, keys))
            return [*_anchor(keys)]
    except OSError as error:
        return [f"no checkpoint could be written: {disk_failure(error)}; the next command does"]
    except TutelaError as error:
        return [f"no checkpoint was written: {error}"]


def _append(keys: Keys, ends: Ends) -> None:
    file = LineFile(keys.home.root / NAME)
    file.mend()
    last = last_checkpoint(keys)
    if not ends or (last is not None and last.heads == ends):
        return
    said = {
        "type": TYPE,
        "version": VERSION,
        "chain": last.chain if last else secrets.token_hex(16),
        "number": last.number + 1 if last else 1,
        # Not before the last one: a clock that was set back would make them read out of order.
        "at": max(stamp(), last.at if last else ""),
        "before": last.digest if last else BEFORE_ALL,
        "heads": ends,
        "key": _public(_key(keys)),
    }
    signature = _key(keys).sign(write_canonical(said)).hex()
    file.append(write_canonical({**said, "signature": signature}))


def public_key(keys: Keys) -> str:
    """Give the key by which anybody can check a home's checkpoints, in 64 hex digits."""
    return _public(_key(keys))


def sign_as_home(keys: Keys, message: bytes) -> bytes:
    """Sign with the key of a home's checkpoints; the message says of itself what it is."""
    return _key(keys).sign(message)


def _key(keys: Keys) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(keys.derive(KEY))


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _anchor(keys: Keys) -> Iterator[str]:
    """Append to each anchor what it lacks; say of each what did not work."""
    for place in keys.home.settings.anchors:
        own = [Checkpoint.read(line) for line in LineFile(keys.home.root / NAME).lines()]
        if not own:
            continue
        try:
            _append_to(find_anchor_file(Path(place), own[-1].chain), own)
        except OSError as error:
            yield f"the anchor {place} was not written: {disk_failure(error)}"
        except (ServiceError, subprocess.SubprocessError) as error:
            yield f"the anchor {place} was not written: {error}"


def find_anchor_file(place: Path, chain: str) -> Path:
    """Give the file of an anchor: the place itself, or in a folder one that names its chain."""
    place = place.expanduser()
    return place / f"checkpoints-{chain[:8]}.jsonl" if place.is_dir() else place


def _append_to(path: Path, own: list[Checkpoint]) -> None:
    """Append what a file lacks; ServiceError where it knows another history than this home."""
    file = LineFile(path)
    file.mend()
    there = [one for one in map(Checkpoint.read, file.lines()) if one.chain == own[-1].chain]
    last = there[-1].number if there else 0
    if there and there[-1].line not in {one.line for one in own}:
        raise ServiceError(
            f"it names a checkpoint {last} that this home does not have. The home was put back: "
            "see tutela verify --anchor"
        )
    new = [one.line for one in own if one.number > last]
    if new:
        file.append(*new)
    if (path.parent / ".git").exists():
        _commit(path, f"Checkpoint {own[-1].number}")


def _commit(path: Path, subject: str) -> None:
    """Commit an anchor's file in its git repository, whose hooks may pass it on."""
    git = ["git", "-C", str(path.parent)]
    by = ["-c", "user.name=tutela", "-c", "user.email=tutela@localhost"]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}

    def run(*words: str) -> int:
        ran = subprocess.run(  # noqa: S603  # our own words, and a place that the owner names
            [*git, *words], env=environment, capture_output=True, check=False, timeout=GIT_SECONDS
        )
        return ran.returncode

    if (
        run("add", "--", path.name) == 0
        and run("diff", "--cached", "--quiet", "--", path.name) == 0
    ):
        return
    if run(*by, "commit", "--quiet", "-m", subject, "--", path.name) != 0:
        raise ServiceError("git took no commit; the file itself is written")
