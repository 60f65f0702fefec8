"""A model learns from what the policy declares, on the training people, and tells no count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations.errors import Refusal, UsageError, VaultError
from expectations.policy.outlets import DifferentialPrivacy
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.evidence import JSON
from ledgers.home.home import Home
from ledgers.vault.stages import Deidentified, Reached, Trained, Validated
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import generalize
from tasks.attack.membership import judge_membership, summarize_attacks
from tasks.attack.model import attack
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import TEST, select_population
from tasks.training.charge import give_back, open_budget, reserve_budget
from tasks.training.models import declare_encoding, declare_model
from tasks.training.private_logistic import PrivateLogisticRegression
from tasks.training.private_network import PrivateNetwork
from tasks.training.train import (
    Rows,
    fit_model,
    judge_privacy,
    load_model,
    refuse_unfit_rows,
    save_model,
    split_rows,
    train,
)
from tasks.validation.validation import check_table, validate
from tests.conftest import Folder, Runner, opened, small_policy

ON_TABLE = ("{model: logistic-regression}", "{model: logistic-regression, input: partner}")
PRIVATE = (
    ("{model: logistic-regression}", "{model: private-logistic-regression}"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)
CLIP = (
    "{kind: bin, edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]}",
    "{kind: clip, low: 18, high: 90}",
)


BOOSTED = ("{model: logistic-regression}", "{model: gradient-boosting}")


def policy(*changes: tuple[str, str]) -> Policy:
    """Parse the small policy."""
    return parse_policy(small_policy(*changes))


def people(count: int = 40) -> pd.DataFrame:
    """Give de-identified people: the old are sick, every fourth is for testing."""
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "age": np.where(numbers % 2, "65+", "18-34"),
            "sex": np.where(numbers % 3, "f", "m"),
            "sick": np.where((numbers % 2 == 1) ^ (numbers % 7 == 0), "yes", "no"),
            TEST: numbers % 4 == 0,
            RECORD: numbers.astype(np.uint64),
        }
    )


def test_the_encoding_is_declared_by_the_policy() -> None:
    """Labels in their order, numbers by their public bounds; nothing from data."""
    encoding = declare_encoding(policy())
    assert encoding.categories == {"age": ("18-34", "35-49", "50-64", "65+"), "sex": ("f", "m")}
    assert (encoding.ranges, encoding.ordered) == ({}, ["age"])
    clipped = declare_encoding(policy(CLIP, ("{age: generalize", "{age: keep")))
    assert (clipped.ranges, clipped.ordered) == ({"age": (18.0, 90.0)}, [])


def test_a_tables_merged_labels_are_encoded_without_an_order() -> None:
    """Every label that recoding can leave is there, and none stands between others."""
    encoding = declare_encoding(policy(ON_TABLE))
    assert encoding.categories["sex"] == ["f", "m", "missing", "*"]
    assert set(encoding.categories["age"]) >= {"18-34", "18-49", "50+", "*", "missing"}
    assert encoding.ordered == []


def test_a_tables_column_outside_k_is_encoded_as_it_stands() -> None:
    """It is not recoded, so it keeps labels, order and bounds."""
    exempt = ("sick: generalize}", "sick: generalize}\n    not_linkable: {age: why}")
    assert declare_encoding(policy(ON_TABLE, exempt)).ordered == ["age"]
    kept = ("{age: generalize", "{age: keep")
    assert declare_encoding(policy(ON_TABLE, exempt, kept, CLIP)).ranges == {"age": (18.0, 90.0)}


def test_epsilon_and_delta_are_the_outlets() -> None:
    """A model without a promise is given none."""
    private = declare_model(policy(*PRIVATE))
    assert (private.kind, private.epsilon, private.delta) == (
        "private-logistic-regression",
        1.0,
        1e-5,
    )
    assert private.parameters["classes"] == ["no", "yes"]
    plain = declare_model(policy())
    assert (plain.epsilon, plain.delta, dict(plain.parameters)) == (None, None, {})


def test_people_without_a_known_target_are_left_out() -> None:
    """Missing and suppressed labels teach nothing; no person is on both sides."""
    frame = people(8)
    frame.loc[[0, 1], "sick"] = [None, "*"]
    training, testing = split_rows(frame, policy())
    assert training.features.index.tolist() == [2, 3, 5, 6, 7]
    assert testing.features.index.tolist() == [4]
    assert list(training.features.columns) == ["age", "sex"]


def test_a_saved_model_is_read_back_as_it_was() -> None:
    """It predicts the same, and holds the declared labels alone."""
    training, testing = split_rows(people(), policy())
    model = fit_model(training, policy())
    again = load_model(save_model(model))
    np.testing.assert_array_equal(
        again.predict_proba(testing.features), model.predict_proba(testing.features)
    )


def test_a_saved_model_does_not_tell_how_many_people_it_was_trained_on() -> None:
    """Of boosted trees no node's people or gain are written, and the predictions are the same."""
    training, testing = split_rows(people(200), policy(BOOSTED))
    model = fit_model(training, policy(BOOSTED))
    before = model.predict_proba(testing.features)
    assert model[-1]._predictors[0][0].nodes["count"][0] == len(training.labels)
    again = load_model(save_model(model))
    np.testing.assert_array_equal(again.predict_proba(testing.features), before)
    trees = [tree.nodes for (tree,) in again[-1]._predictors]
    assert max(len(nodes) for nodes in trees) > 1
    for nodes in trees:
        assert not nodes["count"].any()
        assert not nodes["gain"].any()


def alike(frame: pd.DataFrame, **values: str) -> Rows:
    """Give the training people of a frame in which everybody has the same values."""
    return split_rows(frame.assign(**values), policy())[0]


def test_training_people_of_one_class_are_refused() -> None:
    """There is nothing to tell apart."""
    with pytest.raises(Refusal) as refused:
        refuse_unfit_rows(alike(people(), sick="yes"), policy())
    assert str(refused.value) == (
        "training: all training people are of one class; widen the population"
    )


def test_more_features_than_people_are_refused() -> None:
    """What counts is what the classifier reads: a column has one for each of its labels."""
    training, _ = split_rows(people(7), policy())
    assert len(training.labels) == 5
    with pytest.raises(Refusal, match="the model reads 6 features, more than there"):
        refuse_unfit_rows(training, policy())


def test_features_that_are_the_same_for_everybody_are_counted_and_not_named() -> None:
    """To name one would tell its value of everybody."""
    for constant in ({"age": "65+"}, {"sex": "f"}):
        with pytest.raises(Refusal, match="1 of 2 features are the same for everybody") as refused:
            refuse_unfit_rows(alike(people(), **constant), policy())
        assert not any(word in str(refused.value) for word in ("age", "sex", "65", "'f'"))


def test_all_that_is_unfit_is_said_at_once() -> None:
    """Whoever mends one thing does not meet the next."""
    with pytest.raises(Refusal) as refused:
        refuse_unfit_rows(alike(people(7), sick="no", age="65+", sex="m"), policy())
    assert [word in str(refused.value) for word in ("one class", "more than", "2 of 2")] == [
        True
    ] * 3


def test_people_who_differ_in_everything_are_fit() -> None:
    """Missing values are values here: a feature that some have told is not constant."""
    frame = people()
    refuse_unfit_rows(split_rows(frame, policy())[0], policy())
    frame["sex"] = ["f" if number % 5 == 0 else None for number in range(len(frame))]
    refuse_unfit_rows(split_rows(frame, policy())[0], policy())


def evidence(run: Run, kind: str) -> dict[str, JSON]:
    """Give what a run noted of one kind."""
    return {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == kind}


def test_the_small_policys_people_give_a_gate_power(home: Home, folder: Folder) -> None:
    """Test people of either class are many, and nobody's age and sex make the class certain."""
    assert home.vault.is_dir()
    with opened(folder.write()) as run:
        rows = deidentify(select_population(collect(filter_consent(read_roster()))))
        frame = run.vault.load(rows, Deidentified).to_table().to_pandas()
    assert frame.loc[frame[TEST], "sick"].value_counts().min() >= 60
    sick = (frame["sick"] == "yes").groupby([frame["age"].astype(str), frame["sex"].astype(str)])
    assert sick.mean().between(0.15, 0.85).all()
    assert sick.mean().max() - sick.mean().min() > 0.3


def test_the_step_measures_and_audits(home: Home, folder: Folder) -> None:
    """Every figure is rounded; without a promise there is no ε."""
    assert home.vault.is_dir()
    with opened(folder.write(("test_share: 0.4", "test_share: 0.6"))) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        model = train(rows)
        attack(model, rows)
        assert load_model(run.vault.load_bytes(model, Trained)).classes_.tolist() == ["no", "yes"]
        measures, tables = evidence(run, "measure"), evidence(run, "table")
    groups = tables["utility.groups.sex"]
    assert isinstance(groups, list)
    assert [row["group"] for row in groups if isinstance(row, dict)] == ["f", "m"]
    noted = [value for name, value in measures.items() if name.startswith(("utility", "privacy"))]
    figures = [value for value in noted if isinstance(value, float)]
    assert figures == [round(value, 3) for value in figures]
    assert "privacy.epsilon" not in measures


def test_a_private_model_refuses_recoded_rows(home: Home, folder: Folder) -> None:
    """By what the vault knows of their stage, whatever the flow says; it takes record-wise ones."""
    assert home.vault.is_dir()
    with opened(folder.write(*PRIVATE)) as run:
        charged = reserve_budget(filter_consent(read_roster()))
        rows = validate(deidentify(select_population(collect(charged))))
        table = check_table(generalize(rows, "partner"), "partner")
        with pytest.raises(Refusal, match="record-wise rows: a private model cannot be trained"):
            train(table)
        assert open_budget(run).state(run.id) == "reserved"
        train(rows)
        assert open_budget(run).state(run.id) == "committed"
        measures = evidence(run, "measure")
    spent = measures["privacy.epsilon"]
    assert isinstance(spent, float)
    assert 0.9 < spent <= 1
    assert measures["privacy.delta"] == 1e-5


def test_a_private_model_that_is_refused_for_its_rows_keeps_its_charge(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is decided by the exact rows, and so tells something of them."""

    def refuse(*_: object) -> None:
        raise Refusal("training", "unfit")

    assert home.vault.is_dir()
    monkeypatch.setattr("tasks.training.train.refuse_unfit_rows", refuse)
    with opened(folder.write(*PRIVATE)) as run:
        charged = reserve_budget(filter_consent(read_roster()))
        rows = validate(deidentify(select_population(collect(charged))))
        with pytest.raises(Refusal, match="unfit"):
            train(rows)
        assert open_budget(run).state(run.id) == "committed"
        give_back(run)
        assert open_budget(run).state(run.id) == "committed"


def few_sick(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave 49 sick people on the test side."""
    sick = frame.index[frame[TEST] & (frame["sick"] == "yes")]
    return frame.assign(sick=frame["sick"].where(~frame.index.isin(sick[49:]), "no"))


def test_test_people_with_fewer_than_fifty_of_a_class_refuse_and_nobody_is_charged(
    home: Home, folder: Folder
) -> None:
    """Before anything is trained: figures of so few would tell of each."""
    assert home.vault.is_dir()
    with opened(folder.write(*PRIVATE)) as run:
        charged = reserve_budget(filter_consent(read_roster()))
        rows = validate(deidentify(select_population(collect(charged))))
        frame = run.vault.load(rows, Validated).to_table().to_pandas()
        few = pa.Table.from_pandas(few_sick(frame), preserve_index=False)
        with pytest.raises(Refusal, match=r"evaluation: about .* have the outcome `yes`"):
            train(run.vault.store(Validated, few))
        assert not evidence(run, "training")
        give_back(run)
        assert open_budget(run).state(run.id) == "aborted"


def test_epsilon_is_taken_at_the_promised_delta_whatever_the_model_was_trained_with() -> None:
    """Noise for an ε of 1 at a δ of a half is far from enough at the δ that is promised."""
    promise = DifferentialPrivacy(kind="differential-privacy", epsilon=1, delta=1e-5)
    for delta, verdict in ((1e-5, "passed"), (0.5, "refused")):
        drawn = PrivateLogisticRegression(epsilon=1.0, delta=delta).mechanisms()
        assert judge_privacy(drawn, promise, "clinic").verdict == verdict


def test_what_a_promise_rests_on_and_nobody_proved_is_said() -> None:
    """Of a network, where a proof stands of the other kinds."""
    promise = DifferentialPrivacy(kind="differential-privacy", epsilon=1, delta=1e-5)
    for model, proved in ((PrivateLogisticRegression(), True), (PrivateNetwork(), False)):
        check = judge_privacy(model.mechanisms(), promise, "clinic", model.supposes)
        assert ("proved only if" not in check.power) is proved
        assert ("floating point does not guarantee" not in check.power) is proved


def test_a_private_model_that_nobody_was_charged_for_is_not_trained(
    home: Home, folder: Folder
) -> None:
    """Whatever the flow leaves out."""
    assert home.vault.is_dir()
    with opened(folder.write(*PRIVATE)):
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        with pytest.raises(UsageError, match="cannot be committed: it is not charged"):
            train(rows)


def test_no_model_is_trained_on_rows_that_were_not_checked(home: Home, folder: Folder) -> None:
    """A table whose k nobody measured is none."""
    assert home.vault.is_dir()
    with opened(folder.write(ON_TABLE)):
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        unchecked: Reached = generalize(rows, "partner")  # type: ignore[assignment]  # on purpose
        with pytest.raises(VaultError, match="has reached the stage 'generalized'"):
            train(unchecked)  # type: ignore[arg-type]  # on purpose


def test_a_model_is_trained_on_a_tables_rows_and_handed_over(
    home: Home, folder: Folder, run_direct: Runner
) -> None:
    """From the roster to the release, with labels that only recoding makes."""
    run, error = run_direct(folder.write(ON_TABLE, ("k: 3", "k: 40")))
    assert error is None
    file = home.releases / run / "partner" / "partner.csv"
    table = pd.read_csv(file, dtype=str)
    assert table.columns.tolist() == ["age", "sex", "sick"]
    assert table.value_counts().min() >= 40
    assert not set(table["age"]) <= {"18-34", "35-49", "50-64", "65+"}


@pytest.mark.parametrize(
    ("size", "limit", "verdict", "power"),
    [
        pytest.param(400, 0.6, "passed", "an AUC of 0.55 or more", id="power"),
        pytest.param(20, 0.6, "inconclusive", "an AUC of 0.73 or more", id="little-power"),
        pytest.param(
            2, 0.6, "inconclusive", "too few people for any AUC to be found", id="no-power"
        ),
    ],
)
def test_an_attack_says_what_it_could_have_found(
    size: int, limit: float, verdict: str, power: str
) -> None:
    """Without the power to find a leak of the limit's size nothing is passed."""
    scores = np.random.default_rng(3).permutation(np.linspace(0, 1, 2 * size))
    found = summarize_attacks({"one": scores}, np.arange(2 * size) < size, 8)
    assert policy().attacks is not None
    asked = policy().attacks.membership.model_copy(update={"auc_at_most": limit})  # type: ignore[union-attr]  # asserted above
    check = judge_membership(found, asked, "clinic")
    assert (check.verdict, check.outlet) == (verdict, "clinic")
    assert power in check.power


def test_an_attack_without_power_refuses_unless_it_may_be_reported(
    home: Home, folder: Folder
) -> None:
    """Its power is noted as absent when nothing would have been found."""
    assert home.vault.is_dir()
    strict = ("{auc_at_most: 0.75, when_inconclusive: report}", "{auc_at_most: 0.51}")
    with opened(folder.write(strict)):
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        with pytest.raises(Refusal, match="membership inference: inconclusive"):
            attack(train(rows), rows)
