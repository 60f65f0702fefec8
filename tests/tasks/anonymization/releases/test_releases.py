"""Runs that release one table again and again: one plan, and no difference that tells of a few."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from expectations.errors import Refusal
from ledgers.evidence import JSON
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger
from ledgers.vault.stages import DatasetRef, Generalized
from tasks.airlock.run import Desk, Run
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import generalize
from tasks.anonymization.releases.difference_attack import isolate, read_rows
from tasks.anonymization.releases.successive_releases import record_release
from tasks.consent.permission import filter_consent
from tasks.handover.readiness import table_content
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.validation.validation import validate
from tests.conftest import Folder, opened

K = 3
LINKABLE = ("age", "sex", "sick")
GENEROUS = ("max_suppressed: 0.1", "max_suppressed: 0.5")
STRICT = ("max_suppressed: 0.1", "max_suppressed: 0.0")


@pytest.fixture(autouse=True)
def in_home(home: Home) -> None:
    """Every test has a home of its own."""
    assert home.root.is_dir()


def make(run: Run) -> bytes:
    """Run the steps up to the recoded table; give its file."""
    rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
    made: DatasetRef[Generalized] = generalize(rows, "partner")
    return table_content(run.vault.load(made, Generalized).to_table())


def leave(run: Run, content: bytes) -> None:
    """Put a table on record as a release."""
    record_release(Desk(run, "confirm_consent"), "partner", content)


def release(policy: Path) -> tuple[bytes, dict[str, JSON]]:
    """Release a table in a run of its own; give its file and what was noted, by name."""
    with opened(policy) as run:
        content = make(run)
        leave(run, content)
        run.ledger.append(run.id, "run", "decision", "passed", {})
        run.ledger.intend(run.id, "record")
        entries = run.ledger.entries(run.id)
    kinds = {"plan", "check", "measure", "table"}
    return content, {f"{e.kind} {e.name}": e.body for e in entries if e.kind in kinds}


def noted(notes: dict[str, JSON], name: str) -> dict[str, JSON]:
    """Give one note."""
    body = notes[name]
    assert isinstance(body, dict)
    return body


def withdraw(folder: Folder, *numbers: int) -> None:
    """Let people take their consent back."""
    for number in numbers:
        folder.say(f"p{number:02d}", "withdrawn", "2024-06-01T12:00:00Z")


def test_the_same_people_again_get_the_same_table(folder: Folder) -> None:
    """The plan is the first run's, and says so; nobody is refused for a repetition."""
    policy = folder.write()
    first, notes = release(policy)
    again, later = release(policy)
    assert again == first
    plan, frozen = noted(notes, "plan partner"), noted(later, "plan partner")
    assert (plan["fitted_by"], plan["fitted_on"]) == (frozen["fitted_by"], frozen["fitted_on"])
    assert str(frozen["fitted_on"]).isdecimal()
    assert "check successive releases of partner" not in notes
    check = noted(later, "check successive releases of partner")
    assert check["verdict"] == "passed"
    assert check["measured"] == "no such differences from 1 earlier release"
    left = noted(later, "check people left out of partner")
    assert left["verdict"] == "passed"
    assert "is renewed on 20" in str(left["measured"])
    assert "check people left out of partner" not in notes


def test_who_comes_and_who_withdraws_is_not_shown(folder: Folder) -> None:
    """Two join and three leave over three runs; no difference tells of one or two people."""
    files = [release(folder.write(GENEROUS))[0]]
    folder.say("p58", "given", "2024-01-01T12:00:00Z")
    folder.say("p59", "given", "2024-01-01T12:00:00Z")
    files.append(release(folder.write(GENEROUS))[0])
    withdraw(folder, 5, 17, 30)
    files.append(release(folder.write(GENEROUS))[0])
    seen = [read_rows(file, LINKABLE) for file in files]
    for place, one in enumerate(seen):
        for other in seen[place + 1 :]:
            assert isolate(one, other, K) == []
    assert files[2] != files[0]


def test_a_sensitive_column_has_two_values_in_each_class(folder: Folder) -> None:
    """In the first release and, under the frozen plan, once some have left."""
    asked = "    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}\n"
    changes = (GENEROUS, ("sick: generalize}\n", f"sick: keep}}\n{asked}"))
    files = [release(folder.write(*changes))[0]]
    withdraw(folder, 5, 17, 30)
    files.append(release(folder.write(*changes))[0])
    for file in files:
        values = [labels for labels, _ in read_rows(file, ["age", "sex"])]
        assert values
        assert min(values.count(one) for one in values) == 2
    assert files[1] != files[0]


def test_a_schedule_that_would_leave_out_too_many_is_refused(folder: Folder) -> None:
    """It names what can be done and when, and tells no count of a few."""
    policy = folder.write(STRICT)
    release(policy)
    withdraw(folder, 5)
    folder.write(STRICT)
    with pytest.raises(Refusal) as refused:
        release(policy)
    text = str(refused.value)
    assert refused.value.check == "successive releases"
    assert "% of the people would be left out of partner (at most 0.0 % allowed)" in text
    assert "too little has changed since the last table to say when enough will have" in text
    assert "the next period, from 20" in text


def test_nothing_left_under_a_refused_run(folder: Folder) -> None:
    """A plan under which nothing left does not bind the next run."""
    policy = folder.write()
    with opened(policy) as run:
        make(run)
        run.ledger.append(run.id, "run", "decision", "refused", {})
    _, notes = release(policy)
    plan = noted(notes, "plan partner")
    assert plan["version"] == 2
    assert plan["fitted_by"] != run.id


def test_a_changed_policy_has_a_plan_of_its_own(folder: Folder) -> None:
    """Crossed with the earlier table it singles nobody out."""
    release(folder.write(GENEROUS))
    changed = ("{age: generalize, sex: generalize,", "{age: keep, sex: generalize,")
    _, notes = release(folder.write(GENEROUS, changed))
    assert noted(notes, "plan partner")["version"] == 1
    check = noted(notes, "check crossings of partner")
    assert check["verdict"] == "passed"
    assert check["measured"] == "no smaller crossings with 1 table of its recipient"


def test_a_release_whose_columns_are_gone_is_said_not_to_be_compared(folder: Folder) -> None:
    """Nothing is promised of what cannot be looked at."""
    release(folder.write(GENEROUS))
    coarser = ("edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]",
               "edges: [50], labels: [under 50, from 50]")  # fmt: skip
    _, notes = release(folder.write(GENEROUS, coarser))
    check = noted(notes, "check crossings of partner")
    assert check["verdict"] == "warned"
    assert "1 had other columns or labels" in str(check["measured"])


def test_of_two_runs_that_race_the_second_is_told(folder: Folder) -> None:
    """Both found the same plan; the second did not know what the first would release."""
    policy = folder.write(GENEROUS)
    with opened(policy) as one:
        first = make(one)
        withdraw(folder, 5)
        folder.write(GENEROUS)
        with opened(policy) as other:
            second = make(other)
            leave(other, second)
        with pytest.raises(Refusal, match="run again: it then knows"):
            leave(one, first)


def test_a_race_between_versions_of_a_policy_is_told(folder: Folder) -> None:
    """Under another plan as well, the second could not know what the first would release."""
    changed = ("{age: generalize, sex: generalize,", "{age: keep, sex: generalize,")
    with opened(folder.write(GENEROUS)) as one:
        first = make(one)
        release(folder.write(GENEROUS, changed))
        with pytest.raises(Refusal, match="another run released meanwhile"):
            leave(one, first)


def test_two_runs_of_the_same_people_may_race(folder: Folder) -> None:
    """What they release is the same."""
    policy = folder.write()
    with opened(policy) as one:
        first = make(one)
        with opened(policy) as other:
            second = make(other)
            leave(other, second)
        leave(one, first)
    assert first == second


def test_groups_are_compared_by_what_they_lose(folder: Folder) -> None:
    """Of each declared group of an audited or linkable column that is large enough."""
    _, notes = release(folder.write())
    table = notes["table utility.partner.loss_by.sex"]
    assert isinstance(table, list)
    assert [row["group"] for row in table if isinstance(row, dict)] == ["f", "m"]
    assert {"table utility.partner.loss_by.age", "table utility.partner.loss_by.sick"} <= set(notes)


def test_a_bound_on_the_loss_by_group_is_a_check(folder: Folder) -> None:
    """Groups of 240 are too small to tell a ratio of 1.01 from chance: inconclusive."""
    bound = ("    max_suppressed: 0.1\n", "    max_suppressed: 0.1\n    loss_ratio: {sex: 1.01}\n")
    with pytest.raises(Refusal, match="inconclusive: loss by sex of partner"):
        release(folder.write(bound, ("k: 3", "k: 40")))


COLUMNS = """\
  mail:
    {type: text, identifiability: identifier, category: dpv-pd:Contact, use: [release],
     treatment: {kind: token}}
  weight:
    {type: number, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: noise, low: 0, high: 200, epsilon: 1}}
derived:
"""
BESIDE = "sick: generalize, mail: keep, weight: keep}\n    not_linkable: {mail: a, weight: b}"


@pytest.mark.parametrize("rotated", [False, True])
def test_noise_and_a_new_key_hide_no_difference(folder: Folder, home: Home, rotated: bool) -> None:
    """By them everybody seems to have gone and come; by the rest it is three people again."""
    for number, person in enumerate(folder.people):
        person.update(mail=f"p{number}@example.org", weight="80")
    changes = (GENEROUS, ("derived:\n", COLUMNS), ("sick: generalize}", BESIDE))
    files = [release(folder.write(*changes))[0]]
    if rotated:
        KeyLedger(open_database(home), Keys.open(home)).rotate("dpv:ScientificResearch")
    withdraw(folder, 5)
    content, notes = release(folder.write(*changes))
    classes = [Counter(labels for labels, _ in read_rows(file, LINKABLE).elements())
               for file in (*files, content)]  # fmt: skip
    gone = classes[0] - classes[1]
    assert gone.total() >= K
    assert all(people >= K for people in gone.values())
    assert classes[1] <= classes[0]
    check = noted(notes, "check successive releases of partner")
    assert check["verdict"] == "passed"
    assert "without weight, which change in every run" in str(check["power"])
