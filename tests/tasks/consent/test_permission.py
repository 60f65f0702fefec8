"""Nobody is read without a legal basis: decided on the roster, and once more at the end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Count
from expectations.errors import Refusal
from expectations.policy.vocabulary import Category
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.vault.digests import digest_in_run
from tasks.airlock.run import Desk
from tasks.consent.events import import_events
from tasks.consent.judgement import CHILD_UNTIL, OWN_FROM, TOKEN
from tasks.consent.meaning import Meaning, Standing
from tasks.consent.permission import (
    count_standings,
    digest_people,
    filter_consent,
    keep_permitted,
    reasons,
)
from tasks.consent.standing import (
    NOT_YET,
    Standings,
    come_of_age,
    decide,
    find_ages,
    read_answers,
    read_masks,
)
from tasks.handover.readiness import USED, still_covered
from tasks.people.ingestion import (
    ANSWER,
    CATEGORIES,
    PERSON,
    RECORD,
    make_roster,
    read_people,
    read_roster,
)
from tests.conftest import BASIS, Folder, counts, opened, small_policy
from tests.ledgers.consent.consent_events import edit

TODAY = date(2026, 3, 1)
OTHER = (
    "article_6: eu-gdpr:A6-1-a\n  article_9: eu-gdpr:A9-2-a",
    (
        "article_6: eu-gdpr:A6-1-e\n  article_9: eu-gdpr:A9-2-j\n  assessment: DPIA\n"
        "  safeguards: rules of the register"
    ),
)


@pytest.fixture
def ledger(home: Home) -> ConsentLedger:
    """The consent ledger of a home in which nothing was run."""
    return ConsentLedger(open_database(home), home, Keys.open(home))


def parse(folder: Path, *changes: tuple[str, str]) -> PolicyFile:
    """Give the small policy with its changes, as lying in a folder."""
    text = small_policy(*changes)
    return PolicyFile(parse_policy(text), text, folder / "p.yaml")


def stand(ledger: ConsentLedger, file: PolicyFile, roster: pa.Table) -> list[str]:
    """Give the labels of where the people of a roster stand, after taking in their events."""
    import_events(file, ledger, ledger.keys, datetime.now(UTC))
    found = decide(file, roster, ledger, datetime.now(UTC))
    return [Standing(one).label for one in found.standing]


def decide_for(
    ledger: ConsentLedger, folder: Path, basis: str, people: pa.Array, *more: tuple[str, str]
) -> list[str]:
    """Decide for some people under another basis per person."""
    file = parse(folder, (BASIS, basis), *more)
    key = ledger.keys.derive("person")
    roster = make_roster(pa.chunked_array([people]), key, "pid")
    if ANSWER not in roster.column_names:
        answers = pa.array(["yes", None, "no"][: len(people)], pa.large_string())
        roster = roster.append_column(ANSWER, answers)
    standings = stand(ledger, file, roster)
    assert set(standings) <= {"permitted", *reasons(file.policy)}
    return standings


def events(*rows: str) -> str:
    """Write a file of events."""
    return "\n".join(["person,purpose,status,at", *rows, ""])


EVENTS = BASIS[: BASIS.index("  events:")] + "  events:"
"""A basis whose sources are still to be listed."""
SOURCE = "{location: {kind: csv, path: %s.csv}, stated: {notice: study, indication: explicit}}"


def test_a_withdrawal_in_another_spelling_counts(ledger: ConsentLedger, tmp_path: Path) -> None:
    """A consent by one spelling of a name is withdrawn by the other; all sources count."""
    research = "dpv:ScientificResearch"
    given_, withdrawn = (
        f"{research},given,2026-01-01T00:00:00Z",
        f"{research},withdrawn,2026-01-02T00:00:00Z",
    )
    (tmp_path / "a.csv").write_text(events(f"Jose\u0301,{given_}"))
    (tmp_path / "b.csv").write_text(events(f"José,{withdrawn}"))
    basis = f"{EVENTS} [{SOURCE % 'a'}, {SOURCE % 'b'}]"
    people = pa.array(["Jose\u0301", "b"])
    assert decide_for(ledger, tmp_path, basis, people) == ["withdrawn", "never asked"]


@pytest.mark.parametrize(("answer", "standing"), [("yes", "permitted"), ("Yes", "refused"),
                                             ("no", "refused"), (None, "never asked")])  # fmt: skip
def test_only_a_declared_yes_in_the_consent_column_is_one(answer: str, standing: str) -> None:
    """Anything else means no."""
    answers = pa.chunked_array([pa.array([answer], pa.large_string())])
    assert [Standing(one).label for one in read_answers(answers, ("yes",))] == [standing]


def test_who_objected_is_left_out(ledger: ConsentLedger, tmp_path: Path) -> None:
    """The list may hold people who are not in the source, and nobody."""
    (tmp_path / "objections.csv").write_text("who\nb\nz\n\n")
    basis = "kind: opt-out\n  objections: {kind: csv, path: objections.csv}\n  person: who"
    found = decide_for(ledger, tmp_path, basis, pa.array(["a", "b", "c"]), OTHER)
    assert found == ["permitted", "objected", "permitted"]


@pytest.mark.parametrize(
    ("people", "listed"),
    [
        pytest.param(pa.array(["Jose\u0301", "b"]), pa.array(["José"]), id="unicode"),
        pytest.param(pa.array([12.0, 13.0]), pa.array(["12"]), id="number-and-text"),
        pytest.param(pa.array(["12", "13"]), pa.array([12.0]), id="text-and-number"),
    ],
)
def test_one_person_is_one_however_they_are_written(
    ledger: ConsentLedger, people: pa.Array, listed: pa.Array, tmp_path: Path
) -> None:
    """An objection in another spelling of the same name or number is one all the same."""
    pq.write_table(pa.table({"who": listed}), tmp_path / "o.parquet")
    basis = "kind: opt-out\n  objections: {kind: parquet, path: o.parquet}\n  person: who"
    assert decide_for(ledger, tmp_path, basis, people, OTHER) == ["objected", "permitted"]


OTHERS = {
    "other-basis": "kind: other-basis",
    "opt-out": "kind: opt-out\n  objections: {kind: csv, path: nobody.csv}\n  person: who",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("status", ["withdrawn", "refused", "objected", "restricted"])
def test_there_is_no_falling_back_on_another_basis(
    ledger: ConsentLedger, folder: Folder, kind: str, status: str
) -> None:
    """What somebody took back or objected to in the ledger counts under every basis."""
    (folder.path / "nobody.csv").write_text("who\n")
    folder.events.clear()
    folder.say("p01", status, "2024-05-01T00:00:00Z")
    folder.say("p01", "expired", "2024-06-01T00:00:00Z")
    import_events(_written(folder), ledger, ledger.keys, datetime.now(UTC))
    found = decide_for(ledger, folder.path, OTHERS[kind], pa.array(["p00", "p01"]), OTHER)
    assert found == ["permitted", status]


def _written(folder: Folder) -> PolicyFile:
    """Write a folder's files and give its policy."""
    path = folder.write()
    text = path.read_text(encoding="utf-8")
    return PolicyFile(parse_policy(text), text, path)


def test_another_basis_covers_everybody(ledger: ConsentLedger, tmp_path: Path) -> None:
    """Nobody is asked, and nobody is left out."""
    found = decide_for(ledger, tmp_path, "kind: other-basis", pa.array(["a", "b"]), OTHER)
    assert found == ["permitted", "permitted"]


def test_a_consent_column_is_read_by_its_words(ledger: ConsentLedger, tmp_path: Path) -> None:
    """The policy says which words mean yes."""
    basis = "kind: consent-column\n  column: answer\n  granted: [yes]"
    found = decide_for(ledger, tmp_path, basis, pa.array(["a", "b", "c"]))
    assert found == ["permitted", "never asked", "refused"]


PARTIAL = ("  events:\n", "  on_partial: blank\n  events:\n")


def test_who_consented_in_part_is_left_out_or_marked(ledger: ConsentLedger, folder: Folder) -> None:
    """With `blank` the categories that may be read are handed on, and no other."""
    folder.events.clear()
    every = "dpv-pd:Age dpv-pd:Gender dpv-pd:Health"
    folder.say("p00", "given", "2024-01-01T00:00:00Z", categories=every)
    folder.say("p01", "given", "2024-01-01T00:00:00Z", categories="dpv-pd:Age dpv-pd:Gender")
    path = folder.write(PARTIAL)
    blank = PolicyFile(parse_policy(small_policy(PARTIAL)), small_policy(PARTIAL), path)
    roster = read_people(blank, ledger.keys.derive("person")).slice(0, 3)
    assert stand(ledger, blank, roster) == ["permitted", "permitted", "never asked"]
    excluded = stand(ledger, parse(folder.path), roster)
    assert excluded == ["permitted", "only in part", "never asked"]
    kept = keep_permitted(roster, decide(blank, roster, ledger, datetime.now(UTC)))
    assert kept.column(PERSON).to_pylist() == ["p00", "p01"]
    order = blank.policy.categories
    masks = kept.column(CATEGORIES).to_pylist()
    read = [{c for n, c in enumerate(order) if mask >> n & 1} for mask in masks]
    assert read == [set(order), {Category.AGE, Category.GENDER}]


def test_masks_over_classes_become_masks_over_categories(tmp_path: Path) -> None:
    """A class stands for its categories, wherever these come in the policy's order."""
    policy = parse(tmp_path).policy
    age, gender, health = policy.categories
    meaning = Meaning(((health,), (age, gender)), ({}, {}), ({}, {}), {}, {}, True, "blank", None)
    assert read_masks(policy, meaning).tolist() == [0b000, 0b100, 0b011, 0b111]


STATED = "stated: {notice: study, indication: explicit}"
TOKENS = {name: pa.array([1, 2], pa.int64()) for name in TOKEN}
MINORS = ("  events:\n", "  minors: {own_consent_from: 16, %s}\n  events:\n")


@pytest.mark.parametrize(
    ("born", "own", "by_guardian"),
    [
        pytest.param("1990-05-01", "permitted", "needs guardian", id="grown-up"),
        pytest.param("2010-05-01", "needs guardian", "permitted", id="child"),
        pytest.param("2008-01-01", "permitted", "needs guardian", id="sixteen-that-day"),
        pytest.param("2008-01-02", "needs guardian", "permitted", id="sixteen-the-next-day"),
        pytest.param("", "needs guardian", "permitted", id="unknown"),
        pytest.param("long ago", "needs guardian", "permitted", id="unreadable"),
    ],
)
def test_a_child_needs_the_guardians_word(
    ledger: ConsentLedger, folder: Folder, born: str, own: str, by_guardian: str
) -> None:
    """Age counts at the moment of the consent, and an unknown one as the policy says."""
    folder.events.clear()
    for row in folder.people:
        row["born"] = born
    folder.say("p00", "given", "2024-01-01T00:00:00Z")
    folder.say("p01", "given", "2024-01-01T00:00:00Z", guardian="parent of p01")
    changes = ((MINORS[0], MINORS[1] % "born: born"), (STATED, f"{STATED}\n      zone: UTC"))
    path = folder.write(*changes)
    file = PolicyFile(parse_policy(small_policy(*changes)), small_policy(*changes), path)
    roster = read_people(file, ledger.keys.derive("person")).slice(0, 3)
    assert stand(ledger, file, roster) == [own, by_guardian, "never asked"]


@pytest.mark.parametrize(
    ("zones", "child_until", "own_from"),
    [
        (["Europe/Vienna"], "2023-12-31T23:00", "2023-12-31T23:00"),
        (["America/New_York"], "2024-01-01T05:00", "2024-01-01T05:00"),
        (["America/New_York", "Europe/Vienna"], "2023-12-31T23:00", "2024-01-01T05:00"),
        ([], "2023-12-31T10:00", "2024-01-01T12:00"),
    ],
    ids=["east", "west", "of several zones", "of none"],
)
def test_a_birthday_begins_in_the_zone_of_the_sources_and_in_doubt_nobody_s_gift_counts(
    tmp_path: Path, zones: list[str], child_until: str, own_from: str
) -> None:
    """The guardian's does until it can have begun, the own from when it has begun everywhere."""
    source = "    - location: {kind: csv, path: consent.csv}\n      " + STATED
    named = "\n".join(f"{source}\n      zone: {zone}" for zone in zones) or source
    change = (MINORS[0], MINORS[1] % "born: born")
    file = parse(tmp_path, (BASIS, BASIS.replace(source, named)), change)
    roster = pa.table({**TOKENS, "_born": pa.array([date(2008, 1, 1), None], pa.date32())})
    ages = find_ages(file.policy, roster, datetime(2026, 3, 1, tzinfo=UTC))
    assert ages is not None
    first, unknown = (
        [np.datetime64(ages.column(name)[row].as_py(), "us") for name in (CHILD_UNTIL, OWN_FROM)]
        for row in (0, 1)
    )
    assert first == [np.datetime64(child_until), np.datetime64(own_from)]
    assert unknown == [np.datetime64(NOT_YET, "us")] * 2


def test_an_age_in_years_says_from_when_at_the_latest(tmp_path: Path) -> None:
    """Who is 18 now was 16 two years ago today, or earlier, but not a year earlier."""
    aged = parse(tmp_path, (MINORS[0], MINORS[1] % "age: age")).policy.basis.minors  # type: ignore[union-attr]
    roster = pa.table({"_age": pa.array([18, 12, None], pa.int64())})
    found = [days.astype(str).tolist() for days in come_of_age(aged, roster, TODAY, TODAY)]
    assert found == [["2023-03-02", "2029-03-02", "NaT"], ["2024-03-01", "2030-03-01", "NaT"]]
    leap, tomorrow = date(2024, 2, 28), date(2024, 2, 29)
    found = [days.astype(str).tolist() for days in come_of_age(aged, roster, leap, tomorrow)]
    assert found == [["2021-03-01", "2027-03-01", "NaT"], ["2022-03-01", "2028-02-29", "NaT"]]


def test_somebody_of_29_february_comes_of_age_on_1_march(tmp_path: Path) -> None:
    """And who was born on another day, on that day."""
    born = parse(tmp_path, (MINORS[0], MINORS[1] % "born: b")).policy.basis.minors  # type: ignore[union-attr]
    days = pa.table({"_born": pa.array([date(2008, 2, 29), None], pa.date32())})
    assert come_of_age(born, days, TODAY, TODAY)[0].astype(str).tolist() == ["2024-02-29", "NaT"]
    late = pa.table({"_born": pa.array([date(2007, 2, 28)], pa.date32())})
    assert come_of_age(born, late, TODAY, TODAY)[0].astype(str).tolist() == ["2023-02-28"]


@pytest.mark.parametrize(
    ("age", "own", "by_guardian"),
    [
        pytest.param(15, "needs guardian", "permitted", id="child"),
        pytest.param(16, "needs guardian", "needs guardian", id="of-age-within-the-last-year"),
        pytest.param(17, "permitted", "needs guardian", id="grown-up"),
    ],
)
def test_who_may_have_come_of_age_within_the_last_year_has_nobody_to_consent(
    ledger: ConsentLedger, folder: Folder, age: int, own: str, by_guardian: str
) -> None:
    """An age in whole years does not say whether the birthday was before the gift."""
    given = (datetime.now(UTC) - timedelta(days=5)).isoformat()
    folder.events.clear()
    for row in folder.people:
        row["age"] = str(age)
    folder.say("p00", "given", given)
    folder.say("p01", "given", given, guardian="parent of p01")
    changes = ((MINORS[0], MINORS[1] % "age: age"), (STATED, f"{STATED}\n      zone: UTC"))
    path = folder.write(*changes)
    file = PolicyFile(parse_policy(small_policy(*changes)), small_policy(*changes), path)
    roster = read_people(file, ledger.keys.derive("person")).slice(0, 2)
    assert stand(ledger, file, roster) == [own, by_guardian]


def test_the_reasons_of_a_run_add_up_to_the_roster(home: Home, folder: Folder) -> None:
    """In the sealed figures, whatever people said."""
    assert home.root.is_dir()
    for number, status in enumerate(("refused", "withdrawn", "requested", "unknown", "revoked")):
        folder.say(f"p{number:02d}", status, "2024-02-01T00:00:00Z")
    with opened(folder.write()) as run:
        filter_consent(read_roster())
        found = counts(run)
        noted = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "snapshot"}
    left_out = {
        n.rpartition(".")[2]: c for n, c in found.items() if n.startswith("people.excluded")
    }
    assert {n: c for n, c in left_out.items() if c} == {
        "never asked": 2, "refused": 1, "withdrawn": 1, "unknown": 1, "revoked": 1
    }  # fmt: skip
    assert found["people.roster"] == found["people.permitted"] + sum(left_out.values()) == 480
    assert set(noted) == {"consent", "history"}


def test_an_exact_count_is_noted_under_seal_alone(home: Home, folder: Folder) -> None:
    """Beside the seal stands what is published: of many a figure by the rule, of few none."""
    assert home.root.is_dir()
    with opened(folder.write()) as run:
        desk = Desk(run, "tried")
        published = desk.count("many", Count(67)), desk.count("few", Count(2))
        noted = [entry.body for entry in run.ledger.entries(run.id) if entry.step == "tried"]
        assert counts(run) == {"many": 67, "few": 2}
    assert noted == [{"about": one.about, "text": str(one)} for one in published]
    assert str(published[0]) in {"60", "70"}
    assert str(published[1]) == "fewer than 10"


def test_a_run_stands_on_a_whole_ledger_or_not_at_all(
    home: Home, folder: Folder, ledger: ConsentLedger
) -> None:
    """A withdrawal that was turned into something later by hand refuses it, by its number."""
    assert home.root.is_dir()
    folder.say("p03", "withdrawn", "2024-02-01T00:00:00Z")
    import_events(_written(folder), ledger, ledger.keys, datetime.now(UTC))
    edit(ledger, "UPDATE consent_events SET valid_from = valid_from + 1 WHERE seq = 7")
    with opened(folder.write()), pytest.raises(Refusal, match=r"^consent ledger: event 7: "):
        filter_consent(read_roster())


@given(st.lists(st.sampled_from(list(Standing)), max_size=30))
def test_everybody_is_counted_once(standings: list[Standing]) -> None:
    """Under one label each."""
    found = count_standings(np.array(standings, np.int8))
    assert sum(count.exact for count in found.values()) == len(standings)
    assert found["permitted"] == Count(sum(one.permits for one in standings))


def test_two_runs_of_the_same_people_show_no_digest_in_common(home: Home, folder: Folder) -> None:
    """Equal ones would tell that nobody came or left; the lasting ones, under seal, are equal."""
    assert home.root.is_dir()
    shown, lasting = [], []
    for _ in range(2):
        with opened(folder.write()) as run:
            filter_consent(read_roster())
            noted = [e for e in run.ledger.entries(run.id) if e.kind in {"dataset", "snapshot"}]
        bodies = [e.body["digest"] if isinstance(e.body, dict) else e.body for e in noted]
        shown.append(bodies)
        lasting.append([run.ledger.unseal(e) for e in noted])
        assert bodies == [digest_in_run(run.id, str(digest)) for digest in lasting[-1]]
    assert not set(map(str, shown[0])) & set(map(str, shown[1]))
    assert lasting[0] == lasting[1]
    assert len(lasting[0]) == 4


def test_a_digest_names_a_set_of_people_whatever_their_order() -> None:
    """One more, or another key, is another digest."""
    some = np.array([1, 2, 3], np.uint64)
    assert digest_people(some, b"k") == digest_people(some[::-1], b"k")
    assert (
        len({digest_people(some, b"k"), digest_people(some[:2], b"k"), digest_people(some, b"z")})
        == 3
    )


def test_a_consent_that_has_narrowed_is_no_longer_enough() -> None:
    """Who may be read in fewer categories than were used, or is gone, is named."""
    used = np.array([(9, 0b11), (2, 0b01), (5, 0b11), (7, 0b01)], USED)
    record = np.array([5, 2, 9], np.uint64)
    covered = np.array([0b01, 0b11, 0b111], np.uint32)
    assert still_covered(used, record, covered).tolist() == [True, True, False, False]


def test_only_the_permitted_are_handed_on() -> None:
    """With what later steps need, and no more."""
    roster = make_roster(pa.chunked_array([pa.array(["a", "b"])]), b"k" * 32, "pid")
    standing = np.array([Standing.NEVER_ASKED, Standing.BY_GUARDIAN], np.int8)
    standings = Standings(standing, np.array([0, 1], np.uint32), None, None, None)  # type: ignore[arg-type]
    kept = keep_permitted(roster, standings)
    assert kept.column(PERSON).to_pylist() == ["b"]
    assert kept.column_names == ["_person", RECORD, "_draw", "_sample", CATEGORIES]
