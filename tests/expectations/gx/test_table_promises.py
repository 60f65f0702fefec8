"""A table that is to leave is judged by every promise of its outlet, in the words of its claim."""

from __future__ import annotations

from typing import Any, get_args

import pandas as pd
import pyarrow as pa
import pytest

from expectations.checks import Check
from expectations.errors import Refusal, UsageError
from expectations.gx.table_promises import Judged, judge_table, order_labels
from expectations.policy.outlets import TableOutlet, claim
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
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import read_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Checked, DatasetRef, Generalized
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import RECORD, collect, read_roster
from tasks.people.population import select_population
from tasks.validation.validation import check_table, order_sensitive, validate
from tests.conftest import Folder, opened

RARE = "Zanzibar-48151"
# Classes of four: 2 a 1 b 1 c, and 1 a 2 b 1 c. The table: 3/8, 3/8, 2/8.
FRAME = pd.DataFrame(
    {"class": ["x"] * 4 + ["y"] * 4, "ill": list("aabc") + list("abbc"), "job": list("pqpqpqpq")}
)
HOMOGENEOUS = FRAME.assign(ill=[RARE] * 4 + list("abbc"))
HELD: dict[str, tuple[PrivacyModel, float]] = {
    "distinct_l": (DistinctLDiversity(l=3), 3),
    "entropy_l": (EntropyLDiversity(l=2.8), 2.828),
    "recursive_c_at_l_2": (RecursiveLDiversity(c=1.1, l=2), 1),
    "t": (TCloseness(t=0.125), 0.125),
    "ordered_t": (TCloseness(t=0.063, distance="ordered"), 0.063),
    "beta": (BetaLikeness(beta=0.34), 0.334),
    "enhanced_beta": (BetaLikeness(beta=0.34, enhanced=True), 0.334),
    "delta": (DeltaDisclosure(delta=0.41), 0.406),
    "alpha": (AlphaK(alpha=0.5), 0.5),
}


def promise(**sensitive: tuple[PrivacyModel, ...]) -> TableOutlet:
    """Promise k over the class, and models of other columns."""
    columns: Any = {"class": "generalize", **dict.fromkeys(sensitive, "keep")}
    return TableOutlet(kind="table", recipient="P", k=2, columns=columns, sensitive=sensitive)


def judge(frame: pd.DataFrame, *models: PrivacyModel) -> list[Judged]:
    """Judge models of the illness; k comes first and is left out."""
    return judge_table(frame, promise(ill=models), "partner")[1:]


@pytest.mark.parametrize(("measure", "held"), HELD.items(), ids=list(HELD))
def test_each_model_is_judged_and_a_class_of_one_value_breaks_it(
    measure: str, held: tuple[PrivacyModel, float]
) -> None:
    """What is reached stands on record under the model's own measure."""
    model, reached = held
    (fine,), (broken,) = judge(FRAME, model), judge(HOMOGENEOUS, model)

    assert (fine.measure, fine.value) == (f"{measure}.ill", reached)
    assert (fine.check.verdict, broken.check.verdict) == (
        CheckVerdict.PASSED,
        CheckVerdict.REFUSED,
    )
    assert fine.check.name == f"{model.kind} of ill in partner"
    assert RARE not in repr(broken)


def test_every_kind_of_model_is_tried_here() -> None:
    """A new model in the grammar must be judged before it can be promised."""
    kinds = get_args(get_args(PrivacyModel)[0])

    assert {type(model) for model, _ in HELD.values()} == set(kinds)


def test_one_check_for_k_and_for_each_column_and_model() -> None:
    """GX sorts by column; the policy's order counts, and a model that is met hides no other."""
    models = tuple(model for model, _ in HELD.values())
    promised = promise(job=(AlphaK(alpha=0.4),), ill=models)
    found = judge_table(FRAME, promised, "partner")

    assert [each.measure for each in found] == [
        "k", "alpha.job", *(f"{name}.ill" for name in HELD),
    ]  # fmt: skip
    assert [each.check.verdict == "passed" for each in found] == [True, False, *[True] * len(HELD)]
    assert {each.check.outlet for each in found} == {"partner"}


def test_of_a_single_class_its_number_of_people_is_not_told() -> None:
    """Its k would be the number of people in the table: what is told is the k that was asked."""
    alone = FRAME.assign(**{"class": "x"})
    found = judge_table(alone, promise(), "partner")[0]

    assert found.check.verdict == "passed"
    assert found.value == promise().k < len(alone)
    assert str(len(alone)) not in found.check.measured


def test_what_is_claimed_is_what_is_asked() -> None:
    """Each model's words in the claim begin a check, and no check asks for what is not claimed."""
    promised = promise(job=(AlphaK(alpha=0.4),), ill=tuple(model for model, _ in HELD.values()))
    words = claim(promised)
    _, *models = (each.check.asked for each in judge_table(FRAME, promised, "partner"))
    claimed = words.partition("Each such group has ")[2].partition(". “a~b”")[0].split("; ")

    assert [asked.partition(" in every class")[0] for asked in models] == claimed
    assert models[0].endswith("in every class over class (alpha = 0.4)")


def test_a_bound_that_is_just_missed_does_not_look_met() -> None:
    """Rounding goes away from what is asked: 0.12525 is told as 0.126."""
    frame = pd.DataFrame({"class": ["x"] * 2000 + ["y"] * 2000})
    frame["ill"] = ["a"] * 1250 + ["b"] * 750 + ["a"] * 749 + ["b"] * 1251
    (found,) = judge(frame, TCloseness(t=0.125))

    assert found.check.verdict is CheckVerdict.REFUSED
    assert found.value == 0.126
    assert found.check.measured == "t = 0.126 in 2 classes"


def test_what_no_number_bounds_is_infinite_in_words_and_absent_as_a_measure() -> None:
    """Evidence is JSON, which has no infinity."""
    (found,) = judge(HOMOGENEOUS, DeltaDisclosure(delta=5))

    assert found.value is None
    assert found.check.measured == "delta = infinite in 2 classes"


@pytest.mark.parametrize(
    ("frame", "model"),
    [
        pytest.param(FRAME, TCloseness(t=1), id="a bound beyond reach"),
        pytest.param(FRAME.assign(**{"class": "x"}), TCloseness(t=0.1), id="one class"),
        pytest.param(FRAME.assign(ill="a"), BetaLikeness(beta=1), id="one value"),
    ],
)
def test_a_model_that_could_not_fail_is_inconclusive(
    frame: pd.DataFrame, model: PrivacyModel
) -> None:
    """A check without power is never passed."""
    (found,) = judge(frame, model)

    assert found.check.verdict is CheckVerdict.INCONCLUSIVE
    assert found.check.power.startswith("nothing")
    alone = len(set(frame["class"])) == 1
    assert found.check.measured.endswith(" in 1 class") is alone
    assert ("the table is one class: lower k" in found.check.remedy) is alone


def test_table_without_rows_meets_no_promise() -> None:
    """An empty release is not a safe one."""
    found = judge_table(FRAME.iloc[:0], promise(ill=(TCloseness(t=1),)), "partner")

    assert {each.check.verdict for each in found} == {CheckVerdict.REFUSED}


def test_a_sensitive_column_that_is_not_there_is_named() -> None:
    """An error, not a promise less."""
    with pytest.raises(UsageError, match="asks for ill, which the table does not have"):
        judge(FRAME.drop(columns="ill"), TCloseness(t=0.1))


def test_an_ordered_distance_goes_by_the_order_of_declared_labels() -> None:
    """As text, "10+" would stand between "0-4" and "5-9"; what is undeclared stays a value."""
    labels = ("0-4", "5-9", "10+")
    ill = pd.Series(["0-4", "5-9"] * 2 + ["5-9", "10+"] * 2 + ["odd", "odd"], dtype="category")
    frame = pd.DataFrame({"class": [*"xxxxyyyyzz"], "ill": ill})
    by_rank = frame.assign(ill=ill.map({"0-4": 0, "5-9": 1, "10+": 2, "odd": 3}).astype(int))
    asked = TCloseness(t=0.1, distance="ordered")
    (found,), (ranked,) = (
        judge(frame.assign(ill=order_labels(ill, labels)), asked),
        judge(by_rank, asked),
    )

    assert found == ranked
    assert found != judge(frame, asked)[0]


def test_a_sensitive_column_is_read_in_the_order_of_the_policy(folder: Folder) -> None:
    """Labels are ordered as they are declared, before the table is judged."""
    labels = ("labels: [18-34, 35-49, 50-64, 65+]", "labels: [young, aged, old, older]")
    policy = read_policy(str(folder.write(labels))).policy
    columns: Any = {"sex": "generalize", "age": "keep"}
    promised = TableOutlet(
        kind="table", recipient="P", k=2, columns=columns,
        sensitive={"age": (TCloseness(t=0.5, distance="ordered"),)},
    )  # fmt: skip
    frame = pd.DataFrame({"sex": list("ffmm"), "age": ["old", "young", "aged", "aged"]})
    ordered = order_sensitive(frame, policy, promised)

    assert ordered["age"].cat.categories.tolist() == ["young", "aged", "old", "older"]
    assert ordered["age"].tolist() == frame["age"].tolist()
    assert judge_table(ordered, promised, "partner")[1].value == 0.25
    assert judge_table(frame, promised, "partner")[1].value == 0.375


MODELS = (
    "sick: generalize}",
    """sick: keep}
    sensitive: {sick: [{kind: alpha-k, alpha: 0.9}, {kind: t-closeness, t: 0.9}]}""",
)
"""The small policy's table, with what it promises of who is sick."""


def make_table(run: Run, sick: list[str]) -> DatasetRef[Generalized]:
    """Store a table of two classes of four as if recoding had made it, with who is sick."""
    rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
    table = pa.table(
        {
            "age": ["18-34"] * 8,
            "sex": ["f"] * 4 + ["m"] * 4,
            "sick": sick,
            RECORD: pa.array(range(8), pa.uint64()),
        }
    )
    return run.vault.store(Generalized, table, parents=(rows,))


def read_evidence(run: Run) -> tuple[dict[str, Any], list[Any]]:
    """Give the measures of the checked table, and its checks."""
    entries = [entry for entry in run.ledger.entries(run.id) if entry.step == "check_table"]
    measures = {entry.name: entry.body for entry in entries if entry.kind == "measure"}
    return measures, [entry.body for entry in entries if entry.kind == "check"]


def test_step_notes_every_promise_and_the_risks(home: Home, folder: Folder) -> None:
    """A table that meets all goes on as it is, and its evidence says what was reached."""
    assert home.vault.is_dir()
    with opened(folder.write(MODELS)) as run:
        table = make_table(run, ["yes", "no", "no", "no"] * 2)
        checked = check_table(table, "partner")
        assert run.vault.stage_of(checked) == Checked.stage
        assert checked.digest == table.digest
        measures, checks = read_evidence(run)

    assert {name.removeprefix("privacy.partner."): value for name, value in measures.items()} == {
        "k": 4,
        "alpha.sick": 0.75,
        "t.sick": 0,
        "risk.prosecutor": 0.25,
        "risk.marketer": 1,
        "risk.uniqueness": 0,
    }
    assert [check["name"] for check in checks] == [
        "k-anonymity of partner", "alpha-k of sick in partner", "t-closeness of sick in partner",
    ]  # fmt: skip
    assert {Check(**check).verdict for check in checks} == {"passed"}


def test_step_refuses_a_table_in_which_a_class_is_all_sick(home: Home, folder: Folder) -> None:
    """One model is met, the broken one ends the run, and all are on record."""
    assert home.vault.is_dir()
    with opened(folder.write(MODELS)) as run:
        table = make_table(run, ["yes"] * 4 + ["no", "no", "no", "yes"])
        with pytest.raises(Refusal, match="alpha = 1 in 2 classes") as caught:
            check_table(table, "partner")
        measures, checks = read_evidence(run)

    assert caught.value.check == "alpha-k of sick in partner"
    assert [check["verdict"] for check in checks] == ["passed", "refused", "passed"]
    assert measures["privacy.partner.alpha.sick"] == 1
    assert measures["privacy.partner.risk.prosecutor"] == 0.25
