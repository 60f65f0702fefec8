"""The published form of checkpoints: its schema, its test vectors, and what is written, agree."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from ledgers.checkpoints import NAME
from tasks.verifying.chains import Records
from tasks.verifying.findings import Findings
from tasks.verifying.signatures import check_checkpoints
from tests.runs import passed

VECTORS = sorted((Path(__file__).parent / "checkpoints").glob("*.jsonl"))
SCHEMA = Path(__file__).parents[3] / "docs" / "checkpoint.schema.json"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.stem)
def test_a_published_vector_is_told_for_what_it_is(file: Path) -> None:
    """The good one has no difference, and each bad one has."""
    content = file.read_bytes()
    met = defaultdict[str, dict[int, str]](dict)
    for line in content.splitlines():
        head = json.loads(line)["heads"]["evidence"]
        met["evidence"][head["seq"]] = head["link"]
    found = Findings()
    check_checkpoints(content, Records([], {}, {}, met), KEY, found)
    assert bool(found.differences) == file.stem.startswith("bad-")


def test_what_is_written_is_as_the_schema_says() -> None:
    """So is the good vector."""
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    written = (passed("diabetes").place.home.root / NAME).read_bytes()
    good = next(file for file in VECTORS if file.stem == "good").read_bytes()
    for line in (written + good).splitlines():
        assert not [*schema.iter_errors(json.loads(line))]
