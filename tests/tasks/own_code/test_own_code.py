"""Own code is loaded under a private name: it clashes with nothing, and its text is known."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from expectations.errors import PolicyError, UsageError
from tasks.own_code.loading import (
    OwnCodeError,
    digest_sources,
    load_own,
    private_name,
    requirements,
    written_sources,
)

ROOT = Path(__file__).parents[3]


def write(folder: Path, **files: str) -> Path:
    """Write Python files by their dotted names."""
    for name, text in files.items():
        file = folder / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def test_a_users_package_named_tasks_is_no_clash(tmp_path: Path) -> None:
    """Theirs is loaded, with what it imports relatively; ours, and the path, stay as they were."""
    import tasks

    write(
        tmp_path,
        **{
            "tasks.__init__": "",
            "tasks.features": "from .steps import add\nfrom ..flows import TWO\n"
            "def band(x): return add(x, TWO)",
            "tasks.steps": "def add(a, b): return a + b",
            "flows": "TWO = 2",
        },
    )
    before, path = {n: m for n, m in sys.modules.items() if n.startswith("tasks")}, [*sys.path]
    for reference in ("tasks/features.py:band", "tasks.features.band"):
        found = load_own(reference, tmp_path)
        assert found.value(40) == 42  # type: ignore[operator]  # a function
        assert set(found.sources) == {
            "flows.py", "tasks/__init__.py", "tasks/features.py", "tasks/steps.py",
        }  # fmt: skip
    assert sys.modules["tasks"] is tasks
    assert {n: m for n, m in sys.modules.items() if n.startswith("tasks")} == before
    assert sys.path == path
    assert not list(tmp_path.rglob("__pycache__"))


def test_an_edited_file_is_other_code(tmp_path: Path) -> None:
    """Same name, same length, same second: the new text is run, and has another digest."""
    old = load_own("f.py:value", write(tmp_path, f="value = 1"))
    new = load_own("f.py:value", write(tmp_path, f="value = 2"))
    assert (old.value, new.value) == (1, 2)
    assert old.digest != new.digest


def test_a_digest_is_of_all_that_is_imported_beside(tmp_path: Path) -> None:
    """An edit of what a file imports, at the top or in a function, changes its digest."""
    text = "def f():\n    from .inner import x\n    return x"
    old = load_own("f.py:f", write(tmp_path, f=text, inner="x = 1"))
    new = load_own("f.py:f", write(tmp_path, inner="x = 2"))
    assert old.digest != new.digest
    assert new.digest == digest_sources({"inner.py": "x = 2", "f.py": text})
    assert (old.value(), new.value()) == (1, 2)  # type: ignore[operator]  # functions


def test_what_is_not_beside_the_policy_is_looked_for_among_what_is_installed(
    tmp_path: Path,
) -> None:
    """Beside the policy comes first."""
    from json import dumps

    found = load_own("json.dumps", tmp_path)
    assert found.value is dumps
    assert found.installed
    assert len(found.digest) == 64
    assert load_own("json.dumps", write(tmp_path, json="dumps = 3")).value == 3


@pytest.mark.parametrize(
    ("reference", "text", "said"),
    [
        ("f.py:bands", "def band(): ...", r"f\.py:bands: there is no `bands` .* mean `band`\?"),
        ("f.py:f", "def f(:", r"f\.py line 1: SyntaxError"),
        ("f.py:f", "\n\nint('x7')", r"loading it failed: ValueError at f\.py line 3: invalid"),
        ("f.py:f", "import sys\nsys.exit(4)", r"SystemExit at f\.py line 2"),
        ("f.py:f", "import nowhere_at_all", r"ModuleNotFoundError at f\.py line 1"),
        ("f.py:f", "\nimport f", r"line 2 imports `f`, which is beside .* relatively"),
        ("f.py:f", "from .. import other", r"ImportError at f\.py line 1"),
        ("../f.py:f", "", r"is not a \.py file in the policy's folder or below; put it there"),
        ("/f.py:f", "", r"is not a \.py file in the policy's folder or below"),
        ("g.py:f", "", r"there is no file g\.py beside the policy"),
        ("no.such.thing", "", r"no such module, neither beside the policy nor installed"),
    ],
)
def test_what_does_not_load_is_told_with_its_place(
    reference: str, text: str, said: str, tmp_path: Path
) -> None:
    """No traceback: file, line and type of the error of the user's own code."""
    with pytest.raises(OwnCodeError, match=said) as refused:
        load_own(reference, write(tmp_path, f=text))
    assert "Traceback" not in str(refused.value)
    assert isinstance(refused.value, UsageError)
    assert not isinstance(refused.value, PolicyError)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """The file that is named, and one that it imports; a link inside of the folder is none."""
    outside, folder = tmp_path / "outside", tmp_path / "policy"
    write(outside, g="x = 1")
    write(folder, f="from .g import x", h="from .i import x", k="x = 1")
    (folder / "g.py").symlink_to(outside / "g.py")
    (folder / "i.py").symlink_to(folder / "k.py")
    for reference in ("g.py:x", "g.x", "f.py:x"):
        with pytest.raises(OwnCodeError, match=r"g\.py leads out of the policy's folder by a link"):
            load_own(reference, folder)
    assert load_own("h.py:x", folder).value == 1


def test_recorded_code_is_loaded_without_its_folder(tmp_path: Path) -> None:
    """A killed run is completed by another process, when the files may have changed."""
    folder = write(tmp_path, **{"lib.f": "from .g import x\ny = x + 1", "lib.g": "x = 1"})
    found = load_own("lib/f.py:y", folder)
    module = f"{private_name(found.sources)}.lib.f"
    program = (
        "import importlib, pathlib\nfrom tasks.own_code.loading import remember_sources\n"
        f"remember_sources({{'lib/f.py:y': {found.record()!r}}}, pathlib.Path('/gone'))\n"
        f"print(importlib.import_module({module!r}).y)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "2\n"


def test_code_that_goes_along_is_told_with_what_it_imports(tmp_path: Path) -> None:
    """As a package under its private name; of a library's class only the distribution."""
    code = load_own("f.py:C", write(tmp_path, f="import pandas\nfrom .g import C", g="C = int"))
    package = private_name(code.sources)
    assert requirements([f"{package}.f.C"])[-1] == f"pandas=={version('pandas')}"
    with written_sources([f"{package}.f.C", "sklearn.tree.T"], tmp_path) as folders:
        assert folders is not None
        (folder,) = folders
        assert Path(folder).name == package
        assert {file.name for file in Path(folder).iterdir()} == {"f.py", "g.py"}
    with written_sources(["sklearn.tree.T"], tmp_path) as folders:
        assert folders is None
