"""Signed heads, checkpoints and anchors, checked from their published form.

Shares no code with what signs them. A checkpoint is read as `docs/verify.md` says, and must be in
the one form that is signed; what it names must be where the recomputed chains stood.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tasks.verifying.chains import GONE, OTHER, Derive, Records
from tasks.verifying.findings import Findings
from tasks.verifying.public_keys import read_ed25519

HEADS: Final = ("consent", "budget", "evidence")
FIELDS: Final = {"type", "version", "chain", "number", "at", "before", "heads", "key", "signature"}
UNSIGNED: Final = "not signed by this home"
SLACK: Final = timedelta(minutes=5)
"""How far clocks of machines may be apart before a clock is said to be behind."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that is in order by itself."""

    chain: str
    number: int
    at: str
    heads: Mapping[str, Mapping[str, object]]
    digest: str


def is_signed(public: bytes, signature: object, message: bytes) -> bool:
    """Whether a signature in hex is one of a message (Ed25519, RFC 8032)."""
    from cryptography.exceptions import InvalidSignature

    try:
        read_ed25519(public).verify(bytes.fromhex(str(signature)), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_of(derive: Derive, name: str) -> bytes:
    """Give the public half of a home's key of a name."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(derive(name))
    return private.public_key().public_bytes_raw()


def split_lines(content: bytes) -> list[bytes]:
    """Give the whole lines of a file; half a line that a crash left is none."""
    return content.split(b"\n")[:-1]


def read_heads(root: Path) -> dict[str, bytes]:
    """Read the files of signed heads: before their ledgers, which have to be as new as they are."""
    paths = {ledger: root / f"{ledger}-heads.jsonl" for ledger in HEADS}
    return {name: path.read_bytes() if path.is_file() else b"" for name, path in paths.items()}


def check_heads(
    files: Mapping[str, bytes], records: Records, derive: Derive, found: Findings
) -> dict[str, int]:
    """Check every signed head of every ledger, and that its chain meets it; give the last ones."""
    last = dict.fromkeys(files, 0)
    for ledger, content in files.items():
        path = Path(f"{ledger}-heads.jsonl")
        links, public, before = records.links[ledger], public_of(derive, f"{ledger}-heads"), ""
        lines = split_lines(content)
        begun = any(links.values())
        if ledger == "evidence":  # a home from before this journal has lines that nobody signed
            begun = any(one["link"] for one in records.journal)
        if not lines and max(links, default=0) and begun:
            found.differ("heads", path.name, "a signed head", GONE)
        for number, line in enumerate(lines, start=1):
            found.compared["heads"] += 1
            named = f"line {number} of {path.name}"
            try:
                head = json.loads(line)
                message = json.dumps({**head, "signature": ""}, sort_keys=True).encode()
                known, seq = is_signed(public, head["signature"], message), int(head["seq"])
            except (ValueError, TypeError, KeyError):
                known, seq, head = False, 0, {}
            if not known:
                found.differ("heads", named, "signed by this home", UNSIGNED)
                continue
            if head["before"] != before:
                found.differ("heads", named, "the line before it", "gone, or moved")
            before, last[ledger] = head["signature"], seq
            _meet(records, ledger, seq, str(head["link"]), f"{ledger} entry {seq}", found)
    return last


def _meet(  # noqa: PLR0913, PLR0917 - what is named, and what must be there
    records: Records, ledger: str, seq: int, link: str, named: str, found: Findings
) -> None:
    """Note where a chain does not have the link that was signed."""
    there = records.links[ledger].get(seq)
    if there != link and link:
        found.differ(ledger, named, "the one that was signed", GONE if there is None else OTHER)


def check_checkpoints(
    content: bytes, records: Records, public: bytes, found: Findings
) -> list[Signed]:
    """Check each checkpoint by itself, beside the one before, and against the chains."""
    checked: list[Signed] = []
    before, at = "0" * 64, ""
    lines = split_lines(content)
    for number, line in enumerate(lines, start=1):
        found.compared["checkpoints"] += 1
        named, digest = f"checkpoint {number}", hashlib.sha256(line).hexdigest()
        signed = read_checkpoint(line, public)
        if isinstance(signed, str):
            found.differ("checkpoints", named, "signed by this home", signed)
        else:
            one, said = signed
            if one.number != number:
                found.differ("checkpoints", named, number, one.number)
            if said["before"] != before:
                found.differ("checkpoints", named, "the digest of the one before", "another digest")
            if one.at < at:
                found.differ("checkpoints", named, f"not before {at}", one.at)
            checked.append(one)
            at = one.at
            for ledger, head in one.heads.items():
                if ledger in HEADS:
                    place = f"{ledger} entry {head['seq']}, in {named}"
                    _meet(records, ledger, int(str(head["seq"])), str(head["link"]), place, found)
        before = digest
    return checked


def read_checkpoint(line: bytes, public: bytes) -> tuple[Signed, dict[str, str]] | str:
    """Read a checkpoint, or say what is wrong with it."""
    try:
        said = json.loads(line)
        canonical = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        if set(said) != FIELDS or canonical != line:
            return "not in the form that is signed"
        if (said["type"], said["version"]) != ("tutela.checkpoint", 1):
            return "of another version: use a newer tutela"
        unsigned = {name: value for name, value in said.items() if name != "signature"}
        message = json.dumps(unsigned, sort_keys=True, separators=(",", ":")).encode()
        if said["key"] != public.hex() or not is_signed(public, said["signature"], message):
            return UNSIGNED
        one = Signed(
            said["chain"], int(said["number"]), said["at"], said["heads"],
            hashlib.sha256(line).hexdigest(),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, RecursionError):
        return "not a checkpoint"
    return one, said


def check_last_heads(last: Mapping[str, int], checked: Sequence[Signed], found: Findings) -> None:
    """Note signed heads that a checkpoint covered and that are there no more."""
    for ledger, head in checked[-1].heads.items() if checked else ():
        there, seq = last.get(ledger), int(str(head["seq"]))
        if there is not None and there < seq:
            found.differ("heads", f"{ledger}-heads.jsonl", f"a head {seq}", f"the last is {there}")


def check_named(records: Records, checked: Sequence[Signed], found: Findings) -> None:
    """Hold the checkpoints against those that runs named as they began."""
    known: dict[tuple[object, object], str] = {
        (one.chain, one.number): one.digest for one in checked
    }
    chains = {one.chain for one in checked}
    for run_id, run in records.runs.items():
        try:
            named = json.loads(str(run["facts"])).get("checkpoint")
        except ValueError:
            continue
        # Of another machine that shares the database, only that one has the checkpoints.
        if not isinstance(named, dict) or (chains and named.get("chain") not in chains):
            continue
        there = known.get((named.get("chain"), named.get("number")))
        place = f"checkpoint {named.get('number')}, which run {run_id} names"
        found.compare("checkpoints", place, named.get("digest"), there, run_id)


def check_anchor(
    content: bytes, checked: Sequence[Signed], public: bytes, named: str, found: Findings
) -> None:
    """Hold the home's checkpoints against a copy kept elsewhere; it may lack the newest."""
    own = {one.number: one.digest for one in checked}
    chains = {one.chain for one in checked}
    there = [read_checkpoint(line, public) for line in content.splitlines()]
    mine = [one[0] for one in there if not isinstance(one, str)]
    mine = [one for one in mine if not chains or one.chain in chains]
    if not mine:
        found.differ("anchor", named, "checkpoints of this home", "none")
    for one in mine:
        found.compared["anchor checkpoints"] += 1
        if own.get(one.number) != one.digest:
            back = GONE if one.number not in own else OTHER
            found.differ("anchor", f"checkpoint {one.number} of {one.at[:19]}", "in the home", back)
    last = max((one.number for one in mine), default=0)
    if lacks := [number for number in own if number > last]:
        found.beside.append(f"{named} lacks the newest {len(lacks)} checkpoints")


def check_clock(checked: Sequence[Signed], now: datetime, found: Findings) -> None:
    """Note a clock that is behind what was signed."""
    newest = max((one.at for one in checked), default="")
    if newest:
        found.compared["clock"] += 1
        if now + SLACK < datetime.fromisoformat(newest):
            found.differ("clock", "this machine's", f"not before {newest[:19]}", f"{now:%FT%T}")


def say_uncovered(ends: Mapping[str, int], checked: Sequence[Signed]) -> Iterator[str]:
    """Say how many entries were written since the newest checkpoint."""
    heads = checked[-1].heads if checked else {}
    for ledger, end in ends.items():
        covered = int(str(heads.get(ledger, {}).get("seq", 0)))
        if end > covered:
            yield (
                f"{end - covered} entries of {ledger} are newer than the last checkpoint: the next "
                "one covers them"
            )
