"""Pages that tell a story are run as they are written, each in a home and a folder of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.runs import Place, Said, make_place

ROOT = Path(__file__).parents[2]
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit status (\d)$")
NOT_RUN = ["make demo", "source .venv/bin/activate", "tutela prefect", "tutela mlflow"]
"""What sets up, and what runs until it is stopped; `make silence` runs the former."""


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
        return place.tell(*shlex.split(words)[1:])
    words = words.replace("python ", f"{sys.executable} ", 1)
    made = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    return Said(made.returncode, made.stdout, made.stderr)


@pytest.mark.parametrize(
    ("page", "verdicts"),
    [
        ("index.md", {"passed", "refused"}),
        ("afternoon.md", {"passed", "refused"}),
        ("omop.md", {"passed"}),
        ("fhir.md", {"passed"}),
    ],
)
def test_a_page_works_line_by_line(
    page: str, verdicts: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command ends with the status that the page says, and prints what it shows."""
    monkeypatch.chdir(tmp_path)
    for part in ("expectations", "docs"):
        (tmp_path / part).symlink_to(ROOT / part)
    place = make_place(tmp_path / "home")
    for step in steps(page):
        said = run(place, step.words)
        assert said.status == step.status, f"{step.words}: {said.err}"
        rest = said.out
        for part in filter(None, re.split(r"(?:^|\n)…(?:\n|$)", "\n".join(step.shown))):
            _, found, rest = rest.partition(part)
            assert found == part, f"{step.words}: {part}"
    assert {run.verdict for run in place.runs} == verdicts


def test_what_a_page_shows_and_is_not_run_is_known() -> None:
    """A line without a prompt is run by nobody, so each such line is named here."""
    shown = [*blocks("index.md"), *blocks("afternoon.md")]
    lines = "".join(body for body in shown if not body.startswith("$ ")).splitlines()
    assert lines == NOT_RUN
