"""Pages that tell a story are run as they are written, each in a home and a folder of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from expectations.policy_file import read_policy
from tasks.people.ingestion import find_missing, people_source
from tests.runs import Place, Said, make_place

ROOT = Path(__file__).parents[2]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
A_RUN = "20261202"
"""The run that a page means: the newest."""
STATUS = re.compile(r"\s+# exit status (\d)$")
NOT_RUN = ["make demo", "source .venv/bin/activate", "tutela prefect", "tutela mlflow"]
"""What sets up, and what runs until it is stopped; `make silence` runs the former."""
FEWER = {
    "python docs/fhir/make_export.py export": "python docs/fhir/make_export.py export 300",
    "python docs/omop/make_tables.py sqlite:///cdm.db":
        "python docs/omop/make_tables.py sqlite:///cdm.db 1 300",
    "python docs/omop/make_tables.py sqlite:///cdm.db 2":
        "python docs/omop/make_tables.py sqlite:///cdm.db 2 300",
}  # fmt: skip
"""What a day makes instead of what a page makes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line with a prompt: how it ends, and what the page shows of its output."""

    words: str
    status: int
    shown: list[str]


def blocks(page: str) -> list[str]:
    """Give the console snippets of a page."""
    return CONSOLE.findall((ROOT / "docs" / page).read_text("utf-8"))


def steps(page: str) -> list[Step]:
    """Give what a page tells its reader to type, and what it shows."""
    found: list[Step] = []
    told = "".join(body for body in blocks(page) if body.startswith("$ ")).replace("\\\n", "")
    for line in told.splitlines():
        if line.startswith("$ "):
            status = STATUS.search(line)
            words = STATUS.sub("", line.removeprefix("$ "))
            found.append(Step(words, int(status[1]) if status else 0, []))
        else:
            found[-1].shown.append(line)
    return found


def run(place: Place, words: str) -> Said:
    """Run one line: `tutela` in the process, anything else in a shell."""
    if words.startswith("tutela "):
        typed, _, file = words.partition(" >> ")
        newest = [run.run_id for run in place.runs][-1:]
        said = place.tell(*shlex.split(typed.replace(A_RUN, *newest) if newest else typed)[1:])
        if file:
            with Path(file).open("a", encoding="utf-8") as appended:
                appended.write(said.out)
        return said
    words = words.replace("python ", f"{sys.executable} ", 1)
    made = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    return Said(made.returncode, made.stdout, made.stderr)


def put_into(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has what the pages take from the repository's."""
    patch.chdir(folder)
    for part in ("expectations", "docs"):
        (folder / part).symlink_to(ROOT / part)


def check_step(place: Place, step: Step) -> None:
    """Run a line: it ends with the status that the page says, and prints what it shows."""
    said = run(place, step.words)
    assert said.status == step.status, f"{step.words}: {said.err}"
    rest = said.out
    for part in filter(None, re.split(r"(?:^|\n)…(?:\n|$)", "\n".join(step.shown))):
        _, found, rest = rest.partition(part)
        assert found == part, f"{step.words}: {part}"


@pytest.mark.parametrize(
    ("page", "verdicts"),
    [
        ("index.md", {"passed", "refused"}),
        ("afternoon.md", {"passed", "refused"}),
        ("approvals.md", {"passed", "refused"}),
        pytest.param("omop.md", {"passed"}, marks=pytest.mark.nightly),
        pytest.param("fhir.md", {"passed"}, marks=pytest.mark.nightly),
    ],
)
def test_a_page_works_line_by_line(
    page: str, verdicts: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command ends with the status that the page says, and prints what it shows."""
    put_into(tmp_path, monkeypatch)
    place = make_place(tmp_path / "home")
    for step in steps(page):
        check_step(place, step)
    assert {run.verdict for run in place.runs} == verdicts


@pytest.mark.parametrize(("page", "runs"), [("omop.md", 2), ("fhir.md", 1)])
def test_a_page_works_up_to_its_runs(
    page: str, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By day few people are made, and where a run begins its columns are read."""
    put_into(tmp_path, monkeypatch)
    place, read = make_place(tmp_path / "home"), 0
    for step in steps(page):
        if not step.words.startswith("tutela run "):
            check_step(place, replace(step, words=FEWER.get(step.words, step.words)))
            continue
        file = read_policy(step.words.split()[-1])
        source = people_source(file)
        assert find_missing(file, source.columns()) == []
        assert source.read([*map(file.policy.source_name, file.policy.columns)]).num_rows
        read += 1
    assert read == runs


def test_what_a_page_shows_and_is_not_run_is_known() -> None:
    """A line without a prompt is run by nobody, so each such line is named here."""
    shown = [*blocks("index.md"), *blocks("afternoon.md")]
    lines = "".join(body for body in shown if not body.startswith("$ ")).splitlines()
    assert lines == NOT_RUN
