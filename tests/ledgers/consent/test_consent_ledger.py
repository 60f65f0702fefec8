"""What the consent ledger promises: each event once, kept, erasable, and read as of one moment."""

import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import HomeError, Refusal, ServiceError, SourceError
from ledgers.consent import audit, pages
from ledgers.consent import ledger as consent
from ledgers.consent.ledger import ConsentLedger
from ledgers.home import database
from ledgers.home.database import open_database
from ledgers.home.home import Home
from tests.ledgers.consent.consent_events import (
    DAY,
    GIVEN,
    START,
    TERMS,
    WITHDRAWN,
    Event,
    batch,
    edit,
    event,
    everything,
    open_ledger,
    query,
    seq_of,
    start_script,
    token,
)

FULL: Event = {"recorded_at": START + 5, "valid_until": START + DAY, "evidence": "form 7"}
GUARDED: Event = {"guardian_high": -3, "guardian_low": 4}


@pytest.fixture
def ledger(template_home: Path, tmp_path: Path) -> Iterator[ConsentLedger]:
    """An empty ledger."""
    shutil.copytree(template_home, tmp_path / "home")
    opened = open_ledger(tmp_path / "home")
    yield opened
    opened.engine.dispose()


def rows(table: pa.Table) -> set[tuple[object, ...]]:
    """Give the rows of a scan without their order."""
    return {tuple(row.values()) for row in table.to_pylist()}


def test_events_come_back_as_they_were_appended(ledger: ConsentLedger) -> None:
    """A person's history has every field; a scan has what decides, with the ledger's terms."""
    batches = [event(1, **FULL, **GUARDED), event(1, terms=1, valid_from=-DAY), event(2)]
    appended = ledger.append(batch(batches), "csv")
    assert (appended.new, appended.repeated, appended.head) == (3, 0, ledger.head())
    assert appended.head == ledger.verify()
    withdrawn, gift = ledger.history(token(1))
    assert (withdrawn.terms, withdrawn.valid_from, withdrawn.valid_until) == (WITHDRAWN, -DAY, None)
    assert (withdrawn.has_guardian, withdrawn.evidence) == (False, None)
    assert (gift.terms, gift.recorded_at, gift.valid_until) == (GIVEN, START + 5, START + DAY)
    assert (gift.has_guardian, gift.evidence) == (True, "form 7")
    assert set(ledger.terms().values()) == set(TERMS)
    number = {terms: key for key, terms in ledger.terms().items()}
    clock = withdrawn.recorded_at
    assert rows(ledger.scan()) == {
        (*token(1), number[GIVEN], START, START + 5, START + DAY),
        (*token(1), number[WITHDRAWN], -DAY, clock, None),
        (*token(2), number[GIVEN], START, clock, None),
    }


def test_an_empty_ledger_is_a_ledger(ledger: ConsentLedger) -> None:
    """Nothing in it is no error; its head is number 0, before and after nothing is appended."""
    head = ledger.head()
    assert (head.seq, head.at) == (0, "1970-01-01T00:00:00.000000+00:00")
    assert ledger.append(batch([]), "csv").head == head == ledger.verify()
    assert ledger.scan().num_rows == 0
    assert ledger.terms() == dict(enumerate(TERMS, start=1))
    assert ledger.history(token(1)) == []
    assert ledger.erase(token(1)) == 0


def test_an_event_that_is_stated_again_adds_nothing(ledger: ConsentLedger) -> None:
    """In one batch, in the next one, and however much later: the chain stays as it is."""
    events = [event(1), event(2, **FULL), event(1), event(3)]
    first = ledger.append(batch(events), "csv")
    assert (first.new, first.repeated) == (3, 1)
    again = ledger.append(batch([*reversed(events), event(4)]), "other.csv")
    assert (again.new, again.repeated) == (1, 4)
    assert ledger.append(batch(events), "csv").head == again.head
    assert ledger.scan().num_rows == 4
    ledger.verify()


@pytest.mark.parametrize(
    "other",
    [
        *({name: 1} for name in ("token_high", "token_low", "terms", "valid_from")),
        *({name: 1} for name in ("recorded_at", "valid_until", "evidence")),
        {"recorded_at": None},
        {"valid_until": None},
        {"evidence": None},
        {"evidence": ""},
        {"guardian_high": None, "guardian_low": None},
        {"guardian_high": 0, "guardian_low": 0},
    ],
    ids=str,
)
def test_events_that_differ_in_one_field_are_two(ledger: ConsentLedger, other: Event) -> None:
    """Whatever the field; nothing stated is something else than zero or an empty text."""
    changed = {name: str(value) if name == "evidence" and value == 1 else value
               for name, value in other.items()}  # fmt: skip
    both = [event(1, **FULL, **GUARDED), event(1, **{**FULL, **GUARDED, **changed})]
    assert ledger.append(batch(both), "csv").new == 2
    assert ledger.append(batch(both), "csv").repeated == 2
    ledger.verify()


@given(
    batches=st.lists(
        st.lists(
            st.builds(
                event,
                st.integers(0, 3),
                terms=st.integers(0, 1),
                valid_from=st.integers(START, START + 2),
                recorded_at=st.none() | st.integers(0, 2),
                valid_until=st.none() | st.integers(-1, 1),
                evidence=st.none() | st.sampled_from(["", "ä", "form"]),
            ),
            max_size=6,
        ),
        max_size=4,
    )
)
def test_a_ledger_is_the_set_of_what_was_stated(
    template_home: Path, tmp_path_factory: pytest.TempPathFactory, batches: list[list[Event]]
) -> None:
    """In whichever batches it came: as many events as there are different ones, all verified."""
    root = tmp_path_factory.mktemp("set") / "home"
    shutil.copytree(template_home, root)
    ledger = open_ledger(root)
    for events in batches:
        ledger.append(batch(events), "csv")
    stated = {tuple(one.values()) for events in batches for one in events}
    assert ledger.scan().num_rows == len(stated) == ledger.verify().seq
    found = {
        (TERMS.index(one.terms), one.valid_from, one.valid_until, one.evidence)
        for one in everything(ledger, range(4))
    }
    assert found == {(one[2], one[3], one[5], one[8]) for one in stated}
    ledger.engine.dispose()


def test_many_events_are_one_chain(ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of more than a block and more than a portion, of which each repeats some."""
    monkeypatch.setattr(consent, "BLOCK", 16)
    monkeypatch.setattr(consent, "PORTION", 64)
    monkeypatch.setattr(pages, "SMALLEST", 2)
    monkeypatch.setattr(pages, "LARGEST", 6)
    events = [event(number % 90, valid_from=number) for number in range(200)]
    first = ledger.append(batch(events + events[:50]), "csv")
    second = ledger.append(batch([*events[100:], event(7, valid_from=-1)]), "csv")
    assert (first.new, first.repeated) == (200, 50)
    assert (second.new, second.repeated) == (1, 100)
    assert ledger.verify() == second.head
    assert ledger.scan().num_rows == 201
    with sqlite3.connect(ledger.home.ledger) as connection:
        sizes = connection.execute("SELECT last_seq - first_seq + 1 FROM consent_blocks").fetchall()
    assert {16} < {size for (size,) in sizes} <= set(range(1, 17))


def test_numbers_tell_nothing_of_people(ledger: ConsentLedger) -> None:
    """Within an append they are drawn at random, so that an erased one's neighbours do not tell.

    They follow neither the tokens nor the source.
    """
    ledger.append(batch(event(person) for person in range(40)), "csv")
    by_source = [seq_of(ledger, person) for person in range(40)]
    by_token = [seq_of(ledger, person) for person in sorted(range(40), key=token)]
    for numbers in (by_source, by_token):
        assert sorted(numbers) == list(range(1, 41))
        assert numbers not in (sorted(numbers), sorted(numbers, reverse=True))


def test_the_ledgers_clock_never_runs_backwards(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event without a stated moment gets the clock's; a clock set back stands still."""
    now = time.time_ns()
    for hours in (0, -5, 1):
        monkeypatch.setattr(time, "time_ns", lambda hours=hours: now + hours * 3_600_000_000_000)
        ledger.append(batch([event(1, valid_from=hours)]), "csv")
    back, first, later = (one.recorded_at for one in ledger.history(token(1)))
    assert (first, back, later) == (now // 1000, now // 1000, now // 1000 + 3_600_000_000)
    ledger.append(batch([event(2, recorded_at=5)]), "csv")
    assert ledger.history(token(2))[0].recorded_at == 5


def test_now_is_never_before_what_is_on_record(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A withdrawal that was recorded counts, whatever this machine's clock says since."""
    ahead = time.time_ns() + 5 * 3_600_000_000_000
    assert ledger.now() < datetime.fromtimestamp(ahead / 1e9, UTC)
    monkeypatch.setattr(time, "time_ns", lambda: ahead)
    ledger.append(batch([event(1)]), "csv")
    assert ledger.now() == datetime.fromtimestamp(ahead // 1000 / 1e6, UTC)


def test_a_recording_in_the_future_is_refused(ledger: ConsentLedger) -> None:
    """With everything else in the batch, and without a number that says how many few are."""
    later = [event(1), event(2, recorded_at=time.time_ns() // 1000 + DAY)]
    with pytest.raises(SourceError, match=r"portal: fewer than 10 events .* later than now"):
        ledger.append(batch(later), "portal", "d1")
    assert ledger.scan().num_rows == 0
    assert not ledger.imported("d1")


def test_what_a_batch_lacks_is_not_made_up(ledger: ConsentLedger) -> None:
    """An event without a person or a moment is an error of the program that made it."""
    with pytest.raises(ValueError, match="valid_from"):
        ledger.append(batch([event(1, valid_from=None)]), "csv")
    assert ledger.head().seq == 0


def test_a_source_is_known_by_its_digest(ledger: ConsentLedger) -> None:
    """Noted with the events or not at all; a second time the first note stays."""
    assert not ledger.imported("d1")
    ledger.append(batch([event(1)]), "csv", "d1")
    assert ledger.append(batch([event(1)]), "csv", "d1").repeated == 1
    assert ledger.imported("d1")
    assert not ledger.imported("d2")


def test_a_forged_note_of_an_import_is_refused(ledger: ConsentLedger) -> None:
    """Else a withdrawal could be kept out by noting its file as taken in."""
    ledger.append(batch([event(1)]), "csv", "d1")
    edit(ledger, "INSERT INTO consent_imports VALUES ('d2', 0, 'csv', 1, 0, x'00')")
    for asked in (ledger.verify, lambda: ledger.imported("d2")):
        with pytest.raises(Refusal, match="the note that csv was imported"):
            asked()
    assert ledger.imported("d1")


def test_a_scan_stops_where_it_is_told(ledger: ConsentLedger) -> None:
    """What reached the ledger after a head is not in what that head stands for."""
    head = ledger.append(batch([event(1), event(2)]), "csv").head
    before = rows(ledger.scan())
    ledger.append(batch([event(1, terms=1, valid_from=0)]), "csv")
    assert rows(ledger.scan(upto=head.seq)) == before < rows(ledger.scan())
    assert ledger.scan(upto=0).num_rows == 0


def test_a_scan_during_an_import_sees_one_moment(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the ledger as it was, or all as it is; and the import does not wait for it."""
    ledger.append(batch(event(person) for person in range(30)), "csv")
    before, read = rows(ledger.scan()), audit.read_pages
    importing = open_ledger(ledger.home.root)

    def read_while_importing(connection: sa.Connection) -> Iterator[list[pages.Page]]:
        importing.append(batch(event(person, terms=1) for person in range(30)), "csv")
        return read(connection)

    monkeypatch.setattr(audit, "read_pages", read_while_importing)
    assert rows(ledger.scan(upto=10**9)) == before
    monkeypatch.undo()
    assert ledger.scan().num_rows == 60
    importing.engine.dispose()


def test_two_imports_at_once_are_one_after_the_other(ledger: ConsentLedger) -> None:
    """Each event is in once, whoever brought it, and the chain holds."""
    script = (
        "sys.stdin.readline()\n"
        "for start in range(0, 120, 10):\n"
        "    events = [event(n, valid_from=7) for n in range(start, start + 10)]\n"
        "    print(ledger.append(batch(events), 'csv').new)"
    )
    importers = [start_script(ledger, script) for _ in range(2)]
    answers = []
    for importer in importers:
        assert importer.stdin is not None
        importer.stdin.write("go\n")
        importer.stdin.flush()
    for importer in importers:
        answers += importer.communicate()[0].split()
        assert importer.returncode == 0
    assert len(answers) == 24
    assert sum(map(int, answers)) == ledger.scan().num_rows == ledger.verify().seq == 120


@pytest.mark.parametrize(
    "moment",
    ["consent.ledger.insert_page", "consent.ledger._chain", "consent.ledger.note_import"],
)
def test_an_import_killed_half_way_leaves_the_old_state(ledger: ConsentLedger, moment: str) -> None:
    """Wherever it was, and the next import of the same source brings everything."""
    old = ledger.append(batch([event(1)]), "csv").head
    module, _, function = moment.rpartition(".")
    script = (
        f"import ledgers.{module} as module\nplain = module.{function}\n"
        f"def kill(*arguments):\n"
        f"    plain(*arguments)\n"
        f"    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"module.{function} = kill\n"
        "ledger.append(batch(event(n) for n in range(500)), 'csv', 'd')"
    )
    killed = start_script(ledger, script)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert ledger.head() == old == ledger.verify()
    assert not ledger.imported("d")
    assert ledger.append(batch(event(n) for n in range(500)), "csv", "d").new == 499
    ledger.verify()


def test_erasing_destroys_payload_and_salt_and_keeps_the_chain(ledger: ConsentLedger) -> None:
    """Of that person alone, and evidence never stood in clear; nothing is left in any file."""
    ledger.append(batch([event(1, **FULL), event(2, evidence="Zyxwort"), event(3)]), "csv")
    ledger.append(batch([event(2, terms=1, evidence="Qblorp")]), "csv")
    salts = query(ledger, "SELECT salt, evidence FROM consent_events WHERE token_low = -2")
    needles = [needle for row in salts for needle in row]
    assert not any(word in text for text in contents(ledger.home) for word in (b"Zyxw", b"Qblo"))
    assert all(any(needle in text for text in contents(ledger.home)) for needle in needles)
    head = ledger.head()
    assert ledger.erase(token(2)) == 2
    assert not any(needle in text for text in contents(ledger.home) for needle in needles)
    assert ledger.history(token(2)) == []
    assert ledger.scan().num_rows == 2
    assert ledger.verify() == head == ledger.head()
    assert ledger.erase(token(2)) == 0


def contents(home: Home) -> list[bytes]:
    """Read every file of a home."""
    return [path.read_bytes() for path in home.root.rglob("*") if path.is_file()]


def test_what_was_erased_and_comes_again_is_recorded_anew(ledger: ConsentLedger) -> None:
    """With a number of its own; the erased places stay erased."""
    ledger.append(batch([event(1), event(2)]), "csv")
    old = seq_of(ledger, 2)
    ledger.erase(token(2))
    assert ledger.append(batch([event(1), event(2)]), "csv").new == 1
    assert seq_of(ledger, 2) == 3 != old
    ledger.verify()


def test_an_erasure_waits_for_nobody_in_silence(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a reader keeps the erased pages alive, that is said, and erasing again mends it."""
    ledger.append(batch([event(1)]), "csv")
    ((salt,),) = query(ledger, "SELECT salt FROM consent_events")
    monkeypatch.setattr(database, "PRAGMAS", ("busy_timeout=50", *database.PRAGMAS[1:]))
    eraser = open_ledger(ledger.home.root)
    with database.snapshot(ledger.engine) as reading:
        reading.execute(sa.text("SELECT count(*) FROM consent_pages"))
        with pytest.raises(ServiceError, match="erase again"):
            eraser.erase(token(1))
        assert any(salt in text for text in contents(ledger.home))
    assert eraser.history(token(1)) == []
    assert eraser.erase(token(1)) == 0
    assert not any(salt in text for text in contents(ledger.home))
    eraser.engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consent_terms SET text = '{}'",
        "UPDATE consent_blocks SET source = 'x'",
        "UPDATE consent_pages SET packed = x'00'",
        "UPDATE consent_pages SET low = low + 1",
        "UPDATE consent_pages SET events = events - 1",
        "UPDATE consent_erasures SET at = 0",
        "UPDATE consent_imports SET new = 0",
        "DELETE FROM consent_terms",
        "DELETE FROM consent_blocks WHERE last_seq = 3",
        "DELETE FROM consent_pages",
        "DELETE FROM consent_pages WHERE id = 1",
        "DELETE FROM consent_erasures",
        "DELETE FROM consent_imports",
        "REPLACE INTO consent_terms VALUES (1, 'x')",
        "REPLACE INTO consent_terms SELECT 9, text FROM consent_terms WHERE id = 1",
        "REPLACE INTO consent_blocks SELECT * FROM consent_blocks",
        "REPLACE INTO consent_pages SELECT * FROM consent_pages",
        "INSERT INTO consent_terms VALUES (1, 'x') ON CONFLICT DO UPDATE SET text = 'x'",
        "REPLACE INTO consent_erasures SELECT * FROM consent_erasures",
        "REPLACE INTO consent_imports SELECT * FROM consent_imports",
    ],
)
def test_the_database_itself_refuses_to_change_the_ledger(
    ledger: ConsentLedger, statement: str
) -> None:
    """Nothing is updated in place or removed, but an event whose erasure is noted."""
    ledger.append(batch([event(1), event(2), event(3)]), "csv", "d1")
    ledger.erase(token(2))
    with closing(sqlite3.connect(ledger.home.ledger)) as connection:
        with pytest.raises(sqlite3.IntegrityError, match=r"append-only|once its erasure is noted"):
            connection.execute(statement)
        connection.rollback()
    ledger.verify()


def test_a_ledger_of_an_older_program_is_brought_up_to_date(
    ledger: ConsentLedger, tmp_path: Path
) -> None:
    """The consent tables are added and what was there stays."""
    ledger.engine.dispose()
    ledger.home.ledger.unlink()
    config = Config()
    folder = Path(database.__file__).parents[1] / "migrations"
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    engine = sa.create_engine(f"sqlite:///{ledger.home.ledger}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO runs VALUES ('r', 'adult', '2026', '{}')"))
    engine.dispose()
    ledger.home.ledger.chmod(0o600)
    upgraded = open_ledger(tmp_path / "home")
    assert upgraded.append(batch([event(1)]), "csv").new == 1
    with upgraded.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT policy FROM runs")) == "adult"
    upgraded.engine.dispose()


def test_events_of_an_older_program_are_moved_into_pages(
    ledger: ConsentLedger, tmp_path: Path
) -> None:
    """Each with all that was said, and each still answers to its commitment."""
    events = [
        event(n, terms=n % 2, **(FULL if n % 3 else {}), **(GUARDED if n % 5 else {}))
        for n in range(2000)
    ]
    ledger.append(batch(events), "csv")
    rows = query(ledger, "SELECT * FROM consent_events ORDER BY seq")
    found, scanned = everything(ledger, range(60)), ledger.scan().sort_by("token_high")
    ledger.engine.dispose()
    take_back_to_rows(ledger.home, rows)
    moved = open_ledger(tmp_path / "home")
    assert moved.verify().seq == 2000
    assert everything(moved, range(60)) == found
    assert moved.scan().sort_by("token_high") == scanned
    assert moved.append(batch(events), "csv").repeated == 2000
    assert moved.erase(token(7)) == 1
    sizes = [size for (size,) in query(moved, "SELECT events FROM consent_pages")]
    assert len(sizes) > 1
    assert sum(sizes) == 1999
    moved.engine.dispose()


def take_back_to_rows(home: Home, rows: list[tuple[object, ...]]) -> None:
    """Make the ledger as an older program left it, with a row for each event."""
    with closing(sqlite3.connect(home.ledger)) as connection:
        connection.execute("DROP TABLE consent_pages")
        connection.execute("DROP TABLE journal")
        connection.execute("DROP TABLE release_people")
        connection.execute("DROP TABLE retention")
        connection.execute("DROP TABLE leases")
        connection.execute("DROP TABLE shared_heads")
        connection.execute("DROP TABLE signers")
        connection.execute(
            "CREATE TABLE consent_events (token_high, token_low, identity, seq, terms, valid_from,"
            " recorded_at, valid_until, guardian_high, guardian_low, evidence, salt,"
            " PRIMARY KEY (token_high, token_low, identity)) WITHOUT ROWID"
        )
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO consent_events VALUES ({marks})", rows)  # noqa: S608
        connection.execute("UPDATE alembic_version SET version_num = '0005'")
        connection.commit()


def test_a_lost_database_is_not_made_anew(ledger: ConsentLedger) -> None:
    """An empty ledger would permit nobody, and yet be believed."""
    ledger.engine.dispose()
    ledger.home.ledger.unlink()
    with pytest.raises(HomeError, match="backup"):
        open_database(ledger.home)
