"""Weights reach training, every figure of quality, and the attack; and mend what they can."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from expectations.disclosure import Disclosure
from expectations.errors import Refusal, UsageError
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Compared, Trained, Validated, Weighted
from tasks.attack import model as room
from tasks.attack.membership import MembershipAttack, Weights, attack_membership
from tasks.attack.model import attack, share_weights
from tasks.handover.readiness import table_content
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST
from tasks.representation.raking import WEIGHT
from tasks.training.fairness import compare_groups
from tasks.training.models import WEIGHT_ARGUMENT
from tasks.training.quality import (
    Scored,
    count_calls,
    estimate_auc_error,
    evaluate,
    publish_calls,
    score,
    tell_quality,
)
from tasks.training.train import Rows, fit_model, load_model, split_rows, train
from tests.conftest import Folder, opened, small_policy

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "representation.py"
RULE = Disclosure(b"k" * 32)
PRIVATE = (
    ("{model: logistic-regression}", "{model: private-logistic-regression}"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy."""
    return parse_policy(small_policy(*changes))


def people(count: int = 600) -> pd.DataFrame:
    """Give de-identified people with weights of 1, 2 or 3: the older are sicker, none surely."""
    rng = np.random.default_rng(17)
    old = rng.random(count) < 0.5
    return pd.DataFrame(
        {
            RECORD: rng.integers(0, 2**63, count).astype(np.uint64),
            TEST: rng.random(count) < 0.5,
            "age": pd.Categorical(np.where(old, "65+", "18-34")),
            "sex": pd.Categorical(rng.choice(["f", "m"], count)),
            "sick": pd.Categorical(np.where(rng.random(count) < 0.3 + 0.4 * old, "yes", "no")),
            WEIGHT: rng.integers(1, 4, count).astype(float),
        }
    )


def repeated(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each person as often as they weigh, without weights."""
    again = frame.loc[frame.index.repeat(frame[WEIGHT].astype(int))]
    return again.drop(columns=WEIGHT).reset_index(drop=True)


def sides() -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """Give training and test people: weighted, and repeated as often."""
    return split_rows(people(), policy()), split_rows(repeated(people()), policy())


class Told:
    """A model that says the score that it is given."""

    classes_ = ("no", "yes")

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Give both probabilities."""
        return np.column_stack([1 - frame["score"], frame["score"]])


def test_weighted_people_train_like_as_many_equal_ones() -> None:
    """A weight of 3 is three people."""
    (weighted, _), (plain, _) = sides()
    assert plain.weights is None
    found, wanted = fit_model(weighted, policy()), fit_model(plain, policy())
    np.testing.assert_allclose(found[-1].coef_, wanted[-1].coef_, atol=1e-3)
    unweighted = fit_model(weighted._replace(weights=None), policy())
    assert np.abs(found[-1].coef_ - unweighted[-1].coef_).max() > 0.01


def test_weighted_quality_is_that_of_as_many_equal_people() -> None:
    """Every figure, overall and by group; who is shown depends on people, not on weights."""
    (training, testing), (_, plain) = sides()
    model = fit_model(training, policy())
    found, wanted = evaluate(model, *testing), evaluate(model, *plain[:2])
    for name in ("auc", "accuracy", "brier", "base_rate"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name)), name
        assert getattr(found, name) != pytest.approx(
            getattr(evaluate(model, *testing[:2]), name), abs=1e-4
        )
    names = count_calls(score(model, *plain[:2]))
    for name, people_counted in count_calls(score(model, *testing)).items():
        # The heaviest weigh 3, so that each counts as a third of that.
        assert people_counted.exact == names[name].exact // 3, name


def test_a_weighted_person_changes_no_count_by_more_than_one() -> None:
    """Whoever leaves, as long as the heaviest stays."""
    draw = np.random.default_rng(3)
    scores, weights = draw.random(200), np.append(draw.random(199) * 4.9, 5.0)
    everybody = Scored(scores, draw.random(200) < 0.4, weights)
    before = count_calls(everybody)
    for person in range(199):
        after = count_calls(everybody.among(np.arange(200) != person))
        assert all(0 <= before[name].exact - after[name].exact <= 1 for name in before)


def test_people_of_very_different_weights_have_no_auc_told() -> None:
    """Few heavy ones decide it, and steps of ten of these would be all there is."""
    weights = np.append(np.full(119, 0.05), 5.0)
    scored = Scored(np.linspace(0, 1, 120), np.arange(120) % 2 == 0, weights)
    assert tell_quality(scored, RULE).auc is None


def test_weights_that_differ_make_the_interval_wider() -> None:
    """Fewer people's worth of evidence; equal weights change nothing, however large."""
    (training, testing), _ = sides()
    model = fit_model(training, policy())
    count = len(testing.labels)
    plain = publish_calls(score(model, *testing[:2]), RULE)
    equal = publish_calls(score(model, *testing[:2], np.full(count, 7.0)), RULE)
    assert equal == plain
    odd = np.where(np.arange(count) % 2, 0.1, 1.9)
    uneven = publish_calls(score(model, *testing[:2], odd), RULE)
    sizes = [(one.effective_positives, one.effective_negatives) for one in (uneven, plain)]
    assert estimate_auc_error(0.8, *sizes[0]) > 1.2 * estimate_auc_error(0.8, *sizes[1])


def test_a_model_that_takes_no_weights_is_refused() -> None:
    """Rather than trained as if nobody had asked for weights."""
    (training, _), _ = sides()
    linear = "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"
    unweighted = policy(("model: logistic-regression", f"model: {linear}"))
    with pytest.raises(UsageError, match=r"LinearDiscriminantAnalysis.* takes no `sample_weight`"):
        fit_model(training, unweighted)
    fit_model(training._replace(weights=None), unweighted)


class Noted:
    """A classifier that notes which weights it was trained with, by people's numbers."""

    classes_ = np.array(["no", "yes"])

    def __init__(self, seen: list[tuple[list[int], list[float]]]) -> None:
        self.seen = seen

    def fit(self, X: pd.DataFrame, y: pd.Series, /, **weights: NDArray[np.float64]) -> None:  # noqa: N803  # sklearn's
        """Note who is trained on, and how they weigh."""
        assert len(y) == len(X)
        self.seen.append((X["number"].tolist(), weights["weight"].tolist()))

    def predict_proba(self, X: pd.DataFrame, /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give everybody a different chance."""
        chance = (X["number"].to_numpy() + 1) / 100
        return np.column_stack([1 - chance, chance])


def test_reference_models_are_trained_with_their_own_peoples_weights() -> None:
    """A person weighs in each half what they weigh in the attacked model."""
    numbers = pd.DataFrame({"number": range(20)})
    labels = pd.Series(["no", "yes"] * 10)
    seen: list[tuple[list[int], list[float]]] = []
    attack_membership(
        Noted([]),
        lambda: Noted(seen),
        (numbers[:12], labels[:12]),
        (numbers[12:], labels[12:]),
        references=8,
        weights=Weights(np.arange(12) / 10, np.arange(12, 20) / 10, "weight"),
    )
    assert len(seen) == 8
    for who, weights in seen:
        assert len(who) == 10
        assert weights == pytest.approx([number / 10 for number in who])


def test_the_attack_hands_on_the_weights_of_the_training() -> None:
    """Under the name by which a pipeline hands them to its classifier; or none."""
    (training, testing), (plain, others) = sides()
    shared = share_weights(training, testing)
    assert shared is not None
    assert shared.argument == WEIGHT_ARGUMENT
    np.testing.assert_array_equal(shared.members, training.weights)
    assert share_weights(plain, others) is None


def test_the_step_trains_measures_and_attacks_with_weights(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AUC is that of the weighted people, and stands beside that of the people as they are."""
    assert home.vault.is_dir()
    given: list[Weights | None] = []

    def watch(*parts: Any, weights: Weights | None, **others: Any) -> MembershipAttack:
        """Note the weights that the attack is handed."""
        given.append(weights)
        return attack_membership(*parts, weights=weights, **others)

    monkeypatch.setattr(room, "attack_membership", watch)
    with opened(folder.write()) as run:
        disclosure = run.disclosure
        rows = run.vault.store(Weighted, pa.Table.from_pandas(people(), preserve_index=False))
        model = train(rows)
        attack(model, rows)
        measures = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "measure"}
        tables = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "table"}
        trained = load_model(run.vault.load_bytes(model, Trained))
    training, testing = split_rows(people(), policy())
    wanted = fit_model(training, policy())
    np.testing.assert_allclose(trained[-1].coef_, wanted[-1].coef_, atol=1e-6)
    (shared,) = given
    assert shared is not None
    np.testing.assert_array_equal(shared.members, training.weights)
    np.testing.assert_array_equal(shared.nonmembers, testing.weights)
    for name, weights in (("auc", testing.weights), ("auc_unweighted", None)):
        assert measures[f"utility.{name}"] == pytest.approx(
            tell_quality(score(wanted, *testing[:2], weights), disclosure).auc, abs=5e-4
        )
    scored = score(wanted, *testing)
    groups = compare_groups(scored, testing.features["sex"], 50, disclosure).groups
    assert [group.group for group in groups] == ["f", "m"]
    told = tables["utility.groups.sex"]
    assert isinstance(told, list)
    assert [row["selection_rate"] for row in told if isinstance(row, dict)] == [
        group.selection_rate for group in groups
    ]


def test_without_weights_there_is_one_auc(home: Home, folder: Folder) -> None:
    """That of the people as they are."""
    assert home.vault.is_dir()
    with opened(folder.write()) as run:
        plain = people().drop(columns=WEIGHT)
        train(run.vault.store(Validated, pa.Table.from_pandas(plain, preserve_index=False)))
        measures = {e.name for e in run.ledger.entries(run.id) if e.kind == "measure"}
    assert "utility.auc" in measures
    assert "utility.auc_unweighted" not in measures


def test_a_private_model_refuses_weighted_rows_and_takes_compared_ones(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their stage in the vault: a comparison changes no row, weights depend on all."""
    assert home.vault.is_dir()
    monkeypatch.setattr("tasks.training.train.commit", lambda _desk: None)  # nobody is charged
    table = pa.Table.from_pandas(people(), preserve_index=False)
    with opened(folder.write(*PRIVATE)) as run:
        with pytest.raises(Refusal, match="cannot be trained on recoded or weighted rows"):
            train(run.vault.store(Weighted, table))
        train(run.vault.store(Compared, table.drop_columns([WEIGHT])))


def test_no_weight_leaves_with_a_table() -> None:
    """Nor a key, nor a side: what a run keeps of people is not released."""
    table = pa.Table.from_pandas(people(4), preserve_index=False)
    header = table_content(table).decode().splitlines()[0]
    assert header == '"age","sex","sick"'


@cache
def benchmark() -> ModuleType:
    """Load the benchmark, whose judge is the one here too."""
    spec = importlib.util.spec_from_file_location("representation_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def biases(mechanism: str) -> dict[str, dict[str, Any]]:
    """Draw consent six times among the example's adults, and give the bias of each share."""
    found = benchmark().judge(benchmark().make_world(), mechanism, 6)
    return {row["share of"].partition(" ")[0]: row for row in found}


def test_weights_mend_what_depends_on_raked_columns() -> None:
    """The prevalence of diabetes and a column that no weight was told of, in percentage points."""
    found = biases("by age, origin, health")
    assert found["diabetes"]["bias before"] < -0.9
    assert found["systolic"]["bias before"] < -0.5
    for name, row in found.items():
        assert abs(row["bias after"]) < 0.65, name
        assert row["warned"] == "0 of 6", name
    assert all(row["effective"] > 0.9 for row in found.values())


def test_weights_do_not_mend_what_depends_on_the_outcome_and_it_is_said() -> None:
    """A quarter of those with diabetes stays missing; the margin that was kept back warns."""
    found = biases("by diabetes")["diabetes"]
    assert found["bias before"] < -8
    assert found["bias after"] < -7
    assert found["warned"] == "6 of 6"
