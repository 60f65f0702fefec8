"""A purpose's key is made once, in versions that end; what became of each stays on record."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
import sqlalchemy as sa

from expectations.errors import ServiceError, UsageError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger

RESEARCH, MARKETING = "dpv:ScientificResearch", "dpv:Marketing"


@pytest.fixture
def ledger(home: Home) -> Iterator[KeyLedger]:
    """The keys of a home in which nothing was run."""
    opened = KeyLedger(open_database(home), Keys.open(home))
    yield opened
    opened.engine.dispose()


def edit(ledger: KeyLedger, *statements: str) -> None:
    """Change the database as its owner can: with the triggers dropped."""
    with closing(sqlite3.connect(ledger.keys.home.ledger)) as connection:
        for table in ("data_keys", "key_history", "journal"):
            for event in ("update", "delete", "replace"):
                connection.execute(f"DROP TRIGGER {table}_no_{event}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def begin_run(ledger: KeyLedger, kind: str, purpose: str = RESEARCH, step: str = "") -> None:
    """Put a run on record whose policy treats a column as `kind`."""
    text = f"tutela: 1\npurpose: {purpose}\ncolumns: {{a: {{treatment: {{kind: {kind}}}}}}}\n"
    evidence = EvidenceLedger(ledger.engine, ledger.keys)
    evidence.begin("run-1", "old", {"policy_text": text})
    if step:
        evidence.append("run-1", step, "dataset", step, {"digest": "0"})


def test_a_purpose_gets_its_key_at_first_use_and_keeps_it(ledger: KeyLedger) -> None:
    """Random, another one for another purpose, and the same when the home is opened again."""
    first = ledger.use(RESEARCH)
    again = KeyLedger(open_database(ledger.keys.home), Keys.open(ledger.keys.home))
    assert again.use(RESEARCH) == first
    assert (first.version, len(first.secret)) == (1, 32)
    assert ledger.use(MARKETING).secret != first.secret
    assert first.secret != ledger.keys.derive(f"token:{RESEARCH}")
    assert [(e.what, e.purpose) for e in ledger.history()] == [
        ("created", RESEARCH), ("created", MARKETING),
    ]  # fmt: skip


def test_racing_runs_get_one_key(ledger: KeyLedger) -> None:
    """Whoever comes second reads what the first one made."""

    def use(_: int) -> bytes:
        own = KeyLedger(open_database(ledger.keys.home), ledger.keys)
        try:
            return own.use(RESEARCH).secret
        finally:
            own.engine.dispose()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(use, range(8)))) == 1
    assert len(ledger.history()) == 1


def test_at_rest_a_key_is_sealed_to_its_purpose_and_version(ledger: KeyLedger) -> None:
    """It lies nowhere in clear, and does not open in the place of another."""
    secrets = [ledger.use(RESEARCH).secret, ledger.use(MARKETING).secret]
    stored = b"".join(path.read_bytes() for path in ledger.keys.home.root.glob("ledger.sqlite*"))
    assert not any(secret in stored for secret in secrets)
    edit(
        ledger,
        "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys "
        "WHERE purpose = 'dpv:Marketing') WHERE purpose = 'dpv:ScientificResearch'",
    )
    with pytest.raises(ServiceError, match="does not open"):
        ledger.use(RESEARCH)


def test_rotation_begins_a_new_version_and_keeps_the_old_one(ledger: KeyLedger) -> None:
    """The newest serves; both are there to read what they made."""
    first = ledger.use(RESEARCH)
    assert ledger.rotate(RESEARCH) == 2
    second = ledger.use(RESEARCH)
    assert second.version == 2
    assert second.secret != first.secret
    assert ledger.read(RESEARCH) == [second, first]


def test_a_destroyed_key_is_gone_from_the_disk(ledger: KeyLedger) -> None:
    """Its sealed bytes are in no file of the database any more, and a run is told so."""
    ledger.use(RESEARCH)
    with ledger.engine.connect() as connection:
        wrapped = connection.scalar(sa.text("SELECT wrapped FROM data_keys"))
    files = ledger.keys.home.root.glob("ledger.sqlite*")
    assert any(wrapped in path.read_bytes() for path in files)
    assert ledger.destroy(RESEARCH) == [1]
    files = ledger.keys.home.root.glob("ledger.sqlite*")
    assert not any(wrapped[12:] in path.read_bytes() for path in files)
    with pytest.raises(ServiceError, match=r"was destroyed on 20.* tutela keys rotate") as told:
        ledger.use(RESEARCH)
    assert told.value.exit_status == 3
    assert ledger.read(RESEARCH) == []
    assert ledger.rotate(RESEARCH) == 2
    assert ledger.use(RESEARCH).version == 2


def test_one_version_is_destroyed_and_the_others_stay(ledger: KeyLedger) -> None:
    """Once more does no harm, and a version that never was is refused."""
    ledger.use(RESEARCH)
    ledger.rotate(RESEARCH)
    for _ in range(2):
        assert ledger.destroy(RESEARCH, 1) == [1]
    assert [key.version for key in ledger.read(RESEARCH)] == [2]
    assert [event.what for event in ledger.history()].count("destroyed") == 1
    with pytest.raises(UsageError, match="no version 3"):
        ledger.destroy(RESEARCH, 3)


@pytest.mark.parametrize("act", ["rotate", "destroy", "read"])
def test_a_purpose_without_a_key_is_no_purpose_to_act_on(ledger: KeyLedger, act: str) -> None:
    """A misspelt one gets no key."""
    with pytest.raises(UsageError, match="no run has made a key for 'dpv:Marketink'"):
        getattr(ledger, act)("dpv:Marketink")
    assert ledger.history() == []


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (["DELETE FROM data_keys"], "version 1 of the key of dpv:ScientificResearch is missing"),
        (["UPDATE data_keys SET wrapped = x''"], "is missing"),
        (["UPDATE data_keys SET wrapped = x'00'"], "does not open"),
        (["DELETE FROM data_keys", "DELETE FROM key_history"], r"entry 1 .* \(created\) is gone"),
        (
            ["DELETE FROM data_keys", "DELETE FROM key_history", "DELETE FROM journal"],
            "missing .* with its history",
        ),
        (["UPDATE key_history SET purpose = 'dpv:Marketing'"], "history of the keys was changed"),
        (["DELETE FROM key_history WHERE seq = 1"], "history of the keys was changed"),
    ],
    ids=["row", "bytes", "changed bytes", "row and history", "journal too", "history", "entry"],
)
def test_a_key_that_is_missing_is_never_made_anew(
    ledger: KeyLedger, statements: list[str], said: str
) -> None:
    """Tokens that match none made before would pass for those of other people."""
    begin_run(ledger, "token")
    ledger.use(RESEARCH)
    ledger.use(MARKETING)
    EvidenceLedger(ledger.engine, ledger.keys).append("run-1", "x", "key", RESEARCH, {"version": 1})
    edit(ledger, *statements)
    if "DELETE FROM journal" in statements:
        (ledger.keys.home.root / "evidence-heads.jsonl").unlink()
    with pytest.raises(ServiceError, match=said) as told:
        ledger.use(RESEARCH)
    assert told.value.exit_status == 3


def test_an_older_homes_tokens_stay_the_same(ledger: KeyLedger) -> None:
    """Its derived key becomes version 1, which says where it came from."""
    begin_run(ledger, "token", step="deidentify")
    assert ledger.use(RESEARCH).secret == ledger.keys.derive(f"token:{RESEARCH}")
    assert ledger.use(MARKETING).secret != ledger.keys.derive(f"token:{MARKETING}")
    assert [event.what for event in ledger.history()] == ["brought over", "created"]


@pytest.mark.parametrize(
    ("kind", "purpose", "step"),
    [
        ("mask", RESEARCH, "deidentify"),
        ("token", MARKETING, "deidentify"),
        ("token", "dpv:ScientificResearchX", "deidentify"),
        ("token", RESEARCH, "collect"),
    ],
    ids=["no token", "other purpose", "longer purpose", "never got there"],
)
def test_a_run_that_made_no_token_brings_no_key_over(
    ledger: KeyLedger, kind: str, purpose: str, step: str
) -> None:
    """A derived key could be derived again after it was destroyed."""
    begin_run(ledger, kind, purpose, step)
    ledger.use(RESEARCH)
    assert [event.what for event in ledger.history()] == ["created"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE data_keys SET wrapped = x''",
        "UPDATE data_keys SET version = 7",
        "DELETE FROM data_keys",
        "INSERT OR REPLACE INTO data_keys SELECT purpose, version, x'' FROM data_keys",
        "UPDATE key_history SET at = ''",
        "DELETE FROM key_history",
        "INSERT OR REPLACE INTO key_history SELECT * FROM key_history",
    ],
)
def test_the_database_itself_refuses_to_change_the_keys(ledger: KeyLedger, statement: str) -> None:
    """A key is overwritten once its destruction is noted, and by nothing only."""
    ledger.use(RESEARCH)
    refused = pytest.raises(sa.exc.DBAPIError, match=r"append-only|overwritten by nothing")
    with refused, ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert ledger.use(RESEARCH).version == 1


def test_a_destroyed_key_is_not_put_back(ledger: KeyLedger) -> None:
    """The trigger lets nothing but emptiness follow."""
    ledger.use(RESEARCH)
    ledger.destroy(RESEARCH)
    with pytest.raises(sa.exc.DBAPIError, match="by nothing"), ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE data_keys SET wrapped = x'01'")


def test_a_key_neither_prints_nor_pickles(ledger: KeyLedger) -> None:
    """As the root key."""
    key = ledger.use(RESEARCH)
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)
    with pytest.raises(TypeError, match="do not leave"):
        pickle.dumps(key)


def test_a_destruction_that_was_cut_off_shows(ledger: KeyLedger) -> None:
    """As if a backup's key had been put back, and the note of its end taken away."""
    ledger.use(RESEARCH)
    ledger.destroy(RESEARCH)
    edit(ledger, "DELETE FROM key_history WHERE what = 'destroyed'")
    for use in (lambda: ledger.use(RESEARCH), lambda: ledger.read(RESEARCH), ledger.history):
        with pytest.raises(ServiceError, match=r"entry 2 .* keys \(destroyed\) is gone"):
            use()
