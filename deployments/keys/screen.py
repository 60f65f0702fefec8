"""What `tutela keys` answers: the versions of each key, and what rotating or destroying one means.

It prints no key. `reveal` alone prints identifiers, on standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.terminal import Answer, wrap
from expectations.errors import UsageError

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.key_ledger import KeyEvent, KeyLedger

COPIES: Final = (
    "Backups of this home and its database still hold the key; whoever has the root key can read "
    "it there. Destroy those backups as well."
)
DEAD_ROWS: Final = "Postgres keeps its bytes until VACUUM, and longer in its archived log."
DERIVED: Final = (
    "Version 1 was brought over from an earlier tutela, which derived it from the root key: "
    "whoever has that key can derive it again."
)
ORIGINALS: Final = (
    "These name people. Show them only to those who may see them under the purpose's legal basis. "
    "That tokens were read back is recorded."
)


def show(ledger: KeyLedger) -> Answer:
    """Tell of every key when it was made and what became of it."""
    found = list(versions(ledger.history()))
    lines: list[str] = []
    for version in found:
        if version["version"] == 1:
            lines.append(str(version["purpose"]))
        lines.append(describe(version))
    plain: list[JSON] = [*found]
    return Answer({"keys": plain}, lines or ["No key: no run has made a token yet."])


def versions(history: Sequence[KeyEvent]) -> Iterator[dict[str, JSON]]:
    """Give each version of each purpose's key as plain values."""
    from ledgers.key_ledger import MADE

    made = [event for event in history if event.what in MADE]
    for event in sorted(made, key=lambda event: (event.purpose, event.version)):
        own = [e for e in history if (e.purpose, e.version) == (event.purpose, event.version)]
        destroyed = next((e.at for e in own if e.what == "destroyed"), None)
        newest = max(e.version for e in made if e.purpose == event.purpose)
        in_use = not destroyed and event.version == newest
        yield {
            "purpose": event.purpose,
            "version": event.version,
            "made": event.at,
            "how": event.what,
            "state": "destroyed" if destroyed else "in use" if in_use else "kept",
            "destroyed": destroyed,
            "read_back": sum(e.what == "revealed" for e in own),
        }


def describe(version: dict[str, JSON]) -> str:
    """Give one version as a line."""
    text = f"  version {version['version']:<3} {version['how']} {str(version['made'])[:10]}"
    if version["destroyed"]:
        return f"{text}, destroyed {str(version['destroyed'])[:10]}"
    kept = "in use" if version["state"] == "in use" else "kept to read back"
    times = version["read_back"]
    return f"{text}, {kept}{f', read back {times}x' if times else ''}"


def rotate(ledger: KeyLedger, purpose: str) -> Answer:
    """Begin a new version."""
    number = ledger.rotate(purpose)
    said = (
        f"Version {number} of the key of {purpose} is in use from now on. Its tokens and moved "
        "dates match no earlier ones. The earlier version is kept to read its tokens back, until "
        "you destroy it."
    )
    return Answer({"purpose": purpose, "version": number}, wrap(said))


def destroy(
    ledger: KeyLedger, purpose: str, version: int | None, agreed: Callable[[str], bool]
) -> Answer:
    """Overwrite one version, or all, once somebody agreed; raises UsageError where nobody does."""
    which = "every version" if version is None else f"version {version}"
    if not agreed(f"Destroy {which} of the key of {purpose} for good?"):
        raise UsageError("nothing was destroyed: answer y, or give --yes")
    numbers = ledger.destroy(purpose, version)
    brought = any(
        event.purpose == purpose and event.what == "brought over" for event in ledger.history()
    )
    notes = [COPIES, *([DERIVED] if brought and 1 in numbers else [])]
    if ledger.engine.dialect.name == "postgresql":
        notes.append(DEAD_ROWS)
    said = (
        f"Destroyed: version {', '.join(map(str, numbers))} of the key of {purpose}. Its tokens "
        "cannot be made again or read back."
    )
    if is_without_key(ledger.history(), purpose):
        said += f" A run for that purpose needs a new key: tutela keys rotate {purpose}"
    kept: list[JSON] = [*notes]
    destroyed: list[JSON] = [*numbers]
    found: dict[str, JSON] = {"purpose": purpose, "destroyed": destroyed, "notes": kept}
    return Answer(found, wrap(said), ["\n".join(wrap(note)) for note in notes])


def is_without_key(history: Sequence[KeyEvent], purpose: str) -> bool:
    """Whether no version of a purpose's key is in use."""
    own = [version for version in versions(history) if version["purpose"] == purpose]
    return all(version["state"] != "in use" for version in own)


def reveal(ledger: KeyLedger, purpose: str, file: str | None, column: str) -> Answer:
    """Read tokens back by whichever version made each; UsageError says how many none did."""
    from tasks.anonymization.tokens import decrypt_identifiers

    tokens = read_tokens(file, column)
    found: list[str | None] = [None] * len(tokens)
    used = []
    for key in ledger.read(purpose):
        left = [place for place, text in enumerate(found) if text is None]
        opened = decrypt_identifiers([tokens[place] for place in left], key.secret)
        for place, text in zip(left, opened, strict=True):
            found[place] = text
        if any(text is not None for text in opened):
            used.append(key.version)
    ledger.note_revealed(purpose, used)
    unread = found.count(None)
    refused = UsageError(
        f"{unread:,} of {len(tokens):,} lines are not reversible tokens of {purpose}, or their key "
        "was destroyed; they are blank above"
    )
    originals: list[JSON] = [*found]
    lines = [text or "" for text in found]
    notes = ["\n".join(wrap(ORIGINALS))] if used else []
    return Answer({"originals": originals}, lines, notes, refused if unread else None)


def read_tokens(file: str | None, column: str) -> list[str]:
    """Read tokens from a file's column, or one a line from standard input."""
    from deployments.request import location_given
    from tasks.sources import open_source

    if file is None:
        return [line.strip() for line in sys.stdin.read().splitlines()]
    source = open_source(location_given(file), Path.cwd())
    if column not in source.columns():
        raise UsageError(f"{file} has no column `{column}`: name one with --column")
    return [
        "" if token is None else str(token) for token in source.read([column])[column].to_pylist()
    ]
