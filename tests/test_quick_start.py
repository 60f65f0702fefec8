"""The quick start is run as it is written, in a home of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from runs import Place, Said, make_place

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "index.md").read_text("utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STATUS = re.compile(r"\s+# exit status (\d)$")
NOT_RUN = ["make demo", "source .venv/bin/activate", "tutela prefect", "tutela mlflow"]
"""What sets up, and what runs until it is stopped: `make silence` does the one, other tests both."""


def steps() -> list[tuple[str, int, list[str]]]:
    """Give each line with a prompt, the status that it ends with, and the lines shown below it."""
    found: list[tuple[str, int, list[str]]] = []
    for line in "".join(body for body in BLOCKS if body.startswith("$ ")).splitlines():
        if line.startswith("$ "):
            status = STATUS.search(line)
            words = STATUS.sub("", line.removeprefix("$ "))
            found.append((words, int(status[1]) if status else 0, []))
        else:
            found[-1][2].append(line)
    return found


def run(place: Place, words: str) -> Said:
    """Run one line: `tutela` in the process, anything else in a shell."""
    if words.startswith("tutela "):
        return place.tell(*shlex.split(words)[1:])
    made = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    return Said(made.returncode, made.stdout, made.stderr)


@pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning")
def test_the_quick_start_works_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each command ends with the status that the page says, and prints what it shows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "expectations").symlink_to(ROOT / "expectations")
    place = make_place(tmp_path / "home")
    for words, status, shown in steps():
        said = run(place, words)
        assert said.status == status, f"{words}: {said.err}"
        assert "\n".join(shown) in said.out, words
    assert [run.verdict for run in place.runs] == ["passed", "refused"]
    refusal = place.last.decision["reason"]
    assert "3000" in str(refusal).replace(",", "")


def test_what_the_quick_start_shows_and_is_not_run_is_known() -> None:
    """A line without a prompt is run by nobody, so each such line is named here."""
    lines = "".join(body for body in BLOCKS if not body.startswith("$ ")).splitlines()
    assert lines == NOT_RUN
