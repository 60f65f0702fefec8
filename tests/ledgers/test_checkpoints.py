"""Checkpoints: what one says, what makes the next, and where copies of them go."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledgers.checkpoints import NAME, public_key, take_checkpoint
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys


@pytest.fixture
def ledger(tmp_path: Path) -> EvidenceLedger:
    """A home with a run that ended."""
    home = create_home(tmp_path / "home")
    ledger = EvidenceLedger(open_database(home), Keys.open(home))
    ledger.begin("run-1", "small", {})
    ledger.close("run-1", "passed")
    return ledger


def lines(ledger: EvidenceLedger) -> list[bytes]:
    """Give the checkpoints of a home."""
    path = ledger.keys.home.root / NAME
    return path.read_bytes().splitlines() if path.exists() else []


def anchored(ledger: EvidenceLedger, *places: Path) -> EvidenceLedger:
    """Let the home append its checkpoints to some places."""
    home = ledger.keys.home
    settings = replace(home.settings, anchors=tuple(map(str, places)))
    return EvidenceLedger(ledger.engine, replace(ledger.keys, home=Home(home.root, settings)))


def test_a_checkpoint_is_signed_names_the_one_before_and_is_taken_once(
    ledger: EvidenceLedger,
) -> None:
    """Whoever has the public key checks it, from the format's page alone."""
    for _ in range(2):
        assert take_checkpoint(ledger.engine, ledger.keys) == []
    ledger.begin("run-2", "small", {})
    take_checkpoint(ledger.engine, ledger.keys)
    first, second = lines(ledger)
    assert json.loads(second)["before"] == hashlib.sha256(first).hexdigest()
    assert [json.loads(one)["number"] for one in (first, second)] == [1, 2]
    for line in (first, second):
        said = json.loads(line)
        signature = bytes.fromhex(said.pop("signature"))
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(said["key"])).verify(
            signature, text.encode()
        )
        assert said["key"] == public_key(ledger.keys)
        assert said["heads"]["evidence"]["seq"] > 0


def test_half_a_line_that_a_crash_left_is_none(ledger: EvidenceLedger) -> None:
    """The next checkpoint stands where it stood."""
    (ledger.keys.home.root / NAME).write_bytes(b'{"at":"2026')
    take_checkpoint(ledger.engine, ledger.keys)
    assert [json.loads(line)["number"] for line in lines(ledger)] == [1]


def test_anchors_get_every_checkpoint_also_those_that_they_missed(
    ledger: EvidenceLedger, tmp_path: Path
) -> None:
    """A file, and a git repository where each is committed."""
    take_checkpoint(ledger.engine, ledger.keys)
    subprocess.run(["git", "init", "-q", str(tmp_path / "git")], check=True)
    kept = anchored(ledger, tmp_path / "kept.jsonl", tmp_path / "git", tmp_path / "away" / "x")
    ledger.begin("run-2", "small", {})
    failed = take_checkpoint(kept.engine, kept.keys)
    assert [f"{tmp_path}/away/x" in sentence for sentence in failed] == [True]
    assert (tmp_path / "kept.jsonl").read_bytes().splitlines() == lines(ledger)
    (file,) = (tmp_path / "git").glob("checkpoints-*.jsonl")
    assert file.read_bytes().splitlines() == lines(ledger)
    log = ["git", "-C", str(tmp_path / "git"), "log", "--format=%s"]
    ran = subprocess.run(log, check=True, capture_output=True, text=True)
    assert ran.stdout.split("\n")[0] == "Checkpoint 2"


def test_an_anchor_that_knows_another_history_is_not_written(
    ledger: EvidenceLedger, tmp_path: Path
) -> None:
    """A home that was put back does not overwrite what gives it away."""
    kept = anchored(ledger, tmp_path / "kept.jsonl")
    take_checkpoint(kept.engine, kept.keys)
    before = (kept.keys.home.root / NAME).read_bytes()
    ledger.begin("run-2", "small", {})
    take_checkpoint(kept.engine, kept.keys)
    known = (tmp_path / "kept.jsonl").read_bytes()
    (kept.keys.home.root / NAME).write_bytes(before)
    ledger.begin("run-3", "small", {})
    (said,) = take_checkpoint(kept.engine, kept.keys)
    assert "The home was put back" in said
    assert (tmp_path / "kept.jsonl").read_bytes() == known
