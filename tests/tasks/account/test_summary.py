"""What a summary says of a run, and that all of it may be published."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from expectations.policy.policy import Policy
from ledgers.evidence import JSON, Verdict
from tasks.account import summary as room
from tasks.account.findings import adapt
from tasks.account.summary import Summary, evidence_schema, summarize, to_evidence_json
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    REFUSED,
    RELEASED,
    SERVED,
    MakeRun,
    Note,
    compared_run,
    failed_run,
    make_entries,
    make_policy,
    make_record,
    note_check,
    note_count,
    passed_run,
    refused_run,
    weighted_run,
)

SCHEMA = Path(room.__file__).with_name("evidence.schema.json")
RUNS = pytest.mark.parametrize(
    "run",
    [passed_run, refused_run, failed_run, compared_run, weighted_run],
    ids=["passed", "refused", "failed", "compared", "weighted"],
)


def claims(summary: Summary) -> list[bool]:
    """Say for each outlet whether a claim is made."""
    return [outlet.claim is not None for outlet in summary.outlets]


@RUNS
def test_evidence_of_every_run_fits_the_committed_schema(run: MakeRun) -> None:
    """The published evidence has the form that is committed for its readers."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    evidence = to_evidence_json(summarize(*run()))
    Draft202012Validator(schema).validate(evidence)
    assert evidence == adapt(Summary).dump_python(summarize(*run()), mode="json")


def test_schema_refuses_a_field_that_it_does_not_name() -> None:
    """Nothing can be added to the published evidence in passing."""
    evidence = to_evidence_json(summarize(*passed_run())) | {"patients": 3}

    with pytest.raises(ValidationError, match="patients"):
        Draft202012Validator(json.loads(SCHEMA.read_text("utf-8"))).validate(evidence)


def test_committed_schema_is_fresh() -> None:
    """The committed schema is the one that the classes make; if not, write it again."""
    fresh = evidence_schema() == json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert fresh, f"{SCHEMA}: run docs/make_reference.py"


@RUNS
def test_evidence_is_plain_json(run: MakeRun) -> None:
    """What is published survives a file."""
    evidence = to_evidence_json(summarize(*run()))

    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence


def test_passed_run_claims_what_each_outlet_promises() -> None:
    """A passed run claims something to every recipient."""
    summary = summarize(*passed_run())

    assert "differentially private model (ε = 1, δ = 1 in 100,000)" in str(summary.outlets[0].claim)
    assert "10-anonymous over {age, ill}" in str(summary.outlets[1].claim)


@pytest.mark.parametrize("run", [refused_run, failed_run], ids=["refused", "failed"])
def test_run_that_did_not_pass_claims_nothing(run: MakeRun) -> None:
    """Where nothing left there is nothing to claim."""
    assert claims(summarize(*run())) == [False, False]


def test_run_that_failed_after_a_release_still_claims_it() -> None:
    """What was handed over is told, even when the run broke later."""
    entries = make_entries(*GATHERED, *RELEASED, PASSED, SERVED[1])

    assert claims(summarize(make_record("failed"), make_policy(), entries)) == [False, True]


def test_tolerated_inconclusive_attack_takes_the_claim_of_having_passed_back() -> None:
    """A model is not said to have withstood an attack that could not have succeeded."""
    declared = make_policy().model_dump(mode="json", by_alias=True)
    declared["outlets"]["ward"]["promise"] = None
    policy = Policy.model_validate_json(json.dumps(declared))
    entries = make_entries(note_check("membership", "inconclusive", "ward"), PASSED)

    claim = str(summarize(make_record("passed"), policy, entries).outlets[0].claim)

    assert "passed" not in claim
    assert "Could not be judged, which the policy accepts: membership. That speaks" in claim


def test_funnel_gives_the_published_counts_in_order() -> None:
    """The funnel leads from the roster to the selected people; what was not counted is absent."""
    summary = summarize(*failed_run())

    assert [(f.label, f.text) for f in summary.people] == [
        ("on the roster", "4,000"),
        ("with a legal basis", "3,197"),
    ]
    assert [f.about for f in summary.columns] == [40, 3]


def test_exclusions_come_by_frequency_with_hidden_counts_last() -> None:
    """People are told by reason; a hidden count stays hidden."""
    excluded = summarize(*passed_run()).excluded

    assert [(f.label, f.text) for f in excluded] == [
        ("never asked", "500"),
        ("refused", "300"),
        ("expired", "fewer than 10"),
    ]


def test_refused_run_names_the_checks_that_stopped_it() -> None:
    """Only the checks that the reason names are causes."""
    summary = summarize(*refused_run())

    assert [check.name for check in summary.causes] == ["membership"]
    assert summary.stopped_by == "membership"
    assert not summary.reason.startswith("membership: ")


def test_every_column_has_a_fate_with_those_who_receive_it() -> None:
    """A dropped or audited column reaches nobody; features reach the model, released the table."""
    fates = {fate.name: fate for fate in summarize(*passed_run()).fates}

    assert {name: fate.outlets for name, fate in fates.items()} == {
        "age": ("ward", "partner"),
        "sex": (),
        "lab": (),
        "ill": ("ward", "partner"),
    }
    assert (fates["age"].source, fates["ill"].expression) == ("AgeYears", "lab > 6")
    assert [name for name, fate in fates.items() if fate.special] == ["lab", "ill"]


def test_measures_of_an_outlet_go_to_it_and_losses_apart() -> None:
    """k, suppression and loss belong to the table, column by column."""
    partner = summarize(*passed_run()).outlets[1]

    assert partner.measures == {"k": 11, "suppressed_share": 0.011, "ncp": 0.2}
    assert partner.losses == {"age": 0.31, "ill": 0}
    assert [size.classes for size in partner.classes] == [3, 0]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, None),
        ({"kind": "csv", "path": "other.csv"}, None),
        ({"kind": "example", "name": "nhanes"}, "answers are real"),
        ({"kind": "example", "name": "registry"}, "all data is made up"),
    ],
    ids=["own-file", "other-file", "nhanes", "registry"],
)
def test_example_data_is_labelled_also_when_given_at_the_run(
    source: JSON, said: str | None
) -> None:
    """What is made up follows the data that was read, not the data that the policy names."""
    found = summarize(make_record("passed", source=source), make_policy(), []).made_up

    assert found is None if said is None else said in str(found)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://me:pw@localhost:5000/#/runs/m1", "http://localhost:5000/#/runs/m1"),
        ("javascript:alert(1)", None),
        ("/home/somebody/mlruns", None),
        (None, None),
    ],
    ids=["password", "script", "path", "absent"],
)
def test_link_is_a_web_address_without_password(url: JSON, kept: str | None) -> None:
    """Nothing but a bare web address is linked."""
    entries = make_entries(("mlflow", "run", {"run_id": "m1", "url": url}))

    assert [li.url for li in summarize(make_record(None), make_policy(), entries).links] == [kept]


@RUNS
def test_nothing_of_the_host_or_under_seal_is_published(run: MakeRun) -> None:
    """Paths of the host and of the source, and sealed figures, stay where they are."""
    evidence = json.dumps(to_evidence_json(summarize(*run())))

    assert "secret-folder" not in evidence
    assert "exact figures" not in evidence
    assert "pw" not in evidence


AWAY: Note = ("pending", "mlflow", "MLflow is away at http://me:pw@mlflow.example")
CLOSED_PENDING: Note = ("verdict", "pending", None)


@pytest.mark.parametrize(
    ("verdict", "after", "state"),
    [
        (None, (), "unfinished"),
        (None, (PASSED,), "pending"),
        (None, (PASSED, AWAY), "pending"),
        (None, (PASSED, *SERVED), "passed"),
        (None, (PASSED, SERVED[0], AWAY), "pending"),
        ("pending", (PASSED, AWAY, CLOSED_PENDING), "pending"),
        ("pending", (PASSED, AWAY, CLOSED_PENDING, *SERVED), "passed"),
        ("pending", (PASSED, AWAY, CLOSED_PENDING, REFUSED[-1]), "refused"),
        ("failed", (PASSED,), "failed"),
    ],
    ids=[
        "under-way", "decided", "mlflow-away", "served", "half-served", "closed-pending",
        "completed", "consent-withdrawn-meanwhile", "closed-failed",
    ],
)  # fmt: skip
def test_run_counts_as_passed_only_once_it_is_handed_over(
    verdict: Verdict | None, after: tuple[Note, ...], state: str
) -> None:
    """While what was made ready still waits, nobody is told that they have it."""
    summary = summarize(make_record(verdict), make_policy(), make_entries(*GATHERED, *after))

    assert summary.verdict == state
    assert "mlflow.example" not in json.dumps(to_evidence_json(summary))
    if SERVED[0] not in after:
        assert claims(summary) == [False, False]


def test_share_of_people_whose_number_is_hidden_is_hidden_too() -> None:
    """A share of a known whole would give the hidden number away."""
    entries = make_entries(*GATHERED, *RELEASED, note_count("partner.suppressed", None), PASSED)
    summary = summarize(make_record("passed"), make_policy(), entries)

    assert "0.011" not in json.dumps(to_evidence_json(summary))
    assert summary.outlets[1].measures["k"] == 11


def test_history_of_consent_is_told_without_its_exact_number_of_events() -> None:
    """Moments, the chain's link and the digest say which history it was."""
    history = summarize(*compared_run()).history
    evidence = json.dumps(to_evidence_json(summarize(*compared_run())))

    assert history is not None
    assert (history.valid_at, history.known_at) == (
        "2026-01-02T03:04:05+00:00",
        "2026-01-02T03:05:00+00:00",
    )
    assert (history.link, history.digest) == ("a" * 64, "b" * 64)
    assert "37243" not in evidence
    assert summarize(*passed_run()).history is None


def test_representation_is_told_by_column_with_what_the_policy_asks() -> None:
    """Every label's row, the column's role and order, drift without and with weights."""
    plain = summarize(*compared_run()).representation
    weighted = summarize(*weighted_run()).representation
    assert plain is not None
    assert weighted is not None

    assert (plain.source, plain.difference_at_most) == ("the register of 2025", 0.1)
    assert [(c.column, c.role, c.ordered, len(c.labels)) for c in plain.columns] == [
        ("age", "rake", True, 3),
        ("sex", "rake", False, 2),
        ("ill", "hold-out", False, 3),
    ]
    age = plain.columns[0]
    assert (age.drift, age.drift_weighted, plain.effective_sample_share) == (0.1, None, None)
    assert (age.labels[2].label, age.labels[2].share, age.labels[2].ratio) == ("65+", 0.1, 0.5)
    assert weighted.columns[0].drift_weighted == 0
    assert weighted.columns[0].labels[2].weighted == 0.2
    assert weighted.effective_sample_share == 0.92
    assert summarize(*passed_run()).representation is None


def test_inclusion_is_told_with_its_basis() -> None:
    """What was read of whom on which basis, and a rate only where both counts are shown."""
    inclusion = summarize(*compared_run()).inclusion
    assert inclusion is not None

    assert (inclusion.article_6, inclusion.assessment) == ("eu-gdpr:A6-1-f", "assessment 7")
    assert (inclusion.read, inclusion.left_alone) == (("age",), ("withdrawn", "objected"))
    assert inclusion.absent is not None
    assert inclusion.absent.text == "412"
    rates = {rate.label: rate.rate for rate in inclusion.columns[0].rates}
    assert rates == {"18-39": 0.799, "40-64": 0.831, "65+": 0.321, "missing": None}
    assert summarize(*passed_run()).inclusion is None


def test_what_people_kept_back_is_told_by_category_the_largest_first() -> None:
    """A hidden count stays hidden, and is no reason to be left out."""
    summary = summarize(*compared_run())

    assert [(f.label, f.text) for f in summary.blanked] == [
        ("dpv-pd:Health", "78"),
        ("dpv-pd:Gender", "fewer than 10"),
    ]
    assert not any("dpv-pd" in figure.label for figure in summary.excluded)


def test_example_whose_consent_depends_on_the_outcome_is_not_all_made_up() -> None:
    """The people of both surveys are the same, real ones."""
    for name in ("nhanes", "nhanes-outcome"):
        source: JSON = {"kind": "example", "name": name}
        found = summarize(make_record("passed", source=source), make_policy(), []).made_up
        assert "answers are real" in str(found)
