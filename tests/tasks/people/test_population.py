"""Who is eligible and what is derived depends on a person's own row alone; too few are refused."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from expectations.disclosure import Count, Published
from expectations.errors import Refusal
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Selected
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import CATEGORIES, DRAW, RECORD, SAMPLE, collect, read_roster
from tasks.people.population import (
    TEST,
    derive_columns,
    find_small,
    keep_eligible,
    select_population,
)
from tests.conftest import Folder, counts, opened, small_policy

TODAY = date(2026, 3, 1)


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy."""
    return parse_policy(small_policy(*changes))


def deriving(expression: str) -> Policy:
    """Give the small policy with another expression for its target."""
    small = policy()
    sick = small.derived["sick"].model_copy(update={"expression": expression})
    return small.model_copy(update={"derived": {"sick": sick}})


def people(ages: list[int | None], sugars: list[float | None] | None = None) -> pa.Table:
    """Give collected rows with keys from 1, of people who kept nothing back."""
    given_sugars = sugars or [None] * len(ages)
    everything = pa.array([0b111] * len(ages), pa.uint32())
    return pa.table(
        {
            "age": pa.array(ages, pa.int64()),
            "sex": pa.array(["f"] * len(ages)),
            "sugar": pa.array(given_sugars, pa.float64()),
            RECORD: pa.array(range(1, len(ages) + 1), pa.uint64()),
            CATEGORIES: everything,
        }
    )


def test_only_who_is_surely_eligible_is_kept() -> None:
    """True stays; false and unknown are the rest."""
    kept, rest = keep_eligible(people([17, 18, None, 80]), policy(), TODAY)
    assert kept[RECORD].to_pylist() == [2, 4]
    assert rest == Count(2)


@pytest.mark.parametrize("text", ["true", " true", "true or false", "not false"])
def test_without_a_condition_everybody_is_kept(text: str) -> None:
    """However it is written."""
    always = policy(("eligible: age >= 18", f'eligible: "{text}"'),
                    ("[feature, eligibility, release]", "[feature, release]"))  # fmt: skip
    kept, rest = keep_eligible(people([5, None]), always, TODAY)
    assert (kept.num_rows, rest) == (2, Count(0))


@pytest.mark.parametrize(
    ("expression", "made"),
    [
        pytest.param("sugar >= 6.5", [True, False, None], id="missing-stays-missing"),
        pytest.param("coalesce(sugar >= 6.5, false)", [True, False, False], id="filled"),
        pytest.param("sugar >= 6.5 or age > 50", [True, True, True], id="known-by-the-other"),
        pytest.param("sugar >= 6.5 and age > 50", [False, False, None], id="unknown-and-true"),
        pytest.param("sugar is missing", [False, False, True], id="missing-is-told"),
        pytest.param("true or sugar > 1", [True, True, True], id="constant"),
    ],
)
def test_a_target_is_derived_row_by_row(expression: str, made: list[bool | None]) -> None:
    """Missing parts make it missing, unless the others decide or the policy fills it."""
    table = people([40, 60, 60], [7.0, 6.4, None])
    derived = derive_columns(table, deriving(expression), TODAY)
    assert derived["sick"].to_pylist() == made


def test_a_constant_is_derived_for_every_row() -> None:
    """Also for none at all."""
    for ages in ([1, 2, 3], [1], []):
        derived = derive_columns(people(list(ages)), deriving("true"), TODAY)
        assert derived["sick"].to_pylist() == [True] * len(ages)


def test_a_policy_without_derived_columns_adds_none() -> None:
    """The table is as it was."""
    table = people([1])
    assert derive_columns(table, policy().model_copy(update={"derived": {}}), TODAY) is table


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        pytest.param(None, "fewer than 10 people are left", id="hidden"),
        pytest.param(12, "about 12 people are left", id="told"),
    ],
)
def test_a_small_cohort_is_told_with_published_counts(shown: int | None, said: str) -> None:
    """The exact number of people is not said; the one that the policy asks for is."""
    asked = policy(("smallest: 10", "smallest: 1000"))
    rest = {"not eligible": Published(None, 10), "over the cap": Published(31, 10)}
    (told,) = find_small(Published(shown, 10), rest, 7, asked)
    assert told.startswith(f"{said} at the selection (at least 1,000 required)")
    assert "; not eligible: fewer than 10; over the cap: 31; widen" in told
    assert "7" not in told
    assert list(find_small(Published(shown, 10), rest, 1000, asked)) == []


def test_the_step_selects_the_same_people_in_any_order_of_rows(home: Home, folder: Folder) -> None:
    """Rows turned round give the same people, sides and targets, and the counts add up."""
    assert home.vault.is_dir()
    found: list[set[tuple[object, ...]]] = []
    noted: list[dict[str, int]] = []
    for _ in range(2):
        with opened(folder.write(("age >= 18", "age >= 40"))) as run:
            selected = select_population(collect(filter_consent(read_roster())))
            table = run.vault.load(selected, Selected).to_table()
            found.append({tuple(row.values()) for row in table.drop(["_person"]).to_pylist()})
            noted.append(counts(run))
        folder.people.reverse()
    assert found[0] == found[1]
    assert noted[0] == noted[1]
    told = noted[0]
    assert told["people.selected"] == told["people.train"] + told["people.test"] == len(found[0])
    assert told["people.selected"] + told["people.excluded.not eligible"] == 478
    asked = [person for person in folder.people if person["pid"] not in {"p58", "p59"}]
    of_age = sum(int(person["age"]) >= 40 for person in asked)
    assert told["people.selected"] == of_age
    assert not {"people.excluded.not sampled", "people.excluded.over the cap"} & told.keys()


def test_draws_end_where_the_population_is_chosen(home: Home, folder: Folder) -> None:
    """They go no further; the side of the split does, and which categories may be read."""
    assert home.vault.is_dir()
    with opened(folder.write()) as run:
        schema = select_population(collect(filter_consent(read_roster()))).schema
        assert run.id
    assert not {DRAW, SAMPLE} & set(schema)
    assert {TEST, RECORD, CATEGORIES} <= set(schema)


def test_the_step_refuses_too_few(home: Home, folder: Folder) -> None:
    """The counts are noted before the gate closes."""
    assert home.vault.is_dir()
    with opened(folder.write(("smallest: 10", "smallest: 479"))) as run:
        with pytest.raises(Refusal, match=r"^smallest cohort: .* are left at the selection"):
            select_population(collect(filter_consent(read_roster())))
        assert counts(run)["people.selected"] == 478
