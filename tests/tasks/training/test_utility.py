"""A run measures, attacks and shows its model by what it predicts: a number, or one of words."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations.policy.outcome import Classes
from expectations.policy_file import parse_policy
from ledgers.evidence import Entry
from ledgers.home.home import Home
from ledgers.vault.stages import Validated
from tasks.account.findings import Found, read_audits, read_number_quality, read_quality
from tasks.attack.model import attack
from tasks.handover.registry import name_answers, name_prediction
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST
from tasks.training.train import train
from tasks.training.utility import ask
from tests.conftest import Folder, opened, small_policy

Change = tuple[str, str]
SHARED: Final = (
    (", sick: generalize", ""),
    ('{rule: share-between, column: sick, value: "yes", low: 0.1, high: 0.9}',
     "{rule: missing-at-most, column: sick, share: 0}"),
    ("expression: sugar >= 6.5", "expression: sugar * 10"),
)  # fmt: skip
NUMBER: Final[tuple[Change, ...]] = (
    *SHARED,
    ("use: [target, release]\n    treatment: {kind: keep}",
     "use: [target]\n    treatment: {kind: clip, low: 30, high: 130}"),
    ("{model: logistic-regression}", "{model: linear-regression}"),
)  # fmt: skip
CLASSES: Final[tuple[Change, ...]] = (
    *SHARED,
    ("use: [target, release]\n    treatment: {kind: keep}",
     "use: [target]\n    treatment: {kind: bin, edges: [60, 75], labels: [low, usual, high]}"),
)  # fmt: skip


def people(*, number: bool, count: int = 2_400) -> pd.DataFrame:
    """De-identified people: the older have more sugar."""
    draw = np.random.default_rng(17)
    old = draw.random(count) < 0.5
    sugar = (60 + 15 * old + draw.normal(0, 9, count)).clip(30, 130)
    words = np.array(["low", "usual", "high"], dtype=object)[np.digitize(sugar, [60, 75])]
    return pd.DataFrame(
        {
            RECORD: draw.integers(0, 2**63, count).astype(np.uint64),
            TEST: draw.random(count) < 0.5,
            "age": pd.Categorical(np.where(old, "65+", "18-34")),
            "sex": pd.Categorical(draw.choice(["f", "m"], count)),
            "sick": sugar if number else pd.Categorical(words),
        }
    )


def carry_out(folder: Folder, changes: tuple[Change, ...], *, number: bool) -> list[Entry]:
    """Train and attack a model of these people; give what was noted."""
    with opened(folder.write(*changes)) as run:
        table = pa.Table.from_pandas(people(number=number), preserve_index=False)
        rows = run.vault.store(Validated, table)
        attack(train(rows), rows)
        return list(run.ledger.entries(run.id))


def test_a_number_is_measured_attacked_and_read_back(home: Home, folder: Folder) -> None:
    """R² and errors stand in the evidence as pages read them; no AUC of the model is told."""
    assert home.vault.is_dir()
    noted = Found(carry_out(folder, NUMBER, number=True))
    assert read_quality(noted) is None
    found = read_number_quality(noted)
    assert found is not None
    assert (found.range_low, found.range_high) == (30, 130)
    assert found.r2 is not None
    assert 0.2 < found.r2 < 0.6
    assert found.mae_low < 7.2 < found.mae_high
    assert found.within
    assert [audit.column for audit in found.audits] == ["sex"]
    assert {one.name for one in found.audits[0].differences} == {"bias", "error"}
    measures = noted.measures("privacy.")
    assert measures["membership_auc"] is not None
    assert "memorization.high_outcomes" in measures
    assert {check.verdict for check in noted.checks()} <= {"passed", "inconclusive"}


def test_several_classes_are_measured_attacked_and_read_back(home: Home, folder: Folder) -> None:
    """In the order of their declaration, whatever the model's own."""
    assert home.vault.is_dir()
    noted = Found(carry_out(folder, CLASSES, number=False))
    found = read_quality(noted)
    assert found is not None
    assert found.log_loss is not None
    assert [one.label for one in found.classes] == ["low", "usual", "high"]
    assert all((one.auc or 0) > 0.5 for one in found.classes)
    assert found.base_rate is None
    assert not found.thresholds
    (audit,) = read_audits(noted)
    assert all(group.accuracy for group in audit.groups)
    assert {one.name for one in audit.differences} == {"accuracy", "equal_opportunity"}


class Sorted:
    """A model of two words whose order of classes is not the declared one."""

    classes_ = np.array(["done", "open"])

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
        """Say .9 for open."""
        return np.tile([0.1, 0.9], (len(X), 1))


@pytest.mark.parametrize(("labels", "score"), [(("done", "open"), 0.9), (("open", "done"), 0.1)])
def test_of_two_words_the_declared_last_is_looked_for(
    labels: tuple[str, str], score: float
) -> None:
    """Whatever place the model gives it."""
    rows = pd.DataFrame({"x": [1, 2]}), pd.Series(["open", "done"]), None
    found = ask(Sorted(), rows, Classes(labels))  # type: ignore[arg-type]
    assert found[0].tolist() == [score, score]
    assert found[1].tolist() == [label == labels[1] for label in rows[1]]


def test_the_signature_names_what_the_model_gives() -> None:
    """A number by its column; classes in the model's own order, which is scikit-learn's here."""
    number, classes = (parse_policy(small_policy(*one)) for one in (NUMBER, CLASSES))
    assert (name_answers(number), name_prediction(number)) == (["sick"], "predict")
    assert name_answers(classes) == ["high", "low", "usual"]
    assert name_answers(parse_policy(small_policy())) == ["no", "yes"]
    assert name_prediction(classes) == "predict_proba"
