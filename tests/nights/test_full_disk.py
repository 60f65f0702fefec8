"""A disk that is full, at each stage of a run: a real one, of which nothing is left.

The home lies on a small file system in memory, which is filled at the moment when a stage begins.
Needs root, to mount it. By day `tests/ledgers` and `tests/tasks` try limits of size and errors that
are raised.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

from deployments.servers.prefect_server import set_environment
from ledgers.home.home import Home
from tests.conftest import Folder
from tests.deployments.test_serving import find_names
from tests.flows.test_budget_flow import PRIVATE
from tests.nights.test_kills import assert_all_charged, events_on_record, find_faults
from tests.runs import Place

pytestmark = pytest.mark.nightly

ROOT: Final = Path(__file__).parents[2]
SIZE: Final = 64
"""Megabytes of the disk."""
CHILD: Final = "import tests.nights.test_full_disk as it; it.run_until_full()"
COMMAND: Final = "from deployments.cli import main; main()"
FILLER: Final = "filler"
STAGES: Final = {
    "vault": "ledgers.vault.vault.RunVault.store",
    "record": "ledgers.evidence.EvidenceLedger.append",
    "charge": "ledgers.budget.ledger.BudgetLedger.reserve",
    "decision": "flows.opening.decide",
    "outbox": "ledgers.outbox.Outbox.put",
    "intent": "ledgers.evidence.EvidenceLedger.intend",
    "MLflow": "tasks.handover.delivery.record_run",
    "model": "tasks.handover.registry.save",
    "package": "tasks.handover.delivery.place_package",
    "report": "tasks.handover.delivery.write_report",
    "closing": "ledgers.evidence.EvidenceLedger.close",
    "page": "tasks.watching.announcing.write_index",
}
"""Before what the disk is filled."""
ENDS: Final[dict[str, tuple[int, ...]]] = {"page": (0,), "closing": (0, 3)}
"""Exit codes other than 3: a run is over before its page is made, and its last lines may still fit
into what the database has taken of the disk."""
NEVER: Final = "never"


def fill(disk: Path) -> None:
    """Take all room that a disk has, to the last byte."""
    with (disk / FILLER).open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def run_until_full() -> None:
    """Run the policy on the command line; fill the disk before a function is first called."""
    from deployments import cli
    from tasks.attack import model
    from tests.runs import _without_prefect

    disk, stage, *words = sys.argv[1:]
    if stage != NEVER:
        fill_before(STAGES[stage], Path(disk))
    sys.argv = ["tutela", *words]
    set_environment(Home.open())
    audit = model.audit_classifier
    with _without_prefect(), mock.patch.object(model, "audit_classifier", audit):
        cli.main()


def fill_before(function: str, disk: Path) -> None:
    """Let a disk be full as soon as a function, of a module or of a class, is called."""
    *place, name = function.split(".")
    module = ".".join(part for part in place if not part[0].isupper())
    holder = importlib.import_module(module)
    for part in place[module.count(".") + 1 :]:
        holder = getattr(holder, part)
    real = getattr(holder, name)

    @wraps(real)
    def filled(*given: Any, **named: Any) -> Any:
        fill(disk)
        return real(*given, **named)

    setattr(holder, name, filled)


@dataclass(frozen=True)
class Small:
    """A home on a small disk of its own."""

    disk: Path
    place: Place

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python, to its end."""
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False
        )

    def run(self, policy: Path, stage: str) -> subprocess.CompletedProcess[str]:
        """Run a policy until the disk is full."""
        return self.call("-c", CHILD, str(self.disk), stage, "run", str(policy))

    def tell(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return self.call("-c", COMMAND, *words)

    def make_room(self) -> None:
        """Take away what fills the disk."""
        (self.disk / FILLER).unlink()


@contextmanager
def mounted(disk: Path, size: int) -> Iterator[Path]:
    """Have a file system of some megabytes in memory."""
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=700", "tmpfs", str(disk)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, f"a small disk cannot be mounted, which needs root: {made.stderr}"
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def small(template_home: Path, tmp_path: Path) -> Iterator[Small]:
    """A home with as much room as a run takes, until something fills it."""
    with mounted(tmp_path / "disk", SIZE) as disk:
        shutil.copytree(template_home, disk / "home")
        os.environ |= {"TUTELA_HOME": str(disk / "home"), "PYTHONPATH": str(ROOT)}
        home = Home.open(disk / "home")
        set_environment(home)
        yield Small(disk, Place(home))


def assert_said(ended: subprocess.CompletedProcess[str], *statuses: int) -> None:
    """Hold how a command ended on a full disk against what is documented: words, and no trace."""
    said = ended.stdout + ended.stderr
    assert ended.returncode in statuses, said
    assert "Traceback" not in said
    assert "full" in " ".join(said.split()), said
    assert "free" in said, said


def read_clear(home: Home) -> list[Path]:
    """Give the files of a home that hold a made-up person's name."""
    return find_names(home.root)


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_is_full_at_a_stage_is_said_and_the_next_run_finishes(
    small: Small, folder: Folder, stage: str
) -> None:
    """Whatever could not be written: it leaves once or not at all, and is charged for."""
    policy, place = folder.write(*PRIVATE), small.place
    assert_said(small.run(policy, stage), *ENDS.get(stage, (3,)))
    assert read_clear(place.home) == []
    assert "Traceback" not in (again := small.tell("report")).stderr
    assert again.returncode in {0, 3}
    small.make_room()
    following = small.run(policy, NEVER)
    assert following.returncode == 0, following.stderr
    first, second = place.runs
    assert second.verdict == "passed"
    assert [find_faults(place, run.run_id) for run in (first, second)] == [[], []]
    assert_all_charged(place, policy)
    assert events_on_record(place) == len(folder.events)
    assert read_clear(place.home) == []


@pytest.mark.parametrize("where", ["the home's", "the backups'"])
def test_a_backup_on_a_full_disk_is_whole_or_absent(
    small: Small, tmp_path: Path, where: str
) -> None:
    """The disk of the home, which holds copies meanwhile, or the one that backups go to."""
    key = str(tmp_path / "recovery.key")
    assert small.tell("backup", "--new-recovery-key", key).returncode == 0
    with mounted(tmp_path / "backups", 1) as backups:
        other = backups if where == "the backups'" else tmp_path / "elsewhere"
        if where == "the home's":
            fill(small.disk)
        else:
            fill(backups)
        assert_said(small.tell("backup", str(other)), 3)
        assert not list(other.glob("*.backup")) + list(other.glob(".*"))
        assert not list(small.place.home.root.glob(".copies-*"))
    (small.disk / FILLER).unlink(missing_ok=True)
    made = small.tell("backup", str(tmp_path / "elsewhere"))
    assert made.returncode == 0, made.stderr
    assert len(list((tmp_path / "elsewhere").glob("*.backup"))) == 1


def test_a_full_disk_ends_a_run_under_prefect_in_words(small: Small, folder: Folder) -> None:
    """Prefect's own database lies there too, and so do the notes of its flow runs."""
    policy, place = folder.write(*PRIVATE), small.place
    fill(small.disk)
    assert_said(small.tell("run", str(policy)), 3)
    small.make_room()
    passed = small.tell("run", str(policy))
    assert passed.returncode == 0, passed.stderr
    assert [run.verdict for run in place.runs][-1] == "passed"
    assert place.waiting == []
