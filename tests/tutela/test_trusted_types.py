"""Which types a released model may be made of: those of models that can be made, and no more."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import pandas as pd
import pytest
import skops.io

from deployments.run.notebook import KNOWN
from expectations.policy.outcome import Number, Outcome
from expectations.policy.training import (
    KINDS_OF_NUMBERS,
    KINDS_OF_TWO,
    MODEL_KINDS,
    ModelKind,
)
from tasks.training.models import ANSWERS, Encoding, ModelDeclaration, build_estimator
from tasks.training.private_network import PrivateNetwork
from tasks.training.train import save_model

ENCODING = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)}, ["age"])
DRAWN = np.random.default_rng(7)
PEOPLE = pd.DataFrame(
    {"age": DRAWN.choice(["young", "old"], 200), "bmi": DRAWN.uniform(15, 55, 200)}
)
WEIGHT = Number(15, 55)
SICK = pd.Series(np.where(DRAWN.random(200) < 0.4, "yes", "no"))


def list_types(kind: ModelKind, outcome: Outcome) -> set[str]:
    """Train a tiny model of a kind, and list what skops has to be told to trust in it."""
    match kind:
        case "logistic-regression" | "linear-regression" | "gradient-boosting":
            declared = ModelDeclaration(kind, outcome=outcome)
        case "private-logistic-regression" | "private-linear-regression" | "private-boosting":
            told = (
                {"target_range": (outcome.low, outcome.high)}
                if isinstance(outcome, Number)
                else {"classes": list(outcome.labels)}
            )
            declared = ModelDeclaration(kind, told, 5.0, 1e-5, outcome)
        case "private-network":
            # It needs torch; `make torch` holds that the class alone has to be trusted.
            return {f"{PrivateNetwork.__module__}.{PrivateNetwork.__qualname__}"}
        case _:
            assert_never(kind)
    answers = PEOPLE["bmi"] if isinstance(outcome, Number) else SICK
    fitted = build_estimator(declared, ENCODING).fit(PEOPLE, answers)
    return set(skops.io.get_untrusted_types(data=save_model(fitted)))


@pytest.fixture(scope="module")
def made() -> dict[ModelKind, set[str]]:
    """The types of a model of each kind."""
    of_words = {kind: list_types(kind, ANSWERS) for kind in KINDS_OF_TWO}
    of_numbers = {kind: list_types(kind, WEIGHT) for kind in KINDS_OF_NUMBERS}
    return {kind: of_words.get(kind, set()) | of_numbers.get(kind, set()) for kind in MODEL_KINDS}


def test_each_type_of_each_kind_of_model_is_trusted_and_no_other(
    made: dict[ModelKind, set[str]],
) -> None:
    """By its whole name, so that nothing beside it in its module is."""
    assert set().union(*made.values()) == KNOWN


def test_no_trusted_type_calls_what_a_file_names() -> None:
    """They are classes of tutela's and of one tree, and no function."""
    for name in KNOWN:
        module, _, last = name.rpartition(".")
        found = getattr(__import__(module, fromlist=[last]), last)
        assert isinstance(found, type)
