"""A table is judged against the models asked of it, with what could have been found."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from expectations.measures.sensitive_measures import Judgement, judge
from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)

# Classes of four: 2 a 1 b 1 c, and 1 a 2 b 1 c. The table: 3/8, 3/8, 2/8.
FRAME = pd.DataFrame({"class": [1] * 4 + [2] * 4, "ill": list("aabc") + list("abbc")})


def one(model: PrivacyModel, frame: pd.DataFrame = FRAME) -> Judgement:
    """Judge one model of the column."""
    (found,) = judge(frame, ["class"], {"ill": [model]})
    return found


@pytest.mark.parametrize(
    ("held", "broken", "reached"),
    [
        (DistinctLDiversity(l=3), DistinctLDiversity(l=4), 3),
        (EntropyLDiversity(l=2.8), EntropyLDiversity(l=2.9), 2**1.5),
        (RecursiveLDiversity(c=1.1, l=2), RecursiveLDiversity(c=1, l=2), 1),
        (RecursiveLDiversity(c=2.1, l=3), RecursiveLDiversity(c=2, l=3), 2),
        (TCloseness(t=0.125), TCloseness(t=0.12), 0.125),
        (TCloseness(t=0.0625, distance="ordered"), TCloseness(t=0.06, distance="ordered"), 0.0625),
        (BetaLikeness(beta=1 / 3), BetaLikeness(beta=0.3), 1 / 3),
        (
            BetaLikeness(beta=1 / 3, enhanced=True),
            BetaLikeness(beta=0.3, enhanced=True),
            1 / 3,
        ),
        (DeltaDisclosure(delta=0.41), DeltaDisclosure(delta=0.4), 0.4054651),
        (AlphaK(alpha=0.5), AlphaK(alpha=0.49), 0.5),
    ],
)
def test_each_model_is_met_at_its_bound_and_broken_beyond_it(
    held: PrivacyModel, broken: PrivacyModel, reached: float
) -> None:
    """What is reached is the same; the bound decides, strictly for c and delta."""
    assert (one(held).met, one(broken).met) == (True, False)
    assert one(held).reached == pytest.approx(reached)


def test_every_kind_of_model_is_judged() -> None:
    """A new model in the grammar must be measured before it can be asked for."""
    kinds = TypeAdapter(PrivacyModel).json_schema()["discriminator"]["mapping"]
    models = [DistinctLDiversity(l=2), EntropyLDiversity(l=2), RecursiveLDiversity(c=1, l=2),
              TCloseness(t=0.1), BetaLikeness(beta=1), DeltaDisclosure(delta=1),
              AlphaK(alpha=0.5)]  # fmt: skip

    assert {model.kind for model in models} == set(kinds)
    assert all(one(model).asked for model in models)


def test_several_columns_keep_the_order_in_which_they_were_asked() -> None:
    """One judgement per column and model."""
    frame = FRAME.assign(job="x")
    asked = {"job": [AlphaK(alpha=0.5)], "ill": [DistinctLDiversity(l=2), TCloseness(t=0.1)]}
    found = judge(frame, ["class"], asked)

    assert [(each.column, each.model.kind, each.met) for each in found] == [
        ("job", "alpha-k", False),
        ("ill", "distinct-l-diversity", True),
        ("ill", "t-closeness", False),
    ]


@pytest.mark.parametrize(
    ("model", "frame"),
    [
        (TCloseness(t=1), FRAME),
        (TCloseness(t=0.1), FRAME.assign(**{"class": 1})),
        (BetaLikeness(beta=1), FRAME.assign(ill="a")),
        (DeltaDisclosure(delta=1), FRAME.assign(ill="a")),
    ],
)
def test_a_model_that_no_such_table_breaks_proves_nothing(
    model: PrivacyModel, frame: pd.DataFrame
) -> None:
    """One class, one value, or a bound beyond reach: met, and said to be without power."""
    found = one(model, frame)

    assert (found.met, found.can_fail) == (True, False)
    assert found.power.startswith("nothing")


@pytest.mark.parametrize(
    "model",
    [DistinctLDiversity(l=2), TCloseness(t=1), DeltaDisclosure(delta=9), AlphaK(alpha=0.9)],
)
def test_table_without_rows_meets_no_model(model: PrivacyModel) -> None:
    """An empty release is not a safe one."""
    assert one(model, FRAME.iloc[:0]).met is False


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc")), min_size=1, max_size=20))
def test_a_judgement_holds_no_value_of_the_table(rows: list[tuple[int, str]]) -> None:
    """Measures and the policy's own words only."""
    frame = pd.DataFrame(rows, columns=["class", "ill"]).replace({"a": "Zanzibar-48151"})
    found = one(TCloseness(t=0.1), frame)

    assert "Zanzibar" not in repr(found) + found.asked + found.power
