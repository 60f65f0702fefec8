"""A policy may name its hierarchies by files: read with it, part of its digest, faults by line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expectations.errors import PolicyError
from expectations.policy.hierarchy_files import name_root
from expectations.policy.treatments import Level
from expectations.policy_file import PolicyFile, parse_policy, read_policy
from tests.conftest import small_policy

TOWN = """\
  town:
    type: text
    identifiability: quasi
    category: dpv-pd:Age
    use: [audit]
    treatment: {kind: hierarchy, file: towns.csv, level: 1}
"""
LINES = "Ulm;South;*\nKiel;North;*\n"
ROWS = (("Ulm", "South", "*"), ("Kiel", "North", "*"))


def written(folder: Path, lines: str | bytes | None, treatment: str = "") -> Path:
    """Write the policy with a town, and the file of its hierarchy."""
    town = TOWN.replace(
        "{kind: hierarchy, file: towns.csv, level: 1}",
        treatment or "{kind: hierarchy, file: towns.csv, level: 1}",
    )
    path = folder / "small.yaml"
    path.write_text(small_policy(("derived:\n", f"{town}derived:\n")), encoding="utf-8")
    if lines is not None:
        content = lines if isinstance(lines, bytes) else lines.encode()
        (folder / "towns.csv").write_bytes(content)
    return path


def level_of(file: PolicyFile) -> Level:
    """Give the treatment of the town."""
    treatment = file.policy.columns["town"].treatment
    assert isinstance(treatment, Level)
    return treatment


def test_a_policy_is_read_with_the_lines_of_its_file(tmp_path: Path) -> None:
    """From beside the policy, whatever program wrote it; and as if they stood in the policy."""
    file = read_policy(
        str(written(tmp_path, b"\xef\xbb\xbf" + LINES.replace("\n", "\r\n").encode()))
    )
    assert level_of(file).rows == ROWS
    inline = "{kind: hierarchy, level: 1, rows: [[Ulm, South, '*'], [Kiel, North, '*']]}"
    same = parse_policy(written(tmp_path, None, inline).read_text(encoding="utf-8"))
    treatment = same.columns["town"].treatment
    assert isinstance(treatment, Level)
    assert treatment.rows == ROWS


@pytest.mark.parametrize("root", ["all", "0-99", "*"])
def test_a_last_level_of_one_word_is_the_root(tmp_path: Path, root: str) -> None:
    """As the hierarchies have it that come with benchmarks of ARX."""
    path = written(tmp_path, LINES.replace("*", root))
    assert level_of(read_policy(str(path))).rows == ROWS


def test_a_word_that_stands_lower_too_is_no_root() -> None:
    """It would be released for some of its values alone."""
    rows = [("Ulm", "all", "all"), ("Kiel", "North", "all")]
    assert name_root(rows) == rows


def test_another_hierarchy_is_another_policy(tmp_path: Path) -> None:
    """The digest by which a run names its policy covers the file; the text alone would not."""
    path = str(written(tmp_path, LINES))
    before, again = read_policy(path), read_policy(path)
    (tmp_path / "towns.csv").write_text("Ulm;South;*\nKiel;Coast;*\n")
    after = read_policy(path)
    assert before.sha256 == again.sha256 != after.sha256
    assert before.text == after.text
    part = replace(before, policy=before.policy.for_tables())
    assert "town" not in part.policy.treated
    assert part.sha256 == before.sha256


FAULTS = {
    "missing": (None, "town.treatment.file: the file cannot be read (No such file"),
    "latin-1": (b"M\xfcnchen;South;*\n", "town.treatment.file: the file is not UTF-8"),
    "empty": ("\n", "town.treatment.file: has no line"),
    "ragged": ("Ulm;South;*\nKiel;*\n", "line 2: has not 3 levels as line 1 has"),
    "no root": ("Ulm;South;all\nKiel;North;every\n", "line 1, and 1 more: does not end in `*`"),
    "twice": (f"{LINES}Ulm;South;*\n", "line 3: has the value of a line before"),
    "not nested": (
        "Ulm;South;A;*\nKiel;South;B;*\n",
        "line 2: its label at level 1 stands under another one before",
    ),
    "gap": ("Ulm;South;*\nKiel;;*\n", "line 2: has an empty label"),
    "two levels": (
        "Ulm;Kiel;*\nKiel;North;*\n",
        "line 1: its label at level 1 stands for other values at a lower one",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_hierarchy_is_told_with_its_line(
    tmp_path: Path, lines: str | bytes | None, said: str
) -> None:
    """Once, with the policy's line of it, and no value of the file."""
    path = written(tmp_path, lines)
    with pytest.raises(PolicyError) as refused:
        read_policy(str(path))
    text, (problem,) = str(refused.value), refused.value.problems
    assert said in text
    assert "Ulm" not in text
    assert "Kiel" not in text
    (place,) = [n for n, line in enumerate(path.read_text().splitlines(), 1) if "towns.csv" in line]
    assert problem.line == place


@pytest.mark.parametrize(
    ("treatment", "said"),
    [
        (
            "{kind: hierarchy, file: towns.csv, level: 2}",
            "town.treatment.level: level 2 is not below the root, which is level 2; choose 1 to 1",
        ),
        (
            "{kind: hierarchy, level: 1, rows: [[Ulm, '*'], [Kiel, '*']]}",
            "town.treatment.level: level 1 is not below the root, which is level 1; add a level",
        ),
        (
            "{kind: hierarchy, level: 1, rows: [[Ulm, South, '*'], [Ulm, South, '*']]}",
            "town.treatment.rows: line 2: has the value of a line before",
        ),
        (
            "{kind: hierarchy, file: towns.csv, of: ages, level: 1}",
            "town.treatment.file: has `of` beside `file`; take out `file`, or the others",
        ),
        (
            "{kind: hierarchy, level: 1}",
            "town.treatment: has no hierarchy, or two; give one of `of`, `file` or `rows`",
        ),
    ],
    ids=["root", "no level between", "written out", "two", "none"],
)
def test_what_the_file_cannot_show_is_told_too(tmp_path: Path, treatment: str, said: str) -> None:
    """One problem for each, beside whatever else is wrong with the policy."""
    path = written(tmp_path, LINES, treatment)
    path.write_text(path.read_text().replace("retention_days: 30", "retention_days: 0"))
    with pytest.raises(PolicyError) as refused:
        read_policy(str(path))
    assert said in str(refused.value)
    assert [p.path for p in refused.value.problems if "town" not in p.path] == ["retention_days"]
    assert len(refused.value.problems) == 2
