"""What was taken from the data serves no claim of differential privacy until it is confirmed."""

from __future__ import annotations

import pyarrow as pa
import pytest

from expectations.coherence.treatments import taken_from_data
from expectations.errors import PolicyError
from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Bin, Categories, describe, public_labels
from expectations.policy_file import parse_policy
from tasks.anonymization.deidentify import treat
from tasks.anonymization.labels import Undeclared
from tasks.people.population import code_values
from tests.conftest import Folder, small_policy
from tests.runs import say

PRIVATE = (
    ("model: logistic-regression", "model: private-logistic-regression"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)
AGE = "labels: [18-34, 35-49, 50-64, 65+]}\n"
SUGAR = "treatment: {kind: drop}\n"
MARKED_AGE = (AGE, f"{AGE}    from_data: true\n")
MARKED_SUGAR = (SUGAR, f"{SUGAR}    from_data: true\n")
WEIGHT = """\
  weight: {type: number, identifiability: none, category: dpv-pd:Health, use: [release],
    treatment: {kind: noise, low: 40, high: 120, epsilon: 1}, from_data: true}
derived:
"""
NOISE = ("derived:\n", WEIGHT)
RELEASED = ("sick: generalize}", "sick: generalize, weight: keep}\n    not_linkable: {weight: no}")


def problems(*changes: tuple[str, str]) -> list[str]:
    """Give what `check` says of the changed small policy."""
    try:
        parse_policy(small_policy(*changes))
    except PolicyError as error:
        return [f"{p.path}: {p.what}; {p.fix}" for p in error.problems]
    return []


def test_a_private_model_takes_no_feature_whose_labels_come_from_the_data() -> None:
    """It is said where, why, and how it is confirmed."""
    assert problems(*PRIVATE) == []
    (said,) = problems(*PRIVATE, MARKED_AGE)
    assert said.startswith("columns.age.from_data: its labels and bounds were taken from the data")
    assert "take `from_data` out" in said


def test_a_target_that_is_derived_of_such_a_column_is_refused_too() -> None:
    """The mark follows the data into what is computed of them."""
    (said,) = problems(*PRIVATE, MARKED_SUGAR)
    assert said.startswith("derived.sick: ")
    assert "out of the columns that it reads" in said


def test_a_plain_model_may_learn_from_such_columns() -> None:
    """Nothing is claimed there that rests on public labels; the plan names them all the same."""
    assert problems(MARKED_AGE, MARKED_SUGAR) == []
    policy = parse_policy(small_policy(MARKED_AGE, MARKED_SUGAR))
    assert taken_from_data(policy) == ("age", "sugar", "sick")


def test_noise_needs_public_bounds_whatever_else_is_promised() -> None:
    """Bounds that the data named would tell of the farthest person."""
    (said,) = problems(NOISE, RELEASED)
    assert said.startswith("columns.weight.from_data: ")
    confirmed = (NOISE[0], WEIGHT.replace(", from_data: true", ""))
    assert problems(confirmed, RELEASED) == []


def test_check_lists_what_is_not_confirmed(folder: Folder) -> None:
    """In words, and as plain values."""
    policy = folder.write(MARKED_AGE)
    assert "still taken from the data (from_data)" in " ".join(
        say("check", str(policy)).out.split()
    )
    assert '"from_data": [\n    "age"\n  ]' in say("check", str(policy), "--json").out


WORDS = Categories(kind="categories", values=("a", "b"), rename={"B": "b"}, other="rest")


def test_a_word_that_is_not_declared_becomes_other() -> None:
    """Whoever else is there: what becomes of a value depends on it and the policy alone."""
    values = pa.chunked_array([pa.array(["a", "B", "zzz", None, "rest", ""])])
    made = treat(values, WORDS, b"")
    assert made is not None
    assert made.to_pylist() == ["a", "b", "rest", None, "rest", "rest"]
    alone = treat(pa.chunked_array([pa.array(["zzz"])]), WORDS, b"")
    assert alone is not None
    assert alone.to_pylist() == ["rest"]


def test_without_other_it_stops_the_run() -> None:
    """As it always did."""
    strict = WORDS.model_copy(update={"other": None})
    with pytest.raises(Undeclared, match="fewer than 10 values"):
        treat(pa.chunked_array([pa.array(["zzz"])]), strict, b"")


def test_other_is_a_public_label_and_said_in_words() -> None:
    """It stands last, or where the policy names it among the values."""
    assert public_labels(WORDS, ColumnType.TEXT) == ("a", "b", "rest")
    named = WORDS.model_copy(update={"other": "a"})
    assert public_labels(named, ColumnType.TEXT) == ("a", "b")
    assert describe(WORDS) == "one of 2 declared words, or `rest`"


def test_other_is_a_stratum_of_its_own() -> None:
    """A group counts who has a word that is not declared, before anything is treated."""
    values = pa.chunked_array([pa.array(["B", "zzz", None, "a"])])
    places, labels = code_values(values, WORDS)
    assert labels == ("a", "b", "rest")
    assert places.tolist() == [1, 2, 3, 0]


def test_an_order_has_no_place_for_other_unless_it_says_where() -> None:
    """A distance along the order would be made up."""
    with pytest.raises(ValueError, match="`other` has no place in the order"):
        Categories(kind="categories", values=("low", "high"), ordered=True, other="rest")
    kept = Categories(kind="categories", values=("low", "high"), ordered=True, other="high")
    assert public_labels(kept, ColumnType.TEXT) == ("low", "high")


def test_a_bin_needs_no_other() -> None:
    """Every number has an interval."""
    made = Bin(kind="bin", edges=(10,), labels=("under 10", "10+"))
    assert public_labels(made, ColumnType.NUMBER) == ("under 10", "10+")
