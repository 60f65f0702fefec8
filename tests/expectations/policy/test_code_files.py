"""A policy may name lists of codes by files: read with it, part of its digest."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.errors import PolicyError
from expectations.policy_file import PolicyFile, read_policy
from tests.expectations.coherence.test_many_rows_coherence import policy_with

LISTED = (
    ("  tables:\n", "  codes: {wards: {file: wards.txt}}\n  tables:\n"),
    ("where: \"ward = 'A'\"", 'where: "ward in @wards"'),
)


def written(folder: Path, lines: bytes | None) -> Path:
    """Write a policy whose index is in one of some wards, and their file."""
    path = folder / "small.yaml"
    path.write_text(policy_with(*LISTED), encoding="utf-8")
    if lines is not None:
        (folder / "wards.txt").write_bytes(lines)
    return path


def read(folder: Path, lines: bytes) -> PolicyFile:
    """Read a policy with this file."""
    return read_policy(str(written(folder, lines)))


def test_a_policy_is_read_with_the_codes_of_its_file(tmp_path: Path) -> None:
    """Once each: lines, what is written out behind them, whatever program wrote it; no comments."""
    lines = b"\xef\xbb\xbf# wards\r\nA;A.1; A.2\r\n\r\nB\r\nA\r\n"
    assert read(tmp_path, lines).policy.source.code_lists == {"wards": ("A", "A.1", "A.2", "B")}


def test_codes_are_part_of_the_digest(tmp_path: Path) -> None:
    """So that nobody changes what a policy says by a file beside it."""
    assert read(tmp_path, b"A\n").sha256 != read(tmp_path, b"A\nB\n").sha256


@pytest.mark.parametrize(
    ("lines", "said"),
    [(None, "cannot be read"), (b"\xff", "not UTF-8"), (b"# nothing\n", "has no code")],
)
def test_a_file_without_codes_is_refused(lines: bytes | None, said: str, tmp_path: Path) -> None:
    """Where it is named."""
    with pytest.raises(PolicyError, match=f"source.codes.wards.file: .*{said}"):
        read_policy(str(written(tmp_path, lines)))
