"""The policy of a run, read from its record alone."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from expectations.policy.locations import InMemory, Location
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.evidence import RunRecord
from tasks.airlock.run import read_part


def read_recorded(record: RunRecord) -> PolicyFile:
    """Read it, with the source that was asked for; PolicyError where this version cannot."""
    facts = record.facts
    text, folder = str(facts["policy_text"]), Path(str(facts.get("policy_folder", "")))
    policy = parse_policy(text, f"{record.policy}.yaml", folder)
    if facts["source"] is not None:
        place = TypeAdapter(Location | InMemory).validate_json(json.dumps(facts["source"]))
        people = policy.source.model_copy(update={"location": place})
        policy = policy.model_copy(update={"source": people})
    hierarchies = str(facts.get("policy_hierarchies", ""))
    path = folder / f"{record.policy}.yaml"
    return PolicyFile(policy.for_part(read_part(facts)), text, path, hierarchies)
