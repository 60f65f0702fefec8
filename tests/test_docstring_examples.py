"""Every stable name of `tutela` has an example in its docstring, and the example is true."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Folder

import tutela

Tried = dict[str, dict[str, int]]
TRY = """
import doctest, io, json, os, sys, warnings
import tutela
warnings.simplefilter("ignore")
flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
home, found = os.environ["TUTELA_HOME"], {}
for name in tutela.__all__:
    os.environ["TUTELA_HOME"] = home
    one, said = getattr(tutela, name), io.StringIO()
    (test,) = doctest.DocTestFinder(recurse=False).find(one, name, module=False, globs={})
    ran = doctest.DocTestRunner(optionflags=flags).run(test, out=said.write)
    skipped = sum(doctest.SKIP in each.options for each in test.examples)
    found[name] = {"tried": ran.attempted - skipped, "failed": ran.failed}
    sys.stderr.write(said.getvalue())
json.dump(found, open("tried.json", "w"))
"""


@pytest.fixture(scope="module")
def tried(template_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """Run all examples in one process of their own, beside a policy that can be run."""
    place = tmp_path_factory.mktemp("examples")
    shutil.copytree(template_home, place / "home")
    write_people(place)
    variables = {"TUTELA_HOME": str(place / "home"), "GX_ANALYTICS_ENABLED": "false"}
    ran = subprocess.run(
        [sys.executable, "-c", TRY],
        cwd=place, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    sys.stderr.write(ran.stderr)
    found: Tried = json.loads((place / "tried.json").read_text())
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
def test_a_stable_name_has_an_example_that_is_true(name: str, tried: Tried) -> None:
    """What the docstring shows is what happens; what is shown of the errors fails on purpose."""
    assert tried[name]["tried"] > 0, f"{name} has no example in its docstring"
    assert tried[name]["failed"] == 0, "see what the examples said, above"
