"""Every treatment is told in words: what becomes of a column, and what can be done with it."""

from __future__ import annotations

import pytest

from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import (
    TREATMENTS,
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
    describe,
    has_order,
    public_labels,
)

BINS = Bin(kind="bin", edges=(30, 40.5), labels=("young", "middle", "old"))
WORDS = Categories(kind="categories", values=("f", "m"), rename={"w": "f"})
LINES = Level(kind="hierarchy", rows=(("Ulm", "South", "*"), ("Bonn", "West", "*")), level=1)


@pytest.mark.parametrize(
    ("treatment", "said", "labels"),
    [
        pytest.param(Drop(kind="drop"), "used in the run, then dropped", None, id="drop"),
        pytest.param(Keep(kind="keep"), "kept as it is", None, id="keep"),
        pytest.param(Mask(kind="mask"), "masked", None, id="mask"),
        pytest.param(
            Mask(kind="mask", show_last=2), "masked, the last 2 characters shown", None, id="last"
        ),
        pytest.param(Token(kind="token"), "replaced by a keyed pseudonym", None, id="token"),
        pytest.param(BINS, "put into 3 intervals", BINS.labels, id="bin"),
        pytest.param(Clip(kind="clip", low=0, high=9), "clipped to 0 to 9", None, id="clip"),
        pytest.param(Round(kind="round", to=0.5), "rounded to multiples of 0.5", None, id="round"),
        pytest.param(WORDS, "one of 2 declared words", WORDS.values, id="words"),
        pytest.param(
            DateParts(kind="date-parts", precision="month"), "reduced to the month", None, id="date"
        ),
        pytest.param(Redact(kind="redact"), "free text, reduced by Presidio", None, id="text"),
        pytest.param(
            Token(kind="token", reversible=True),
            "replaced by a keyed pseudonym, which the key can undo",
            None,
            id="reversible",
        ),
        pytest.param(
            Level(kind="hierarchy", of="ages", level=2),
            "made coarser, to level 2 of ages",
            None,
            id="built-in",
        ),
        pytest.param(
            LINES,
            "made coarser, to level 1 of a declared hierarchy",
            ("South", "West"),
            id="hierarchy",
        ),
        pytest.param(
            Noise(kind="noise", low=0, high=9, epsilon=0.5),
            "Laplace noise added, ε = 0.5",
            None,
            id="noise",
        ),
        pytest.param(
            Shift(kind="shift", days=30), "moved per person by at most 30 days", None, id="shift"
        ),
    ],
)
def test_a_treatment_is_told_in_words(
    treatment: Treatment, said: str, labels: tuple[str, ...] | None
) -> None:
    """For the report; the labels that it leaves are public, or there are none."""
    assert treatment.facts.remains
    assert describe(treatment) == said
    assert public_labels(treatment, ColumnType.NUMBER) == labels
    assert has_order(treatment) == (treatment is BINS)


def test_every_kind_fits_some_column() -> None:
    """What is declared for no type could not be used."""
    assert [kind for kind, form in TREATMENTS.items() if not form.facts.fits] == []
