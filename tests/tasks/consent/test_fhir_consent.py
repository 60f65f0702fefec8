"""FHIR Consent resources come in as events that permit what the resources do, or less."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.legal_basis import Notice
from expectations.policy.vocabulary import Article6, Category, ConsentStatus, Purpose
from ledgers.consent.events import Batch, to_micros
from tests.tasks.consent.consent_oracle import Event, Question, decide
from tests.tasks.consent.fhir_oracle import permits
from tests.tasks.consent.read_events import read_batch
from tests.tasks.consent.test_consent_import import SECRET, setting, source, token

Tree = dict[str, Any]
CODES = {
    "A": Category.AGE,
    "G": Category.GENDER,
    "H": Category.HEALTH,
}
RESEARCH = Purpose.SCIENTIFIC_RESEARCH
NOTICE = Notice(id="broad", purposes=(RESEARCH,), categories=tuple(CODES.values()))
MAPPING = {
    "notices": {"urn:broad": {"notice": "broad"}, "urn:other": "none"},
    "codes": {f"urn:s|{code}": {"categories": [str(one)]} for code, one in CODES.items()}
    | {"urn:s|X": "none", "urn:s|ALL": "all"},
}
SCOPE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                     "code": "research"}]}  # fmt: skip
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def codes(*names: str) -> list[Tree]:
    """Write codes as a provision has them."""
    return [{"coding": [{"system": "urn:s", "code": name}]} for name in names]


def permit(*names: str, **more: Any) -> Tree:
    """Write a provision that permits."""
    return {"type": "permit", "code": codes(*names), **more}


def deny(*names: str, **more: Any) -> Tree:
    """Write a provision that denies."""
    return {"type": "deny", "code": codes(*names), **more}


def r4(provision: Tree | None = None, **more: Any) -> Tree:
    """Write a consent as R4 does; without a provision, all is permitted."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": SCOPE,
        "category": [{"coding": [{"system": "http://loinc.org", "code": "57016-8"}]}],
        "patient": {"reference": "Patient/p1"},
        "dateTime": "2025-01-07",
        "policy": [{"uri": "urn:broad"}],
        "provision": {"type": "permit"} if provision is None else provision,
        **more,
    }


def r5(*exceptions: Tree, **more: Any) -> Tree:
    """Write a consent as R5 does."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "subject": {"reference": "https://example.org/fhir/Patient/p1/_history/2"},
        "date": "2025-01-07",
        "policyBasis": {"uri": "urn:broad"},
        "decision": "permit",
        "provision": [*exceptions],
        **more,
    }


def written(folder: Path, *resources: Tree, **more: Any) -> Any:
    """Write resources one on a line, and declare the source."""
    text = "".join(f"{json.dumps(one)}\n" for one in resources)
    (folder / "Consent.ndjson").write_text(text, encoding="utf-8")
    return declared("Consent.ndjson", **more)


def declared(name: str, **more: Any) -> Any:
    """Declare a source of FHIR consents."""
    mapping = {"fhir": MAPPING, "zone": "UTC", **more}
    return source({"kind": "json-lines", "path": name}, **mapping)


def read(folder: Path, *resources: Tree, now: datetime = NOW, **more: Any) -> Batch:
    """Read resources as events."""
    declared = written(folder, *resources, **more)
    return read_batch(declared, "e", setting(folder, NOTICE, now=now)).batch


def find_permitted(*batches: Batch, at: datetime, person: str = "p1") -> str:
    """Give the codes that somebody's events permit at a moment, each asked alone."""
    rows = [
        (batch.terms[row["terms"]], number, row)
        for number, batch in enumerate(batches)
        for row in batch.table.to_pylist()
        if (row["token_high"], row["token_low"]) == token(person)
    ]
    events = [Event(t, row["valid_from"], number, row["valid_until"]) for t, number, row in rows]
    return "".join(
        code
        for code, category in CODES.items()
        if decide(
            events,
            Question(RESEARCH, (category,), Article6.CONSENT, None, True, False, None, {}),
            to_micros(at),
            to_micros(NOW),
        )[0]
        == "permitted"
    )


def ask(folder: Path, *resources: Tree, at: str, **more: Any) -> str:
    """Give the codes that are permitted on a day to who reads the resources at its noon."""
    noon = datetime.fromisoformat(f"{at}T12:00:00+00:00")
    return find_permitted(read(folder, *resources, now=noon, **more), at=noon)


# ---------------------------------------------------------------- trees, held to the oracle

DATES = st.sampled_from(
    ["2019", "2020-02", "2020-02-29", "2021", "2021-06", "2022-01-01", "2023-03-15", "2024"]
)
DAYS = ("2019-07-01", "2020-03-05", "2021-06-20", "2022-01-01", "2022-07-01", "2023-03-15",
        "2024-08-01", "2026-02-01")  # fmt: skip


@st.composite
def periods(draw: st.DrawFn) -> Tree:
    """Draw a period that may be open, and is not backwards."""
    ends = sorted(draw(st.lists(DATES, max_size=2, unique=True)))
    if len(ends) == 2:
        return {"start": ends[0], "end": ends[1]}
    return {draw(st.sampled_from(["start", "end"])): ends[0]} if ends else {}


@st.composite
def provisions(draw: st.DrawFn, depth: int, *, typed: bool) -> Tree:
    """Draw a provision with some that are nested in it."""
    found: Tree = {"period": draw(periods())}
    if typed:
        found["type"] = draw(st.sampled_from(["permit", "deny"]))
    if named := draw(st.lists(st.sampled_from([*CODES, "X"]), max_size=2, unique=True)):
        found["code"] = codes(*named)
    if depth:
        below = provisions(depth - 1, typed=typed)
        found["provision"] = draw(st.lists(below, max_size=3))
    return found


@st.composite
def consents(draw: st.DrawFn) -> Tree:
    """Draw a consent of either edition."""
    if draw(st.booleans()):
        root = draw(provisions(2, typed=True))
        root["provision"] = [*root["provision"], permit("G")]
        if draw(st.booleans()):
            del root["type"]
        return r4(root, dateTime=draw(DATES))
    exceptions = draw(st.lists(provisions(1, typed=False), max_size=3))
    decision = draw(st.sampled_from(["permit", "deny"]))
    return r5(*exceptions, decision=decision, date=draw(DATES), period=draw(periods()))


@given(consent=consents(), day=st.sampled_from(DAYS))
def test_events_permit_what_the_tree_of_provisions_does(
    tmp_path_factory: pytest.TempPathFactory, consent: Tree, day: str
) -> None:
    """Whatever is nested in what, in whichever edition, and however dates are written."""
    expected = "".join(code for code in CODES if permits(consent, code, day))
    made = consent.get("dateTime", consent.get("date"))
    folder = tmp_path_factory.mktemp("fhir")
    if f"{made}-01-01"[:10] > day:
        with pytest.raises(SourceError, match="made in the future"):
            ask(folder, consent, at=day)
    else:
        assert ask(folder, consent, at=day) == expected


@given(consent=consents(), named=st.sampled_from([*CODES]), period=periods(), data=st.data())
def test_a_deny_more_never_gives_more(
    tmp_path_factory: pytest.TempPathFactory,
    consent: Tree,
    named: str,
    period: Tree,
    data: st.DataObject,
) -> None:
    """Wherever among the provisions of R4 it is added."""
    before = r4(consent["provision"]) if "patient" in consent else r4()
    after = deepcopy(before)
    rules = [*walk(after["provision"])]
    rule = data.draw(st.sampled_from(rules))
    rule["provision"] = [*rule.get("provision", []), deny(named, period=period)]
    folder = tmp_path_factory.mktemp("fhir")
    for day in DAYS[-2:]:
        if day > "2025-02":
            assert {*ask(folder, after, at=day)} <= {*ask(folder, before, at=day)}


@given(consent=consents(), end=st.sampled_from(["2020", "2024-05", "2025-06-01"]), data=st.data())
def test_a_shorter_period_of_a_permit_never_gives_more(
    tmp_path_factory: pytest.TempPathFactory, consent: Tree, end: str, data: st.DataObject
) -> None:
    """Of a permit that nothing is excepted from, and of a consent as a whole."""
    before = r4(consent["provision"]) if "patient" in consent else r4()
    after = deepcopy(before)
    root = after["provision"]
    leaves = [one for one in walk(root) if one.get("type") == "permit" and not one.get("provision")]
    rule = data.draw(st.sampled_from([root, *leaves]))
    period = rule.get("period", {})
    rule["period"] = {**period, "end": min(end, period.get("end", "9999"))}
    if period.get("start", "0") > rule["period"]["end"]:
        del rule["period"]["start"]
        rule["period"]["end"] = "0100"
    folder = tmp_path_factory.mktemp("fhir")
    assert {*ask(folder, after, at=DAYS[-1])} <= {*ask(folder, before, at=DAYS[-1])}


def walk(rule: Tree) -> Iterator[Tree]:
    """Give a provision and all below it."""
    yield rule
    for one in rule.get("provision", ()):
        yield from walk(one)


# ---------------------------------------------------------------- what is written in the field


def test_a_german_broad_consent_denies_all_but_what_its_codes_permit(tmp_path: Path) -> None:
    """A deny at the root, permits by code with periods of their own: to read data, to collect."""
    root = {
        "type": "deny",
        "period": {"start": "2021-01-07", "end": "2051-01-07"},
        "provision": [
            permit("A", period={"start": "2021-01-07", "end": "2026-01-07"}),
            permit("H", period={"start": "2021-01-07", "end": "2051-01-07"}),
            deny("G", period={"start": "2021-01-07", "end": "2051-01-07"}),
        ],
    }
    consent = r4(root, dateTime="2021-01-07")
    assert ask(tmp_path, consent, at="2021-01-07") == ""
    assert ask(tmp_path, consent, at="2021-01-08") == "AH"
    assert ask(tmp_path, consent, at="2026-02-01") == "H"


def test_a_root_that_says_nothing_permits_what_is_nested_and_no_more(tmp_path: Path) -> None:
    """As R4 has it; where the policy decides, the mapping says so."""
    assert ask(tmp_path, r4({"provision": [permit("A")]}), at="2025-06-01") == "A"
    opted = {**MAPPING, "notices": {"urn:broad": {"notice": "broad", "decision": "permit"}}}
    consent = r4({"provision": [deny("A")]})
    assert ask(tmp_path, consent, at="2025-06-01", fhir=opted) == "GH"


def test_r5_decides_at_the_root_and_takes_exceptions_from_it(tmp_path: Path) -> None:
    """Each level takes back what the one above says."""
    exception = {"code": codes("A", "H"), "provision": [{"code": codes("H")}]}
    assert ask(tmp_path, r5(exception), at="2025-06-01") == "GH"
    assert ask(tmp_path, r5(exception, decision="deny"), at="2025-06-01") == "A"


@pytest.mark.parametrize("status", ["inactive", "entered-in-error", "rejected"])
def test_what_is_over_without_a_moment_excludes_from_the_start(tmp_path: Path, status: str) -> None:
    """And takes back what an earlier export gave, also where that was to begin later."""
    before = read(tmp_path, r4({"type": "permit", "period": {"start": "2025-02"}}))
    after = read(tmp_path, r4(status=status))
    assert find_permitted(before, at=NOW) == "AGH"
    assert find_permitted(after, at=NOW) == find_permitted(before, after, at=NOW) == ""
    for day in ("2025-01-07", "2025-06-01"):
        then = datetime.fromisoformat(f"{day}T23:00:00+00:00")
        assert find_permitted(before, after, at=then) == ""


def test_what_is_only_drafted_changes_nothing(tmp_path: Path) -> None:
    """With a date, it was asked; without one, not even that."""
    drafts = [r4(status="draft", dateTime="2025-09"), r4(status="proposed", dateTime=None)]
    assert ask(tmp_path, r4(), *drafts, at="2026-01-01") == "AGH"


def test_a_grant_and_a_withdrawal_of_the_same_month_leave_nothing(tmp_path: Path) -> None:
    """The grant counts from the month's end, and is no later than the withdrawal."""
    grant, withdrawal = r4(dateTime="2025-06"), r4({"type": "deny"}, dateTime="2025-06-10")
    assert ask(tmp_path, grant, at="2025-06-30") == ""
    assert ask(tmp_path, grant, at="2025-07-01") == "AGH"
    assert ask(tmp_path, grant, withdrawal, at="2025-07-01") == ""
    assert ask(tmp_path, withdrawal, r4(dateTime="2025-06-11"), at="2025-07-01") == "AGH"


def test_a_narrower_category_stays_where_the_broader_is_not_given(tmp_path: Path) -> None:
    """What ends the broader ends the narrower, but not what is given with it."""
    categories = (Category.HEALTH, Category.MENTAL_HEALTH)
    notice = Notice(id="broad", purposes=(RESEARCH,), categories=categories)
    mapping = {**MAPPING, "codes": {"urn:s|M": {"categories": [str(Category.MENTAL_HEALTH)]}}}
    declared = written(tmp_path, r4(), r4(permit("M"), dateTime="2025-03-01"), fhir=mapping)
    batch = read_batch(declared, "e", setting(tmp_path, notice, now=NOW)).batch
    events = [
        Event(batch.terms[row["terms"]], row["valid_from"], 0, row["valid_until"])
        for row in batch.table.to_pylist()
    ]
    for category, said in zip(categories, ("refused", "permitted"), strict=True):
        question = Question(RESEARCH, (category,), Article6.CONSENT, None, True, False, None, {})
        assert decide(events, question, to_micros(NOW), 1)[0] == said


def test_a_permit_of_some_dates_of_data_is_given_for_these_days(tmp_path: Path) -> None:
    """Those that surely are of its dates; of several periods the longest, and a deny is of all."""
    root = {
        "type": "deny",
        "provision": [
            permit("A", "G", dataPeriod={"start": "2020", "end": "2024-06-15"}),
            permit("A", dataPeriod={"start": "2021-01-01", "end": "2021-02-01"}),
            permit("H"),
            deny("G", dataPeriod={"start": "2023"}),
        ],
    }
    found = {one for one in read(tmp_path, r4(root)).terms if one.status is ConsentStatus.GIVEN}
    assert {(one.categories, one.data_from, one.data_until) for one in found} == {
        ((Category.AGE,), "2020-12-31", "2024-06-15"),
        ((Category.HEALTH,), None, None),
    }


def test_a_relative_gives_as_guardian(tmp_path: Path) -> None:
    """R4 calls them performer, R5 grantor; nobody else can give for the person."""
    relative = [{"reference": "RelatedPerson/m"}]
    for consent in (r4(performer=relative), r5(grantor=relative)):
        assert all(one.by_guardian for one in read(tmp_path, consent).terms)
    told = refuse(tmp_path, r4(performer=[{"reference": "Practitioner/d"}]))
    assert "given by neither its patient nor a RelatedPerson" in told


def test_people_can_be_named_by_an_identifier(tmp_path: Path) -> None:
    """Where the policy's own source names them so."""
    patient = {"identifier": {"system": "urn:mrn", "value": "p1"}}
    mapping = {**MAPPING, "identifier": "urn:mrn"}
    assert ask(tmp_path, r4(patient=patient), at="2026-01-01", fhir=mapping) == "AGH"


def test_consents_that_are_not_ours_say_nothing(tmp_path: Path) -> None:
    """Of another policy, or about being treated."""
    treatment = deepcopy(SCOPE)
    treatment["coding"][0]["code"] = "treatment"
    others = (r4(policy=[{"uri": "urn:other"}]), r4(scope=treatment))
    assert read(tmp_path, *others).table.num_rows == 0


# ---------------------------------------------------------------- histories


def version(number: int, updated: str, consent: Tree) -> Tree:
    """Write one version of a resource."""
    meta = {"versionId": str(number), "lastUpdated": updated}
    return {**consent, "id": "c1", "meta": meta}


def bundle(folder: Path, kind: str, *entries: Tree) -> Batch:
    """Read a Bundle, written over several lines."""
    whole = {"resourceType": "Bundle", "type": kind, "entry": [*entries]}
    (folder / "b.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    return read_batch(declared("b.json"), "e", setting(folder, NOTICE, now=NOW)).batch


def test_what_a_bulk_export_says_is_deleted_permits_nothing(tmp_path: Path) -> None:
    """As if it never had been active; of whom nothing is known nothing is taken."""

    def delete(*urls: str) -> None:
        entry = [{"request": {"method": "DELETE", "url": url}} for url in urls]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
        (tmp_path / "gone.ndjson").write_text(json.dumps(bundle) + "\n", encoding="utf-8")

    gone = [{"type": "Bundle", "url": "https://host.example/gone.ndjson"}]
    named = {"output": [{"type": "Consent", "url": "Consent.ndjson"}], "deleted": gone}
    (tmp_path / "manifest.json").write_text(json.dumps(named), encoding="utf-8")
    delete("Group/c1", "")
    assert ask(tmp_path, r4(permit("A"), id="c1"), at="2026-02-01") == "A"
    delete("Consent/c1")
    assert not ask(tmp_path, r4(permit("A"), id="c1"), at="2026-02-01")
    delete("Consent/c1", f"Consent/{SECRET}")
    with pytest.raises(SourceError, match="fewer than 10 Consents were deleted") as told:
        read(tmp_path, r4(permit("A"), id="c1"))
    assert SECRET not in str(told.value)


def test_a_history_says_when_a_consent_ended_and_what_it_was_before(tmp_path: Path) -> None:
    """Each version counts until the next; a deletion ends it."""
    versions = (
        version(1, "2025-01-08T00:00:00Z", r4()),
        version(2, "2025-04-01T00:00:00Z", r4(permit("A"))),
        version(3, "2025-07-01T00:00:00Z", r4(status="inactive")),
    )
    entries = [{"resource": one} for one in versions[::-1]]
    found = bundle(tmp_path, "history", *entries)
    days = {"2025-02-01": "AGH", "2025-05-01": "A", "2025-08-01": ""}
    for day, codes_then in days.items():
        assert find_permitted(found, at=datetime.fromisoformat(f"{day}T00:00:00Z")) == codes_then
    deletion = {
        "request": {"method": "DELETE", "url": "Consent/c1"},
        "response": {"lastModified": "2025-03-01T00:00:00Z"},
    }
    found = bundle(tmp_path, "history", deletion, entries[-1])
    assert find_permitted(found, at=datetime(2025, 2, 1, tzinfo=UTC)) == "AGH"
    assert find_permitted(found, at=NOW) == ""


def test_a_later_version_gives_nothing_back_without_a_date_of_its_own(tmp_path: Path) -> None:
    """Or a server that writes anew would undo a withdrawal that lies between."""
    again = (version(1, "2025-01-08T00:00:00Z", r4()), version(2, "2025-09-01T00:00:00Z", r4()))
    other = r4({"type": "deny"}, dateTime="2025-05-01")
    found = bundle(tmp_path, "history", *({"resource": one} for one in again))
    assert find_permitted(found, read(tmp_path, other), at=NOW) == ""


def test_a_provenance_says_when_a_consent_ended(tmp_path: Path) -> None:
    """Of what it says, the earliest since the consent was made."""
    over = version(2, "2025-09-01T00:00:00Z", r4(status="inactive"))
    note = {
        "resourceType": "Provenance",
        "target": [{"reference": "Consent/c1/_history/2"}],
        "recorded": "2025-06-01T00:00:00Z",
    }
    before, after = read(tmp_path, r4()), bundle(
        tmp_path, "collection", {"resource": over}, {"resource": note}
    )  # fmt: skip
    assert find_permitted(before, after, at=datetime(2025, 5, 1, tzinfo=UTC)) == "AGH"
    assert find_permitted(before, after, at=datetime(2025, 6, 2, tzinfo=UTC)) == ""


def test_patients_of_a_bundle_are_known_by_their_ids(tmp_path: Path) -> None:
    """Also where references name entries."""
    consent = r4(patient={"reference": "urn:uuid:77"})
    patient = {"resourceType": "Patient", "id": "p1"}
    entries: list[Tree] = [
        {"fullUrl": "urn:uuid:77", "resource": patient},
        {"resource": consent},
    ]
    assert find_permitted(bundle(tmp_path, "searchset", *entries), at=NOW) == "AGH"


# ---------------------------------------------------------------- what cannot be meant


def refuse(folder: Path, *resources: Tree, **more: Any) -> str:
    """Give what is said of resources that are refused."""
    with pytest.raises(SourceError) as caught:
        read(folder, *resources, **more)
    assert SECRET not in str(caught.value)
    return str(caught.value)


STRANGE: Mapping[str, tuple[Tree, str]] = {
    "code": (r4(permit(SECRET)), "`code` has a code that is not mapped"),
    "policy": (r4(policy=[{"uri": SECRET}]), "its policy is not mapped"),
    "no policy": (r4(policy=[]), "it names no policy"),
    "scope": (r4(scope={"text": SECRET}), "its `scope` is not known"),
    "status": (r4(status="not-done"), "its `status` is no word of R4"),
    "modifier": (r4(modifierExtension=[{"url": SECRET}]), "`modifierExtension`"),
    "nested modifier": (r4(permit("A", modifierExtension=[{}])), "`modifierExtension`"),
    "data": (r4(permit("A", data=[{"meaning": "instance"}])), "a provision has `data`"),
    "unknown": (r4(permit("A", **{SECRET: 1})), "an element that is not known"),
    "actor": (r4(permit("A", actor=[{"reference": {"reference": SECRET}}])), "`actor`"),
    "untyped": (r4({"type": "deny", "provision": [{"code": codes("A")}]}), "neither `permit`"),
    "no decision": (r5(decision=None), "it neither permits nor denies"),
    "no word": (r4({"provision": [deny("A")]}), "it neither permits nor denies"),
    "no date": (r4(dateTime=None), "it has no `dateTime`"),
    "odd date": (r4(dateTime=f"2025-02-{SECRET}"), "is not written as FHIR does"),
    "no such day": (r4(dateTime="2025-02-30"), "is not in the calendar"),
    "backwards": (r4(permit("A", period={"start": "2025", "end": "2024"})), "ends before"),
    "nobody": (r4(patient={"reference": f"Group/{SECRET}"}), "it names no patient"),
    "both": (r4(decision="permit"), "elements of both R4 and R5"),
    "old": ({"resourceType": "Consent", "policyRule": "urn:x", "patient": {}}, "STU3"),
    "future": (r4(dateTime="2027"), "made in the future"),
}  # fmt: skip


@pytest.mark.parametrize("strange", STRANGE)
def test_what_cannot_be_meant_is_refused_by_line(tmp_path: Path, strange: str) -> None:
    """Its words go nowhere."""
    resource, what = STRANGE[strange]
    with pytest.raises(SourceError) as caught:
        read(tmp_path, r4(), resource)
    assert what in str(caught.value)
    assert caught.value.places.startswith("line 2 (1 in all): ")
    assert SECRET not in str(caught.value) + caught.value.places


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Each fault once, with its lines."""
    resources = [resource for resource, _ in STRANGE.values()]
    told = refuse(tmp_path, *resources)
    assert all(what in told for _, what in STRANGE.values())


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{\n", "it is no FHIR resource"),
        ('{"resourceType": "Patient"}\n[1]\n', "it is no FHIR resource"),
        ('{"resourceType": "Bundle", "type": "transaction"}', "what is to be done"),
        ('{"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next"}]}',
         "one page of several"),
        ('{"resourceType": "Patient"}\n{"resourceType": "Patient"}\n{"resourceType": "Bundle"}\n',
         "a Bundle among lines"),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, text: str, what: str) -> None:
    """Before any resource is understood."""
    (tmp_path / "c.ndjson").write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=what):
        read_batch(declared("c.ndjson"), "e", setting(tmp_path, NOTICE, now=NOW))


ODD: list[object] = [None, 1, "x", [], {}, [1], [[]], {"a": []}, True]


@given(consent=consents(), junk=st.sampled_from(ODD), data=st.data())
def test_whatever_stands_in_a_resource_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, consent: Tree, junk: object, data: st.DataObject
) -> None:
    """And nothing else is raised."""
    consent = deepcopy({**consent, "status": "active", "id": "1"})
    places = [*find_places(consent)]
    holder, key = data.draw(st.sampled_from(places))
    holder[key] = junk
    with suppress(SourceError):
        read(tmp_path_factory.mktemp("fhir"), consent)


def find_places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Give every place of a tree, as its holder and its key."""
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(tree, dict):
        pairs = [*tree.items()]
    elif isinstance(tree, list):
        pairs = [*enumerate(tree)]
    for key, one in pairs:
        yield tree, key
        yield from find_places(cast("Any", one))
