"""Whatever is changed in the ledgers, their heads and checkpoints is named by a verification."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expectations.errors import ServiceError
from ledgers.checkpoints import name_checkpoint, take_checkpoint
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import FOLDERS, Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger
from ledgers.retention import RetentionLedger
from tasks.verifying.findings import Findings
from tasks.verifying.whole import Verifier
from tests.runs import passed

KEPT = ("settings.toml", "keys/root.key", "keys/operator.key", "keys/operator.pub")
HEADS = ("evidence-heads.jsonl", "budget-heads.jsonl", "consent-heads.jsonl")
Damage = Callable[[Path], None]


def copy_ledgers(source: Path, place: Path) -> Path:
    """Copy a home's ledgers, keys and signed lines, without what its runs left."""
    place.mkdir(mode=0o700)
    for folder in FOLDERS:
        (place / folder).mkdir(mode=0o700)
    for name in (*KEPT, *HEADS, "checkpoints.jsonl"):
        shutil.copy(source / name, place / name)
    copy_database(source, place)
    return place


def copy_database(source: Path, place: Path) -> None:
    """Copy the ledgers with what is in their log alone, in place of what is there."""
    (place / "ledger.sqlite").unlink(missing_ok=True)
    (place / "ledger.sqlite").touch(mode=0o600)
    with (
        closing(sqlite3.connect(source / "ledger.sqlite")) as old,
        closing(sqlite3.connect(place / "ledger.sqlite")) as new,
    ):
        old.backup(new)


def go_on(root: Path, run_id: str, anchor: Path) -> None:
    """Let one more run begin and fail, and take a checkpoint."""
    home = Home.open(root)
    home = Home(root, replace(home.settings, anchors=(str(anchor),)))
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    ledger.begin(run_id, "small", {"checkpoint": name_checkpoint(keys)})
    ledger.append(run_id, "run", "decision", "failed", {"reason": ""})
    ledger.close(run_id, "failed")
    assert take_checkpoint(ledger.engine, keys) == []
    ledger.engine.dispose()


def write_others(root: Path) -> None:
    """Let the ledgers of keys and of retention have three entries each, and more."""
    keys = Keys.open(Home.open(root))
    engine = open_database(keys.home)
    KeyLedger(engine, keys).use("people")
    for _ in range(2):
        KeyLedger(engine, keys).rotate("people")
    for run_id in "abc":
        RetentionLedger(engine, keys).hold(run_id, "A. Weber", "complaint", "2090-01-01")
    engine.dispose()


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The ledgers of a home with a run, later with two more, and the anchor's file."""
    place = tmp_path_factory.mktemp("ledgers")
    anchor = place / "anchor.jsonl"
    earlier = copy_ledgers(passed("diabetes").place.home.root, place / "earlier")
    write_others(earlier)
    go_on(earlier, "later-1", anchor)
    later = copy_ledgers(earlier, place / "later")
    go_on(later, "later-2", anchor)
    go_on(later, "later-3", anchor)
    return earlier, later, anchor


def verify(root: Path, *anchors: Path) -> Findings:
    """Verify the ledgers of a home, without what they alone can say of people."""
    home = Home.open(root)
    verifier = Verifier.of(home, Keys.open(home))
    verifier.ledgers(anchors, whole=False)
    verifier.engine.dispose()
    return verifier.found


def named(found: Findings) -> list[str]:
    """Give the differences, each as where and name."""
    return [f"{one.where}: {one.name}" for one in found.differences]


def edit(*statements: str) -> Damage:
    """Change the database as its owner can: past the triggers, with another program."""

    def change(root: Path) -> None:
        with closing(sqlite3.connect(root / "ledger.sqlite")) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in triggers.fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                for word, meant in WORDS.items():
                    statement = statement.replace(word, meant)  # noqa: PLW2901 - as it is run
                assert connection.execute(statement).rowcount, statement
            connection.commit()

    return change


def lines(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Damage:
    """Change the lines of a file."""

    def rewrite(root: Path) -> None:
        path = root / name
        path.write_bytes(b"".join(b"%s\n" % one for one in change(path.read_bytes().splitlines())))

    return rewrite


def swap(table: str, columns: str, one: str, other: str, key: str = "seq") -> Damage:
    """Let two rows of a table change places, but for their numbers."""

    def swapped(root: Path) -> None:
        with closing(sqlite3.connect(root / "ledger.sqlite")) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            read = f"SELECT {columns} FROM {table} WHERE {key} = "  # noqa: S608 - our own names
            first, second = (connection.execute(read + it).fetchone() for it in (one, other))
            marks = ", ".join(f"{name} = ?" for name in columns.split(", "))
            for values, place in ((first, other), (second, one)):
                change = f"UPDATE {table} SET {marks} WHERE {key} = {place}"  # noqa: S608 - our own
                connection.execute(change, values)
            connection.commit()

    return swapped


def put_in(table: str, key: str) -> Damage:
    """Let a table have its last row once more, under the next number."""

    def insert(root: Path) -> None:
        with closing(sqlite3.connect(root / "ledger.sqlite")) as connection:
            names = [one[1] for one in connection.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(f"{name} + 1" if name == key else name for name in names)
        last = f"WHERE {key} = (SELECT max({key}) FROM {table})"  # noqa: S608 - our own names
        edit(f"INSERT INTO {table} SELECT {values} FROM {table} {last}")(root)  # noqa: S608

    return insert


def tamper(ledger: str, table: str, column: str) -> dict[str, tuple[Damage, str]]:
    """Give the five ways to change a ledger of three entries, each with what is named."""
    number = f"UPDATE {table} SET seq = {{}} WHERE seq = {{}}"  # noqa: S608 - our own names
    moved = edit(*(number.format(*one) for one in ((9, 1), (1, 2), (2, 9))))
    return {
        f"{ledger}: edited": (
            edit(f"UPDATE {table} SET {column} = 'x' WHERE seq = 2"),  # noqa: S608
            f"{ledger}: entry 2",
        ),
        f"{ledger}: deleted": (
            edit(f"DELETE FROM {table} WHERE seq = 2"),  # noqa: S608
            f"{ledger}: entry 2",
        ),
        f"{ledger}: reordered": (moved, f"{ledger}: entry 1"),
        f"{ledger}: inserted": (put_in(table, "seq"), f"journal: {ledger} entry 4"),
        f"{ledger}: cut": (
            edit(f"DELETE FROM {table} WHERE seq = 3"),  # noqa: S608
            f"{ledger}: entry 3",
        ),
    }


JOURNAL = "at, what, name, run_id, place, code, link"
FIRST = "(SELECT run_id FROM runs ORDER BY started_at LIMIT 1)"
WORDS = {"@ENTRY": "run_id = @FIRST AND seq", "@FIRST": FIRST}

DAMAGES: dict[str, tuple[Damage, str]] = {
    "journal: edited": (edit("UPDATE journal SET name = 'x' WHERE seq = 3"), "journal: line 3"),
    "journal: deleted": (edit("DELETE FROM journal WHERE seq = 3"), "journal: line 3"),
    "journal: reordered": (swap("journal", JOURNAL, "3", "4"), "journal: line 3"),
    "journal: inserted": (
        edit(
            "UPDATE journal SET seq = seq + 1000 WHERE seq >= 3",
            "UPDATE journal SET seq = seq - 999 WHERE seq > 1000",
            "INSERT INTO journal SELECT 3, at, what, name, run_id, place, code, link FROM journal "
            "WHERE seq = 2",
        ),
        "journal: line 3",
    ),
    "journal: cut": (
        edit("DELETE FROM journal WHERE seq > (SELECT max(seq) - 2 FROM journal)"),
        "evidence: evidence entry",
    ),
    "journal: cut with its heads": (
        lambda root: (
            edit("DELETE FROM journal WHERE run_id = 'later-3'", "DELETE FROM evidence WHERE "
                 "run_id = 'later-3'", "DELETE FROM runs WHERE run_id = 'later-3'")(root),
            lines("evidence-heads.jsonl", lambda old: old[:-3])(root),
        )[0],
        "in checkpoint",
    ),
    "evidence: edited": (
        edit("UPDATE evidence SET body = '11' WHERE @ENTRY = 90"), "evidence: entry 90 of"),
    "evidence: sealed figures edited": (
        edit("UPDATE evidence SET sealed = x'00' WHERE @ENTRY = 3"), "evidence: entry 3 of"),
    "evidence: deleted": (edit("DELETE FROM evidence WHERE @ENTRY = 90"), "evidence: entry 91"),
    "evidence: reordered": (
        edit("UPDATE evidence SET seq = 9000 WHERE @ENTRY = 90",
             "UPDATE evidence SET seq = 90 WHERE @ENTRY = 91",
             "UPDATE evidence SET seq = 91 WHERE @ENTRY = 9000"),
        "evidence: entry 90 of",
    ),
    "evidence: inserted": (
        edit("INSERT INTO evidence SELECT run_id, seq + 1, at, step, 'check', 'made up', body, "
             "sealed, chain FROM evidence WHERE @ENTRY = (SELECT max(seq) FROM evidence WHERE "
             "run_id = @FIRST)"),
        "(check: made up)",
    ),
    "evidence: cut": (
        edit("DELETE FROM evidence WHERE run_id = 'later-2' AND kind = 'verdict'"),
        "evidence: entry 2 of run later-2 (verdict: failed)",
    ),
    "evidence: a run is gone": (
        edit("DELETE FROM evidence WHERE run_id = 'later-2'",
             "DELETE FROM runs WHERE run_id = 'later-2'"),
        "evidence: run later-2",
    ),
    "evidence: a run was put in": (
        edit("INSERT INTO runs SELECT 'made-up', policy, started_at, facts FROM runs LIMIT 1"),
        "evidence: run made-up",
    ),
    "evidence: facts edited": (
        edit("UPDATE runs SET facts = '{}' WHERE run_id = 'later-2'"),
        "evidence: beginning of run later-2",
    ),
    "budget: edited": (
        edit("UPDATE budget_events SET mechanisms = '[]' WHERE seq = 1"), "budget: entry 1"),
    "budget: deleted": (edit("DELETE FROM budget_events WHERE seq = 1"), "budget: entry 1"),
    "budget: reordered": (
        edit("UPDATE budget_events SET seq = 9 WHERE seq = 1",
             "UPDATE budget_events SET seq = 1 WHERE seq = 2",
             "UPDATE budget_events SET seq = 2 WHERE seq = 9"),
        "budget: entry 1",
    ),
    "budget: inserted": (
        edit("INSERT INTO budget_events SELECT 3, at, what, 'x', policy, purpose, composition, "
             "mechanisms, ceiling, people, chain FROM budget_events WHERE seq = 2"),
        "budget: entry 3",
    ),
    "budget: cut with its heads": (
        lambda root: (
            edit("DELETE FROM budget_events WHERE seq = 2")(root),
            lines("budget-heads.jsonl", lambda old: old[:-1])(root),
        )[0],
        "budget: budget entry 2, in checkpoint 1",
    ),
    "consent: a block edited": (
        edit("UPDATE consent_blocks SET source = 'x'"), "consent: block of events 1"),
    "consent: a block cut": (
        edit("DELETE FROM consent_blocks WHERE first_seq = (SELECT max(first_seq) FROM "
             "consent_blocks)"),
        "consent: consent entry",
    ),
    "consent: a block inserted": (
        edit("INSERT INTO consent_blocks SELECT last_seq + 1, last_seq + 1, "
             "recorded_at, source, commitments, link FROM consent_blocks "
             "ORDER BY last_seq DESC LIMIT 1"),
        "consent: block of events",
    ),
    **tamper("keys", "key_history", "purpose"),
    **tamper("retention", "retention", "because"),
    "a frozen plan deleted": (edit("DELETE FROM release_plans"), "releases: plan"),
    "a frozen plan put in": (put_in("release_plans", "version"), "releases: plan"),
    "a release edited": (edit("UPDATE releases SET seq = 2"), "releases: released"),
    "a release put in": (put_in("releases", "seq"), "releases: released"),
    "people of a release put in": (put_in("release_people", "seq"), "releases: people"),
    "people of a release deleted": (edit("DELETE FROM release_people"), "releases: people"),
    "a frozen plan edited": (
        edit("UPDATE release_plans SET fitted_on = '1'"), "releases: plan"),
    "a frozen plan's content edited": (
        edit("UPDATE release_plans SET sealed = CAST(substr(sealed, 1, 40) || x'00' || "
             "substr(sealed, 42) AS BLOB)"),
        "releases: plan",
    ),
    "a release deleted": (edit("DELETE FROM releases"), "releases: released"),
    "heads: edited": (
        lines("evidence-heads.jsonl", lambda old: [
            old[0].replace(b'"seq": ', b'"seq": 1'), *old[1:]]),
        "heads: line 1 of evidence-heads.jsonl",
    ),
    "heads: one deleted": (
        lines("evidence-heads.jsonl", lambda old: [*old[:1], *old[2:]]), "heads: line 2 of"),
    "heads: reordered": (
        lines("evidence-heads.jsonl", lambda old: [old[1], old[0], *old[2:]]), "heads: line 1 of"),
    "heads: all gone": (lines("budget-heads.jsonl", lambda _: []), "heads: budget-heads.jsonl"),
    "checkpoints: edited": (
        lines("checkpoints.jsonl", lambda old: [
            old[0].replace(b'"number":1', b'"number":7'), *old[1:]]),
        "checkpoints: checkpoint 1",
    ),
    "checkpoints: one deleted": (
        lines("checkpoints.jsonl", lambda old: [old[0], *old[2:]]), "checkpoints: checkpoint 2"),
    "checkpoints: reordered": (
        lines("checkpoints.jsonl", lambda old: [old[1], old[0], *old[2:]]),
        "checkpoints: checkpoint 1",
    ),
    "checkpoints: inserted": (
        lines("checkpoints.jsonl", lambda old: [old[0], old[0], *old[1:]]),
        "checkpoints: checkpoint 2",
    ),
    "checkpoints: cut": (
        lines("checkpoints.jsonl", lambda old: old[:1]),
        "checkpoints: checkpoint 2, which run later-2 names",
    ),
    "checkpoints: all gone": (
        lines("checkpoints.jsonl", lambda _: []),
        "checkpoints: checkpoint 1, which run later-1 names",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_what_was_changed_is_named(
    states: tuple[Path, Path, Path], tmp_path: Path, damage: Damage, said: str
) -> None:
    """By its ledger and place; and nothing was named before."""
    root = copy_ledgers(states[1], tmp_path / "home")
    damage(root)
    assert any(said in one for one in named(verify(root))), named(verify(root))


def test_nothing_is_named_where_nothing_was_changed(states: tuple[Path, Path, Path]) -> None:
    """All three chains, heads and checkpoints are compared, also beside the anchor."""
    found = verify(states[1], states[2])
    assert named(found) == []
    assert found.compared["checkpoints"] == 4 + 3  # themselves, and as runs name them
    assert found.compared["anchor checkpoints"] >= 4


@pytest.mark.parametrize("back", ["database", "heads", "both", "all"])
def test_a_part_put_back_is_named(
    states: tuple[Path, Path, Path], tmp_path: Path, back: str
) -> None:
    """By what the others say; all of it put back together, by the anchor alone."""
    earlier, later, anchor = states
    root = copy_ledgers(later, tmp_path / "home")
    parts = {"database": ["ledger.sqlite"], "heads": [*HEADS]}
    whole = ["ledger.sqlite", *HEADS]
    for name in parts.get(back, whole + ["checkpoints.jsonl"] * (back == "all")):
        if name == "ledger.sqlite":
            copy_database(earlier, root)
        else:
            shutil.copy(earlier / name, root / name)
    found = named(verify(root))
    match back:
        case "database" | "both":
            assert any("evidence entry" in one and "in checkpoint" in one for one in found)
        case "heads":
            # Older heads than their ledger are what a crash leaves; the checkpoint has newer ones.
            assert any("heads: evidence-heads.jsonl" in one for one in found)
        case _:
            assert found == []
            assert any(one.startswith("anchor: checkpoint ") for one in named(verify(root, anchor)))


def test_an_older_schema_is_left_as_it_is(states: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Verifying only reads; what brings the database up to date is another command."""
    root = copy_ledgers(states[1], tmp_path / "home")
    edit("UPDATE alembic_version SET version_num = '0009'")(root)
    before = (root / "ledger.sqlite").read_bytes()
    with pytest.raises(ServiceError, match="schema 0009 of an earlier version"):
        verify(root)
    assert (root / "ledger.sqlite").read_bytes() == before


def test_checkpoints_signed_by_another_key_are_named(
    states: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """Even where they name their own key, and all of them are made anew."""
    root = copy_ledgers(states[1], tmp_path / "home")
    key, made = Ed25519PrivateKey.generate(), []
    for line in (root / "checkpoints.jsonl").read_bytes().splitlines():
        said = json.loads(line) | {"key": key.public_key().public_bytes_raw().hex()}
        del said["signature"]
        text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        said["signature"] = key.sign(text).hex()
        made.append(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
    (root / "checkpoints.jsonl").write_bytes(b"\n".join(made) + b"\n")
    assert "checkpoints: checkpoint 1" in named(verify(root))
    (root / "keys" / "root.key").write_bytes(bytes(32))
    assert any(one.startswith("heads: line 1 of") for one in named(verify(root)))


def test_a_clock_that_was_set_back_is_named(
    states: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the newest checkpoint."""
    import tasks.verifying.whole as module

    class Past(module.datetime):  # type: ignore[name-defined,misc]  # a class for its method
        @classmethod
        def now(cls, zone: object = None) -> object:
            return cls(2020, 1, 1, tzinfo=zone)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "datetime", Past)
    assert named(verify(states[1])) == ["clock: this machine's"]
