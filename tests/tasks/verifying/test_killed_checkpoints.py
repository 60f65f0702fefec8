"""A process killed between what it appended and the checkpoint leaves a record that is whole."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledgers.checkpoints import last_checkpoint, take_checkpoint
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.verifying.whole import Verifier

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys, uuid
from pathlib import Path
from ledgers.checkpoints import name_checkpoint, take_checkpoint
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys

home = Home.open(Path(sys.argv[1]))
keys = Keys.open(home)
ledger = EvidenceLedger(open_database(home), keys)
while True:
    run = uuid.uuid4().hex
    ledger.begin(run, "small", {"checkpoint": name_checkpoint(keys)})
    ledger.close(run, "failed")
    print(run, flush=True)
    assert take_checkpoint(ledger.engine, keys) == []
"""


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.nightly)])
def test_what_was_acknowledged_is_there_and_covered_by_the_next_command(
    tmp_path: Path, kills: int
) -> None:
    """Wherever it was killed: no run is lost, and the next checkpoint follows the last one."""
    create_home(tmp_path / "home")
    home = Home.open(tmp_path / "home")
    keys, drawn = Keys.open(home), random.Random(21)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home.root)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        with process:
            assert process.stdout is not None
            acknowledged = [process.stdout.readline().strip()]
            time.sleep(drawn.uniform(0.0, 0.1))
            process.kill()
            acknowledged += process.stdout.read().split("\n")[:-1]
        ledger = EvidenceLedger(open_database(home), keys)
        ended = {run.run_id for run in ledger.runs() if run.verdict == "failed"}
        assert {*acknowledged} <= ended
        assert take_checkpoint(ledger.engine, keys) == []
        verifier = Verifier.of(home, keys)
        records = verifier.ledgers(whole=False)
        assert verifier.found.differences == []
        last = last_checkpoint(keys)
        assert last is not None
        # A line whose head was not signed yet was acknowledged to nobody; the next head covers it.
        lines = [int(str(one["seq"])) for one in records.journal if one["run_id"] in acknowledged]
        assert max(lines) <= int(last.heads["evidence"]["seq"])
        for engine in (ledger.engine, verifier.engine):
            engine.dispose()
