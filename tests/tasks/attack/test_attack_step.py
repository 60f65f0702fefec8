"""The attacks of a policy are all carried out, each reaches the evidence, and some end the run."""

from __future__ import annotations

from unittest import mock

import pytest

from expectations.errors import Refusal
from expectations.policy.outcome import Number
from expectations.policy.training import KINDS_OF_TWO, PRIVATE_KINDS, PrivateKind
from expectations.policy_file import parse_policy
from ledgers.evidence import JSON
from ledgers.home.home import Home
from tasks.anonymization.deidentify import deidentify
from tasks.attack import model as room
from tasks.attack.epsilon_audit import EpsilonAudit
from tasks.attack.model import attack, audit_classifier
from tasks.attack.twin_outcomes import declare_outcomes
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training import private_descent, private_model
from tasks.training.charge import reserve_budget
from tasks.training.models import (
    ModelDeclaration,
    build_estimator,
    declare_encoding,
    declare_model,
)
from tasks.training.train import train
from tasks.validation.validation import validate
from tests.conftest import Folder, opened, small_policy
from tests.owned_draws import own_draws

PROMISE = (
    "recipient: Clinic",
    "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 8, delta: 1e-5}",
)
NAMES = {
    "membership": "membership inference",
    "audit": "audit of ε",
    "memorization": "memorization",
    "attribute_inference": "attribute inference",
}


def private(kind: str) -> tuple[tuple[str, str], ...]:
    """Give the changes of the small policy that make its model a private one of a kind."""
    return ("{model: logistic-regression}", f"{{model: {kind}}}"), PROMISE


@pytest.mark.parametrize("kind", PRIVATE_KINDS)
def test_the_twins_of_each_kind_are_declared_as_the_model_is(
    kind: PrivateKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy's own model, with its parameters and its noise; people fit its rows."""
    policy = parse_policy(
        small_policy(*private(kind if kind in KINDS_OF_TWO else "private-boosting"))
    )
    monkeypatch.setattr(private_descent, "require_torch", lambda: None)  # nothing is trained here
    declared = declare_model(policy)
    if kind not in KINDS_OF_TWO:
        told = {"target_range": (4.0, 9.0)}
        declared = ModelDeclaration(kind, told, 1.0, 1e-5, Number(4, 9))
    pipeline = build_estimator(declared, declare_encoding(policy))
    audited = mock.Mock()
    monkeypatch.setattr(room, "audit_epsilon", audited)
    assert audit_classifier(pipeline[-1], kind) is audited.return_value
    (twin, crowd, names), given = audited.call_args
    own = pipeline[-1].get_params()
    changed = {name for name, value in twin.get_params().items() if own[name] != value}
    assert changed <= {"features"}
    assert len(names) == len(twin.mechanisms())
    assert given["sampled"] is (kind == "private-network")
    rows = crowd.gather(50, declare_outcomes(twin)).rows
    assert rows.shape[1] == crowd.extreme.shape[1]
    if kind == "private-boosting":
        assert len(twin.features) == rows.shape[1]
        assert all(feature in own["features"] for feature in twin.features)


def test_the_audit_of_a_whole_pipelines_classifier_finds_missing_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the step builds is strong enough: a trainer that draws no noise is caught at ε = 8."""
    policy = parse_policy(small_policy(*private("private-logistic-regression")))
    pipeline = build_estimator(declare_model(policy), declare_encoding(policy))
    monkeypatch.setattr(private_model, "add_noise_to_sums", lambda sums, _deviation: sums)
    own_draws(monkeypatch)
    found = audit_classifier(pipeline[-1], "private-logistic-regression")
    assert any("0.00 times the claimed noise" in fault for fault in found.faults)


def seen_by(policy_run: object) -> tuple[dict[str, JSON], list[tuple[str, str]]]:
    """Give a run's measures, and its checks' names with their verdicts."""
    from tasks.airlock.run import Run

    assert isinstance(policy_run, Run)
    entries = policy_run.ledger.entries(policy_run.id)
    measures = {e.name: e.body for e in entries if e.kind == "measure"}
    checks = [
        (e.name, str(e.body["verdict"]))
        for e in entries
        if e.kind == "check" and isinstance(e.body, dict)
    ]
    return measures, checks


def audit_of_made_up_twins(*, refuted: bool) -> EpsilonAudit:
    """Give what an audit may find."""
    faults = ("second moments: 0.50 times the claimed noise",) if refuted else ()
    return EpsilonAudit(8.0, 7.9, 1e-5, "number of people", faults, 80, 0.6, 0.9)


@pytest.mark.parametrize("refuted", [False, True])
def test_each_attack_on_a_private_model_reaches_the_evidence(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch, *, refuted: bool
) -> None:
    """Refused or not: what the others found is on record, too."""
    assert home.vault.is_dir()
    monkeypatch.setattr(
        room, "audit_classifier", lambda *_: audit_of_made_up_twins(refuted=refuted)
    )
    own_draws(monkeypatch)
    kind = "private-logistic-regression"
    with opened(folder.write(*private(kind), ("test_share: 0.4", "test_share: 0.6"))) as run:
        permitted = reserve_budget(filter_consent(read_roster()))
        rows = validate(deidentify(select_population(collect(permitted))))
        model = train(rows)
        if refuted:
            with pytest.raises(Refusal, match="audit of ε"):
                attack(model, rows)
        else:
            attack(model, rows)
        measures, checks = seen_by(run)
        assert any(e.kind == "ways" for e in run.ledger.entries(run.id)) == refuted
    assert set(NAMES.values()) <= {name for name, _ in checks}
    assert {"privacy.membership_auc", "privacy.audit_epsilon"} <= set(measures)
    assert dict(checks)["audit of ε"] == ("refused" if refuted else "passed")


def test_without_a_private_model_there_is_no_epsilon_to_audit(home: Home, folder: Folder) -> None:
    """The other attacks are carried out."""
    assert home.vault.is_dir()
    with opened(folder.write(("test_share: 0.4", "test_share: 0.6"))) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        attack(train(rows), rows)
        measures, checks = seen_by(run)
    names = {name for name, _ in checks}
    assert set(NAMES.values()) - names == {"audit of ε"}
    assert "privacy.audit_epsilon" not in measures


def test_a_lot_without_power_is_inconclusive_and_says_how_many_were_drawn(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty on a side cannot show the AUC that the policy allows, however many there are."""
    assert home.vault.is_dir()
    monkeypatch.setattr(room, "MOST", 40)
    monkeypatch.setattr("tasks.attack.memorization.MOST", 35)
    stricter = ("auc_at_most: 0.75", "auc_at_most: 0.65")
    with opened(folder.write(stricter, ("test_share: 0.4", "test_share: 0.6"))) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        attack(train(rows), rows)
        found = {
            e.name: (e.body["verdict"], str(e.body["power"]))
            for e in run.ledger.entries(run.id)
            if e.step == "attack" and e.kind == "check" and isinstance(e.body, dict)
        }
    verdict, power = found["membership inference"]
    assert verdict == "inconclusive"
    assert "40 people on each side drawn by lot" in power
    for name in ("memorization", "attribute inference"):
        assert "at most 35 people on each side, drawn by lot" in found[name][1]


def test_a_feature_of_too_many_labels_is_left_out_and_named(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends no run that has been trained, and does not count as tried."""
    assert home.vault.is_dir()
    monkeypatch.setattr(room, "MOST_LABELS", 2)
    with opened(folder.write(("test_share: 0.4", "test_share: 0.6"))) as run:
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        monkeypatch.setattr("tasks.attack.attribute_inference.MOST_LABELS", 2)
        attack(train(rows), rows)
        (check,) = (
            e.body for e in run.ledger.entries(run.id)
            if e.name == "attribute inference" and isinstance(e.body, dict)
        )  # fmt: skip
        many = {
            name
            for name, labels in declare_encoding(run.policy).categories.items()
            if len(labels) > 2
        }
    assert many
    assert f"not tried: {len(many)} features of over 2 labels" in str(check["power"])
