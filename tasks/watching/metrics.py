"""Metrics of a home's runs in the text format of Prometheus, for node exporter's textfile folder.

Figures are those of the runs' rows, which are published; a hidden count is absent. Moments are
given rather than ages, which would stand still with the file.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from tasks.account.overview import RunRow

Labels: TypeAlias = tuple[tuple[str, str], ...]
Pick: TypeAlias = Callable[[RunRow], float | None]


def _people(row: RunRow) -> int | None:
    return row.people.about if row.people else None


FIGURES: Final[tuple[tuple[str, str, Pick], ...]] = (
    ("people", "People of the last run that passed, as published.", _people),
    ("epsilon", "Privacy loss of its model.", lambda row: row.epsilon),
    ("k", "Smallest class of its tables.", lambda row: row.k),
    ("auc", "AUC of its model.", lambda row: row.auc),
    ("r2", "R² of its model, whose target is a number.", lambda row: row.r2),
    ("budget_runs_left", "Runs like it that still fit the budget.", lambda row: row.runs_left),
)
"""What is told of the last run that passed."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One gauge with its samples."""

    name: str
    help: str
    samples: Mapping[Labels, float]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rows do not tell: the queue, free disk space, and seconds by policy and step."""

    waiting: int
    free: int
    total: int
    seconds: Mapping[tuple[str, str], float]


def look_around(home: Path, outbox: Path, seconds: Mapping[tuple[str, str], float]) -> Surroundings:
    """Look at the home's disk and at what waits in its outbox."""
    disk = shutil.disk_usage(home)
    waiting = sum(not path.name.startswith(".") for path in outbox.iterdir())
    return Surroundings(waiting, disk.free, disk.total, seconds)


def render_metrics(rows: Sequence[RunRow], around: Surroundings, now: datetime) -> str:
    """Write the metrics of some runs, oldest first."""
    lines = []
    for metric in (*_of_runs(rows), *_of_home(around, now)):
        if metric.samples:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} gauge"]
            lines += [
                f"{metric.name}{_write(of)} {value:.17g}" for of, value in metric.samples.items()
            ]
    return "\n".join([*lines, ""])


def _of_runs(rows: Sequence[RunRow]) -> Iterator[Metric]:
    last = {row.policy: row for row in rows}
    good = {row.policy: row for row in rows if row.verdict == "passed"}
    ended = Counter((row.policy, row.verdict) for row in rows)
    yield Metric(
        "tutela_runs", "Runs on record by how they ended.",
        {(("policy", p), ("verdict", v)): n for (p, v), n in sorted(ended.items())},
    )  # fmt: skip
    yield Metric(
        "tutela_last_run_timestamp_seconds", "When the last run began.",
        _by_policy({p: _seconds(row.at) for p, row in last.items()}),
    )  # fmt: skip
    yield Metric(
        "tutela_last_passed_timestamp_seconds", "When the last run that passed began.",
        _by_policy({p: _seconds(row.at) for p, row in good.items()}),
    )  # fmt: skip
    yield Metric(
        "tutela_last_run_passed", "Whether the last run passed.",
        _by_policy({p: float(row.verdict == "passed") for p, row in last.items()}),
    )  # fmt: skip
    for name, told, pick in FIGURES:
        found = {policy: pick(row) for policy, row in good.items()}
        known = {policy: float(value) for policy, value in found.items() if value is not None}
        yield Metric(f"tutela_{name}", told, _by_policy(known))


def _of_home(around: Surroundings, now: datetime) -> Iterator[Metric]:
    yield Metric("tutela_outbox_items", "Goods that wait to be handed over.", {(): around.waiting})
    yield Metric("tutela_disk_free_bytes", "Free space on the home's disk.", {(): around.free})
    yield Metric("tutela_disk_total_bytes", "Size of the home's disk.", {(): around.total})
    yield Metric(
        "tutela_step_seconds", "Seconds of each step of the policy's last run.",
        {(("policy", p), ("step", s)): n for (p, s), n in around.seconds.items()},
    )  # fmt: skip
    yield Metric(
        "tutela_written_timestamp_seconds", "When this was written.", {(): now.timestamp()}
    )


def _by_policy(found: Mapping[str, float]) -> dict[Labels, float]:
    return {(("policy", policy),): value for policy, value in sorted(found.items())}


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _write(labels: Labels) -> str:
    """Write labels in the format's own escapes."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    told = ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def write_metrics(path: Path, text: str) -> None:
    """Put the metrics at a path, whole or not at all, readable by every account (0644).

    The exporter runs as another user; what it reads is published.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}.making")
    try:
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
            file.write(text)
            os.fchmod(descriptor, 0o644)
        making.rename(path)
    finally:
        making.unlink(missing_ok=True)
