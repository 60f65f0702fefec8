"""What `tutela check --diff` says: what the change of a policy means, by group, on 80 columns."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, cast

from deployments.terminal import Answer, lay_out, wrap
from expectations.changes.policies import GROUPS, Change, compare_policies

if TYPE_CHECKING:
    from pathlib import Path

    from expectations.policy_file import PolicyFile
    from ledgers.evidence import JSON

SHOWN: Final = {"changed": "changed: look"}
"""How a direction is written where its own word says too little."""


def describe_changes(old: PolicyFile, new: PolicyFile) -> Answer:
    """Say what becomes different by a policy in an older one's place, and which way it points."""
    code, unseen = compare_code(old, new)
    changes = [*compare_policies(old.policy, new.policy), *code]
    found = {
        "policy": new.policy.name,
        "old": str(old.path),
        "weaker": sum(change.direction == "weaker" for change in changes),
        "changes": [asdict(change) | {"group": change.group} for change in changes],
        "own_code_not_compared": unseen,
    }
    lines = [f"{new.policy.name}: what changed since {old.path.name}"]
    for group in GROUPS:
        lines += group_lines(group, [change for change in changes if change.group == group])
    lines += ["", *wrap(say_sum(changes, unseen))]
    if unseen:
        lines += wrap(
            f"Not compared: the own code {', '.join(unseen)}, which is not beside both policies."
        )
    return Answer(cast("dict[str, JSON]", found), lines)


def compare_code(old: PolicyFile, new: PolicyFile) -> tuple[list[Change], list[str]]:
    """Compare the files of own code that both policies name alike, and run none of them.

    Gives their changes, and the references whose files are not beside both policies.
    """
    changes, unseen = [], dict[str, None]()
    before = old.policy.own_code
    for path, reference in new.policy.own_code.items():
        if before.get(path) != reference:
            continue
        texts = [read_code(reference, file.folder) for file in (old, new)]
        if None in texts:
            unseen[reference] = None
        elif texts[0] != texts[1]:
            changes.append(Change(path, "changed", f"{reference}: its code changed"))
    return changes, list(unseen)


def read_code(reference: str, folder: Path) -> dict[str, str] | None:
    """Read the files that a reference stands for; None where they are not in the folder."""
    from tasks.own_code.loading import OwnCodeError, find_file
    from tasks.own_code.sources import UnreadableError, read_sources

    try:
        file, _ = find_file(reference, folder)
        return read_sources(folder, file) if file else None
    except (OwnCodeError, UnreadableError):
        return None


def group_lines(group: str, changes: list[Change]) -> list[str]:
    """Tell the changes of one group, what is weaker first."""
    if not changes:
        return []
    order = ("weaker", "changed", "stronger", "other")
    told = sorted(changes, key=lambda change: order.index(change.direction))
    width = max(map(len, ["stronger", *SHOWN.values()]))
    rows = [(f"{SHOWN.get(c.direction, c.direction):<{width}}", c.words) for c in told]
    return ["", group.capitalize(), *lay_out((), rows, indent=2)]


def say_sum(changes: list[Change], unseen: list[str]) -> str:
    """Say how many changes there are, and how many of them point which way."""
    if not changes and unseen:
        return "The text did not change; own code was not compared."
    if not changes:
        return "No change."
    counted = Counter(change.direction for change in changes)
    total = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
    return (
        f"{total}: {counted['weaker']} weaker for the people in the data, {counted['stronger']} "
        f"stronger, {counted['changed']} to look at, {counted['other']} in wording. "
        "No personal data was read."
    )
