"""The audit of ε on private trainers that keep their claim, and on the same ones when broken.

    python benchmarks/audits.py [--audits N] [--processes N] [--json]

Each is broken in its own code, while it goes on claiming the same: one release has no noise or half
of it, noise repeats, a person counts for more than the noise is made for, or something reaches the
model by another way than a release (`tests/broken_trainers.py`). `refused` of an honest one are
false alarms, 0.01 % or less by design.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import isinf
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import process_time
from types import ModuleType
from typing import TYPE_CHECKING

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.epsilon_audit import judge_audit
from tasks.attack.model import audit_classifier

if TYPE_CHECKING:
    from tests.broken_trainers import Broken

EPSILONS = (0.5, 1.0, 4.0, 8.0)
HONEST = "honest"
SHARES = {"no noise": 0.0, "half the noise": 0.5}


@dataclass(frozen=True, slots=True)
class Case:
    """A trainer by its kind and its fault, the ε that it claims, and how often it is audited."""

    kind: str
    fault: str
    epsilon: float
    audits: int


def audit_trainers(
    audits: int, processes: int | None = None
) -> list[dict[str, float | str | None]]:
    """Audit every trainer at every ε, whole and broken; one row each."""
    cases = [*list_cases(audits)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(audit_often, cases))


def list_cases(audits: int) -> Iterator[Case]:
    """Give honest trainers, those with too little noise in one release, and the other broken."""
    trainers = find_trainers()
    for epsilon in EPSILONS:
        for kind, honest in trainers.HONEST.items():
            yield Case(kind, HONEST, epsilon, audits)
            releases = sum(one.count for one in honest(epsilon=epsilon).mechanisms())
            for name in SHARES:
                for turn in sorted({0, 1, 2, releases // 2, releases - 1}):
                    yield Case(kind, f"{name} in release {turn + 1}", epsilon, audits)
        for broken in trainers.list_broken():
            yield Case(broken.kind, broken.fault, epsilon, audits)


def audit_often(case: Case) -> dict[str, float | str | None]:
    """Audit one case some times: the share refused, and medians of what was found."""
    broken = find_broken(case)
    model = broken.trainer(epsilon=case.epsilon)
    started = process_time()
    with broken.while_it_trains():
        found = [audit_classifier(model, case.kind) for _ in range(case.audits)]
    seconds = (process_time() - started) / case.audits
    verdicts = [judge_audit(one, case.epsilon).verdict for one in found]
    least = median(one.lower_epsilon for one in found)
    return {
        "trainer": case.kind,
        "is": case.fault,
        "claims ε": case.epsilon,
        "audits": case.audits,
        "refused": verdicts.count(CheckVerdict.REFUSED) / case.audits,
        "inconclusive": verdicts.count(CheckVerdict.INCONCLUSIVE) / case.audits,
        "ε at least": None if isinf(least) else round(least, 2),
        "detectable noise": round(median(one.detectable_noise for one in found), 2),
        "CPU s": round(seconds, 1),
    }


def find_broken(case: Case) -> Broken:
    """Give the trainer of a case, with what must be in place while it trains."""
    trainers = find_trainers()
    known: list[Broken] = [*trainers.list_broken()]
    for one in known:
        if (one.kind, one.fault) == (case.kind, case.fault):
            return one
    trainer = trainers.HONEST[case.kind]
    if case.fault != HONEST:
        name, turn = case.fault.split(" in release ")
        trainer = trainers.lessen_noise(trainer, int(turn) - 1, SHARES[name])
    broken: Broken = trainers.Broken(case.kind, case.fault, "", trainer)
    return broken


def find_trainers() -> ModuleType:
    """Import the broken trainers, which belong to the tests."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests import broken_trainers

    return broken_trainers


def main() -> None:
    """Audit them all and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audits", type=int, default=1)
    parser.add_argument("--processes", type=int)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = audit_trainers(asked.audits, asked.processes)
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{name}: {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
