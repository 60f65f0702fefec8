"""Every stable name of `tutela` has an example in its docstring, and the example is true."""

from __future__ import annotations

import doctest
import sys
import warnings
from pathlib import Path

import pytest

import tutela
from tests.conftest import Folder
from tests.runs import _without_prefect, make_place

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home beside a policy that can be run."""
    found = tmp_path_factory.mktemp("examples")
    make_place(found / "home")
    write_people(found)
    return found


def write_people(place: Path) -> None:
    """Write `policy.yaml`, `people.csv` and the consents of sixty made-up people."""
    made = Folder(place)
    for number in range(60):
        age = str(18 + number)
        sugar = f"{5 + number % 3}.0"
        made.people.append({"pid": f"p{number}", "age": age, "sex": "fm"[number % 2]})
        made.people[-1]["sugar"] = sugar
        made.say(f"p{number}", "given", "2024-01-01T12:00:00Z")
    made.write().rename(place / "policy.yaml")


@pytest.mark.parametrize("name", tutela.__all__)
def test_a_stable_name_has_an_example_that_is_true(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the docstring shows is what happens; what is shown of the errors fails on purpose."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("TUTELA_HOME", str(place / "home"))
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(optionflags=FLAGS)
    with _without_prefect(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (test,) = finder.find(getattr(tutela, name), name, module=False, globs={})
        ran = runner.run(test, out=sys.stderr.write)
    skipped = sum(doctest.SKIP in each.options for each in test.examples)
    assert ran.attempted > skipped, f"{name} has no example in its docstring"
    assert ran.failed == 0, "see what the examples said, above"
