"""A policy may name the factors of units by a file: read with it, part of its digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.errors import PolicyError
from expectations.policy_file import PolicyFile, read_policy
from tests.expectations.coherence.test_many_rows_coherence import policy_with

PLAIN = "days: {type: number}"
NAMED = (PLAIN, "days: {type: number, unit: {from: unit, file: units.csv}}")


def read(folder: Path, lines: bytes | None, change: tuple[str, str] = NAMED) -> PolicyFile:
    """Read a policy with a table of factors beside it."""
    path = folder / "small.yaml"
    path.write_text(policy_with(change), encoding="utf-8")
    if lines is not None:
        (folder / "units.csv").write_bytes(lines)
    return read_policy(str(path))


def test_a_policy_is_read_with_the_factors_of_its_file(tmp_path: Path) -> None:
    """Whatever program wrote it, and with a column of remarks."""
    lines = b'\xef\xbb\xbffactor,unit,remark\r\n1,d,days\r\n0.0416,"h, full",\r\n1,d,again\r\n'
    unit = read(tmp_path, lines).policy.source.tables["visits"].fields["days"].unit
    assert unit is not None
    assert unit.factors == {"d": 1.0, "h, full": 0.0416}


def test_factors_are_part_of_the_digest(tmp_path: Path) -> None:
    """So that nobody changes what a policy says by a file; without one the digest is as before."""
    digests = {read(tmp_path, f"unit,factor\nd,{n}\n".encode()).sha256 for n in (1, 2)}
    assert len(digests) == 2
    inline = (PLAIN, "days: {type: number, unit: {from: unit, factors: {d: 1}}}")
    assert not read(tmp_path, None, inline).hierarchies


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "cannot be read"),
        (b"unit,factor\n\xff,1\n", "not UTF-8"),
        (b"d,1\n", "does not name the columns"),
        (b"unit,factor\n", "no factor"),
        (b"unit,factor\nd,1\nh,0\n", "line 3 lacks"),
        (b"unit,factor\nd,one\n", "line 2 lacks"),
        (b"unit,factor\nd,1\nd,2\n", "line 3 gives a unit another factor"),
    ],
)
def test_a_file_without_factors_is_refused(lines: bytes | None, said: str, tmp_path: Path) -> None:
    """Where it is named, by its line."""
    with pytest.raises(PolicyError, match=f"fields.days.unit.file: .*{said}"):
        read(tmp_path, lines)


@pytest.mark.parametrize("unit", ["{from: unit}", "{from: unit, file: units.csv, factors: {d: 1}}"])
def test_factors_are_said_once(unit: str, tmp_path: Path) -> None:
    """In the policy or beside it."""
    with pytest.raises(PolicyError, match="give one of `file`, `factors`"):
        read(tmp_path, b"unit,factor\nd,1\n", (PLAIN, f"days: {{type: number, unit: {unit}}}"))
