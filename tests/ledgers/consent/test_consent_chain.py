"""What no hand can do to the consent ledger unseen: each fault is refused, with its number."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from expectations.errors import Refusal, ServiceError
from ledgers import signed_heads
from ledgers.consent import tables as consent_tables
from ledgers.consent.chain import RECORD, Codes
from ledgers.consent.ledger import ConsentLedger
from ledgers.consent.pages import Page
from ledgers.home.keys import Keys
from ledgers.signed_heads import Heads
from tests.ledgers.consent.consent_events import (
    DAY,
    START,
    batch,
    edit,
    event,
    open_ledger,
    query,
    seq_of,
    token,
)

ERASED = 14
"""The person whose events are erased in the ledger that is tampered with."""


@pytest.fixture(scope="module")
def template(template_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose ledger has three appends of ten people and an erasure; copied for each test."""
    root = tmp_path_factory.mktemp("chain") / "home"
    shutil.copytree(template_home, root)
    ledger = open_ledger(root)
    for first in (0, 10, 20):
        people = range(first, first + 10)
        rows = [
            event(
                person,
                terms=person % 2,
                valid_until=START + DAY if person % 3 else None,
                evidence=f"form {person}" if person % 4 else None,
                **({"guardian_high": 5, "guardian_low": person} if person % 5 else {}),
            )
            for person in people
        ]
        ledger.append(batch(rows), f"file {first}", f"digest {first}")
    ledger.erase(token(ERASED))
    ledger.verify()
    ledger.engine.dispose()
    return root


@pytest.fixture
def ledger(template: Path, tmp_path: Path) -> Iterator[ConsentLedger]:
    """Thirty events in three blocks, one of them erased."""
    shutil.copytree(template, tmp_path / "home")
    opened = open_ledger(tmp_path / "home")
    yield opened
    opened.engine.dispose()


def refused_at(ledger: ConsentLedger) -> int:
    """Verify a ledger that was tampered with; give the number that is named."""
    with pytest.raises(Refusal, match=r"consent ledger: event .* backup") as caught:
        ledger.verify()
    assert caught.value.exit_status == 1
    return int(str(caught.value).split("event ", 1)[1].split(":", 1)[0])


def erased_seq(ledger: ConsentLedger) -> int:
    """Give the number of the event that was erased."""
    with closing(sqlite3.connect(ledger.home.ledger)) as connection:
        (seq,) = connection.execute("SELECT seq FROM consent_erasures").fetchone()
    assert isinstance(seq, int)
    return seq


def change_event(ledger: ConsentLedger, person: int, change: str) -> None:
    """Change a person's events in place."""
    statement = f"UPDATE consent_events SET {change} WHERE token_low = -?"  # noqa: S608 - ours
    edit(ledger, statement, parameters=(person,))


def insert_row(ledger: ConsentLedger, table: str, row: Sequence[object]) -> None:
    """Put a row into a table."""
    marks = ", ".join("?" * len(row))
    statement = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - ours
    edit(ledger, statement, parameters=tuple(row))


def test_a_ledger_that_nobody_touched_is_verified(ledger: ConsentLedger) -> None:
    """With an erased event in it; the head is that of the last append."""
    assert ledger.verify() == ledger.head()
    assert ledger.head().seq == 30


@pytest.mark.parametrize(
    "change",
    [
        "token_high = token_high + 1",
        "token_low = token_low + 1",
        "identity = identity + 1",
        "valid_from = valid_from + 1",
        "recorded_at = recorded_at - 1",
        "valid_until = NULL",
        "valid_until = 0",
        "valid_until = valid_until + 1",
        "guardian_high = NULL, guardian_low = NULL",
        "guardian_low = guardian_low + 1",
        "evidence = NULL",
        "evidence = ''",
        "evidence = CAST(evidence || ' ' AS BLOB)",
        "terms = 3 - terms",
        "terms = 77",
        "terms = -1",
        "salt = zeroblob(16)",
        "salt = x'00'",
    ],
)
def test_an_edited_event_is_named(ledger: ConsentLedger, change: str) -> None:
    """Whatever was edited, person and terms included, by the number of that one event."""
    seq = seq_of(ledger, 7)
    change_event(ledger, 7, change)
    assert refused_at(ledger) == seq


@pytest.mark.parametrize(
    ("column", "value"),
    [("valid_until", START), ("valid_until", 0), ("guardian_high", 0), ("evidence", "''")],
)
def test_what_was_absent_cannot_be_added(
    ledger: ConsentLedger, column: str, value: int | str
) -> None:
    """Not even a zero or an empty text; a guardian made up would make a minor's consent count."""
    seq = seq_of(ledger, 0)
    change_event(ledger, 0, f"{column} = {value}")
    assert refused_at(ledger) == seq


def test_of_several_faults_the_first_is_named(ledger: ConsentLedger) -> None:
    """By number, in whichever order they are found."""
    edit(ledger, "UPDATE consent_events SET valid_from = 0 WHERE seq IN (8, 17, 23)",
         "DELETE FROM consent_events WHERE seq = 26")  # fmt: skip
    assert refused_at(ledger) == 8


def test_a_removed_event_is_named(ledger: ConsentLedger) -> None:
    """Its place is there and no note says that it was erased."""
    edit(ledger, "DELETE FROM consent_events WHERE seq = 9")
    assert refused_at(ledger) == 9


def test_two_events_cannot_change_places(ledger: ConsentLedger) -> None:
    """Not even with their commitments: the number is part of what is committed to."""
    edit(ledger, "UPDATE consent_events SET seq = CASE seq WHEN 4 THEN 6 ELSE 4 END "
         "WHERE seq IN (4, 6)")  # fmt: skip
    assert refused_at(ledger) == 4
    ((block,),) = query(ledger, "SELECT commitments FROM consent_blocks WHERE first_seq = 1")
    assert isinstance(block, bytes)
    each = [block[place : place + 32] for place in range(0, len(block), 32)]
    each[3], each[5] = each[5], each[3]
    change = "UPDATE consent_blocks SET commitments = ? WHERE first_seq = 1"
    edit(ledger, change, parameters=(b"".join(each),))
    assert refused_at(ledger) == 4


@pytest.mark.parametrize("seq", [5, 31, 0, -3, 2**62])
def test_an_added_event_is_named(ledger: ConsentLedger, seq: int) -> None:
    """Whether it takes a number that is used, the next one, or one that cannot be."""
    edit(ledger, "INSERT INTO consent_events SELECT 1, 2, 3, ?, terms, valid_from, recorded_at, "
         "NULL, NULL, NULL, NULL, salt FROM consent_events WHERE seq = 5",
         parameters=(seq,))  # fmt: skip
    assert refused_at(ledger) == seq


@pytest.mark.parametrize(
    ("statements", "seq"),
    [
        (["DELETE FROM consent_blocks WHERE first_seq = 11"], 11),
        (["DELETE FROM consent_blocks WHERE first_seq = 1"], 1),
        (["UPDATE consent_blocks SET link = zeroblob(32) WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET source = 'x' WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET recorded_at = 0 WHERE first_seq = 21"], 21),
        (["UPDATE consent_blocks SET last_seq = 19 WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET last_seq = 2 << 60 WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET first_seq = 12 WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET commitments = x'00' WHERE first_seq = 11"], 11),
        (["UPDATE consent_blocks SET commitments = zeroblob(320) WHERE first_seq = 11"], 11),
        (["DELETE FROM consent_blocks", "DELETE FROM consent_events"], 1),
    ],
)
def test_a_changed_block_is_named(ledger: ConsentLedger, statements: list[str], seq: int) -> None:
    """By its first event, where no single one is off."""
    edit(ledger, *statements)
    assert refused_at(ledger) == seq


def test_a_changed_commitment_is_named_by_its_event(ledger: ConsentLedger) -> None:
    """An erased event's too, of which nothing else is left."""
    find = "SELECT commitments FROM consent_blocks WHERE ?1 BETWEEN first_seq AND last_seq"
    change = "UPDATE consent_blocks SET commitments = ?2 WHERE ?1 BETWEEN first_seq AND last_seq"
    for seq in (erased_seq(ledger), 3):
        ((block,),) = query(ledger, find, seq)
        assert isinstance(block, bytes)
        place = (seq - 1) % 10 * 32
        changed = block[:place] + bytes(32) + block[place + 32 :]
        edit(ledger, change, parameters=(seq, changed))
        assert refused_at(ledger) == seq


def test_a_cut_tail_shows_at_once(ledger: ConsentLedger) -> None:
    """The signed heads are kept elsewhere: reading the head, and writing, are refused as well."""
    edit(ledger, "DELETE FROM consent_blocks WHERE first_seq > 20",
         "DELETE FROM consent_events WHERE seq > 20")  # fmt: skip
    assert refused_at(ledger) == 21
    for action in (
        ledger.head,
        lambda: ledger.append(batch([event(50)]), "csv"),
        lambda: ledger.erase(token(1)),
    ):
        with pytest.raises(Refusal, match="event 21: events 21 to 30 were signed and are gone"):
            action()
    with pytest.raises(Refusal, match="event 21: "):
        ledger.scan()


def test_an_older_database_that_went_another_way_is_refused(
    ledger: ConsentLedger,
) -> None:
    """A backup put back, and events appended before anybody looked, do not meet the heads."""
    heads = ledger.home.root / signed_heads.NAME
    ledger.engine.dispose()
    backup = (ledger.home.ledger.read_bytes(), heads.read_bytes())
    ledger.append(batch([event(50)]), "csv")
    ledger.engine.dispose()
    ahead = heads.read_bytes()
    ledger.home.ledger.write_bytes(backup[0])
    heads.write_bytes(backup[1])
    ledger.append(batch([event(51)]), "csv")
    heads.write_bytes(ahead)
    assert refused_at(ledger) == 31
    with pytest.raises(Refusal, match="event 31: its link is not the one in the signed head"):
        ledger.append(batch([event(52)]), "csv")


def test_a_block_of_another_history_does_not_fit(ledger: ConsentLedger, template: Path) -> None:
    """Each block names the one before, even where no head was signed since; a head says it too."""
    other = shutil.copytree(template, template.parent / "other")
    ledger.append(batch([event(50)]), "csv")
    ledger.append(batch([event(51)]), "csv")
    elsewhere = open_ledger(other)
    elsewhere.append(batch([event(52)]), "csv")
    edit(ledger, "DELETE FROM consent_blocks WHERE first_seq = 31",
         "DELETE FROM consent_events WHERE seq = 31")  # fmt: skip
    for table, number in (("consent_blocks", "first_seq"), ("consent_events", "seq")):
        find = f"SELECT * FROM {table} WHERE {number} = 31"  # noqa: S608 - ours
        insert_row(ledger, table, query(elsewhere, find)[0])
    elsewhere.engine.dispose()
    assert refused_at(ledger) == 31
    write_lines(ledger, lines(ledger)[:-2])
    assert refused_at(ledger) == 32


def records_of(ledger: ConsentLedger) -> list[tuple[Page, np.ndarray]]:
    """Give the pages with the records of their events."""
    codes = Codes.derive(ledger.keys)
    with ledger.engine.begin() as connection:
        terms = consent_tables.read_terms_digests(connection)
        pages = [page for some in consent_tables.read_pages(connection) for page in some]
    return [(page, page.rebuild(codes, terms)) for page in pages]


def rewrite(ledger: ConsentLedger, codes: Codes) -> None:
    """Leave one event out and write the rest anew, consistently, with codes of one's own."""
    records = np.concatenate([own for _, own in records_of(ledger)]).astype(RECORD)
    records = np.sort(records[records["seq"] != 2], order="seq")
    numbers = {seq: place for place, seq in enumerate(records["seq"].tolist(), start=1)}
    records["seq"] = list(numbers.values())
    commitments = codes.commit(records).tobytes()
    link = codes.link(codes.start().link, 1, len(records), 5, "csv", commitments)
    edit(ledger, "DELETE FROM consent_blocks", "DELETE FROM consent_erasures",
         "DELETE FROM consent_events WHERE seq = 2")  # fmt: skip
    insert_row(ledger, "consent_blocks", (1, len(records), 5, "csv", link, commitments))
    for old, new in numbers.items():
        edit(ledger, "UPDATE consent_events SET seq = ? WHERE seq = ?", parameters=(new, old))
    with ledger.engine.begin() as connection:
        terms = consent_tables.read_terms_digests(connection)
    for page, own in records_of(ledger):
        code = page.seal(codes, codes.commit(own), terms)
        edit(ledger, "UPDATE consent_pages SET code = ? WHERE id = ?", parameters=(code, page.id))


def test_a_ledger_rewritten_whole_is_refused(ledger: ConsentLedger) -> None:
    """However consistent: without the home's key no commitment fits, from the first on."""
    rewrite(ledger, Codes(b"identity", b"commitment", b"chain", b"note", b"evidence", b"page"))
    with pytest.raises(Refusal, match="event 1: it is not as it was recorded"):
        ledger.verify()
    with pytest.raises(Refusal, match="event 29: events 29 to 30"):
        ledger.head()


def test_even_the_holder_of_the_keys_meets_the_signed_heads(ledger: ConsentLedger) -> None:
    """A rewrite with the home's own codes still lacks what was signed."""
    rewrite(ledger, Codes.derive(ledger.keys))
    with pytest.raises(Refusal, match="event 1: events 1 to 10 differ from those that were signed"):
        ledger.verify()


def test_nobody_elses_keys_verify_a_ledger(ledger: ConsentLedger) -> None:
    """With another root key neither heads nor commitments are one's own."""
    other = ConsentLedger(ledger.engine, ledger.home, Keys(ledger.home, b"x" * 32))
    with pytest.raises(Refusal, match="line 1 was not signed by this home"):
        other.verify()


def test_edited_terms_are_named_by_the_first_event_of_theirs(ledger: ConsentLedger) -> None:
    """Turning a withdrawal into a gift for everybody at once shows at the first of them."""
    (row,) = query(ledger, "SELECT min(e.seq) FROM consent_events e JOIN consent_terms t "
                   "ON t.id = e.terms WHERE t.text LIKE '%withdrawn%'")  # fmt: skip
    edit(ledger, "UPDATE consent_terms SET text = replace(text, 'withdrawn', 'given')")
    assert refused_at(ledger) == row[0]
    edit(ledger, "UPDATE consent_terms SET text = 'x' || id")
    with pytest.raises(Refusal, match="the terms of number 1"):
        ledger.terms()
    with pytest.raises(Refusal, match="the terms of number"):
        ledger.history(token(1))


def test_terms_that_are_gone_are_missed(ledger: ConsentLedger) -> None:
    """By the first event that names them."""
    edit(ledger, "DELETE FROM consent_terms")
    assert refused_at(ledger) == 1


@pytest.mark.parametrize("code", [bytes(32), None, b""])
def test_a_forged_erasure_is_named(ledger: ConsentLedger, code: bytes | None) -> None:
    """The code of a note fits one event alone; that of another is no better than none."""
    statement = "INSERT INTO consent_erasures SELECT 9, at, COALESCE(?, code) FROM consent_erasures"
    edit(ledger, statement, parameters=(code,))
    edit(ledger, "DELETE FROM consent_events WHERE seq = 9")
    assert refused_at(ledger) == 9


def test_a_note_of_an_erasure_cannot_be_changed(ledger: ConsentLedger) -> None:
    """Nor can one stand for an event that was never written."""
    seq = erased_seq(ledger)
    edit(ledger, "UPDATE consent_erasures SET at = at + 1")
    assert refused_at(ledger) == seq
    edit(ledger, "UPDATE consent_erasures SET at = at - 1",
         "INSERT INTO consent_erasures VALUES (31, 0, zeroblob(32))")  # fmt: skip
    assert refused_at(ledger) == 31


def test_an_erasure_taken_back_is_named(ledger: ConsentLedger) -> None:
    """The payload put back from a copy, with its note or without: the head signed it away."""
    (row,) = query(ledger, "SELECT * FROM consent_events WHERE token_low = -7")
    seq = seq_of(ledger, 7)
    ledger.erase(token(7))
    insert_row(ledger, "consent_events", row)
    assert refused_at(ledger) == seq
    edit(ledger, "DELETE FROM consent_erasures WHERE seq = ?", parameters=(seq,))
    assert refused_at(ledger) == seq


def test_a_page_put_back_as_it_was_before_an_erasure_is_named(ledger: ConsentLedger) -> None:
    """Its seal fits, since this home made it; the erased event is in it all the same."""
    (page,) = query(ledger, "SELECT * FROM consent_pages WHERE id = 2")
    seq = seq_of(ledger, 17)
    ledger.erase(token(17))
    edit(ledger, "DELETE FROM consent_pages WHERE id = 2")
    insert_row(ledger, "consent_pages", page)
    assert refused_at(ledger) == seq


def test_a_page_that_is_there_twice_is_named(ledger: ConsentLedger) -> None:
    """By its first event, though its seal fits."""
    (first,) = query(ledger, "SELECT min(seq) FROM consent_events WHERE seq > 20")[0]
    edit(ledger, "INSERT INTO consent_pages SELECT 9, low, high, events, code, evidence, packed "
         "FROM consent_pages WHERE id = 3")  # fmt: skip
    assert refused_at(ledger) == first


def test_a_page_that_is_not_found_by_its_people_is_named(ledger: ConsentLedger) -> None:
    """Else an erasure would pass it by."""
    (first,) = query(ledger, "SELECT min(seq) FROM consent_events WHERE seq > 10 AND seq < 21")[0]
    edit(ledger, "UPDATE consent_pages SET low = high WHERE id = 2")
    assert refused_at(ledger) == first


def test_events_answer_for_themselves_where_a_page_has_no_seal(ledger: ConsentLedger) -> None:
    """As those of an older program do, and of a page whose seal was changed."""
    edit(ledger, "UPDATE consent_pages SET code = NULL WHERE id = 1",
         "UPDATE consent_pages SET code = zeroblob(32) WHERE id = 2")  # fmt: skip
    assert ledger.verify().seq == 30
    assert ledger.erase(token(7)) == ledger.erase(token(17)) == 1
    ledger.verify()
    (first,) = query(ledger, "SELECT min(seq) FROM consent_events")[0]
    edit(ledger, "UPDATE consent_events SET valid_from = 0")
    assert refused_at(ledger) == first


@pytest.mark.parametrize("change", ["packed = x''", "packed = substr(packed, 1, 105)",
                                    "packed = CAST(packed || x'00' AS BLOB)", "evidence = x'00'",
                                    "evidence = NULL"])  # fmt: skip
def test_a_page_that_was_cut_or_filled_is_refused(ledger: ConsentLedger, change: str) -> None:
    """What cannot be read of it is missing; bytes that are no event say nothing."""
    edit(ledger, f"UPDATE consent_pages SET {change}")  # noqa: S608 - ours
    if change == "packed = CAST(packed || x'00' AS BLOB)":
        ledger.verify()
    else:
        assert refused_at(ledger)


def lines(ledger: ConsentLedger) -> list[str]:
    """Read the file of heads."""
    return Heads(ledger.engine, ledger.keys).path.read_text().splitlines()


def write_lines(ledger: ConsentLedger, kept: list[str]) -> None:
    """Write the file of heads as somebody would who has no key."""
    Heads(ledger.engine, ledger.keys).path.write_text("".join(line + "\n" for line in kept))


def test_the_file_of_heads_names_what_was_appended(ledger: ConsentLedger) -> None:
    """The beginning, three appends and the erasure; readable by its owner alone."""
    heads = [json.loads(line) for line in lines(ledger)]
    assert [head["seq"] for head in heads] == [0, 10, 20, 30, 30]
    assert [head["erased"] for head in heads] == [[], [], [], [], [erased_seq(ledger)]]
    assert heads[3]["link"] == ledger.head().link
    assert Heads(ledger.engine, ledger.keys).path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("removed", "said"), [(0, 1), (1, 2), (3, 4)])
def test_a_removed_head_is_missed(ledger: ConsentLedger, removed: int, said: int) -> None:
    """Each head names the one before it."""
    kept = lines(ledger)
    del kept[removed]
    write_lines(ledger, kept)
    with pytest.raises(Refusal, match=f"a line is missing before line {said}"):
        ledger.verify()


@pytest.mark.parametrize(
    ("old", "new"),
    [('"seq": 10', '"seq": 9'), ('"erased": []', '"erased": [3]'), ('"link": "', '"link": "0')],
)
def test_a_forged_head_is_refused(ledger: ConsentLedger, old: str, new: str) -> None:
    """Only the home's key signs."""
    kept = lines(ledger)
    kept[1] = kept[1].replace(old, new)
    write_lines(ledger, kept)
    with pytest.raises(Refusal, match="line 2 was not signed by this home"):
        ledger.verify()


@pytest.mark.parametrize("last", ["", "{}", "[]", "half a l", '{"erased": 1}', '"x"', "\x00"])
def test_a_last_line_that_is_no_head_is_refused(ledger: ConsentLedger, last: str) -> None:
    """Nothing is appended behind it either."""
    write_lines(ledger, [*lines(ledger), last])
    for action in (ledger.head, ledger.verify, lambda: ledger.append(batch([event(50)]), "csv")):
        with pytest.raises(Refusal, match="was not signed by this home"):
            action()


def test_a_lost_file_of_heads_is_not_made_anew(ledger: ConsentLedger) -> None:
    """Else removing it would be the way to cut the tail; an empty one is no better."""
    path = Heads(ledger.engine, ledger.keys).path
    path.unlink()
    for _ in range(2):
        with pytest.raises(Refusal, match=r"consent-heads\.jsonl is missing"):
            ledger.append(batch([event(50)]), "csv")
        assert refused_at(ledger) == 30
        path.write_text("")


def test_a_crash_between_events_and_head_costs_nothing(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tail beyond the last head is whole, and the next head covers it."""
    monkeypatch.setattr(Heads, "sign", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ledger.append(batch([event(50)]), "csv")
    monkeypatch.undo()
    assert ledger.verify().seq == 31
    assert json.loads(lines(ledger)[-1])["seq"] == 30
    change_event(ledger, 50, "valid_from = 0")
    assert refused_at(ledger) == 31
    change_event(ledger, 50, f"valid_from = {START}")
    assert ledger.append(batch([event(50)]), "csv").repeated == 1
    assert json.loads(lines(ledger)[-1])["seq"] == 31


def test_half_a_head_is_taken_off(ledger: ConsentLedger) -> None:
    """A crash while it was written leaves a line without an end, which names nothing yet."""
    path = Heads(ledger.engine, ledger.keys).path
    with path.open("a") as file:
        file.write('{"seq": 3')
    assert ledger.verify().seq == ledger.head().seq == 30
    ledger.append(batch([event(50)]), "csv")
    assert [json.loads(line)["seq"] for line in lines(ledger)][-2:] == [30, 31]
    ledger.verify()


def test_heads_are_in_order_whoever_writes_first(ledger: ConsentLedger) -> None:
    """Of two processes the later events' head may come first; the other is then not needed."""
    heads = Heads(ledger.engine, ledger.keys)
    old = ledger.head()
    ledger.append(batch([event(50)]), "csv")
    heads.sign(old)
    assert [json.loads(line)["seq"] for line in lines(ledger)][-1] == 31
    ledger.verify()


def test_a_disk_that_takes_no_head_is_said(
    ledger: ConsentLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events stay, and the next head covers them."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ledgers.home.line_file.os.fsync", refuse)
    with pytest.raises(ServiceError, match="is full: free space; what was recorded stays"):
        ledger.append(batch([event(50)]), "csv")
    monkeypatch.undo()
    assert ledger.append(batch([event(51)]), "csv").head.seq == 32
    ledger.verify()


def test_a_commitment_says_nothing_without_its_salt(ledger: ConsentLedger) -> None:
    """Two ledgers of the same events under the same key have no commitment in common."""
    codes = Codes.derive(ledger.keys)
    records = np.concatenate([own for _, own in records_of(ledger)]).astype(RECORD)
    assert len(set(records["salt"].tolist())) == len(records) == 29
    stored = b"".join(block for (block,) in query(ledger, "SELECT commitments FROM consent_blocks"))
    assert codes.commit(records[:1]).tobytes() in stored
    records["salt"] = bytes(16)
    assert codes.commit(records[:1]).tobytes() not in stored
    plain = hashlib.blake2b(records[:1].tobytes(), digest_size=32).digest()
    assert plain not in stored
