"""Files as people have them: exports laid out as OneTrust and REDCap publish theirs, made by us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.errors import PolicyError, SourceError
from expectations.policy.vocabulary import Purpose
from expectations.policy_file import parse_policy
from tests.conftest import small_policy
from tests.tasks.consent.test_consent_import import PLAIN, Event, at, read, refuse, token

V1, V2 = (PLAIN.model_copy(update={"version": version}) for version in (1, 2))
ONETRUST = """\
Identifier,Purposes,Purpose Version,Transaction Type,Interaction Date,Receipt ID
p1,Research; Newsletter,2.0,CONFIRMED,03/04/2025 9:12:05 AM,r-1
p2,Research,1.0,NO_CHOICE,03/04/2025 12:30:00 PM,r-2
p1,Newsletter;,2.0,WITHDRAWN,07/01/2025 8:00:00 PM,r-3
"""
ONETRUST_MAPPING: dict[str, Any] = {
    "columns": {
        "person": "Identifier",
        "purpose": "Purposes",
        "notice_version": "Purpose Version",
        "status": "Transaction Type",
        "at": "Interaction Date",
        "evidence": "Receipt ID",
    },
    "words": {
        "status": {"CONFIRMED": "given", "WITHDRAWN": "withdrawn", "NO_CHOICE": "requested"},
        "purpose": {"Research": str(Purpose.SCIENTIFIC_RESEARCH), "Newsletter": "dpv:Marketing"},
    },
    "stated": {"notice": "research", "categories": "dpv-pd:Age"},
    "time_format": "%m/%d/%Y %I:%M:%S %p",
    "purpose_separator": ";",
    "zone": "UTC",
}
REDCAP = """\
record_id,redcap_event_name,consent_timestamp,consent_ok,consent_complete,withdrawn_on,withdrew
p1,baseline_arm_1,2025-02-03 10:11:12,1,2,,
p2,baseline_arm_1,[not completed],,0,,
p3,baseline_arm_1,,,0,,
p4,baseline_arm_1,2025-02-04 08:00:00,1,2,2025-03-01,1
"""
CONSENT_FORM: dict[str, Any] = {
    "columns": {"person": "record_id", "at": "consent_timestamp", "status": "consent_ok"},
    "words": {"status": {"1": "given", "0": "refused", "": "requested"}},
    "stated": {
        "notice": "research",
        "purpose": str(Purpose.SCIENTIFIC_RESEARCH),
        "categories": "dpv-pd:Age",
    },
    "missing": ["[not completed]"],
    "skip_where_missing": "at",
    "zone": "Europe/Vienna",
}
WITHDRAWAL_FORM: dict[str, Any] = {
    "columns": {"person": "record_id", "at": "withdrawn_on", "status": "withdrew"},
    "words": {"status": {"1": "withdrawn", "": "requested"}},
    "skip_where_missing": "at",
    "zone": "Europe/Vienna",
}


def tell_short(events: list[Event]) -> list[tuple[Any, ...]]:
    """Tell of each event its person, status, purpose, version and moment."""
    people = {token(name)[0]: name for name in ("p1", "p2", "p3", "p4")}
    return [
        (people[e["token_high"]], str(e["terms"].status), e["terms"].purpose, e["valid_from"])
        for e in events
    ]


def test_onetrust_s_purposes_in_one_cell_are_one_event_each(tmp_path: Path) -> None:
    """Dates with AM and PM, versions like 2.0, and a separator at the end that names nothing."""
    events = read(tmp_path, ONETRUST, V1, V2, **ONETRUST_MAPPING)
    research, marketing = Purpose.SCIENTIFIC_RESEARCH, Purpose.MARKETING
    assert tell_short(events) == [
        ("p1", "given", research, at("2025-03-04T09:12:05Z")),
        ("p1", "given", marketing, at("2025-03-04T09:12:05Z")),
        ("p2", "requested", research, at("2025-03-04T12:30:00Z")),
        ("p1", "withdrawn", marketing, at("2025-07-01T20:00:00Z")),
    ]
    assert [e["terms"].notice.version for e in events] == [2, 2, 1, 2]


def test_redcap_s_forms_are_a_source_each_and_what_nobody_filled_in_is_no_event(
    tmp_path: Path,
) -> None:
    """A form's own column of its date; one that was begun and not completed says nothing."""
    research = Purpose.SCIENTIFIC_RESEARCH
    given = read(tmp_path, REDCAP, V1, **CONSENT_FORM)
    assert tell_short(given) == [
        ("p1", "given", research, at("2025-02-03T09:11:12Z")),
        ("p4", "given", research, at("2025-02-04T07:00:00Z")),
    ]
    [withdrawn] = read(tmp_path, REDCAP, V1, **WITHDRAWAL_FORM)
    assert tell_short([withdrawn]) == [("p4", "withdrawn", None, at("2025-03-01T22:59:59.999999Z"))]


def test_what_takes_back_is_never_skipped(tmp_path: Path) -> None:
    """A withdrawal without a date is refused, by the number of the file's own row."""
    text = "person,status,at\np1,requested,\np2,withdrawn,\np3,,\n"
    [_, told] = refuse(tmp_path, text, skip_where_missing="at")
    assert "its `at` is missing" in told
    with pytest.raises(SourceError) as caught:
        read(tmp_path, text, skip_where_missing="at")
    assert caught.value.places == "event 2 (1 in all): its `at` is missing"


def test_utc_may_stand_behind_a_time(tmp_path: Path) -> None:
    """As databases write it."""
    text = "person,status,at\np1,refused,2025-03-04 09:12:05 UTC\np2,refused,2025-03-04T09:12:05Z\n"
    assert [e["valid_from"] for e in read(tmp_path, text)] == [at("2025-03-04T09:12:05Z")] * 2


@pytest.mark.parametrize("cell", ["2025-03-04", "13/40/2025 9:12:05 AM", "03/04/2025 9:12:05"])
def test_a_time_in_another_format_than_stated_is_refused(tmp_path: Path, cell: str) -> None:
    """Never guessed at: 03/04 is a day in March or in April."""
    [_, told] = refuse(
        tmp_path,
        f"person,status,at\np1,refused,{cell}\n",
        time_format="%m/%d/%Y %I:%M:%S %p",
        zone="UTC",
    )
    assert "is not a time; write it as `time_format` says" in told


@pytest.mark.parametrize("form", ["%H:%M", "%Y-%m", "%d.%m.%Y %", "03/04/2025"])
def test_a_format_that_says_no_day_is_refused_by_check(form: str) -> None:
    """Before any event is read."""
    tree = yaml.safe_load(small_policy())
    tree["basis"]["events"][0]["time_format"] = form
    with pytest.raises(PolicyError, match="does not say a day, month and year"):
        parse_policy(json.dumps(tree))
