"""The example policies from the roster to what their recipients get, and what is kept of a run."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from ahocorasick_rs import AhoCorasick

from expectations.policy.policy import Policy
from expectations.policy.treatments import Bin
from expectations.policy_file import PACKAGED, read_policy
from tests.runs import RunOnRecord, Said, changed_policy, make_place, passed
from tests.tasks.sources.example_people import permitted, rows

POLICIES = ("diabetes", "notes", "prevalence", "pressure", "readmission", "registry")
TABLES = {
    "diabetes": "partner", "notes": "quality-team", "readmission": "planning",
    "registry": "statistics-office",
}  # fmt: skip
MODELS = {
    "diabetes": "clinics", "prevalence": "health-office", "pressure": "clinics",
    "readmission": "wards", "registry": "oncologists",
}  # fmt: skip
SURVEYED = ("patient_number", "full_name", "e_mail", "phone", "address", "date_of_birth")
IDENTIFYING = {
    "diabetes": SURVEYED,
    "prevalence": SURVEYED,
    "pressure": SURVEYED,
    "readmission": ("patient",),
    "notes": ("patient_id", "full_name", "e_mail", "phone", "mrn"),
    "registry": ("patient_id", "birth_date"),
}

SURVEY = {
    "age": "AgeInYearsAtScreening",
    "sex": "Gender",
    "race": "RacehispanicOrigin",
    "general_health": "GeneralHealthCondition",
    "bmi": "BodyMassIndexKgm2",
    "smoked": "SmokedAtLeast100CigarettesInLife",
    "told": "DoctorToldYouHaveDiabetes",
    "glycohemoglobin": "Glycohemoglobin",
}
"""The survey's own names of what the reference counts."""


@dataclass(frozen=True)
class Stopped:
    """A run that did not pass, and what its command said."""

    verdict: str
    run: RunOnRecord
    said: Said


@pytest.fixture(params=POLICIES)
def run(request: pytest.FixtureRequest) -> RunOnRecord:
    """One passed run of each example policy, made once for all tests."""
    return passed(request.param)


@pytest.fixture(params=TABLES)
def run_with_table(request: pytest.FixtureRequest) -> RunOnRecord:
    """One passed run of each example policy that releases a table."""
    return passed(request.param)


def released(run: RunOnRecord) -> list[dict[str, str]]:
    """Read the table that a run released."""
    outlet = TABLES[run.record.policy]
    with (run.released / outlet / f"{outlet}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def label_of(policy: Policy, column: str, person: dict[str, str]) -> str:
    """Say what one person's value becomes, by plain Python."""
    if column == "diabetes":
        measured = float(person[SURVEY["glycohemoglobin"]] or 0)
        return "yes" if person[SURVEY["told"]] == "1" or measured >= 6.5 else "no"
    value, treatment = person[SURVEY[column]], policy.columns[column].treatment
    if value is None:
        return "missing"
    if isinstance(treatment, Bin):
        return treatment.labels[bisect_right(treatment.edges, float(value))]
    renamed = {"Fair or": "Fair", "Poor?": "Poor", "0.0": "no", "1.0": "yes"}
    return renamed.get(value, value)


def lasting_snapshot(run: RunOnRecord) -> object:
    """Open the digest of those with a legal basis that is the same in every run of a home."""
    entry = next(e for e in run.entries if (e.kind, e.name) == ("snapshot", "consent"))
    return run.place.ledger.unseal(entry)


TOLERATED = (
    *("linking", "singling", "inferring", "homogen"),  # attacks on a table only tell
    *("reconstructing", "differencing"),  # the history of a first run
    *("membership inference within groups", "attribute inference", "memorization", "audit of ε"),
)
"""Checks that may lack power on the examples' few people, where their policies tolerate it."""


def test_every_example_passes_and_leaves_nothing_half_done(run: RunOnRecord) -> None:
    """Verdict and decision are passed, every check held, vault and outbox are empty."""
    assert (run.record.verdict, run.decision["verdict"]) == ("passed", "passed")
    checks = [body for body in run.named("check").values() if isinstance(body, dict)]
    assert checks
    stopping = [check for check in checks if check["verdict"] == "refused"]
    assert not stopping
    tried = [c["name"] for c in checks if c["verdict"] == "inconclusive"]
    assert [name for name in tried if not str(name).startswith(TOLERATED)] == []
    assert run.place.waiting == []


def test_exactly_those_with_a_legal_basis_were_read(run: RunOnRecord) -> None:
    """The sealed exact counts are those that the data gives when it is counted independently."""
    name = run.record.policy
    everybody = rows(name, IDENTIFYING[name][0])
    assert run.exact("people.roster") == len(everybody)
    assert run.exact("people.permitted") == len(permitted(name))


def test_the_evidence_follows_the_data_from_consent_to_hand_over(run: RunOnRecord) -> None:
    """Consent snapshot, a digest and the seconds of each stage, and the code are on record."""
    charge = ["reserve_budget"] * read_policy(run.record.policy).policy.private
    steps = ["read_roster", "filter_consent", *charge, "collect", "select_population", "deidentify"]
    digests = {name: body for name, body in run.named("dataset").items() if isinstance(body, dict)}
    assert list(digests)[: len(steps)] == steps
    assert all(re.fullmatch("[0-9a-f]{64}", str(body["digest"])) for body in digests.values())
    assert re.fullmatch("[0-9a-f]{64}", str(run.named("snapshot")["consent"]))
    later = {"validate", "confirm_consent"}
    if run.record.policy in TABLES:
        later |= {f"generalize.{TABLES[run.record.policy]}"}
    assert run.named("duration").keys() >= {*steps, *later}
    assert str(run.record.facts["code"]).startswith("tutela ")
    run.place.ledger.verify(run.record.run_id)


def test_published_counts_are_near_the_exact_ones_and_small_ones_hidden(run: RunOnRecord) -> None:
    """Each count of people is on record less than ten from the truth, or as fewer than ten."""
    counts = {name: body for name, body in run.named("count").items() if isinstance(body, dict)}
    assert counts
    for name, body in counts.items():
        exact, about = run.exact(name), body["about"]
        assert (about is None) == (exact < 10)
        assert about is None or abs(int(str(about)) - exact) < 10


def test_the_released_table_is_k_anonymous(run_with_table: RunOnRecord) -> None:
    """Counted from the file alone, every combination of the linkable columns has k rows."""
    run, name = run_with_table, run_with_table.record.policy
    outlet = read_policy(name).policy.table_outlets[TABLES[name]]
    table = released(run)
    classes = Counter(tuple(row[column] for column in outlet.linkable) for row in table)
    assert min(classes.values()) >= outlet.k
    assert set(table[0]) == set(outlet.columns)
    selected = run.exact("people.selected")
    assert selected * (1 - outlet.max_suppressed) <= len(table) <= selected


def test_what_is_told_of_a_table_confirms_no_guess_of_it(run_with_table: RunOnRecord) -> None:
    """Its digest is of the package; neither the table's own nor the random number leaves that."""
    run, home = run_with_table, run_with_table.place.home
    package = run.released / TABLES[run.record.policy]
    files = {path.name: path.read_bytes() for path in package.iterdir()}
    plain = hashlib.sha256(files[f"{package.name}.csv"]).hexdigest()
    nonce = json.loads(files["datapackage.json"])["tutela"]["nonce"]
    listed = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files))
    stores = [*home.mlflow.rglob("*"), *home.reports.glob(f"{run.record.run_id}*")]
    told = b"".join(path.read_bytes() for path in stores if path.is_file())
    told += str([entry.body for entry in run.entries]).encode()
    digest = hashlib.sha256(listed.encode()).hexdigest()
    assert [text.encode() in told for text in (digest, plain, nonce)] == [True, False, False]


def test_no_identifier_is_in_the_released_table(run_with_table: RunOnRecord) -> None:
    """No identifier of anybody in the source stands anywhere in the files that leave."""
    run, name = run_with_table, run_with_table.record.policy
    files = (run.released / TABLES[name]).iterdir()
    text = "\n".join(file.read_text(encoding="utf-8") for file in files).casefold()
    people = rows(name, *IDENTIFYING[name])
    values = {str(value).casefold() for person in people for value in person.values() if value}
    assert len(values) >= len(people)
    found = AhoCorasick(sorted(values)).find_matches_as_strings(text)
    assert found == []


@pytest.mark.parametrize("name", ["diabetes", "prevalence"])
def test_the_reference_is_that_of_the_surveys_adults(name: str) -> None:
    """Counted from the data alone, each margin is the share among all who are eligible."""
    policy = read_policy(name).policy
    reference = policy.population.reference
    assert reference is not None
    people = [row for row in rows(name, *SURVEY.values()) if float(row[SURVEY["age"]]) >= 20]
    assert f"{len(people):,} adults" in reference.source
    for column, margin in reference.margins.items():
        labels = Counter(label_of(policy, column, person) for person in people)
        if "missing" not in margin.shares:
            del labels["missing"]
        shares = {label: round(n / labels.total(), 4) for label, n in labels.items()}
        assert shares == margin.shares, column


def test_reduced_notes_hold_no_name_of_their_patients() -> None:
    """Nor does a first or last name of a consenting patient stand in a note as a word."""
    words = set(re.findall(r"\w+", " ".join(row["note"] for row in released(passed("notes")))))
    people = {
        row["patient_id"]: row["full_name"] for row in rows("notes", "patient_id", "full_name")
    }
    names = {part for person in permitted("notes") for part in people[person].split()}
    assert {name for name in names if len(name) > 2} & words == set()
    assert {"IDENTIFIER", "chest", "pain"} <= words


def test_reduced_text_is_said_to_be_outside_k() -> None:
    """The claim names the columns of k without the text; its limits name the text."""
    outlet = read_policy("notes").policy.table_outlets["quality-team"]
    assert outlet.linkable == ("age", "ward", "readmitted")
    assert "still link" in outlet.not_linkable["note"]


@pytest.mark.parametrize("name", MODELS)
def test_the_model_is_registered_with_what_an_auditor_follows(name: str) -> None:
    """One version, tagged with verdict, purpose, basis, policy, consent snapshot and code."""
    run = passed(name)
    (version,) = run.models
    assert version.name == f"{name}.{MODELS[name]}"
    policy = (PACKAGED / f"{name}.yaml").read_bytes()
    assert version.tags["tutela.verdict"] == "passed"
    assert version.tags["tutela.purpose"] == str(read_policy(name).policy.purpose)
    assert version.tags["tutela.legal_basis"].startswith("eu-gdpr:A6-1-")
    assert version.tags["tutela.policy_sha256"] == hashlib.sha256(policy).hexdigest()
    assert version.tags["tutela.consent_snapshot"] == run.named("snapshot")["consent"]
    assert version.tags["tutela.code"] == run.record.facts["code"]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "pressure"])
def test_the_registered_model_loads_and_predicts(name: str) -> None:
    """MLflow loads it, and it gives each person a probability; missing values are no obstacle."""
    import mlflow

    run = passed(name)
    (version,) = run.models
    mlflow.set_tracking_uri(f"sqlite:///{run.place.home.mlflow}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    schema = model.metadata.get_input_schema()
    words = {"registry": "female", "readmission": "F"}
    first = {"double": [70.0, None], "string": [words.get(name, "Female"), None]}
    people = pd.DataFrame({
        column.name: first[column.type.name] if column.name == "sex" or column.type.name == "double"
        else [None, None]
        for column in schema.inputs
    })  # fmt: skip
    answers = pd.DataFrame(model.predict(people))
    assert answers.shape == (2, 2)
    assert answers.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert answers.to_numpy().min() > 0


def test_the_registered_model_of_a_number_loads_and_predicts_within_its_range() -> None:
    """Of somebody of whom nothing is known, too."""
    import mlflow

    run = passed("pressure")
    (version,) = run.models
    mlflow.set_tracking_uri(f"sqlite:///{run.place.home.mlflow}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}")
    names = [column.name for column in model.metadata.get_input_schema().inputs]
    answers = model.predict(pd.DataFrame({name: [None] for name in names}))
    assert 80 <= float(pd.DataFrame(answers).iloc[0, 0]) <= 220


def test_the_line_that_loads_a_model_works_when_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The screen says in which store the model is; the card, which leaves, does not."""
    run, found = passed("registry"), dict[str, Any]()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/else.db")
    said = run.place.tell("report", run.record.run_id).out
    (line,) = re.findall(r"(?m)^Model    (import mlflow; .*)$", said)
    (card,) = run.place.home.reports.glob(f"{run.record.run_id}-*-card.md")
    assert line.partition("model = ")[2] in card.read_text()
    assert "set_tracking_uri" not in card.read_text()
    exec(line, found)  # noqa: S102  # as whoever pastes it
    assert found["model"].classes_.tolist() == ["no", "yes"]


STOPPED = {
    "refused": (("k: 10\n", "k: 5000\n"), 1),
    "failed": (("[I, II, III, IV]", "[I, II, III, V]"), 2),
}
"""What a check refuses, and what breaks on the way (a word that nobody declared)."""


@pytest.fixture(scope="module", params=STOPPED)
def stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """Run a policy that does not pass, once for all that is asked of it."""
    change, status = STOPPED[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    place = make_place(folder / "home")
    said = place.tell("run", str(changed_policy(folder, change, of="registry")))
    assert said.status == status, said.err
    return Stopped(request.param, place.last, said)


def test_a_run_that_does_not_pass_is_recorded_as_fully_and_hands_nothing_over(
    stopped: Stopped,
) -> None:
    """Reason, counts, digests, the MLflow run and the report are there; no model, no table."""
    good, run, place = passed("registry"), stopped.run, stopped.run.place
    verdict = stopped.verdict
    assert (run.record.verdict, run.decision["verdict"]) == (verdict, verdict)
    # Why a run did not pass stands on its screen; of a refused one with ways out, see
    # `test_refusals`.
    told = run.decision["check" if verdict == "refused" else "reason"]
    said = stopped.said.err if verdict == "refused" else stopped.said.out
    assert " ".join(str(told).split()) in " ".join(said.split())
    assert run.named("count").keys() <= good.named("count").keys()
    assert lasting_snapshot(run) == lasting_snapshot(good)
    assert {"people.permitted", "people.selected"} <= run.named("count").keys()
    assert (place.handed_over, place.waiting) == ((set(), set()), [])
    assert (place.home.reports / f"{run.record.run_id}.html").is_file()


def test_mlflow_shows_a_run_that_did_not_pass(stopped: Stopped) -> None:
    """Its MLflow run carries verdict, reason and evidence, and ends as finished or failed."""
    run, place = stopped.run, stopped.run.place
    experiment = place.mlflow.get_experiment_by_name("registry")
    assert experiment is not None
    (shown,) = place.mlflow.search_runs(
        [experiment.experiment_id], f"tags.`tutela.run` = '{run.record.run_id}'"
    )
    assert shown.data.tags["tutela.verdict"] == stopped.verdict
    assert shown.data.tags["tutela.reason"] == run.decision["reason"]
    assert shown.info.status == "FAILED"
    assert shown.info.run_name.endswith(f" {stopped.verdict}")
    kept = {file.path for file in place.mlflow.list_artifacts(shown.info.run_id)}
    assert {"report.html", "evidence.json", "policy.yaml"} <= kept


def test_a_passed_run_answers_in_json_what_its_report_says() -> None:
    """`tutela report RUN --json` gives the verdict and the published numbers of the record."""
    run = passed("registry")
    said = run.place.tell("report", run.record.run_id, "--json")
    found = json.loads(said.out)
    assert said.status == 0
    assert found["verdict"] == "passed"
    assert run.record.run_id in said.out
