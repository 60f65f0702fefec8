"""The example's consents go as its documentation says: by which chance, and what is told of each.

Standings are found by `example_people`, which shares no code with the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import product
from statistics import NormalDist

import pytest

from expectations.policy.legal_basis import ConsentLedger, EventField
from expectations.policy.vocabulary import ConsentStatus
from expectations.policy_file import read_policy
from tasks.sources.examples import nhanes
from tasks.sources.examples.consent_history import EVENT
from tests.tasks.sources.example_people import (
    ALL_TOLD,
    CATEGORIES,
    RESEARCH,
    consenting,
    moment,
    rows,
    standings,
)

Person = Mapping[str, str]
Group = Callable[[Person], bool]
EXAMPLES = ("nhanes", "nhanes-outcome")
MIDSUMMERS = tuple(datetime(year, 7, 1, tzinfo=UTC) for year in (2024, 2025))
NOTICES = {
    ("research", 1): {*CATEGORIES},
    ("research", 2): {*CATEGORIES, "dpv-pd:Demographic"},
    ("services", 1): {"dpv-pd:Contact", "dpv-pd:Identifying"},
}
"""What each version of a notice enumerates."""
FAR = NormalDist().inv_cdf(1 - 1e-5)
"""Standard deviations that chance alone passes about once in 50,000 tries."""


@cache
def people(example: str = "nhanes") -> list[Person]:
    """Read everybody with what their consent may depend on."""
    columns = (nhanes.AGE, nhanes.ORIGIN, nhanes.HEALTH, nhanes.SEX)
    measured = (nhanes.TOLD, nhanes.GLYCOHEMOGLOBIN, "date_of_birth")
    return list(rows(example, "patient_number", *columns, *measured))


def is_old(person: Person) -> bool:
    """Whether somebody is 70 or over."""
    return float(person[nhanes.AGE]) >= 70


def is_less_asked(person: Person) -> bool:
    """Whether somebody is of an origin that consents less."""
    return person[nhanes.ORIGIN] in {"Non-Hispanic Black", "Mexican American"}


def is_unwell(person: Person) -> bool:
    """Whether somebody calls their health fair or poor."""
    return person[nhanes.HEALTH] in {"Fair or", "Poor?"}


def is_female(person: Person) -> bool:
    """Whether somebody is a woman or girl."""
    return person[nhanes.SEX] == "Female"


def has_diabetes(person: Person) -> bool:
    """Whether somebody was told of diabetes, or their glycohemoglobin says so."""
    return person[nhanes.TOLD] == "1" or float(person[nhanes.GLYCOHEMOGLOBIN] or 0) >= 6.5


def chance(example: str, person: Person) -> float:
    """Give the documented chance that somebody would consent to research."""
    if example == "nhanes-outcome":
        return 0.75 * 0.45 ** has_diabetes(person)
    traits = 0.75 ** is_old(person) * 0.8 ** is_less_asked(person) * 0.8 ** is_unwell(person)
    return float(0.76 * traits)


def events(example: str = "nhanes") -> list[dict[str, str]]:
    """Read all events."""
    return rows(example, part="consent")


def share(said: Sequence[bool]) -> float:
    """Give the share of those for whom it is so."""
    return sum(said) / len(said)


def is_by_chance(count: float, chances: Sequence[float]) -> bool:
    """Whether a count is what independent draws with these chances give."""
    deviation = sum(p * (1 - p) for p in chances) ** 0.5
    return bool(abs(count - sum(chances)) < FAR * deviation)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_same_people_consent_throughout_the_ten_years(example: str) -> None:
    """At any moment from 2026 to the end of 2035 the standings are those of the first."""
    for moment_later in (datetime(2030, 6, 1, tzinfo=UTC), datetime(2035, 12, 31, tzinfo=UTC)):
        assert standings(moment_later, data=example) == standings(data=example)


def test_sixty_percent_of_adults_consent_to_research() -> None:
    """Of the 5,265 people of 20 and over, 3,193 consent validly and to all categories."""
    adults = {p["patient_number"] for p in people() if float(p[nhanes.AGE]) >= 20}
    assert (len(adults), len(adults & consenting())) == (5265, 3193)


@pytest.mark.parametrize("example", EXAMPLES)
def test_valid_and_whole_consent_has_the_documented_chance(example: str) -> None:
    """In each group that a formula tells apart, the share is near 0.95 of the chance."""
    valid = consenting(data=example)
    groups: dict[float, list[bool]] = {}
    for person in people(example):
        p = round(0.95 * chance(example, person), 9)
        groups.setdefault(p, []).append(person["patient_number"] in valid)
    assert len(groups) == {"nhanes": 6, "nhanes-outcome": 2}[example]
    for p, said in groups.items():
        assert is_by_chance(sum(said), [p] * len(said))


@pytest.mark.parametrize(
    ("example", "others"),
    [
        ("nhanes", (is_female, has_diabetes)),
        ("nhanes-outcome", (is_female, is_old, is_less_asked, is_unwell)),
    ],
)
def test_consent_depends_on_nothing_else(example: str, others: tuple[Group, ...]) -> None:
    """Among those of one trait, as many consent as the formula says that does not know it."""
    valid = consenting(data=example)
    for other, yes in product(others, (True, False)):
        group = [person for person in people(example) if other(person) is yes]
        said = [person["patient_number"] in valid for person in group]
        assert is_by_chance(sum(said), [0.95 * chance(example, person) for person in group])


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_reason_has_its_documented_share(example: str) -> None:
    """Of those who would consent, 4 % do so in part; of the others 24 % were never asked."""
    would = {"only in part": 0.04, "objected": 0.007, "restricted": 0.003}
    would_not = {"never asked": 0.24, "no answer": 0.05, "unknown": 0.01, "refused": 0.25}
    would_not |= {"withdrawn": 0.22, "revoked": 0.01, "invalidated": 0.02, "expired": 0.2}
    found = standings(data=example)
    why = Counter(found.get(person["patient_number"], "never asked") for person in people(example))
    assert set(why) == {"permitted", *would, *would_not}
    chances = [chance(example, person) for person in people(example)]
    for reason, part in would.items():
        assert is_by_chance(why[reason], [part * p for p in chances]), reason
    for reason, part in would_not.items():
        assert is_by_chance(why[reason], [part * (1 - p) for p in chances]), reason


def test_nobody_consents_to_marketing_but_some_once_did() -> None:
    """A run for marketing finds nobody, by withdrawal and expiry, not for want of events."""
    given = ("dpv:Marketing", "given")
    once = {e["person"] for e in events() if (e["purpose"], e["status"]) == given}
    reached = ("dpv-pd:Contact", "dpv-pd:Identifying")
    found = standings(purpose="dpv:Marketing", categories=reached).values()
    assert set(found) == {"refused", "withdrawn", "expired", "objected"}
    assert len(once) > 2000


@pytest.mark.parametrize("example", EXAMPLES)
def test_two_midsummers_a_year_apart_tell_different_people(example: str) -> None:
    """Hundreds joined between the two, and hundreds withdrew or let their consent expire."""
    first, second = (standings(at, data=example) for at in MIDSUMMERS)
    was, is_now = ({p for p, why in f.items() if why == "permitted"} for f in (first, second))
    left = Counter(second[person] for person in was - is_now)
    assert len(is_now - was) > 1500
    assert left["withdrawn"] > 400
    assert left["expired"] > 200


@pytest.mark.parametrize("example", EXAMPLES)
def test_some_of_what_held_became_known_only_later(example: str) -> None:
    """What was known at a moment differs from what is known now, for some of them."""
    then = MIDSUMMERS[0]
    known, now = standings(then, data=example), standings(then, ALL_TOLD, data=example)
    late = [person for person in now if known[person] != now[person]]
    assert 0.005 < len(late) / len(now) < 0.05


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_event_holds_and_was_recorded_before_2026(example: str) -> None:
    """Times rise, have zones, and each event was recorded within hours to weeks, or late."""
    told = events(example)
    times = [moment(event["at"]) for event in told]
    assert times == sorted(times)
    delays = [moment(e["recorded_at"]) - at for e, at in zip(told, times, strict=True)]
    assert min(delays) >= timedelta(hours=2)
    assert max(moment(event["recorded_at"]) for event in told) < ALL_TOLD
    late = [delay for delay in delays if delay > timedelta(days=21)]
    assert all(timedelta(days=60) < delay < timedelta(days=202) for delay in late)
    assert 0.015 < len(late) / len(delays) < 0.035


@pytest.mark.parametrize("example", EXAMPLES)
def test_events_are_told_in_the_words_of_the_grammar(example: str) -> None:
    """Columns are fields of an event, every status occurs, and every person is in the survey."""
    assert set(EVENT) < {*EventField}
    assert {event["status"] for event in events(example)} == {*ConsentStatus}
    named = {event["person"] for event in events(example)}
    everybody = {person["patient_number"] for person in people(example)}
    assert named < everybody
    assert len(everybody - named) > 20


@pytest.mark.parametrize("policy", ["diabetes", "prevalence"])
@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_shown_is_a_notice_of_the_policy(policy: str, example: str) -> None:
    """Of each gift the policy declares the notice, which enumerates its purpose and categories."""
    basis = read_policy(policy).policy.basis
    assert isinstance(basis, ConsentLedger)
    notices = {(one.id, str(one.version), one.language): one for one in basis.notices}
    shown: Counter[tuple[str, str, str]] = Counter()
    for event in events(example):
        if event["notice"] is None:
            assert event["notice_version"] is event["language"] is None
            assert event["status"] not in {"given", "renewed"}
            continue
        key = (event["notice"], event["notice_version"], event["language"])
        assert event["purpose"] in notices[key].purposes
        assert {*notices[key].categories} == NOTICES[key[0], int(key[1])]
        assert {*(event["categories"] or "").split(";")} - {""} <= {*notices[key].categories}
        shown[key] += 1
    assert set(shown) == set(notices)
    assert min(shown.values()) > 500


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_second_version_is_shown_from_july_2024_on(example: str) -> None:
    """The version of the notice on research follows the moment."""
    for event in events(example):
        if event["notice"] == "research":
            later = moment(event["at"]) >= MIDSUMMERS[0]
            assert event["notice_version"] == ("2" if later else "1")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_gift_to_research_is_explicit_and_no_other_is(example: str) -> None:
    """Art. 9(2)(a) is met where it must be; only gifts have an indication."""
    said = Counter((e["indication"], e["purpose"] == RESEARCH) for e in events(example)
                   if e["status"] in {"given", "renewed"})  # fmt: skip
    assert set(said) == {("explicit", True), ("expressed", False)}
    gifts = sum(said.values())
    assert sum(event["indication"] is not None for event in events(example)) == gifts


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_consent_in_part_lacks_one_category(example: str) -> None:
    """A gift in part names all but one of its notice's, a withdrawal in part that one."""
    lacking: Counter[str] = Counter()
    for event in events(example):
        named = set((event["categories"] or "").split(";")) - {""}
        if event["status"] in {"given", "renewed"}:
            lacking.update(NOTICES[event["notice"], int(event["notice_version"])] - named)
        elif named:
            assert event["status"] == "withdrawn"
            lacking.update(named)
    assert set(lacking) == {"dpv-pd:Health", "dpv-pd:EthnicOrigin", "dpv-pd:Behavioral"}
    assert min(lacking.values()) > 50


@pytest.mark.parametrize("example", EXAMPLES)
def test_who_is_under_18_speaks_through_a_guardian(example: str) -> None:
    """At the time of the event, not at that of the survey; one guardian for each of them."""
    born = {p["patient_number"]: date.fromisoformat(p["date_of_birth"]) for p in people(example)}
    guardians: dict[str, set[str]] = {}
    for event in events(example):
        if event["status"] in {"expired", "invalidated", "unknown"}:
            assert event["guardian"] is event["method"] is None
            continue
        day, birth = moment(event["at"]).astimezone(UTC).date(), born[event["person"]]
        age = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
        assert (event["guardian"] is not None) is (age < 18)
        if age < 18:
            guardians.setdefault(event["guardian"], set()).add(event["person"])
    assert len(guardians) > 1500
    assert all(len(of) == 1 for of in guardians.values())


@pytest.mark.parametrize("example", EXAMPLES)
def test_evidence_is_named_for_gifts_on_paper_or_on_tape(example: str) -> None:
    """A reference is nobody else's, and holds nothing of the person."""
    kept = [event for event in events(example) if event["evidence"]]
    assert {event["method"] for event in kept} == {"paper form", "telephone"}
    assert {event["status"] for event in kept} == {"given", "renewed"}
    assert len({event["evidence"] for event in kept}) == len(kept) > 10_000


def weigh_by_traits(example: str) -> tuple[float, float]:
    """Give the prevalence among consenting adults as they are, and weighted by the three traits."""
    adults = [person for person in people(example) if float(person[nhanes.AGE]) >= 20]
    valid = consenting(data=example)
    there = [person for person in adults if person["patient_number"] in valid]
    weighted = 0.0
    for traits in product((True, False), repeat=3):
        all_of, here = (
            [p for p in group if (is_old(p), is_less_asked(p), is_unwell(p)) == traits]
            for group in (adults, there)
        )
        weighted += share([has_diabetes(p) for p in here]) * len(all_of) / len(adults)
    return share([has_diabetes(person) for person in there]), weighted


def test_weighting_mends_a_consent_that_depends_on_what_is_weighted_for() -> None:
    """Weighted by age, origin and health, the share with diabetes is that of all adults again."""
    adults = [person for person in people() if float(person[nhanes.AGE]) >= 20]
    truth = share([has_diabetes(person) for person in adults])
    seen, weighted = weigh_by_traits("nhanes")
    assert truth - seen > 0.008
    assert abs(weighted - truth) < 0.005


def test_no_weighting_mends_a_consent_that_depends_on_the_outcome() -> None:
    """By the second mechanism half of those with diabetes are missing, weighted or not."""
    adults = [person for person in people() if float(person[nhanes.AGE]) >= 20]
    truth = share([has_diabetes(person) for person in adults])
    seen, weighted = weigh_by_traits("nhanes-outcome")
    assert truth - seen > 0.08
    assert truth - weighted > 0.08
