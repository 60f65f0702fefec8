"""`tutela rehearse` carries a policy through on made-up people and touches nothing else."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from deployments import cli
from deployments.rehearse import commands as rehearse
from deployments.rehearse import home as rehearsal_home
from expectations.errors import ServiceError
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from tasks import sources
from tests.conftest import ROOT_KEY
from tests.runs import Place, Said, changed_policy, make_place

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "rehearse.yml"
NOTES_SOURCE = "location: {kind: example, name: notes}"
NOWHERE = "location: {kind: csv, path: nowhere/people.csv}"


def tell_json(place: Place, policy: object) -> tuple[Said, dict[str, object]]:
    """Rehearse a policy and read what it says as JSON."""
    said = place.tell("rehearse", str(policy), "--json")
    assert said.out, said.err
    found = json.loads(said.out)
    assert isinstance(found, dict)
    return said, found


def digests(folder: Path) -> dict[str, str]:
    """Give the digest of every file under a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home of a user who rehearses."""
    return make_place(tmp_path_factory.mktemp("user") / "home")


@pytest.fixture(autouse=True)
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rehearsal draw the same each time: an attack on so few finds something by chance."""

    def create(root: Path) -> Home:
        home = create_home(root)
        (home.keys / "root.key").write_bytes(ROOT_KEY)
        return home

    monkeypatch.setattr(rehearsal_home, "create_home", create)


@pytest.mark.parametrize(
    "policy", [pytest.param("diabetes", marks=pytest.mark.nightly), "prevalence", "registry"]
)
def test_an_example_is_carried_through_and_the_home_stays_as_it_was(
    policy: str, place: Place
) -> None:
    """It ends with 0, says first that people are made up, and fits the screen."""
    before = digests(place.home.root)
    said = place.tell("rehearse", policy)
    assert said.status == 0, said.err
    assert said.out.startswith(f"Made up: a rehearsal of {policy} on ")
    assert "Works: every step ran" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert digests(place.home.root) == before


def test_the_home_of_a_rehearsal_is_removed_and_the_environment_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after an error; meanwhile no passphrase and no shared MLflow are there to be used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TUTELA_PASSPHRASE", "mine")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:////shared.db")
    before = dict(os.environ)
    with contextlib.suppress(KeyError), rehearsal_home.own_home() as home:
        assert home.root.is_relative_to(tmp_path)
        assert home.settings.mlflow_tracking_uri is None
        assert "TUTELA_PASSPHRASE" not in os.environ
        assert [name for name in os.environ if name.startswith("MLFLOW_")] == []
        raise KeyError
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_that_is_asked_to_end_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal interrupts it; afterwards the signal means what it did before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), rehearsal_home.own_home():
        signal.raise_signal(signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_a_killed_rehearsal_left_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what a living one holds, what was just made, nor what others made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("tutela-rehearsal-dead", "tutela-rehearsal-young", "other"):
        (tmp_path / name / "home").mkdir(parents=True)
    (tmp_path / "tutela-rehearsal-link").symlink_to(tmp_path / "other")
    with rehearsal_home.own_folder() as living:
        for folder in tmp_path.iterdir():
            if folder.name != "tutela-rehearsal-young":
                os.utime(folder, (0, 0), follow_symlinks=False)
        rehearsal_home.remove_left()
        left = {folder.name for folder in tmp_path.iterdir()}
        assert left == {living.name, "tutela-rehearsal-young", "tutela-rehearsal-link", "other"}
    assert (tmp_path / "other" / "home").is_dir()


def test_nothing_that_a_policy_names_is_opened(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source that does not exist does for a rehearsal, and no folder is left behind."""
    made = tmp_path / "made"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    opened = []

    def note(location: object, *rest: object) -> object:
        opened.append(location)
        return real(location, *rest)  # type: ignore[arg-type]

    real = sources.open_source
    monkeypatch.setattr("tasks.people.ingestion.open_source", note)
    said, found = tell_json(place, changed_policy(tmp_path, (NOTES_SOURCE, NOWHERE), of="notes"))
    assert said.status == 0, said.err
    assert (found["made_up"], found["verdict"]) == (True, "passed")
    assert opened
    assert all(str(made) in str(location) for location in opened)
    assert [path for path in made.iterdir() if path.name.startswith("tutela-rehearsal")] == []


def test_what_made_up_people_cannot_meet_is_told_as_such(tmp_path: Path, place: Place) -> None:
    """A share that excludes the target's others ends it with 1, and the check is named."""
    both = '  - {rule: share-between, column: readmitted, value: "no", low: 0.99, high: 1}\n'
    first = "  - {rule: missing-at-most, column: note, share: 0}\n"
    path = changed_policy(tmp_path, (first, both + first), of="notes")
    said, found = tell_json(place, path)
    assert said.status == 1
    assert found["verdict"] == "refused"
    error = json.loads(said.err[said.err.index("{") :])
    assert "on made-up people" in error["message"]
    assert "share of" in error["message"]


def test_an_eligibility_that_no_row_meets_is_named(tmp_path: Path, place: Place) -> None:
    """Nobody can be both: that is said of the policy's own line, before anything is run."""
    path = changed_policy(
        tmp_path, ("eligible: age >= 18", "eligible: age >= 18 and age < 18"), of="notes"
    )
    said = place.tell("rehearse", str(path))
    assert (said.status, said.out) == (2, "")
    assert "population.eligible: none of" in said.err


def test_a_rehearsal_is_told_from_a_run_by_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Prefect is given of the flow bears the tag."""
    from prefect.context import TagsContext

    seen: list[set[str]] = []
    monkeypatch.setattr(
        "deployments.run.launch.wait_for_server",
        lambda *_, **__: seen.append(set(TagsContext.get().current_tags)),
    )
    monkeypatch.setattr("deployments.run.launch.start_server", lambda *_, **__: None)
    monkeypatch.setattr("deployments.run.launch.leave_server", lambda *_, **__: None)
    monkeypatch.setattr("deployments.run.launch.run_flow", lambda _: ServiceError("stopped"))
    with pytest.raises(ServiceError, match="stopped"):
        rehearse.carry_through("registry")
    assert seen == [{rehearse.TAG}]


def test_the_action_runs_commands_that_exist_and_holds_no_secret() -> None:
    """Its YAML parses, each script is one that a shell reads, each command and option is there."""
    text = EXAMPLE.read_text("utf-8")
    steps = yaml.safe_load(text)["jobs"]["rehearse"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    for script in scripts:
        subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True)
    lines = [line.split() for script in scripts for line in script.splitlines()]
    called = {words[1]: words for words in lines if words[0] == "tutela"}
    assert set(called) == {"check", "rehearse"}
    group = get_command(cli.app)
    assert isinstance(group, TyperGroup)
    commands = group.commands
    for name, words in called.items():
        known = {option for one in commands[name].params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known
    assert "secrets" not in text
