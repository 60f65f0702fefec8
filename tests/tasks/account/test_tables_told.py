"""What a run says of further tables: elements of an export, rows of nobody, people not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.check.screen import NOTHING, OF_EXPORTS, describe_plan
from deployments.run.screen import screen_lines
from expectations.policy.locations import FhirExport
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.home.home import Home
from tasks.account.published import Summary
from tasks.account.summary import summarize
from tasks.pages.report import render_report
from tests.conftest import small_policy
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    Note,
    make_entries,
    make_policy,
    make_record,
    note_count,
)

ROWS = "rows.nameless."
NOTES: tuple[Note, ...] = (
    ("elements", "source", ["Patient.id", "Patient.resourceType", "Patient.gender"]),
    ("elements", "source.tables.stays", ["Encounter.period.start", "Encounter.subject.reference"]),
    ("elements", "source.tables.ends", ["Encounter.period.end"]),
    ("count", f"{ROWS}labs", {"about": 1200, "text": "1,200"}),
    ("count", f"{ROWS}stays", {"about": None, "text": "fewer than 10"}),
    note_count("strangers.labs", 30),
    note_count("strangers.stays", None),
)


@pytest.fixture
def summary() -> Summary:
    """A run over an export, as its record has it."""
    entries = make_entries(*GATHERED, *NOTES, PASSED)
    return summarize(make_record("passed"), make_policy(), entries)


def test_the_elements_that_were_read_are_told_by_resource(summary: Summary) -> None:
    """Of all tables together and once each; what every resource has is not said."""
    assert summary.elements == {
        "Encounter": ("period", "subject"), "Patient": ("gender", "id"),
    }  # fmt: skip
    page = render_report(summary)
    assert "Read of FHIR Encounter: period, subject." in page
    assert "Read of FHIR Patient: gender, id." in page


def test_rows_of_nobody_and_people_not_on_the_roster_are_told_if_they_are_many(
    summary: Summary, home: Home
) -> None:
    """In the report and on the screen, of each table; fewer than ten are not told from none."""
    page = " ".join(render_report(summary).split())
    assert "Rows that name nobody were left out. labs: 1,200 rows.</p>" in page
    assert "roster does not. labs: 30 people; stays: fewer than 10 people." in page
    said = " ".join(" ".join(screen_lines(summary, home)).split())
    assert "Rows that name no person, and were left out: labs 1,200 " in f"{said} "
    assert "Others people who are not on the roster, and were not read: labs 30 " in said
    assert "stays" not in said


def test_a_check_says_what_it_parsed_of_an_export(tmp_path: Path) -> None:
    """And of other sources, that nothing of a person was read."""
    text = small_policy()
    file = PolicyFile(parse_policy(text), text, tmp_path / "small.yaml")
    export = FhirExport(kind="fhir", path="export", view="patient")
    source = file.policy.source.model_copy(update={"location": export})
    other = PolicyFile(file.policy.model_copy(update={"source": source}), file.text, file.path)
    assert NOTHING in describe_plan(file, ())
    told = " ".join(describe_plan(other, ()).split())
    assert OF_EXPORTS in told
    assert NOTHING not in told
