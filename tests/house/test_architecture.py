"""The house stands as it was drawn: floors, rooms, names, sizes, and what a wheel carries."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest
from importlinter.cli import lint_imports

from flows.ending import Ending
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, Step

ROOT = Path(__file__).parents[2]
PACKAGES = ("tutela", "deployments", "flows", "tasks", "ledgers", "expectations")
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "base", "misc", "shared"}
LONGEST_MODULE, LONGEST_FUNCTION = 500, 60
ROOMS = {
    "mlflow": {
        "tasks/handover/recording.py",
        "tasks/handover/registry.py",
        "tasks/handover/shown.py",
        "deployments/servers/mlflow_process.py",
    },
    "great_expectations": {
        "expectations/gx/suites.py",
        "expectations/gx/quiet_validation.py",
        "expectations/gx/table_promises.py",
        "expectations/gx/table_expectations.py",
        "expectations/gx/class_metrics.py",
        "expectations/gx/sensitive_expectations.py",
    },
    "presidio_analyzer": {
        "tasks/anonymization/free_text/text.py",
        "tasks/anonymization/free_text/announced_values.py",
        "tasks/anonymization/free_text/recognizers.py",
        "tasks/anonymization/free_text/phone_numbers.py",
        "tasks/anonymization/free_text/unlisted_names.py",
    },
    "spacy": {"tasks/anonymization/free_text/entity_model.py"},
    "thinc": {
        "tasks/anonymization/free_text/entity_model.py",
    },
    "phonenumbers": {"tasks/anonymization/free_text/phone_numbers.py"},
    "opendp": {"tasks/training/noise_samplers.py", "tasks/anonymization/noise.py"},
    "dp_accounting": {"expectations/privacy_loss.py"},
    "fairlearn": {"tasks/training/fairness.py"},
    "opacus": {"tasks/training/private_descent.py"},
    "torch": {"tasks/training/private_descent.py"},
    "jinja2": {"tasks/pages/report.py"},
    "openlineage": {"tasks/lineage/"},
    "apprise": {"tasks/watching/notifications.py"},
    "lark": {"expectations/expressions/expressions.py"},
    "typer": {
        "deployments/approvals/commands.py",
        "deployments/audit/commands.py",
        "deployments/budget/commands.py",
        "deployments/cli.py",
        "deployments/draft/commands.py",
        "deployments/explain.py",
        "deployments/signing.py",
        "deployments/terminal.py",
        "deployments/consent",
        "deployments/home",
        "deployments/keeping",
        "deployments/keys",
        "deployments/runs/commands.py",
        "deployments/serving",
        "deployments/doctor",
        "deployments/verify",
    },
    "alembic": {"ledgers/home/database.py", "ledgers/migrations"},
    "cryptography": {
        "tasks/people/person_keys.py",
        "ledgers/home/keys.py",
        "ledgers/signed_heads.py",
        "ledgers/checkpoints.py",
        "ledgers/people/signature.py",
        "tasks/verifying/envelopes.py",
        "tasks/verifying/public_keys.py",
        "tasks/verifying/sealed.py",
        "tasks/verifying/signatures.py",
        "tasks/verifying/sshsig.py",
        "tasks/anonymization/tokens.py",
    },
    "duckdb": {
        "tasks/consent/standing.py",
        "tasks/anonymization/parquet.py",
        "tasks/sources/fhir/source.py",
        "tasks/sources/table_rows.py",
    },
}
"""Where each library is known, so that an upgrade is one room's work."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(file: Path) -> str:
    """Name a file from the project's root."""
    return file.relative_to(ROOT).as_posix()


@cache
def read_lines(file: Path) -> list[str]:
    """Read a file."""
    return file.read_text("utf-8").splitlines()


@cache
def read_tree(file: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse("\n".join(read_lines(file)))


def imports(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Give what is imported, at the top or inside a function: a module, and a name in it."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through a tree, past what only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from at_run_time(child)


def module_of(file: Path) -> str:
    """Name a file as it is imported."""
    return name_of(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Give all that one file imports, and what that imports, and so on."""
    found, ahead = set[str](), [start]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead += new
    return found


def modules() -> Iterator[ModuleType]:
    """Import every module of the tasks and flows."""
    for file in FILES:
        if name_of(file).startswith(("tasks/", "flows/")):
            yield importlib.import_module(module_of(file))


def steps() -> list[Step[typing.Any]]:
    """Give every step there is."""
    found = {id(s): s for module in modules() for s in vars(module).values() if isinstance(s, Step)}
    return list(found.values())


def code_lines(function: Function, lines: list[str]) -> int:
    """Count the lines of a function's body, without docstring, comments and blank lines."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    span = lines[body[0].lineno - 1 : function.end_lineno]
    return sum(1 for line in span if line.strip() and not line.strip().startswith("#"))


def test_imports_point_downward_and_stay_in_their_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The contracts in pyproject.toml hold: floors, MLflow's room, checks apart from their prey."""
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, "run lint-imports to see which"


def test_a_library_is_known_in_its_own_room_only() -> None:
    """An import, at the top or inside a function, stands nowhere else."""
    assert [
        f"{name_of(file)} imports {library}"
        for file in FILES
        for library in {name.partition(".")[0] for name, _ in imports(ast.walk(read_tree(file)))}
        & ROOMS.keys()
        if not name_of(file).startswith(tuple(ROOMS[library]))
    ] == []


def test_no_two_files_import_each_other() -> None:
    """By no way round, late imports included: one of them can be read first."""
    files = {module_of(file): file for file in FILES}
    graph = {
        name: {
            found
            for module, inner in imports(at_run_time(read_tree(file)))
            if (found := f"{module}.{inner}" if f"{module}.{inner}" in files else module) in files
        }
        for name, file in files.items()
    }
    reached = {name: reachable(graph, name) for name in graph}
    circles = {
        tuple(sorted(other for other in found if name in reached[other]))
        for name, found in reached.items()
        if name in found
    }
    assert sorted(circles) == []


def test_a_file_is_named_for_its_subject() -> None:
    """No name that means nothing, and none of a library that is used."""
    assert [name_of(file) for file in FILES if file.stem in VAGUE | ROOMS.keys()] == []


def test_a_module_is_short() -> None:
    """At most 500 lines."""
    sizes = {name_of(file): len(read_lines(file)) for file in FILES}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}


def test_a_module_says_what_it_is_for() -> None:
    """With a sentence at the top wherever there is code, with a word elsewhere."""
    said = {file: ast.get_docstring(read_tree(file)) or "" for file in FILES}
    needed = {file: 4 if len(read_tree(file).body) > 1 else 1 for file in FILES}
    assert [name_of(f) for f in FILES if len(said[f].split()) < needed[f]] == []


def test_a_function_fits_on_a_screen() -> None:
    """At most 60 lines of code."""
    sizes = {
        f"{name_of(file)}:{node.name}": code_lines(node, read_lines(file))
        for file in FILES
        for node in ast.walk(read_tree(file))
        if isinstance(node, Function)
    }
    assert {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION} == {}


def test_the_measure_of_a_function_counts_its_code() -> None:
    """Docstring, comments, blank lines and the signature do not count; every other line does."""
    lines = ["def f(", "    a,", "):", '    """Say', '    it."""', "    # why", "",
             "    b = (", "        a", "    )", "    return b"]  # fmt: skip
    (function,) = ast.parse("\n".join(lines)).body
    assert isinstance(function, ast.FunctionDef)
    assert code_lines(function, lines) == 4


def test_flows_take_a_policys_name_and_nothing_else() -> None:
    """Prefect stores what a flow is given before it looks at it."""
    from prefect import Flow

    flows = [f for m in modules() for f in vars(m).values() if isinstance(f, Flow)]
    assert {flow.fn.__name__ for flow in flows} >= {"train_and_release", "release_tables"}
    for flow in flows:
        taken = typing.get_type_hints(flow.fn)
        assert taken == {"policy": str, "return": Ending}
        assert (flow.persist_result, flow.should_validate_parameters) == (False, False)


def test_a_step_takes_references_and_words_and_gives_a_reference() -> None:
    """No frame is a parameter: a step's function sees a desk, opened data sets, and names."""
    assert len(steps()) >= 14
    for step in steps():
        hints = inspect.get_annotations(step.function, eval_str=True)
        hints.pop("return")
        desk, *rest = hints.values()
        assert desk is Desk
        for hint in rest:
            assert hint is str or str(typing.get_origin(hint)) == str(Opened), step.__name__


def test_steps_have_titles_of_their_own() -> None:
    """Whoever watches a run tells its steps apart, and reads what each does."""
    titles = [step.title for step in steps()]
    assert len(set(titles)) == len(titles)
    assert all(step.__doc__ for step in steps())


HEAVY = ("prefect", "mlflow", "great_expectations", "pandas", "sklearn", "sqlalchemy", "spacy")
LIGHT = {
    "the command line": ("import deployments.cli", HEAVY),
    "help": ("main(['--help'])", (*HEAVY, "pyarrow", "numpy", "pydantic")),
    "check": ("main(['check', 'diabetes'])", HEAVY),
    "check of made-up data": ("main(['check', 'registry'])", HEAVY),
    "the anonymizer": ("import tasks.anonymization", HEAVY),
    "k_anonymize": ("from tasks.anonymization import k_anonymize", HEAVY[:3]),
    "a step": ("import tasks.people.ingestion", HEAVY),
}


@pytest.mark.parametrize(("code", "heavy"), LIGHT.values(), ids=LIGHT.keys())
def test_what_people_wait_for_loads_no_heavy_library(code: str, heavy: tuple[str, ...]) -> None:
    """A command that trains nothing does not wait for what trains."""
    program = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('LOADED', *(set(sys.modules) & {set(heavy)})))\n"
        "def main(words):\n"
        "    import deployments.cli\n"
        "    sys.argv = ['tutela', *words]\n"
        "    deployments.cli.main()\n"
        f"{code}"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert ran.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.parametrize("file", ["requirements.lock", "bootstrap.lock"])
def test_lock_files_hold_hashes_and_no_address(file: str) -> None:
    """What is installed is pinned by its content, from wherever the user's index is."""
    text = (ROOT / file).read_text("utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "index-url" not in text


def test_the_command_that_is_installed_leads_to_the_command_line() -> None:
    """`tutela` is `deployments.cli:main`."""
    from deployments.cli import main

    (tutela,) = entry_points(group="console_scripts", name="tutela")
    assert tutela.load() is main


def test_a_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    """Policies, templates, schemas and migrations are carried along with the code."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("tutela-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {
        name_of(file)
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert held == there
    policies = {f"expectations/policies/{name}.yaml" for name in ("diabetes", "notes", "registry")}
    schemas = {"expectations/policy/policy.schema.json", "tasks/account/evidence.schema.json"}
    pages = {f"tasks/pages/{name}.html.j2" for name in ("report", "drawn", "model_card")}
    others = {"ledgers/migrations/env.py", "deployments/prefect.yaml", "tasks/pages/page.css"}
    assert policies | schemas | pages | others <= held
