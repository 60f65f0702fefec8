"""What the terminal shows: aligned, within 80 columns, coloured only where that is wanted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from deployments.cli import app
from deployments.completion import policies, run_ids
from deployments.terminal import colour_words, has_colour, lay_out, paint
from tests.runs import say

ROOT = Path(__file__).parents[2]
CELL = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]) | st.just(" "), max_size=90)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=4)
)
VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM")


class Screen:
    """A stream that is a terminal or is none."""

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal

    def isatty(self) -> bool:
        """Say which."""
        return self.terminal


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is said of colours."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@given(TABLES)
def test_no_table_is_wider_than_the_screen_and_no_word_is_lost(rows: list[list[str]]) -> None:
    """Whatever the cells hold: at most 80 columns, and every letter once, in its own column."""
    lines = lay_out((), rows)
    assert max(map(len, lines), default=0) <= 80
    letters = sorted("".join("".join(row) for row in rows).replace(" ", ""))
    assert sorted("".join(lines).replace(" ", "")) == letters


def test_columns_stand_under_each_other_and_numbers_to_the_right() -> None:
    """A long cell is folded inside its own column."""
    rows = [("k-anonymity", "9", "a long sentence " * 6), ("training", "1,000", "short")]
    lines = lay_out(("check", "people", "said"), rows, numbers=(1,))
    assert lines[0].startswith("check        people  said")
    assert [line for line in lines if line.startswith("training      1,000  short")]
    folded = [line for line in lines if line.startswith(" ")]
    assert folded
    assert all(line.startswith(" " * 21 + "a") or line[21] != " " for line in folded)


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
    ids=str,
)
def test_colour_is_for_terminals_unless_one_says_otherwise(
    plain_environment: pytest.MonkeyPatch,
    terminal: bool,
    environment: dict[str, str],
    coloured: bool,
) -> None:
    """A pipe is plain, NO_COLOR is heeded first, FORCE_COLOR second."""
    for name, value in environment.items():
        plain_environment.setenv(name, value)
    assert has_colour(Screen(terminal=terminal)) is coloured  # type: ignore[arg-type]  # all that is asked


def test_verdicts_are_coloured_where_they_stand_alone(
    plain_environment: pytest.MonkeyPatch,
) -> None:
    """A word in a sentence is not a verdict; taken out, the codes leave the text as it was."""
    text = "Passed: all\n  refused  k: 3\nrun  p  inconclusive\nit was refused before\n  weaker  x"
    assert colour_words(text) == text
    plain_environment.setenv("FORCE_COLOR", "1")
    shown = colour_words(text)
    assert re.sub(r"\033\[\d+m", "", shown) == text
    assert re.findall(r"\033\[(\d+)m(\w+)", shown) == [
        ("32", "Passed"), ("31", "refused"), ("33", "inconclusive"), ("31", "weaker"),
    ]  # fmt: skip
    assert paint("x", "red") == "\033[31mx\033[0m"


def groups(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give `tutela` itself and every group of commands as its words."""
    inner: dict[str, object] = getattr(command, "commands", {})
    if inner:
        yield path
    for name, child in inner.items():
        yield from groups(child, (*path, name))


@pytest.mark.parametrize("words", [*groups(get_command(app))], ids=" ".join)
def test_the_help_of_every_group_shows_an_example(words: tuple[str, ...]) -> None:
    """Also where only a group is typed; what is shown is a command of that group."""
    said = say(*words, "--help")
    (example,) = re.findall(r"Example: tutela (.+)", said.out)
    assert example.split()[: len(words)] == list(words)
    assert say(*example.split()[: len(words) + 1], "--help").status == 0
    assert max(map(len, said.out.splitlines())) <= 80


def test_the_version_is_said() -> None:
    """It is the installed one's, and asks for nothing else."""
    from importlib.metadata import version

    assert say("--version").out == f"tutela {version('tutela')}\n"


def test_a_shell_completes_policies_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Examples, YAML files and folders; ids of runs that have a report; nothing without a home."""
    for name in ("mine.yaml", "notes.txt", "more.yml"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "inner.yaml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUTELA_HOME", str(tmp_path / "home"))
    assert policies("m") == ["mine.yaml", "more.yml"]
    assert policies("d") == ["diabetes", "deep/"]
    assert policies("deep/") == ["deep/inner.yaml"]
    assert "registry" in policies("")
    assert run_ids("2026") == []
    (tmp_path / "home" / "reports").mkdir(parents=True)
    (tmp_path / "home" / "reports" / "20260102T030405-0a1b2c3d.html").touch()
    assert run_ids("2026") == ["20260102T030405-0a1b2c3d"]


def test_who_closes_the_pipe_gets_no_traceback() -> None:
    """As with any program under `| head`: it ends quietly, and not as if a check had refused."""
    command = (
        "import sys; sys.argv = ['tutela', 'explain']; from deployments.cli import main; main()"
    )
    ended = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "{command}" | true; echo "${{PIPESTATUS[0]}}"'],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("141\n", "")
