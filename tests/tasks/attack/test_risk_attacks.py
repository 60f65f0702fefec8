"""Singling out, linking and inferring find people in a copy, and no more than chance elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import UsageError
from tasks.anonymization import k_anonymize
from tasks.attack.released import ABSENT, number_words, read_release, spell
from tasks.attack.table_risks import (
    draw_lists,
    expect_by_chance,
    find_nearest,
    guess_commonest,
    guess_predicates,
    infer_secret,
    link_people,
    make_predicates,
    risk_of_inference,
    risk_of_linking,
    risk_of_singling_out,
    single_out,
)

AGES = {"old": ["60", "70"], "young": ["20", "30"]}
PEOPLE = pd.DataFrame({"age": ["20", "30", "60", "70"], "sex": ["f", "f", "m", "m"]})
COARSE = pd.DataFrame({"age": ["young", "young", "old", "old"], "sex": ["f", "f", "m", "m"]})


def draw_table(people: int, seed: int, width: int = 4) -> pd.DataFrame:
    """Give people with some columns of eight values each, as words."""
    drawn = np.random.default_rng(seed).integers(0, 8, (people, width))
    return pd.DataFrame(drawn.astype(str), columns=list("abcdefgh")[:width])


def test_a_label_covers_what_was_declared_or_seen() -> None:
    """By the coverage, else itself, else what stands under it; a missing value is a word."""
    people = pd.DataFrame({"age": ["20", "30", None], "ward": ["x", "y", "z"]})
    released = pd.DataFrame({"age": ["young", "young", None], "ward": ["x", "other", "other"]})
    release, _ = read_release(released, people, ["ward", "age"], coverage={"age": AGES})
    age, ward = release.columns
    covered = [
        {
            label: set(column.known[flags])
            for label, flags in zip(column.labels, column.covers, strict=True)
        }
        for column in (age, ward)
    ]
    assert covered[0] == {"young": {"20", "30"}, "missing": {"missing"}}
    assert covered[1] == {"x": {"x"}, "other": {"y", "z"}}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["b", "a", None, "b"], id="words"),
        pytest.param(["missing", None, "a"], id="a-word-for-what-is-missing"),
        pytest.param([5.0, 2.5, float("nan")], id="numbers"),
        pytest.param([7, 5, 5], id="whole-numbers"),
        pytest.param([], id="nothing"),
    ],
)
@pytest.mark.parametrize("dtype", [None, "category"])
def test_words_are_numbered_in_their_order(values: list[object], dtype: str | None) -> None:
    """Each row has the number of its word, and no word is there that nobody has."""
    column = pd.Series(values, dtype=dtype)
    known, number = number_words(column)
    assert known.tolist() == sorted({*spell(column)})
    assert known.take(number).tolist() == spell(column).tolist()


def test_without_some_people_their_small_classes_are_gone() -> None:
    """A class that falls under k could not have been released without them."""
    release, people = read_release(COARSE, PEOPLE, ["age", "sex"], k=2, coverage={"age": AGES})
    left = release.without(people.take(np.array([0])))
    assert sorted(left.people) == [0, 2]
    raw, same = read_release(PEOPLE, PEOPLE, ["age", "sex"])
    assert sorted(raw.without(same.take(np.array([0]))).people) == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("released", "columns", "text"),
    [
        pytest.param(COARSE, ["age", "name"], "no column name", id="column"),
        pytest.param(COARSE.iloc[:0], ["age"], "nothing to attack", id="empty"),
        pytest.param(COARSE.set_axis([0, 1, 2, 2]), ["age"], "twice", id="twice"),
        pytest.param(COARSE.set_axis([0, 1, 2, 9]), ["age"], "1 released rows", id="stranger"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(
    released: pd.DataFrame, columns: list[str], text: str
) -> None:
    """With the count of rows and never a value."""
    with pytest.raises(UsageError, match=text):
        read_release(released, PEOPLE, columns)


def test_the_nearest_rows_fit_the_most_columns_then_the_tightest() -> None:
    """A row that covers both values is nearer than an exact one that lacks one."""
    people = pd.DataFrame({"a": ["1", "2", "1"], "b": ["x", "x", "y"]})
    released = pd.DataFrame({"a": ["*", "2", "1"], "b": ["x", "x", "y"]})
    release, known = read_release(released, people, ["a", "b"], coverage={"a": {"*": ["1", "2"]}})
    near = find_nearest(release, known.take(np.array([0, 1])), [0, 1])
    weights: dict[int, list[float]] = {}
    for person, weight in zip(near.person.tolist(), near.weight.tolist(), strict=True):
        weights.setdefault(person, []).append(round(weight, 4))
    assert {person: sorted(found) for person, found in weights.items()} == {
        0: [0.5],
        1: [0.5, 1.0],
    }


def test_a_predicate_singles_out_as_counting_says() -> None:
    """Against a plain loop over all people, for a copy and for the predicates of chance."""
    table = draw_table(60, 1, width=3)
    release, people = read_release(table, table, list("abc"))
    made, values = make_predicates(release, range(3)), people.codes
    for predicates in (made, guess_predicates(release, made)):
        alone = single_out(predicates, people)
        for number in range(predicates.count):
            met = [
                all(
                    allowed[values[at, one], number]
                    for at, allowed in zip(predicates.columns, predicates.allowed, strict=True)
                )
                for one in range(60)
            ]
            assert alone[number] == (sum(met) == 1)


def test_everybody_unique_in_a_copy_is_singled_out() -> None:
    """And none of them by chance; equal people are not."""
    table = draw_table(200, 2)
    unique = [count for count in Counter(table.itertuples(index=False)).values() if count == 1]
    release, people = read_release(table, table, list("abcd"))
    predicates = make_predicates(release, range(4))
    assert single_out(predicates, people).sum() == len(unique)
    assert expect_by_chance(release, predicates, 200).max() < 0.2


def test_the_chance_to_single_out_is_that_on_people_of_independent_columns() -> None:
    """Predicates of one table meet exactly one of as many others as often as is expected."""
    table, others = draw_table(500, 3, width=3), draw_table(500, 4, width=3)
    released = table.assign(a="*")
    release, people = read_release(
        released, table, list("abc"), k=2, coverage={"a": {"*": "01234567"}}
    )
    predicates = make_predicates(release, range(3))
    by_chance = expect_by_chance(release, predicates, people.count).mean()
    assert by_chance > 0.25
    assert by_chance == pytest.approx(
        single_out(predicates, release.recognize(others)).mean(), abs=0.1
    )


def test_what_chance_alone_could_reach_is_no_risk() -> None:
    """Two of five predicates succeed, and 1/e of some predicates do on any people."""
    unique = pd.DataFrame({c: [f"{n}" for n in range(200)] for c in "abcd"})
    twice = pd.DataFrame({c: [f"{n // 2}" for n in range(1000, 1600)] for c in "abcd"})
    table = pd.concat([unique, twice], ignore_index=True)
    risk = risk_of_singling_out(*read_release(table, table, "abcd"), columns=range(4))
    assert risk.main.hits == 200
    assert risk.low < 0.06
    assert risk.high > 0.3


def test_singling_out_of_classes_is_no_better_than_chance() -> None:
    """A class of k is narrowed to about one person, as anybody can without the table."""
    table = draw_table(4000, 3)
    released = table.assign(a="*", b="*")
    release, people = read_release(
        released, table, list("abcd"), k=2, coverage={c: {"*": "01234567"} for c in "ab"}
    )
    risk = risk_of_singling_out(release, people, columns=range(4))
    assert 0.2 < risk.main.share < 0.6
    assert risk.low == 0.0
    assert risk_of_singling_out(*read_release(table, table, "abcd"), columns=range(4)).low > 0.9


def test_halves_of_unique_people_are_linked_by_a_copy() -> None:
    """And by nothing once each half stands in one row for all."""
    people = pd.DataFrame({c: [f"{c}{n}" for n in range(40)] for c in "abcd"})
    copy, known = read_release(people, people, list("abcd"))
    assert link_people(copy, known).tolist() == [1.0] * 40
    starred = people.assign(**dict.fromkeys("abcd", "*"))
    nothing, known = read_release(starred, people, list("abcd"))
    assert link_people(nothing, known).tolist() == pytest.approx([1 / 40] * 40)


def test_a_partner_is_chosen_by_what_the_first_half_adds() -> None:
    """Half of all have b1, so it says less of a1 than b2 does, which only people of a1 have."""
    people = pd.DataFrame({"a": ["a1"] * 4 + ["a2"] * 3, "b": ["b1"] * 3 + ["b2"] + ["b1"] * 3})
    release, known = read_release(people, people, ["a", "b"])
    assert link_people(release, known.take(np.array([0, 3]))).tolist() == [0.0, 1.0]


def test_a_secret_is_inferred_from_the_nearest_row() -> None:
    """Ties count by half, and a copy tells exactly what a join tells."""
    people = pd.DataFrame({"a": list("xxyz"), "s": list("1233")})
    copy, known = read_release(people, people, ["a", "s"])
    assert infer_secret(copy, known, "s").tolist() == [0.5, 0.5, 1.0, 1.0]
    assert guess_commonest(copy, known, "s").tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "guessed"),
    [
        pytest.param(["1", "1", "2", "2", "2"], "2", id="most-people"),
        pytest.param(["lo", "lo", "lo", "3", "3"], "3", id="a-wide-label-splits-its-votes"),
    ],
)
def test_the_guess_is_the_value_of_most_votes(labels: list[str], guessed: str) -> None:
    """Each person of the nearest rows has one vote."""
    people = pd.DataFrame({"a": ["x"] * 5, "s": ["1", "2", "1", "3", "3"]})
    if "lo" not in labels:
        people["s"] = labels
    cover = {"s": {"lo": ["1", "2"]}}
    release, known = read_release(people.assign(s=labels), people, ["a", "s"], coverage=cover)
    right = people["s"].eq(guessed).astype(float).tolist()
    assert infer_secret(release, known, "s").tolist() == right


def test_a_control_does_as_well_as_guessing_the_commonest() -> None:
    """Two classes of two: without a person theirs is gone, and a guess is right half the time."""
    people = pd.DataFrame({"a": list("xxyy"), "s": list("1122")})
    release, known = read_release(people, people, ["a", "s"], k=2)
    risk = risk_of_inference(release, known, secret="s")
    assert (risk.main.hits, risk.baseline.hits) == (4.0, 2.0)
    assert [control.hits for control in risk.controls] == [2.0, 4.0]


def test_the_control_is_near_to_people_who_were_held_out() -> None:
    """Success against people taken out of a copy is that against people never in it."""
    table, others = draw_table(3000, 5, width=3), draw_table(2000, 6, width=3)
    table["s"], others["s"] = ((t["a"] > "3").astype(str) for t in (table, others))
    release, people = read_release(table, table, list("abcs"))
    risk = risk_of_inference(release, people, 1000, secret="s")
    held_out = infer_secret(release, release.recognize(others), "s").mean()
    assert risk.control == pytest.approx(held_out, abs=0.03)


@given(st.integers(0, 204), st.sampled_from([10, 50, 200]))
def test_one_who_leaves_moves_one_of_those_who_are_drawn(gone: int, attacks: int) -> None:
    """Everybody in the table is drawn at most once, by their own number and not by their place."""
    table = draw_table(205, 3)

    def drawn(frame: pd.DataFrame) -> list[int]:
        _, people = read_release(frame, frame, list("abcd"))
        assert people.draws is not None
        lists = draw_lists(replace(people, own=np.arange(len(frame))), attacks)
        return [int(number) for one in lists for number in frame.index[one.own]]

    before, after = drawn(table), drawn(table.drop(index=gone))
    assert len(before) == len({*before})
    assert len(before) == len(after)
    assert len({*before} ^ {*after}) <= 2


def test_one_who_leaves_moves_few_predicates() -> None:
    """Of as many people those are taken whose words have the lower draws."""
    table = draw_table(400, 4)
    made = []
    for frame in (table, table.drop(index=7)):
        release, _ = read_release(frame, frame, list("abcd"))
        predicates = make_predicates(release, range(4), 50)
        pairs = list(zip(release.columns, predicates.allowed, strict=True))
        made.append({
            tuple(frozenset(column.known[flags[:, n]]) for column, flags in pairs)
            for n in range(predicates.count)
        })  # fmt: skip
    assert len(made[0] - made[1]) <= 1


def test_a_copy_is_risky_and_a_coarse_table_is_not() -> None:
    """Each of the three attacks tells the two apart."""
    table = draw_table(2000, 7, width=6)
    coarse = k_anonymize(table, list("abcdef"), 200).frame
    copied = read_release(table, table, list("abcdef"))
    recoded = read_release(
        coarse, table, list("abcdef"), k=200, coverage={c: {"*": "01234567"} for c in "abcdef"}
    )
    for attack in (
        lambda release, people: risk_of_singling_out(release, people, columns=range(6)),
        risk_of_linking,
        lambda release, people: risk_of_inference(release, people, secret="a"),
    ):
        assert attack(*copied).low > 0.5
        assert attack(*recoded).low < 0.1


def test_people_are_drawn_once_and_without_those_left_out() -> None:
    """In lists of a round length, at most one in twenty of the people."""
    table = draw_table(500, 8)
    _, people = read_release(table.iloc[:450], table, list("abcd"))
    lists = list(draw_lists(people, 200))
    assert {one.count for one in lists} == {20}
    assert len(lists) == 10
    assert all((one.own != ABSENT).all() for one in lists)


@settings(max_examples=20)
@given(st.permutations(range(64)), st.permutations(["a", "b", "c"]))
def test_the_order_of_rows_and_columns_changes_nothing(rows: list[int], columns: list[str]) -> None:
    """Neither who is attacked nor what is found depends on it."""
    table = draw_table(64, 9, width=3)
    mixed = table.iloc[rows][columns]
    read, again = (read_release(frame, frame, "abc") for frame in (table, mixed))
    one = risk_of_singling_out(*read, columns=range(3))
    assert one == risk_of_singling_out(*again, columns=range(3))
    assert risk_of_linking(*read, 10) == risk_of_linking(*again, 10)
    assert risk_of_inference(*read, 10, secret="b") == risk_of_inference(*again, 10, secret="b")
