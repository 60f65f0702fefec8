"""Who is taken, and on which side of the split: by keyed draws, and by groups that are declared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations import policy_file
from expectations.coherence.population import SELECTION_RULES
from expectations.disclosure import Disclosure
from expectations.errors import PolicyError, Problem, Refusal
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Deidentified, Selected
from tasks.anonymization.deidentify import deidentify
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import (
    CATEGORIES,
    DRAW,
    RECORD,
    SAMPLE,
    collect,
    make_roster,
    read_roster,
)
from tasks.people.population import (
    TEST,
    derive_columns,
    find_small_groups,
    group_people,
    mark_test,
    select_population,
    take_people,
)
from tasks.training.train import split_rows
from tests.conftest import ATTACKS, Folder, counts, opened, small_policy

Change = tuple[str, str]
TODAY = date(2026, 3, 1)
BY_SEX: Change = ("[feature, release, audit]", "[feature, release, audit, stratum]")
BY_AGE: Change = ("[feature, eligibility, release]", "[feature, eligibility, release, stratum]")
BY_SICK: Change = ("[target, release]", "[target, release, stratum]")
PRIVATE: tuple[Change, Change] = (
    ("{model: logistic-regression}", "{model: private-logistic-regression}"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)


def asking(population: str) -> Change:
    """Add something to what the small policy says of its population."""
    return "  test_share: 0.4\n", f"  test_share: 0.4\n  {population}\n"


def adding(name: str, kind: str, use: str, treatment: str = "drop", of: str = "quasi") -> Change:
    """Add a column."""
    line = (
        f"  {name}: {{type: {kind}, identifiability: {of}, category: dpv-pd:Age, use: [{use}], "
        f"treatment: {{kind: {treatment}}}}}\nderived:\n"
    )
    return "derived:\n", line


@cache
def policy(*changes: Change) -> Policy:
    """Parse the small policy, once for each of its changes."""
    return parse_policy(small_policy(*changes))


def people(names: Sequence[str], key: bytes = b"k", **columns: object) -> pa.Table:
    """Give collected people, with their keys under a home's key."""
    roster = make_roster(pa.chunked_array([pa.array(names, pa.string())]), key, "pid")
    table = roster.append_column(CATEGORIES, pa.array([7] * len(names), pa.uint32()))
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def taken(asked: Policy, table: pa.Table) -> set[int]:
    """Give the record keys of who is taken."""
    marks, _ = take_people(table, group_people(table, asked), asked)
    return set(table[RECORD].to_numpy()[marks].tolist())


def sides(asked: Policy, table: pa.Table, key: bytes = b"s") -> dict[int, bool]:
    """Tell for each person's record key whether they are for testing."""
    marked = mark_test(table, asked.population, key)
    return dict(zip(marked[RECORD].to_pylist(), marked[TEST].to_pylist(), strict=True))


def crowd(number: int) -> list[str]:
    """Name so many people."""
    return [f"p{n}" for n in range(number)]


ids = st.lists(st.text("abcdé12", min_size=1, max_size=6), unique=True, min_size=2, max_size=20)


# --- Samples -------------------------------------------------------------------------------------


@given(ids, st.sampled_from([0.1, 0.5, 0.9]))
def test_a_newcomer_reshuffles_no_sample(names: list[str], share: float) -> None:
    """Who is in stays in, whoever comes or goes and in whatever order they stand."""
    asked = policy(asking(f"sample: {share}"))
    everybody, alone = taken(asked, people(names)), taken(asked, people(names[:1]))
    assert taken(asked, people(names[::-1])) == everybody
    without = taken(asked, people(names[1:]))
    assert everybody - without == alone
    assert without <= everybody


@given(ids, st.data())
def test_a_newcomer_reshuffles_no_groups_sample(names: list[str], data: st.DataObject) -> None:
    """The share of a group is a matter of the person's own value, also where that is missing."""
    share = data.draw(st.sampled_from([0, 0.3, 1]))
    asked = policy(BY_SEX, asking(f"strata: {{by: [sex], sample: {{f: {share}}}}}"))
    sexes = data.draw(
        st.lists(st.sampled_from(["f", "m", None]), min_size=len(names), max_size=len(names))
    )
    everybody = taken(asked, people(names, sex=pa.array(sexes, pa.string())))
    each = [
        taken(asked, people([name], sex=pa.array([sex], pa.string())))
        for name, sex in zip(names, sexes, strict=True)
    ]
    assert everybody == set().union(*each)
    assert all(len(one) == 1 for one, sex in zip(each, sexes, strict=True) if sex != "f")


def test_a_sample_holds_its_share_and_grows_by_taking_more() -> None:
    """A smaller share is part of a larger one; another home takes others."""
    table = people(crowd(4000))
    some, more = (taken(policy(asking(f"sample: {share}")), table) for share in (0.3, 0.6))
    assert some < more
    assert abs(len(some) / 4000 - 0.3) < 0.03
    other = taken(policy(asking("sample: 0.3")), people(crowd(4000), b"z"))
    assert len(other & some) == 0
    # By name, since record keys differ between homes: about 0.3 of the one are in the other.
    names = np.array(crowd(4000))
    in_one, in_other = (
        set(names[np.isin(table_of[RECORD].to_numpy(), list(chosen))])
        for table_of, chosen in ((table, some), (people(crowd(4000), b"z"), other))
    )
    assert abs(len(in_one & in_other) / len(in_one) - 0.3) < 0.06


def test_a_sample_says_nothing_of_the_split() -> None:
    """Of those sampled as many are for testing as of all."""
    asked, table = policy(asking("sample: 0.3")), people(crowd(4000))
    sampled, split = taken(asked, table), sides(asked, table)
    assert abs(np.mean([split[key] for key in sampled]) - 0.4) < 0.05


# --- Caps ----------------------------------------------------------------------------------------

CAPPED: list[tuple[Change, ...]] = [
    (asking("at_most: 10"),),
    (BY_SEX, asking("strata: {by: [sex], at_most: 10}")),
    (BY_SEX, asking("at_most: 12\n  strata: {by: [sex], at_most: 10}")),
    (BY_SEX, asking("at_most: 15\n  sample: 0.8\n  strata: {by: [sex], at_most: 10}")),
    (BY_SEX, asking("at_most: 11\n  strata: {by: [sex], sample: {f: 0.7}}")),
]


@given(st.sampled_from(range(len(CAPPED))), st.randoms(use_true_random=False), st.integers(2, 45))
def test_a_newcomer_displaces_at_most_one_under_a_cap(
    which: int, random: Callable[[], float], number: int
) -> None:
    """And brings in at most one that was out, besides themselves; the order of rows is nothing."""
    asked = policy(*CAPPED[which])
    names = crowd(number)
    sexes = [random.choice("ffm") for _ in names]  # type: ignore[attr-defined]  # Hypothesis' own
    table = people(names, sex=sexes)
    newcomer = set(table[RECORD].to_pylist()[-1:])
    before, after = taken(asked, table.slice(0, number - 1)), taken(asked, table)
    assert len(before - after) <= 1
    assert len(after - before - newcomer) <= 1
    assert len(after) >= len(before)
    order = list(range(number))
    random.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis' own
    assert taken(asked, table.take(order)) == after


def test_a_cap_takes_as_many_as_it_says_of_each_group_and_of_all() -> None:
    """A group below it is taken whole; who lacks a value is in a group of its own."""
    sexes = ["f"] * 300 + ["m"] * 8 + [None] * 40
    table = people(crowd(348), sex=sexes)
    by_sex = policy(BY_SEX, asking("strata: {by: [sex], at_most: 25}"))
    marks, left_out = take_people(table, group_people(table, by_sex), by_sex)
    sizes = {sex: sum(np.array(sexes, dtype=object)[marks] == sex) for sex in ("f", "m", None)}
    assert sizes == {"f": 25, "m": 8, None: 25}
    assert left_out["over the cap"].exact == 348 - 58
    assert left_out.keys() == {"over the cap"}
    assert len(taken(policy(asking("at_most: 100")), table)) == 100
    assert len(taken(policy(asking("at_most: 1000")), table)) == 348


def test_a_cap_does_not_favour_those_of_whom_the_sample_took_few() -> None:
    """Each draw is of its own: what one took with a low bound, the next takes as any other."""
    table = people(crowd(6000), sex=["f", "m"] * 3000)
    of_sex = dict(zip(table[RECORD].to_pylist(), table["sex"].to_pylist(), strict=True))
    for population, share in (
        ("at_most: 600\n  strata: {by: [sex], sample: {f: 0.25}}", 0.2),
        ("at_most: 600\n  strata: {by: [sex], at_most: 1000}", 0.5),
    ):
        chosen = taken(policy(BY_SEX, asking(population)), table)
        women = np.mean([of_sex[key] == "f" for key in chosen])
        assert abs(women - share) < 0.06, population
    # A group that was capped hard, beside one that was not capped at all.
    uneven = people(crowd(6000), sex=["f"] * 5600 + ["m"] * 400)
    of_sex = dict(zip(uneven[RECORD].to_pylist(), uneven["sex"].to_pylist(), strict=True))
    asked = policy(BY_SEX, asking("at_most: 400\n  strata: {by: [sex], at_most: 400}"))
    assert abs(np.mean([of_sex[key] == "f" for key in taken(asked, uneven)]) - 0.5) < 0.09


# --- Groups that are too small -------------------------------------------------------------------


def told(asked: Policy, table: pa.Table) -> str:
    """Give what is said of groups that are too small."""
    groups = group_people(table, asked)
    assert groups is not None
    marks, _ = take_people(table, groups, asked)
    sizes = groups.sum_up(marks)
    return "\n".join(find_small_groups(groups, sizes, asked, Disclosure(b"d")))


def test_every_small_group_is_told_by_its_declared_labels() -> None:
    """At once, with published counts; who lacks a value is a group too."""
    asked = policy(BY_SEX, BY_AGE, asking("strata: {by: [sex, age], smallest: 40}"))
    ages, sexes = [20] * 60 + [60] * 30 + [20] * 5, ["f"] * 90 + [None] * 5
    said = told(asked, people(crowd(95), sex=sexes, age=ages))
    assert "fewer than the required 40 people" in said
    assert "sex missing, age 18-34 (fewer than 10 people)" in said
    assert "sex f, age 50-64 (" in said
    assert "sex f, age 18-34" not in said
    assert " 5 " not in said


def test_a_declared_label_that_nobody_has_is_a_group_too_small() -> None:
    """A group that is missing altogether is the one that must not be passed over."""
    asked = policy(BY_SEX, asking("strata: {by: [sex], smallest: 10}"))
    assert "sex m (fewer than 10 people)" in told(asked, people(crowd(20), sex=["f"] * 20))
    assert told(asked, people(crowd(40), sex=["f", "m"] * 20)) == ""


def test_a_group_that_a_sample_emptied_is_too_small() -> None:
    """What counts is who is taken."""
    asked = policy(BY_SICK, asking("sample: 0.01\n  strata: {by: [sick], smallest: 10}"))
    table = people(crowd(100), sugar=pa.array([7.0, 5.0] * 50))
    said = told(asked, derive_columns(table, asked, TODAY))
    assert "sick no (fewer than 10 people); sick yes (fewer than 10 people)" in said


def test_words_of_the_data_are_not_told() -> None:
    """A group by a column without declared labels has no name."""
    asked = policy(
        adding("site", "text", "stratum"), BY_SEX,
        asking("strata: {by: [site, sex], smallest: 12}"),
    )  # fmt: skip
    sites = ["Qblorp"] * 20 + ["Zyxwort"] * 11 + ["Vexil", "Kestrel", "Plover"]
    said = told(asked, people(crowd(34), site=sites, sex=["f"] * 34))
    assert "3 times a group by site and sex (fewer than 10 people)" in said
    assert said.count("a group by site and sex") == 2
    assert not [word for word in {*sites, "sex f"} if word in said]


def test_a_long_list_of_small_groups_is_cut() -> None:
    """It says how many are not told."""
    labels = ", ".join(f"s{n}" for n in range(30))
    asked = policy(
        adding("site", "text", "stratum", f"categories, values: [{labels}]"),
        asking("strata: {by: [site], smallest: 10}"),
    )
    said = told(asked, people(crowd(1), site=["s0"]))
    assert said.count("(fewer than 10 people)") == 20
    assert "; and 10 more; ask" in said


def test_groups_are_those_of_the_declared_labels() -> None:
    """The source's words are renamed, numbers fall into their bins, and the rest is missing."""
    asked = policy(
        BY_SEX, BY_AGE, BY_SICK, ("values: [f, m]}", 'values: [f, m], rename: {"1": m}}'),
        asking("strata: {by: [sex, age, sick], at_most: 10}"),
    )  # fmt: skip
    table = people(
        crowd(5), sex=["f", "1", "m", "x", None], age=pa.array([34, 35, 65, None, 0], pa.int64()),
        sick=pa.array([True, False, None, True, True]),
    )  # fmt: skip
    groups = group_people(table, asked)
    assert groups is not None
    assert [groups.values[place] for place in groups.places] == [
        ("f", "18-34", "yes"),
        ("m", "35-49", "no"),
        ("m", "65+", None),
        (None, None, "yes"),
        (None, "18-34", "yes"),
    ]


# --- Splits --------------------------------------------------------------------------------------


def draws(numbers: list[int]) -> pa.Table:
    """Give people by their draws."""
    keys = {DRAW: pa.array(numbers, pa.uint64()), RECORD: pa.array(numbers, pa.uint64())}
    return pa.table({**keys, SAMPLE: pa.array([0] * len(numbers), pa.uint64())})


@pytest.mark.parametrize(
    ("share", "test"),
    [
        pytest.param(0.5, [True, True, False, False], id="half"),
        pytest.param(1e-30, [False] * 4, id="nearly-none"),
        pytest.param(1 - 2**-53, [True, True, True, False], id="nearly-all"),
    ],
)
def test_the_lowest_draws_are_for_testing(share: float, test: list[bool]) -> None:
    """At the edges no number overflows, and the draw itself goes no further."""
    population = policy().population.model_copy(update={"test_share": share})
    marked = mark_test(draws([0, 2**63 - 1, 2**63, 2**64 - 1]), population, b"s")
    assert marked[TEST].to_pylist() == test
    assert set(marked.column_names) == {RECORD, TEST}


@given(ids)
def test_a_newcomer_moves_nobody_to_the_other_side(names: list[str]) -> None:
    """Each stays on their side, whoever comes or goes and in whatever order they stand."""
    everybody = sides(policy(), people(names))
    assert sides(policy(), people(names[::-1])) == everybody
    assert sides(policy(), people(names[1:])).items() <= everybody.items()


def test_another_home_splits_otherwise_and_the_share_holds() -> None:
    """Who is for testing is a matter of the key; how many, of the policy."""
    one, other = (sides(policy(), people(crowd(2000), key)) for key in (b"k", b"z"))
    assert set(one) != set(other)
    assert abs(np.mean(list(one.values())) - 0.4) < 0.06
    agree = np.mean(np.array(list(one.values())) == np.array(list(other.values())))
    assert abs(agree - 0.52) < 0.06


HOUSES: dict[str, pa.DataType] = {"text": pa.string(), "integer": pa.int64()}


@given(ids, st.sampled_from(sorted(HOUSES)), st.data())
def test_nobody_of_one_household_is_on_the_other_side(
    names: list[str], kind: str, data: st.DataObject
) -> None:
    """A newcomer moves nobody, and who lives in none, or does not say, is split by themselves."""
    asked = policy(adding("house", kind, "split"), asking("split_by: house"))
    size = len(names)
    numbers = data.draw(st.lists(st.none() | st.integers(0, 4), min_size=size, max_size=size))
    houses = [None if n is None else str(n) if kind == "text" else n for n in numbers]
    table = people(names, house=pa.array(houses, HOUSES[kind]))
    split, by_themselves = sides(asked, table), sides(policy(), people(names))
    seen = defaultdict(set)
    for key, house in zip(table[RECORD].to_pylist(), houses, strict=True):
        seen[house].add(split[key])
        assert house is not None or split[key] == by_themselves[key]
    assert all(len(both) == 1 for house, both in seen.items() if house is not None)
    assert sides(asked, table.slice(1)).items() <= split.items()
    assert sides(asked, table.take(list(range(size))[::-1])) == split


def test_households_are_split_by_the_homes_key_and_hold_the_share() -> None:
    """One household in two spellings of Unicode is one, and a blank is none."""
    asked = policy(adding("house", "text", "split"), asking("split_by: house"))
    table = people(crowd(4000), house=[f"h{n // 2}" for n in range(4000)])
    one, other = (np.array(list(sides(asked, table, key).values())) for key in (b"s", b"z"))
    assert abs(one.mean() - 0.4) < 0.05
    assert abs(np.mean(one == other) - 0.52) < 0.05
    spelled = people(crowd(60), house=["Jos\u00e9", "Jose\u0301", " "] * 20)
    split = list(sides(asked, spelled).values())
    assert len(set(split[0::3] + split[1::3])) == 1
    assert len(set(split[2::3])) == 2


def test_where_no_household_is_known_each_person_is_split_alone() -> None:
    """As if the policy named none."""
    asked = policy(adding("house", "text", "split"), asking("split_by: house"))
    table = people(crowd(50), house=pa.array([None] * 50, pa.string()))
    assert sides(asked, table) == sides(policy(), table)


# --- The whole step ------------------------------------------------------------------------------


def keep_back_sugar(folder: Folder, every: int) -> None:
    """Leave one in so many without the measurement that their outcome is made of."""
    for person in folder.people[::every]:
        person["sugar"] = ""


def test_what_is_counted_for_the_model_is_whom_it_learns_from(home: Home, folder: Folder) -> None:
    """The trainer's own split agrees; who has no outcome is a number of their own, not lost."""
    assert home.vault.is_dir()
    keep_back_sugar(folder, 25)
    with opened(folder.write()) as run:
        selected = select_population(collect(filter_consent(read_roster())))
        rows = run.vault.load(deidentify(selected), Deidentified).to_table().to_pandas()
        sides, found = split_rows(rows, run.policy), counts(run)
    assert [found["people.train"], found["people.test"]] == [len(side.labels) for side in sides]
    assert found["people.unlabelled"] == found["people.selected"] - sum(
        len(side.labels) for side in sides
    )
    assert 15 <= found["people.unlabelled"] <= 20


def test_too_many_without_an_outcome_are_refused_with_a_way_out(home: Home, folder: Folder) -> None:
    """Above `unlabelled_at_most`, .05 where nothing is said; both ways out that are named hold."""
    assert home.vault.is_dir()
    keep_back_sugar(folder, 10)

    def select(*changes: Change) -> None:
        with opened(folder.write(*changes)):
            select_population(collect(filter_consent(read_roster())))

    with pytest.raises(Refusal, match=r"^known outcomes: about \d+ of the selected people") as said:
        select()
    assert "no known `sick` (at most 5 % allowed)" in str(said.value)
    select(("{model: logistic-regression}", "{model: logistic-regression, unlabelled_at_most: .2}"))
    select(
        ("eligible: age >= 18", "eligible: age >= 18 and sugar is not missing"),
        ("use: [derivation]", "use: [derivation, eligibility]"),
    )


SMALL_GROUPS = (BY_SEX, asking("strata: {by: [sex], smallest: 300}"))


def test_the_step_refuses_small_groups_beside_a_small_cohort(home: Home, folder: Folder) -> None:
    """Both are told at once, when all counts have been noted."""
    assert home.vault.is_dir()
    with opened(folder.write(*SMALL_GROUPS, ("smallest: 10\n", "smallest: 479\n"))) as run:
        with pytest.raises(Refusal) as found:
            select_population(collect(filter_consent(read_roster())))
        assert counts(run)["people.selected"] == 478
    first, second = str(found.value).splitlines()
    assert first.startswith("smallest cohort: about ")
    assert "(at least 479 required); not eligible: fewer than 10; widen" in first
    assert "fewer than the required 300 people: sex f (" in second
    assert "; sex m (" in second


def test_the_step_judges_groups_by_who_is_taken(home: Home, folder: Folder) -> None:
    """A group that was large enough before the sample may be too small after it."""
    assert home.vault.is_dir()
    strata = "strata: {by: [sex], smallest: 150}"
    with opened(folder.write(BY_SEX, asking(strata))) as run:
        select_population(collect(filter_consent(read_roster())))
        assert counts(run)["people.selected"] == 478
    with (
        opened(folder.write(BY_SEX, asking(f"sample: 0.4\n  {strata}"))),
        pytest.raises(Refusal, match=r"^smallest cohort: some groups have fewer than the required"),
    ):
        select_population(collect(filter_consent(read_roster())))


@pytest.mark.parametrize(
    "population", ["at_most: 350", "sample: 0.8", "strata: {by: [sex], sample: {f: 0.5}}"]
)
def test_the_step_takes_the_same_people_in_any_order_of_rows(
    home: Home, folder: Folder, population: str
) -> None:
    """Rows turned round give the same people on the same sides."""
    assert home.vault.is_dir()
    found = []
    by_sex = [BY_SEX] if "sex" in population else []
    for _ in range(2):
        with opened(folder.write(*by_sex, asking(population))) as run:
            selected = select_population(collect(filter_consent(read_roster())))
            table = run.vault.load(selected, Selected).to_table()
            found.append({tuple(row.values()) for row in table.drop(["_person"]).to_pylist()})
        folder.people.reverse()
    assert found[0] == found[1]
    assert 10 <= len(found[0]) < 478


def test_fewer_than_a_hundred_test_people_refuse_where_a_model_is_trained(
    home: Home, folder: Folder
) -> None:
    """Two classes of fifty cannot be among them."""
    assert home.vault.is_dir()
    with (
        opened(folder.write(asking("at_most: 200"))) as run,
        pytest.raises(Refusal, match=r"^evaluation: about .* test people have a known outcome"),
    ):
        select_population(collect(filter_consent(read_roster())))
    assert counts(run)["people.selected"] == 200


populations = st.fixed_dictionaries(
    {
        "eligible": st.sampled_from(['"true"', "age >= 18", "age >= 45", "age > 200"]),
        "sample": st.sampled_from(["", "sample: 0.5"]),
        "at_most": st.sampled_from(["", "at_most: 10", "at_most: 25"]),
        "strata": st.sampled_from(["", "at_most: 12", "smallest: 10", "at_most: 15, smallest: 10"]),
    }
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=populations)
def test_all_who_are_left_out_and_taken_add_up_to_the_roster(
    home: Home, folder: Folder, asked: dict[str, str]
) -> None:
    """In the sealed figures, whatever the policy asks for and however the run ends."""
    assert home.vault.is_dir()
    changes = [("eligible: age >= 18", f"eligible: {asked['eligible']}")]
    if "true" in asked["eligible"]:
        changes += [("[feature, eligibility, release]", "[feature, release]")]
    lines = [asked["sample"], asked["at_most"]]
    if asked["strata"]:
        lines += [f"strata: {{by: [sex], {asked['strata']}}}"]
        changes += [BY_SEX]
    changes += [asking("\n  ".join(line for line in lines if line))]
    with opened(folder.write(*changes)) as run:
        with suppress(Refusal):
            select_population(collect(filter_consent(read_roster())))
        found = counts(run)
    left_out = {name: n for name, n in found.items() if name.startswith("people.excluded.")}
    assert sum(left_out.values()) + found["people.selected"] == found["people.roster"] == 480
    assert found["people.train"] + found["people.test"] == found["people.selected"]
    assert ("people.excluded.not sampled" in left_out) == bool(asked["sample"])
    caps = asked["at_most"] or "at_most" in asked["strata"]
    assert ("people.excluded.over the cap" in left_out) == bool(caps)
    assert "people.excluded.not eligible" in left_out


# --- What can be asked for -----------------------------------------------------------------------

NO_MODEL = [
    ("  clinic:\n    kind: model\n    recipient: Clinic\n", ""),
    ("training: {model: logistic-regression}\n", ""),
    (ATTACKS, ""),
    ("[feature, eligibility, release]", "[eligibility, release]"),
    ("[feature, release, audit]", "[release]"),
    ("[target, release]", "[release]"),
]
FINE: dict[str, Sequence[Change]] = {
    "a sample before a private model": (*PRIVATE, asking("sample: 0.5")),
    "shares by group before a private model": (
        *PRIVATE, BY_SEX, asking("strata: {by: [sex], sample: {f: 0.5}}"),
    ),
    "a smallest group before a private model": (
        *PRIVATE, BY_SEX, asking("strata: {by: [sex], smallest: 10}"),
    ),
    "caps before another model": (
        BY_SEX, asking("at_most: 20\n  strata: {by: [sex], at_most: 10}"),
    ),
    "groups by bins and by what is derived": (
        BY_AGE, BY_SICK, asking("strata: {by: [age, sick], smallest: 10}"),
    ),
    "groups of no model": (
        *NO_MODEL[:-2], ("[feature, release, audit]", "[release, stratum]"), NO_MODEL[-1],
        asking("strata: {by: [sex], at_most: 10}"),
    ),
    "a split by households": (adding("house", "integer", "split"), asking("split_by: house")),
    "households that are identifiers": (
        adding("house", "text", "split", of="identifier"), asking("split_by: house"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE.keys())
def test_what_can_hold_may_be_asked_for(changes: Sequence[Change]) -> None:
    """What the refusals below are changes of is good itself."""
    assert policy(*changes).name == "small"


REFUSED: dict[str, tuple[Sequence[Change], list[str]]] = {
    "groups by nothing that is there": (
        (asking("strata: {by: [site], smallest: 10}"),),
        ["population.strata.by.0: is not a column of this policy; name it under columns"],
    ),
    "groups by one column twice": (
        (BY_SEX, asking("strata: {by: [sex, sex], smallest: 10}")),
        ["population.strata.by.1: is named twice; remove it here"],
    ),
    "groups by an identifier": (
        (adding("site", "text", "stratum", of="identifier"),
         asking("strata: {by: [site], smallest: 10}")),
        ["population.strata.by.0: is an identifier, so each person would be a group"],
    ),
    "groups by free text": (
        (adding("site", "text", "stratum", "redact"), asking("strata: {by: [site], smallest: 10}")),
        ["population.strata.by.0: is free text, which makes no groups"],
    ),
    "groups by numbers": (
        (("[derivation]", "[derivation, stratum]"), asking("strata: {by: [sugar], smallest: 10}")),
        ["population.strata.by.0: a column of type number makes no groups; treat it by bin"],
    ),
    "groups of which nothing is asked": (
        (BY_SEX, asking("strata: {by: [sex]}")),
        ["population.strata: they require nothing of the groups; add smallest, at_most or sample"],
    ),
    "shares said twice": (
        (BY_SEX, asking("sample: 0.5\n  strata: {by: [sex], sample: {f: 0.5}}")),
        ["population.strata.sample: two shares are given for the same people"],
    ),
    "shares by two columns": (
        (BY_SEX, BY_AGE, asking("strata: {by: [sex, age], sample: {f: 0.5}}")),
        ["population.strata.sample: it is by value, but there are 2 columns"],
    ),
    "shares of unknown labels": (
        (adding("site", "text", "stratum"), asking("strata: {by: [site], sample: {north: 0.5}}")),
        ["population.strata.sample: the policy declares no labels of `site`"],
    ),
    "shares of labels that cannot occur": (
        (BY_SEX, asking("strata: {by: [sex], sample: {f: 0.5, woman: 0.5, man: 0}}")),
        ["population.strata.sample.man: `sex` can never hold it; use one of f, m",
         "population.strata.sample.woman: `sex` can never hold it; use one of f, m"],
    ),
    "a cap below the smallest cohort": (
        (("smallest: 10\n", "smallest: 50\n"), asking("at_most: 20")),
        ["population.at_most: at most 20 are taken, but 50 are required"],
    ),
    "a group's cap below its smallest": (
        (BY_SEX, asking("strata: {by: [sex], smallest: 20, at_most: 10}")),
        ["population.strata.at_most: at most 10 are taken, but 20 are required"],
    ),
    "nobody of a group that must be there": (
        (BY_SEX, asking("strata: {by: [sex], smallest: 20, sample: {f: 0}}")),
        ["population.strata.sample.f: nobody is taken, but 20 are required"],
    ),
    "a split by nothing that is there": (
        (asking("split_by: house"),),
        ["population.split_by: is not a column of this policy; name it under columns"],
    ),
    "a split by a number": (
        (("[derivation]", "[derivation, split]"), asking("split_by: sugar")),
        ["population.split_by: its values cannot be shared by people"],
    ),
    "a split by free text": (
        (adding("notes", "text", "split", "redact"), asking("split_by: notes")),
        ["population.split_by: its values cannot be shared by people"],
    ),
    "a split where nothing is trained": (
        (*NO_MODEL, adding("house", "text", "split"), asking("split_by: house")),
        ["population.split_by: nothing is trained, so nobody is split; remove it"],
    ),
    "quotas before a private model": (
        (*PRIVATE, BY_SEX, asking("at_most: 30\n  strata: {by: [sex], at_most: 20}")),
        ["population.at_most: a quota looks at other people",
         "population.strata.at_most: a quota looks at other people"],
    ),
    "groups by a column that does not say so": (
        (asking("strata: {by: [sex], smallest: 10}"),),
        ["columns.sex.use: used for stratum, but `use` omits it; add `stratum`"],
    ),
    "a use that is not made": (
        (BY_SEX,), ["columns.sex.use: `stratum` is declared, but nothing uses it"],
    ),
    "a split by a column that does not say so": (
        (adding("house", "text", "eligibility"), ("eligible: age >= 18",
         "eligible: age >= 18 and house is not missing"), asking("split_by: house")),
        ["columns.house.use: used for split, but `use` omits it; add `split`"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_hold_is_refused(changes: Sequence[Change], said: list[str]) -> None:
    """Before anything is read, each where it stands, and nothing else beside it."""
    with pytest.raises(PolicyError) as found:
        policy(*changes)
    texts = [f"{p.path}: {p.what}; {p.fix}" for p in found.value.problems]
    assert len(texts) == len(said)
    for text, start in zip(sorted(texts), sorted(said), strict=True):
        assert text.startswith(start)


def test_every_rule_of_the_selection_is_broken_by_some_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A rule that nothing breaks might as well not be there."""
    broken: set[str] = set()

    def watch(asked: Policy) -> list[Problem]:
        broken.update(rule.__name__ for rule in SELECTION_RULES if list(rule(asked)))
        return []

    monkeypatch.setattr(policy_file, "find_problems", watch)
    for changes, _ in REFUSED.values():
        parse_policy(small_policy(*changes))
    assert broken == {rule.__name__ for rule in SELECTION_RULES}


def test_a_table_alone_reads_its_groups_and_no_households() -> None:
    """What a run of tables does not need it does not read; what chooses its people it does."""
    asked = policy(
        adding("house", "text", "split"), BY_SICK,
        ("columns: {age: generalize, sex: generalize, sick: generalize}",
         "columns: {age: generalize, sex: generalize}"),
        ("[target, release, stratum]", "[target, stratum]"),
        asking("split_by: house\n  strata: {by: [sick], smallest: 10}"),
    )  # fmt: skip
    part = asked.for_tables()
    assert set(part.treated) == {"age", "sex", "sugar", "sick"}
    assert part.population.split_by is None
