"""The gallery's policies still run on their tables, from packages, to a passed run."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.runs import make_place

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
POLICIES = sorted(GALLERY.glob("*.yaml"))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the gallery, and write its tables beside its policies, as its page says."""
    folder = tmp_path_factory.mktemp("gallery") / "gallery"
    shutil.copytree(GALLERY, folder, ignore=shutil.ignore_patterns("*.csv"))
    spec = importlib.util.spec_from_file_location("make_tables", GALLERY / "make_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, table in module.read_tables().items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.stem)
def test_a_policy_of_the_gallery_passes_on_its_table(policy: Path, tables: Path) -> None:
    """What the page shows is what anybody gets."""
    place = make_place(tables.parent / policy.stem)
    said = place.tell("run", str(tables / policy.name))
    assert said.status == 0, said.out + said.err
    assert "Passed" in said.out


def test_every_policy_of_the_gallery_stands_on_its_page() -> None:
    """Each has its part of the page, and a link to itself."""
    page = (GALLERY / "index.md").read_text("utf-8")
    assert POLICIES
    assert [file.name for file in POLICIES if f"({file.name})" not in page] == []
