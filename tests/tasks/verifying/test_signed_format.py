"""The published form of what people sign: its schema, its test vectors and both readers agree."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
from jsonschema import Draft202012Validator

from expectations.errors import UsageError
from ledgers.people.statement import Signed
from tasks.verifying.sshsig import read_signed
from tests.tasks.verifying.test_bundles import second

__all__ = ["second"]

VECTORS = sorted((Path(__file__).parent / "signed").glob("*.json"))
SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[3] / "docs" / "signed.schema.json").read_text("utf-8"))
)


def is_taken(content: bytes) -> bool:
    """Whether a file is taken in."""
    try:
        return Signed.read(content).to_said() == json.loads(content)
    except UsageError:
        return False


READ_BY_BOTH = [file for file in VECTORS if file.stem != "good-keys"]
"""No bundle has what was signed of a key."""


@pytest.mark.parametrize("file", READ_BY_BOTH, ids=lambda file: file.stem)
def test_the_verifier_that_needs_no_tutela_tells_them_alike(file: Path, second: ModuleType) -> None:
    """It reads them in the one form of a file."""
    content = file.read_bytes()
    forms = {"hand-over": second.HANDED, "policy": second.POLICY, "start": second.START}
    form = forms[json.loads(content)["request"]["of"]]
    try:
        second.read_signed(content, form)
    except second.WRONG:
        assert file.stem.startswith("bad-")
    else:
        assert file.stem.startswith("good-")


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.stem)
def test_a_published_vector_is_told_for_what_it_is(file: Path) -> None:
    """By who takes it in, and by who verifies it afterwards, which share no code."""
    content, good = file.read_bytes(), file.stem.startswith("good-")
    said = json.loads(content)
    assert is_taken(content) == good
    # What verifies reads values that the record holds, in no form of a file.
    assert (read_signed(said) is not None) == (good or file.stem == "bad-not-canonical")
    if good:
        assert not [*SCHEMA.iter_errors(said)]
        assert read_signed(said) == said["statement"]["key"]
