"""What MLflow is shown of a run: the same of the same record, few figures, and every check."""

from dataclasses import asdict

from ledgers.evidence import JSON
from tasks.account.datasets import list_sources, list_steps
from tasks.account.projection import project, write_measures
from tests.recorded_runs import (
    GATHERED,
    HISTORY,
    PASSED,
    RELEASED,
    SERVED,
    TRAINED,
    Note,
    make_entries,
    make_policy,
    make_record,
    note_check,
    note_count,
    passed_run,
    refused_run,
)


def note_data(step: str, stage: str, *parents: str) -> Note:
    """Give what is noted of what a step gave."""
    body: dict[str, JSON] = {"stage": stage, "digest": f"{step:x<64}", "columns": ["_record"]}
    return ("dataset", step, body | {"parents": [*parents]})


def test_later_notes_of_a_record_change_nothing() -> None:
    """A run is replayed as it was shown, whatever was noted since."""
    record, policy, entries = passed_run()
    shown = next(i for i, entry in enumerate(entries) if entry.kind == "mlflow")
    assert project(record, policy, entries) == project(record, policy, entries[:shown])


def test_a_refused_run_looks_refused() -> None:
    """By its status, its name, the check that refused it, and the first line of its note."""
    shown = project(*refused_run())
    assert shown.failed
    assert shown.name.endswith(" refused")
    assert shown.tags["tutela.refused_by"] == "membership"
    assert "refused" in shown.tags["mlflow.note.content"].splitlines()[0]
    assert "Nothing was handed over" in shown.tags["mlflow.note.content"]
    assert not project(*passed_run()).failed


def test_each_check_has_a_tag_with_verdict_reached_and_asked() -> None:
    """Also one whose name MLflow would not take, and one of two outlets."""
    checks = (note_check("k≥2/odd", "passed"), note_check("twice", "warned", "a"))
    entries = make_entries(*GATHERED, *checks, note_check("twice", "passed", "b"), PASSED)
    tags = project(make_record(None), make_policy(), entries).tags
    assert tags["check.k_2_odd"].startswith("passed: ")
    assert "(asked: " in tags["check.k_2_odd"]
    assert [part.partition(":")[0] for part in tags["check.twice"].split("; ")] == [
        "warned",
        "passed",
    ]


def test_a_check_that_refused_before_it_could_note_anything_has_a_tag_and_counts() -> None:
    """Else who looks for what refused a run finds every check but that one."""
    decided: Note = ("decision", "refused", {"check": "crossings", "reason": "crossings: too few"})
    entries = make_entries(*GATHERED, note_check("drift", "inconclusive"), decided)
    shown = project(make_record(None), make_policy(), entries)
    assert shown.tags["check.crossings"] == "refused: too few"
    assert shown.metrics["checks/refused"] == 1.0
    assert shown.tags["tutela.checks"] == "1 of 3 passed, 1 could not be judged, 1 refused"


def test_a_model_claims_no_attack_that_could_not_be_judged() -> None:
    """Neither on the run's page nor on the version, which are what its recipient sees."""
    entries = make_entries(
        *GATHERED, *TRAINED, note_check("membership inference", "inconclusive", "ward"), PASSED
    )
    shown = project(make_record(None), make_policy(), entries)
    told = "Could not be judged, which the policy accepts: membership inference"
    assert told in shown.models["ward"].claim
    assert told in shown.tags["mlflow.note.content"]
    assert "speaks for nothing: membership inference" in shown.tags["mlflow.note.content"]


def test_metrics_are_few_and_grouped_and_the_rest_is_a_table() -> None:
    """Every measure and published count is there once more, as text."""
    record, policy, entries = passed_run()
    shown = project(record, policy, entries)
    assert len(shown.metrics) < 30
    assert {name.partition("/")[0] for name in shown.metrics} <= {
        "people", "privacy", "quality", "checks", "time",
    }  # fmt: skip
    noted = [entry.name for entry in entries if entry.kind in {"measure", "count"}]
    table = write_measures(entries)
    assert all(f'"{name}"' in table for name in noted)


def test_a_hidden_count_is_no_metric() -> None:
    """Nor is the share that would tell it."""
    notes = (
        *GATHERED, note_count("partner.released", 3190), note_count("partner.suppressed", None),
        ("measure", "privacy.partner.suppressed_share", 0.01), PASSED,
    )  # fmt: skip
    entries = make_entries(*notes)
    shown = project(make_record(None), make_policy(), entries)
    assert shown.metrics["people/released.partner"] == 3190
    assert not [name for name in shown.metrics if "suppressed" in name]
    assert "privacy.partner.suppressed_share" not in write_measures(entries)


def test_every_table_read_is_named_without_its_folder() -> None:
    """With a digest of this run, the columns asked for, and rows only where they are published."""
    notes = (note_count("roster", 5230), note_data("read_roster", "roster"), HISTORY)
    sources = [*list_sources(make_policy(), make_entries(*notes))]
    assert [(one.role, one.location, one.rows) for one in sources] == [
        ("people", "visits.csv", "5,230"),
        ("consent events", "consents.csv", None),
    ]
    assert sources[0].columns == ("patient", "AgeYears", "sex", "lab")
    assert "secret-folder" not in str([asdict(one) for one in sources])


def test_steps_say_what_they_were_made_of_and_how_many_people_they_hold() -> None:
    """Of earlier versions no edges are known."""
    entries = make_entries(
        note_count("selected", 3200),
        note_data("select_population", "selected", "collect"),
        ("dataset", "filter_consent", {"stage": "permitted", "digest": "d", "columns": []}),
    )
    made, older = list_steps(entries)
    assert (made.parents, made.rows) == (("collect",), "3,200")
    assert (older.parents, older.rows) == ((), None)


def test_a_model_says_its_recipient_and_its_claim() -> None:
    """On the name what is promised of each version, on a version the run's tags and its claim."""
    entries = make_entries(*GATHERED, *TRAINED, *RELEASED, PASSED, *SERVED)
    model = project(make_record(None), make_policy(), entries).models["ward"]
    assert model.name == "visits.ward"
    assert "for Ward 7" in model.description
    assert model.claim in model.description.replace("\\", "")
    assert model.tags["tutela.verdict"] == "passed"
    assert not [name for name in model.tags if not name.startswith("tutela.")]
