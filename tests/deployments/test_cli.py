"""The command line: what it answers, where, and with which status; no server is started here."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from deployments.cli import app
from deployments.run.notebook import read_ran, read_table
from expectations.errors import Refusal
from expectations.policy.locations import ExampleName
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.sources.csv_file import CsvSource
from tasks.sources.examples import parts_of
from tasks.sources.examples.nhanes import NhanesSource
from tasks.sources.examples.table import MadeUpSource
from tasks.sources.parquet_files import ParquetSource
from tests.conftest import Folder
from tests.runs import Place, Said, changed_policy, copy_place, passed, say, shared_place

WIDTH = 80


def leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give every command as its words."""
    inner: dict[str, object] = getattr(command, "commands", {})
    if not inner:
        yield path
    for name, child in inner.items():
        yield from leaves(child, (*path, name))


COMMANDS = tuple(leaves(get_command(app)))


def read_object(said: Said) -> dict[str, object]:
    """Read what a command printed as one JSON object."""
    found = json.loads(said.out)
    assert isinstance(found, dict), said.out
    return found


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_an_example_of_the_very_command(words: tuple[str, ...]) -> None:
    """`--help` says what the command does and how it is typed."""
    said = say(*words, "--help")
    assert (said.status, said.err) == (0, "")
    assert re.search(rf"Example: tutela {' '.join(words)}(\s|$)", said.out)
    assert max(map(len, said.out.splitlines())) <= WIDTH


@pytest.mark.parametrize("words", [("--help",), ("check", "diabetes"), ("explain", "k-anonymity")])
def test_what_writes_nothing_needs_no_locks_of_the_system(words: tuple[str, ...]) -> None:
    """A policy can be checked where no home could be kept."""
    code = "import sys; sys.modules['fcntl'] = None; from deployments.cli import main; main()"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=root, capture_output=True,
                          text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_help_lists_the_commands_in_the_order_of_a_first_afternoon() -> None:
    """Who reads it downward can follow it; every command has its place."""
    listed = re.findall(r"(?m)^  ([a-z]+) ", say("--help").out.partition("Commands:")[2])
    assert listed[:7] == ["init", "draft", "check", "rehearse", "run", "report", "explain"]
    assert set(listed) == {words[0] for words in COMMANDS}


def test_help_says_what_each_exit_status_means() -> None:
    """Who scripts it finds the four statuses without reading further."""
    told = " ".join(say("--help").out.split())
    assert "0 done, 1 refused by a check, 2 the input or usage is wrong, 3" in told


@pytest.mark.parametrize("policy", ["diabetes", "prevalence", "registry", "notes", "readmission"])
def test_check_reads_headers_only(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No source is read, and no example is even made: a look at its header is enough."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a source was read")

    for kind in (CsvSource, NhanesSource, MadeUpSource, ParquetSource):
        monkeypatch.setattr(kind, "read", refuse)
    said = say("check", policy)
    assert said.status == 0
    assert "No personal data was read." in said.out


MADE_UP = [
    table
    for name in get_args(ExampleName)
    for table in parts_of(name).values()
    if isinstance(table, MadeUpSource)
]


@pytest.mark.parametrize("source", MADE_UP, ids=lambda source: source.place)
def test_an_example_names_the_columns_that_it_makes(source: MadeUpSource) -> None:
    """The names that are told without making the table are those of the table."""
    assert source.columns() == tuple(source.make().column_names)


def test_check_needs_no_home(tmp_path: Path) -> None:
    """A policy can be checked before anything was set up, and nothing is made for it."""
    said = say("check", "registry", TUTELA_HOME=str(tmp_path / "none"))
    assert said.status == 0
    assert "No home here: run `tutela init`." in said.out
    assert list(tmp_path.iterdir()) == []


def test_check_says_what_is_read_and_what_is_promised(folder: Folder) -> None:
    """The plan names each column with its fate, each recipient, its claim and its limits."""
    plan = read_object(say("check", str(folder.write()), "--json"))
    assert plan["columns_there"] == 6
    assert plan["columns"]["sugar"]["treatment"] == "used in the run, then dropped"  # type: ignore[index]  # JSON
    outlets = plan["outlets"]
    assert isinstance(outlets, dict)
    assert set(outlets) == {"clinic", "partner"}
    assert "3-anonymous over {age, sex, sick}" in outlets["partner"]["claim"]
    assert all(outlet["limits"] for outlet in outlets.values())


def test_check_looks_at_the_source_that_is_given(folder: Folder) -> None:
    """`--source` puts other people in the place of the policy's own."""
    policy, others = folder.write(), folder.path / "others.csv"
    others.write_text("pid,age,sex,sugar\n", encoding="utf-8")
    assert read_object(say("check", str(policy), "--source", str(others), "--json"))[
        "columns_there"
    ] == 4  # fmt: skip
    others.write_text("pid,age,sex,suger\n", encoding="utf-8")
    said = say("check", str(policy), "--source", str(others))
    assert said.status == 2
    assert "the source has no column `sugar`; did you mean `suger`?" in said.err


def test_run_reads_the_source_that_is_given(
    folder: Folder, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative `--source` starts where the command runs; the policy's own file is not needed."""
    policy, elsewhere = folder.write(), folder.path / "elsewhere"
    elsewhere.mkdir()
    (folder.path / "people.csv").rename(elsewhere / "others.csv")
    monkeypatch.chdir(elsewhere)
    place = Place(home)
    said = place.tell("run", str(policy), "--source", "others.csv", "--tables-only", "--json")
    assert said.status == 0, said.err
    assert read_object(said)["verdict"] == "passed"
    assert place.last.exact("people.permitted") == 478


def test_a_plan_is_at_most_80_columns_wide(folder: Folder) -> None:
    """What `check` says fits on a screen, where names allow it."""
    plan = say("check", str(folder.write())).out
    assert [
        line for line in plan.splitlines() if len(line) > WIDTH and "tutela run" not in line
    ] == []


def test_report_lists_the_runs_newest_first() -> None:
    """Each run has a line with its id, its policy and its verdict, on a screen's width."""
    run = passed("registry")
    place = run.place
    listed = place.tell("report").out.splitlines()
    assert [line.split()[0] for line in listed[1:]] == [r.run_id for r in reversed(place.runs)]
    (line,) = (line for line in listed if line.startswith(run.record.run_id))
    assert line.split()[1:3] == ["registry", "passed"]
    assert max(map(len, listed)) <= WIDTH


def test_report_shows_a_run_by_the_beginning_of_its_id() -> None:
    """The screen says how it ended, and no line is wider than 80 but for the home's own path."""
    run = passed("registry")
    place = run.place
    said = place.tell("report", run.record.run_id[:-1])
    assert re.search(
        r"(?m)^Passed\. (No check failed; \d+ warning|All \d+ checks passed)", said.out
    )
    lines = [line for line in said.out.splitlines() if str(place.home.root) not in line]
    assert max(map(len, lines)) <= WIDTH


def test_a_file_that_was_changed_since_its_run_is_not_handed_on(tmp_path: Path) -> None:
    """Neither pages nor tables, at the command line or to Python; one that was moved away is."""
    place = copy_place(passed("registry").place, tmp_path / "home")
    run_id = place.last.record.run_id
    ran = read_ran(place.home, place.keys, run_id)
    (outlet,) = (one for one in ran.summary.outlets if one.release)
    (package,) = place.last.released.iterdir()
    assert read_table(ran, outlet) is not None
    for path in (*package.iterdir(), *place.home.reports.glob(f"{run_id}*")):
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        said = place.tell("report", run_id)
        named = package if path.parent == package else path
        assert (said.status, f"{named} was changed since run {run_id}" in said.err) == (1, True)
        if named == package:
            with pytest.raises(Refusal, match="was changed since run"):
                read_table(ran, outlet)
        path.write_bytes(content)
    shutil.rmtree(package)
    assert place.tell("report", run_id).status == 0


def test_report_says_so_when_there_is_no_run(home: Home) -> None:
    """An empty record is told as such, with what to do."""
    said = Place(home).tell("report")
    assert (said.status, said.out) == (0, "no run yet: tutela run diabetes\n")


def test_a_refused_run_answers_on_both_channels(tmp_path: Path) -> None:
    """The result stands on standard output, the check that refused on standard error; status 1."""
    policy = changed_policy(tmp_path, ("smallest: 1000", "smallest: 100000"), of="registry")
    said = shared_place().tell("run", str(policy), "--json")
    found, error = read_object(said), json.loads(said.err.splitlines()[-1])
    assert (said.status, found["verdict"], error["error"]) == (1, "refused", "Refusal")
    assert error["exit_status"] == 1
    assert error["message"].startswith("smallest cohort: ")


def test_a_passphrase_is_asked_for_at_a_terminal_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere it is said by which variable it is given, and no home is made."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    said = say("init", "--passphrase", TUTELA_HOME=str(tmp_path / "home"))
    assert (said.status, "elsewhere set TUTELA_PASSPHRASE" in said.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_init_is_safe_to_repeat(home: Home) -> None:
    """A second `init` keeps the home and its keys, and says where they are."""
    root = (home.keys / "root.key").read_bytes()
    said = say("init", "--json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert read_object(said)["home"] == str(home.root)
    assert (home.keys / "root.key").read_bytes() == root


@pytest.mark.parametrize("words", [
    pytest.param(("check", "notes"), id="check"),
    pytest.param(("report",), id="report"),
    pytest.param(("report", "RUN"), id="report a run"),
])  # fmt: skip
def test_json_is_one_object(words: tuple[str, ...]) -> None:
    """`--json` gives one object on standard output and nothing on standard error."""
    run = passed("registry")
    said = run.place.tell(*(run.record.run_id if w == "RUN" else w for w in words), "--json")
    assert (said.status, said.err) == (0, "")
    assert read_object(said)


def test_incident_show_opens_a_sealed_text(home: Home) -> None:
    """The operator reads the text; an id that is none is a mistake, a changed file a breakage."""
    incident = Keys.open(home).seal_incident("could not convert: 'Zyxwort'")
    assert say("incident", "show", incident).out == "could not convert: 'Zyxwort'\n"
    (home.incidents / incident).write_bytes(b"changed")
    said = say("incident", "show", incident)
    assert (said.status, said.out) == (3, "")
    assert "it was changed" in said.err


def test_incident_show_answers_as_json(home: Home) -> None:
    """A script reads an incident as it reads everything else."""
    incident = Keys.open(home).seal_incident("a text")
    found = read_object(say("incident", "show", incident, "--json"))
    assert found == {"incident": incident, "text": "a text"}


MISTAKES = {
    "an unknown command": ("rum", "diabetes"),
    "no policy": ("run",),
    "an unknown policy": ("check", "diabetis"),
    "a folder for a policy": ("check", "."),
    "no source there": ("check", "registry", "--source", "none.csv"),
    "a source that is none": ("check", "registry", "--source", "people.xlsx"),
    "a driver that is not there": ("check", "registry", "--source", "nodb://host/people#people"),
    "an unknown run": ("report", "1999"),
    "an unknown incident": ("incident", "show", "../../etc/passwd"),
}


@pytest.mark.parametrize("words", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_answered_with_status_2_and_no_traceback(
    words: tuple[str, ...], home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is explained on standard error, and no run is on record."""
    monkeypatch.chdir(tmp_path)
    said = say(*words)
    assert (said.status, said.out) == (2, "")
    assert said.err.strip()
    assert "Traceback" not in said.err
    assert ("it is a folder; give the path" in said.err) == (words == ("check", "."))
    assert Place(home).runs == []


def test_a_database_given_by_a_relative_path_is_looked_for_where_the_command_runs(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a file is, and not beside the policy."""
    policy, elsewhere = folder.write(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    with contextlib.closing(sqlite3.connect(elsewhere / "x.db")) as connection:
        columns = ", ".join(folder.people[0])
        connection.execute(f"CREATE TABLE people ({columns})")
    monkeypatch.chdir(elsewhere)
    said = say("check", str(policy), "--source", "sqlite:///x.db#people")
    assert said.status == 0, said.err
    monkeypatch.chdir(policy.parent)
    assert "no database file" in say("check", str(policy), "--source", "sqlite:///x.db#people").err


def test_a_mistake_is_answered_as_json_where_that_was_asked_for() -> None:
    """An error stands on standard error as one object, with its status."""
    said = say("check", "diabetis", "--json")
    error = json.loads(said.err)
    assert (said.status, said.out) == (2, "")
    assert (error["error"], error["exit_status"]) == ("PolicyError", 2)
    assert "one of diabetes, notes, pressure, prevalence, readmission, registry" in error["message"]


def test_every_problem_of_a_policy_is_told_at_once(folder: Folder) -> None:
    """Two slips are two lines, each with file and line."""
    policy = folder.write(("k: 3", "k: 1"), ("retention_days: 30", "retention_day: 30"))
    said = say("check", str(policy))
    assert said.status == 2
    assert said.err.count(f"{policy}:") == 3
    assert "did you mean `retention_days`?" in said.err


@pytest.mark.parametrize(
    "slip",
    [
        ("private-logistic-regression", "{steps: forty}", "steps as a whole number"),
        ("private-logistic-regression", "{steps: true}", "steps as a whole number"),
        ("private-boosting", "{rounds: 2.5}", "rounds as a whole number"),
        ("private-boosting", "{turns: 3}", "it does not take the parameters ['turns']"),
        ("private-network", "{}", "pip install -e '.[torch]'"),
        ("private-network", "{hidden_sizes: 6}", "pip install -e '.[torch]'"),
    ],
)
@pytest.mark.parametrize("command", ["check", "run", "advise"])
def test_a_private_model_that_could_not_be_trained_is_told_before_a_run(
    command: str, slip: tuple[str, str, str], folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run would have charged its people, and then failed."""
    model, parameters, told = slip
    monkeypatch.setitem(sys.modules, "opacus", None)
    promise = "\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
    policy = folder.write(
        ("{model: logistic-regression}", f"{{model: {model}, parameters: {parameters}}}"),
        ("recipient: Clinic", f"recipient: Clinic{promise}"),
    )
    words = ["--epsilon", "1"] if command == "advise" else []
    said = say(command, str(policy), *words, TUTELA_HOME=str(policy.parent / "none"))
    assert (said.status, told in said.err) == (2, True), said.err
    assert "Traceback" not in said.err


def test_the_usual_model_is_not_built_to_be_checked(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be trained anywhere, and building it would take seconds."""
    monkeypatch.setattr("tasks.training.models.build_estimator", None)
    monkeypatch.setattr("tasks.training.models.build_estimator", None)
    assert say("check", str(folder.write())).status == 0
    assert say("check", "diabetes").status == 0


def test_without_a_home_the_way_to_one_is_told(tmp_path: Path) -> None:
    """No command but `init` makes a home."""
    for words in (("report",), ("run", "registry")):
        said = say(*words, TUTELA_HOME=str(tmp_path / "none"))
        assert said.status == 2
        assert "run `tutela init`" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_others_can_read_is_refused(home: Home) -> None:
    """The mistake is named with the command that mends it."""
    home.root.chmod(0o755)
    said = say("report")
    assert said.status == 2
    assert f"chmod 700 {home.root}" in said.err


def test_a_record_that_was_changed_is_not_shown(home: Home, folder: Folder) -> None:
    """`report` refuses a run of which an entry was edited: status 3."""
    place = Place(home)
    assert place.tell("run", str(folder.write()), "--tables-only").status == 0
    with sqlite3.connect(home.ledger) as database:
        guards = database.execute("select name from sqlite_schema where type = 'trigger'")
        for (guard,) in guards.fetchall():
            database.execute(f"drop trigger {guard}")
        database.execute("update evidence set body = '15' where name = 'columns.named'")
    said = say("report", place.last.record.run_id)
    assert (said.status, said.out) == (3, "")
    assert "was changed at or before entry" in said.err
