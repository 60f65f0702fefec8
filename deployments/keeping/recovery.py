"""What `tutela backup` and `tutela restore` answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.terminal import Answer, wrap
from expectations.errors import UsageError
from ledgers.acts import Acts
from ledgers.backup import (
    Manifest,
    describe,
    let_write,
    make_recovery_key,
    read_restored,
    restore_backup,
    write_backup,
)
from ledgers.home.database import SCHEMA, open_database, stamp
from ledgers.home.home import home_path
from ledgers.home.keys import Keys
from ledgers.retention import RetentionLedger

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.home.home import Home

UNKNOWN: Final = (
    "Unknown since then, and from now on taken as if it had never been: who was erased or "
    "withdrew, which keys were destroyed, and what people were charged. Erase and withdraw again "
    "for whoever asked since; let no private model be trained whose charge you cannot account for."
)
LATER: Final = (
    "Runs and releases since the backup are not in it: models in MLflow and tables with recipients "
    "may be of runs that this record does not know."
)
ELSEWHERE: Final = (
    "The record lies on another server and is not in this backup: take a pg_dump after each "
    "backup, and restore the two together."
)
NO_JOURNAL: Final = (
    "No journal is named: what is erased, withdrawn or charged after this backup will be lost with "
    "the home. Name one on another disk: `journal` in settings.toml."
)


def make_key(home: Home, file: Path) -> Answer:
    """Make the key to which backups are sealed."""
    make_recovery_key(home, file)
    said = f"{file} opens every backup of this home: keep it elsewhere, and never beside a backup."
    return Answer({"recovery_key": str(file)}, wrap(said))


def back_up(home: Home, keys: Keys, folder: Path) -> Answer:
    """Write a backup, and say what is not in it."""
    file = write_backup(home, keys, folder)
    apart, own = home.settings.journal, home.settings.database_url is None
    lines = [f"{file} is written, {file.stat().st_size:,} bytes, sealed to the recovery key."]
    notes = [*((NO_JOURNAL,) if apart is None else ()), *(() if own else (ELSEWHERE,))]
    return Answer({"backup": str(file), "journal": apart, "record": own}, lines, notes)


def rebuild(file: Path, recovery: Path) -> Answer:
    """Build a home from a backup where `TUTELA_HOME` leads; it only reads."""
    home = restore_backup(file, recovery, home_path())
    manifest = read_restored(home)
    assert manifest is not None
    taken = manifest.taken_at[:16]
    lines = [
        f"{home.root} is restored as of {taken} UTC. It only reads until acts since are replayed.",
        "tutela restore --journal FILE replays them.",
        LATER,
        *(() if manifest.record else (ELSEWHERE,)),
    ]
    found: dict[str, JSON] = {"home": str(home.root), **describe(manifest), "only_reads": True}
    return Answer(found, [part for line in lines for part in wrap(line)])


def replay_journal(home: Home, path: Path) -> Answer:
    """Replay what must not be undone, and let the home be written from then on."""
    from tasks.keeping.replay import find_since, replay

    if not path.is_file():
        raise UsageError(f"{path}: there is no such file; give the journal that the settings named")
    keys = Keys.open(home)
    # Of a home that was put back without a restore all is done again, which does no harm.
    manifest = read_restored(home) or Manifest("", stamp(), SCHEMA, (0, ""), record=True)
    since = find_since(Acts(keys).read(path), manifest, path)
    engine = open_database(home, replaying=True)
    done = replay(home, keys, engine, since)
    found: dict[str, JSON] = {**describe(manifest), "replayed": {**done}}
    _end(home, keys, "", "replayed from the journal of acts", found)
    lost = done.get("lost", 0)
    lines = [f"Replayed {len(since) - lost:,} acts since the backup; the home writes again."]
    if lost:
        lines.append(f"{lost:,} met nothing here, such as keys that are younger than the backup.")
    return Answer(found, [*lines, *wrap(LATER)])


def go_without(home: Home, who: str, because: str) -> Answer:
    """Let a restored home be written without a journal; who said so, and why, is on record."""
    keys = Keys.open(home)
    found: dict[str, JSON] = {**describe(_restored(home)), "replayed": None}
    _end(home, keys, who, because, found)
    return Answer(found, [part for line in (UNKNOWN, LATER) for part in wrap(line)])


def _restored(home: Home) -> Manifest:
    manifest = read_restored(home)
    if manifest is None:
        raise UsageError(f"{home.root} was not restored, or its journal was replayed")
    return manifest


def _end(home: Home, keys: Keys, who: str, because: str, found: dict[str, JSON]) -> None:
    """Note on record how a restored home goes on, and let it be written."""
    from tasks.keeping.replay import mark_ends

    engine = open_database(home, replaying=True)
    RetentionLedger(engine, keys).note_restored(who, because, found)
    mark_ends(home, keys, engine)
    if read_restored(home):
        let_write(home)
