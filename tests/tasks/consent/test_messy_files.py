"""Files as people have them: exports laid out as OneTrust and REDCap publish theirs, made by us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.errors import PolicyError, SourceError
from expectations.policy.consent_terms import NoticeTerms, Terms, read_terms
from expectations.policy.fhir_consent import FhirMapping, FhirNotice
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.many_rows import FromRows, ReadDates
from expectations.policy.vocabulary import Category, ConsentStatus, Purpose
from expectations.policy_file import parse_policy, read_policy
from tasks.consent.meaning import Standing, answer
from tests.conftest import small_policy
from tests.tasks.consent.test_consent_import import PLAIN, Event, at, read, refuse, token
from tests.tasks.consent.test_consent_rules import make_policy

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


def test_a_consent_can_state_the_dates_of_data_that_it_covers(tmp_path: Path) -> None:
    """Which policies that read other dates too do not take for a yes."""
    header = "person,status,at,notice,data_from,data_until\n"
    text = f"{header}p1,given,2025-02-03T10:00:00Z,research,2020-01-01,2024-12-31\n"
    stated = {"purpose": str(Purpose.SCIENTIFIC_RESEARCH), "categories": "dpv-pd:Age"}
    [event] = read(tmp_path, text, V1, stated=stated)
    said = event["terms"]
    assert (said.data_from, said.data_until) == ("2020-01-01", "2024-12-31")
    assert read_terms(said.to_json()) == said
    [_, told] = refuse(tmp_path, text.replace("2020-01-01", "2026-01-01"), V1, stated=stated)
    assert "its data_until is before its data_from" in told
    [_, told] = refuse(tmp_path, text.replace("2020-01-01", "2020"), V1, stated=stated)
    assert "its data_from is not a day; write a day like 2026-01-31" in told


def test_terms_without_dates_of_data_are_written_as_before_there_were_any() -> None:
    """Or events that were recorded then would no longer meet their commitments."""
    assert Terms(ConsentStatus.WITHDRAWN).to_json() == (
        '{"article_6":null,"article_9":null,"by_guardian":false,"categories":[],'
        '"indication":null,"jurisdiction":null,"method":null,"notice":null,"purpose":null,'
        '"status":"withdrawn"}'
    )


@pytest.mark.parametrize(
    ("dates", "dated", "standing"),
    [
        (None, True, Standing.OTHER_DATES),
        (("2020-01-01", "2024-12-31", "not-covered"), True, Standing.BY_SELF),
        (("2021-01-01", "2021-01-01", "not-covered"), True, Standing.BY_SELF),
        (("2019-12-31", "2024-12-31", "covered"), True, Standing.OTHER_DATES),
        (("2020-01-01", "2025-01-01", "covered"), True, Standing.OTHER_DATES),
        (("2020-01-01", "2024-12-31", "not-covered"), False, Standing.OTHER_DATES),
        (("2020-01-01", "2024-12-31", "covered"), False, Standing.BY_SELF),
    ],
)
def test_consent_for_some_dates_covers_a_policy_that_reads_no_others(
    dates: tuple[str, str, str] | None, dated: bool, standing: Standing
) -> None:
    """What is of the roster has no date, and is covered only where the policy says so."""
    policy = make_policy(Category.AGE)
    first, last, undated = dates or ("", "", "")
    read = ReadDates.model_validate({"from": first, "until": last, "undated": undated}) if (
        dates
    ) else None  # fmt: skip
    rows = FromRows.model_validate({"take": "count", "of": "visits"}) if dated else None
    columns = {n: c.model_copy(update={"rows": rows}) for n, c in policy.columns.items()}
    source = policy.source.model_copy(update={"dates": read})
    policy = policy.model_copy(update={"columns": columns, "source": source})
    notice = NoticeTerms("n", 1, "en", (Purpose.SCIENTIFIC_RESEARCH,), (Category.AGE,))
    said = Terms(
        ConsentStatus.GIVEN, notice=notice, data_from="2020-01-01", data_until="2024-12-31"
    )
    assert answer(policy, said, Category.AGE) is standing


CODED: dict[str, Any] = {"notices": {"urn:p": {"notice": "study"}}, "codes": {"s|a": "all"}}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"columns": {"person": "pid"}}, "columns"),
        ({"words": {"status": {"y": "given"}}}, "words"),
        ({"missing": ["NA"]}, "missing"),
        ({"stated": {"status": "given"}}, "stated.status"),
        ({"location": {"kind": "csv", "path": "c.csv"}}, "location.kind"),
        ({"fhir": {"notices": {"urn:p": {"notice": "unheard"}}}}, "fhir.notices"),
        ({"fhir": {"file": "nowhere.yaml"}}, "fhir.file"),
        ({"fhir": {**CODED, "file": "codes.yaml"}}, "fhir.file"),
        ({"fhir": {"file": "list.yaml"}}, "fhir.file"),
    ],
)
def test_a_source_of_fhir_resources_says_nothing_of_cells(
    tmp_path: Path, change: dict[str, Any], place: str
) -> None:
    """They have none; and its codes mean notices that are declared."""
    (tmp_path / "codes.yaml").write_text(yaml.safe_dump(CODED), encoding="utf-8")
    (tmp_path / "list.yaml").write_text("[1]", encoding="utf-8")
    tree = yaml.safe_load(small_policy())
    fhir = {"location": {"kind": "json-lines", "path": "c.ndjson"}, "fhir": {"file": "codes.yaml"}}
    tree["basis"]["events"] = [fhir]
    policy = parse_policy(json.dumps(tree), folder=tmp_path)
    (tmp_path / "small.yaml").write_text(json.dumps(tree), encoding="utf-8")
    digest = read_policy(str(tmp_path / "small.yaml")).sha256
    assert isinstance(policy.basis, ConsentLedger)
    assert policy.basis.events[0].fhir == FhirMapping(
        file="codes.yaml", notices={"urn:p": FhirNotice(notice="study")}, codes={"s|a": "all"}
    )
    (tmp_path / "codes.yaml").write_text(yaml.safe_dump({**CODED, "codes": {}}), encoding="utf-8")
    assert read_policy(str(tmp_path / "small.yaml")).sha256 != digest
    tree["basis"]["events"] = [{**fhir, **change}]
    with pytest.raises(PolicyError, match=f"basis.events.0.{place}: "):
        parse_policy(json.dumps(tree), folder=tmp_path)
