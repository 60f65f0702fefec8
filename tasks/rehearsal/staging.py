"""Setting a rehearsal up: a policy whose people and permissions are made up, in a folder to remove.

Only where the people, the events and the objections are is changed in the policy; all else is
carried out as it is written. Nothing of the places that it names is opened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import numpy as np
import pyarrow as pa

from expectations.policy.legal_basis import ConsentLedger, OptOutList
from expectations.policy.plain_yaml import Plain, read_yaml
from expectations.policy.policy import Policy
from expectations.policy_file import PolicyFile, parse_policy
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.rehearsal.people import make_rows
from tasks.rehearsal.permissions import (
    Crowd,
    add_answers,
    can_refuse,
    choose_notice,
    make_events,
    make_notice,
)

SEED: Final = 27
LEAST: Final = 600
LEAST_TO_TRAIN: Final = 2_000
PER_K: Final = 60
SPARE: Final = 1.3
"""How many more people there are than the policy's smallest group asks for."""
AGAINST: Final = 0.15
"""How many people may not be read, for each one who may."""


@dataclass(frozen=True)
class Staged:
    """A policy set up for a rehearsal, and how many people were made up for it."""

    file: PolicyFile
    people: int
    notes: tuple[str, ...] = ()


def people_needed(policy: Policy) -> int:
    """Say how many people who may be read a policy's counts ask for."""
    population, k = policy.population, [outlet.k for outlet in policy.table_outlets.values()]
    strata = population.strata
    groups = strata.smallest * 10 if strata and strata.smallest else 0
    least = LEAST_TO_TRAIN if policy.training else LEAST
    asked = SPARE * max(population.smallest, groups) / population.sample
    return round(max(least, asked, PER_K * max(k, default=0)))


def stage(file: PolicyFile, folder: Path, own: Mapping[str, OwnCode] = NO_CODE) -> Staged:
    """Make up people and permissions of a policy in `folder`, and point the policy there.

    Its own code, loaded before, is called on rows that are made up, so that they can be chosen.
    Raises `PolicyError` where no eligible person could be made up.
    """
    import pyarrow.parquet as pq

    policy = file.policy
    permitted = people_needed(policy)
    against = round(AGAINST * permitted) if can_refuse(policy.basis) else 0
    crowd = make_crowd(policy, permitted, against, own)
    rows = add_answers(crowd, policy, np.random.default_rng(SEED))
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in rows.items()})
    pq.write_table(table, folder / "people.parquet")
    changes, notes = stage_basis(replace(crowd, rows=rows), policy, folder)
    source: dict[str, Plain] = {
        "location": place(folder / "people.parquet"),
        "person": policy.source.person,
    }
    return Staged(point(file, {"source": source, "basis": changes}), permitted + against, notes)


def make_crowd(
    policy: Policy, permitted: int, against: int, own: Mapping[str, OwnCode] = NO_CODE
) -> Crowd:
    """Make up everybody, with a name in the column that names the person."""
    _, rows = make_rows(policy, permitted, SEED, against, own)
    count = permitted + against
    people = rows.get(policy.source.person)
    if people is None:
        people = np.array([f"M-{100_001 + n}" for n in range(count)], dtype=object)
    return Crowd({**rows, policy.source.person: people}, people, against)


def stage_basis(
    crowd: Crowd, policy: Policy, folder: Path
) -> tuple[dict[str, Plain], tuple[str, ...]]:
    """Write what a basis reads beside the people; give what changes in it, and what to tell."""
    import pyarrow.parquet as pq

    match policy.basis:
        case ConsentLedger() as basis:
            notice = choose_notice(policy) or make_notice(policy)
            declared = notice in basis.notices
            pq.write_table(make_events(crowd, notice, policy), folder / "events.parquet")
            changes: dict[str, Plain] = {"events": [{"location": place(folder / "events.parquet")}]}
            if declared:
                return changes, ()
            notices = [one.model_dump(mode="json") for one in (*basis.notices, notice)]
            return {**changes, "notices": cast("Plain", notices)}, (NO_NOTICE,)
        case OptOutList(person=column):
            listed = pa.table({column: pa.array(crowd.names[1], pa.string())})
            pq.write_table(listed, folder / "objections.parquet")
            return {"objections": place(folder / "objections.parquet")}, ()
        case _:
            return {}, ()


NO_NOTICE: Final = (
    "the policy declares no notice under which a consent to its purpose counts: one was made up, "
    "and a real run would find nobody who consented under a declared one"
)


def place(path: Path) -> dict[str, Plain]:
    """Name a file as a policy does."""
    return {"kind": "parquet", "path": str(path)}


def point(file: PolicyFile, changes: dict[str, dict[str, Plain]]) -> PolicyFile:
    """Change some parts of a policy's text, and read it again from where it stands."""
    _, plain = read_yaml(file.text, str(file.path))
    assert isinstance(plain, dict)
    for part, changed in changes.items():
        before = plain[part]
        assert isinstance(before, dict)
        plain[part] = {**before, **changed}
    text = json.dumps(plain, indent=1, ensure_ascii=False)  # JSON is YAML, quoted as it must be
    return replace(file, policy=parse_policy(text, str(file.path), file.folder), text=text)
