"""Which types a released model may be made of: those of models that can be made, and no more."""

from __future__ import annotations

from typing import assert_never

import numpy as np
import pandas as pd
import pytest
import skops.io

from deployments.run.notebook import KNOWN
from expectations.policy.training import MODEL_KINDS, ModelKind
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.private_network import PrivateNetwork
from tasks.training.train import save_model

ENCODING = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)}, ["age"])
DRAWN = np.random.default_rng(7)
PEOPLE = pd.DataFrame(
    {"age": DRAWN.choice(["young", "old"], 200), "bmi": DRAWN.uniform(15, 55, 200)}
)
SICK = pd.Series(np.where(DRAWN.random(200) < 0.4, "yes", "no"))


def list_types(kind: ModelKind) -> set[str]:
    """Train a tiny model of a kind, and list what skops has to be told to trust in it."""
    match kind:
        case "logistic-regression" | "gradient-boosting":
            declared = ModelDeclaration(kind)
        case "private-logistic-regression" | "private-boosting":
            declared = ModelDeclaration(kind, {"classes": ["no", "yes"]}, 5.0, 1e-5)
        case "private-network":
            # It needs torch; `make torch` holds that the class alone has to be trusted.
            return {f"{PrivateNetwork.__module__}.{PrivateNetwork.__qualname__}"}
        case _:
            assert_never(kind)
    fitted = build_estimator(declared, ENCODING).fit(PEOPLE, SICK)
    return set(skops.io.get_untrusted_types(data=save_model(fitted)))


@pytest.fixture(scope="module")
def made() -> dict[ModelKind, set[str]]:
    """The types of a model of each kind."""
    return {kind: list_types(kind) for kind in MODEL_KINDS}


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
