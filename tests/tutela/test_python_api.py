"""What `import tutela` offers: what is stable, how quick it is, and what stands in its way."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import tutela
from tests.conftest import make_folder
from tests.runs import _without_prefect

ROOT = Path(__file__).parents[2]
PAGE, WALK = ROOT / "docs" / "api.md", ROOT / "docs" / "python.md"
HEAVY = ("numpy", "pandas", "pyarrow", "pydantic", "sklearn", "prefect", "mlflow", "sqlalchemy",
         "great_expectations", "typer", "yaml")  # fmt: skip

UNSEEN = ("alembic", "cryptography", "duckdb", "fastapi", "great_expectations", "jinja2", "lark",
          "matplotlib", "mlflow", "narwhals", "opendp", "prefect", "presidio_analyzer", "pyarrow",
          "rich", "scipy", "sklearn", "spacy", "sqlalchemy", "thinc", "typer",
          "uvicorn")  # fmt: skip
"""Libraries that are most of what a type checker would read, for no type of ours."""


def python(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of Python as in a script or notebook that lies in a folder."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # what Great Expectations imports has warnings of its own
def test_the_page_lists_what_is_stable_as_it_is() -> None:
    """Every name with its signature and what it is for; `make_reference.py` writes it anew."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    page = PAGE.read_text("utf-8")
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(tutela.__all__)
    assert made.make_page() == page, "run docs/make_reference.py"


def test_every_public_part_of_a_result_is_on_the_page() -> None:
    """What is not listed is not promised, so nothing is left out by mistake."""
    public = {name for name in vars(tutela.Result) if not name.startswith("_")}
    listed = re.findall(r"^- `(\w+)`: ", PAGE.read_text("utf-8"), re.MULTILINE)
    assert set(listed) == public


@pytest.mark.filterwarnings("ignore")  # as above
def test_every_name_is_found_and_says_what_it_is_for() -> None:
    """Lazily, and for whoever presses the tabulator."""
    assert set(tutela.__all__) <= set(dir(tutela))
    for name in tutela.__all__:
        assert inspect.getdoc(getattr(tutela, name))
    with pytest.raises(AttributeError, match="no attribute 'k_anonymise'"):
        _ = tutela.k_anonymise  # type: ignore[attr-defined]  # not there, on purpose


def test_the_import_loads_no_library(tmp_path: Path) -> None:
    """Whoever imports it for one function waits for that one."""
    told = python(f"import sys, tutela; print(*(set(sys.modules) & {set(HEAVY)}))", tmp_path)
    assert (told.returncode, told.stdout.strip()) == (0, "")


@pytest.mark.parametrize("name", ["tasks", "flows", "ledgers", "expectations", "deployments"])
def test_a_package_in_the_way_is_named(name: str, tmp_path: Path) -> None:
    """A user's own package of one of our names: which folder it is, and what to do."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    told = python("import tutela", tmp_path)
    assert told.returncode == 1
    last = told.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: tutela cannot be imported here: {tmp_path / name} is in")
    assert "Rename it" in last


def test_a_module_in_the_way_is_named_and_one_that_was_loaded_too(tmp_path: Path) -> None:
    """A file hides a package as well; and what was imported before stays imported."""
    (tmp_path / "tasks.py").write_text("")
    for code in ("import tutela", "import tasks, sys; sys.path.pop(0); import tutela"):
        told = python(code, tmp_path)
        assert f"{tmp_path / 'tasks.py'} is in the way" in told.stderr


def test_a_folder_that_is_no_package_is_not_in_the_way(tmp_path: Path) -> None:
    """Folders of data may be called as they like."""
    (tmp_path / "tasks").mkdir()
    assert python("import tutela; tutela.k_anonymize", tmp_path).returncode == 0


def test_the_command_line_is_not_affected(tmp_path: Path) -> None:
    """`tutela` does not look for code in the folder that one stands in."""
    for name in ("tasks", "expectations", "deployments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('theirs')")
    command = Path(sys.executable).parent / "tutela"
    told = subprocess.run(
        [command, "check", "registry"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "registry" in told.stdout


def test_a_type_checker_sees_every_type(tmp_path: Path) -> None:
    """In somebody else's strict project: no name is `Any`, and a wrong one is found."""
    asked = {
        "r.verdict": "Literal['passed']", "r.evidence": "Summary", "r.checks": "Check",
        "r.ways": "WaysOut", "r.table": "DataFrame | None", "r.model": "Model | None",
        "tutela.k_anonymize(r.tables['a'], ['b'], 2).frame": "DataFrame",
        "tutela.measure(r.tables['a'], ['b']).k": "int", "tutela.check('p')": "Problem",
    }  # fmt: skip
    lines = ["import tutela", 'r = tutela.run("p")', *(f"reveal_type({one})" for one in asked)]
    (tmp_path / "theirs.py").write_text("\n".join([*lines, "tutela.k_anonymise"]))
    # No stable type comes from these; one that did would be `Any`, and fail below.
    skipped = ",".join(f"{name}.*" for name in UNSEEN)
    (tmp_path / "mypy.ini").write_text(f"[mypy]\n[mypy-{skipped}]\nfollow_imports = skip\n")
    code = "import sys; from mypy.main import main; main(args=['--strict', 'theirs.py'])"
    told = python(code, tmp_path).stdout.splitlines()
    for line, expected in zip(told, asked.values(), strict=False):
        assert expected in line
        assert "Any" not in line
    assert 'error: Module has no attribute "k_anonymise"' in told[len(asked)]
    assert "Found 1 error" in told[-1]


@pytest.mark.usefixtures("home")
def test_the_walk_through_runs_from_beginning_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every snippet of the page, in one program after the other, on a small table.

    Its runs' part with a Prefect server is tried in `test_python_run`.
    """
    make_folder(tmp_path).write().rename(tmp_path / "policy.yaml")
    text = WALK.read_text("utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(snippets) >= 9
    (tmp_path / "walk.py").write_text("\n".join(snippets))
    monkeypatch.chdir(tmp_path)
    with _without_prefect(), warnings.catch_warnings():
        # MLflow's own; outside of pytest the airlock silences them.
        warnings.simplefilter("ignore")
        runpy.run_path("walk.py")
    told = capsys.readouterr().out
    for said in ("passed 2", "passed | k-anonymity of partner", "refused\n", "permitted"):
        assert said in told
