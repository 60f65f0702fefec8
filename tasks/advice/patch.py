"""Advice as a patch of the policy's own file: what is not touched stays as its author wrote it.

A change that the grammar or the rest of the policy would refuse (another part still reads the
column) is left out and named, for a person to make.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from expectations.errors import PolicyError
from expectations.policy.plain_yaml import compose, read_yaml
from expectations.policy.policy import Policy
from expectations.policy.treatments import Bin
from expectations.policy.vocabulary import Use
from expectations.policy_file import PolicyFile, parse_policy
from tasks.anonymization.hierarchies import span

PLAIN: Final = re.compile(r"(?!true$|false$|null$)[A-Za-z][\w .+~-]*[\w+]|\d[\d.]*[-~][\w. ~-]*\w")
"""Words that YAML reads as text without quotes."""
SHARED_LINE: Final = "it shares a line of the file with something else, so take it out by hand"


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff (empty: nothing to change), and for each column left in it says why."""

    text: str
    left_in: Mapping[str, str]


def write_patch(file: PolicyFile, drop: Iterable[str], coarsen: Iterable[str]) -> Patch:
    """Take columns out of the model's reach, and merge the intervals of others in pairs."""
    text, left_in = file.text, dict[str, str]()
    changes = [(name, drop_feature) for name in drop] + [(name, halve_bins) for name in coarsen]
    for name, change in changes:
        changed = change(text, file.policy, name)
        problem = SHARED_LINE if changed is None else find_problem(changed, file.path)
        if changed is None or problem:
            left_in[name] = problem
        else:
            text = changed
    before, after = (part.splitlines(keepends=True) for part in (file.text, text))
    name = file.path.name
    lines = difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")
    return Patch("".join(lines), left_in)


def find_problem(text: str, path: Path) -> str:
    """Say what keeps a policy's text from running, by the first problem; nothing if it could."""
    try:
        parse_policy(text, str(path), path.parent)
    except PolicyError as error:
        first = error.problems[0]
        return f"without it the policy would be refused: {first.path}: {first.what}"
    return ""


def drop_feature(text: str, policy: Policy, name: str) -> str | None:
    """Take `feature` out of a column's uses; a column without any other use goes whole."""
    left = [str(use) for use in policy.treated[name].use if use is not Use.FEATURE]
    if left:
        return replace(text, (*policy.path_of(name).split("."), "use"), f"[{', '.join(left)}]")
    without = cut(text, tuple(policy.path_of(name).split(".")))
    return without and cut_unused_table(without, policy, name)


def cut_unused_table(text: str, policy: Policy, name: str) -> str | None:
    """Take out the table of which a column was made that is gone, where nothing else is of it."""
    rows = policy.columns[name].rows if name in policy.columns else None
    index = policy.source.index
    until = policy.source.followed_until
    kept = {index.first if index else None} | ({until.periods, until.closed_by} if until else set())
    if rows is None or rows.of is None or rows.of in kept:
        return text
    made = [("columns", other, "rows", "of") for other in policy.columns]
    if any(find(text, path) == rows.of for path in made):
        return text
    others = [table for table in policy.source.tables if find(text, ("source", "tables", table))]
    return cut(text, ("source", "tables", rows.of) if len(others) > 1 else ("source", "tables"))


def find(text: str, path: tuple[str, ...]) -> object:
    """Give the value at a path of the text; None where there is none."""
    _, plain = read_yaml(text, "policy")
    found: object = plain
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def halve_bins(text: str, policy: Policy, name: str) -> str | None:
    """Merge the intervals of a binned column in pairs, from the lowest; an odd last one stays."""
    treatment = policy.treated[name].treatment
    if not isinstance(treatment, Bin):
        return None
    labels = treatment.labels
    merged = [
        span(*three) if len(three) > 1 else three[0]
        for three in (labels[start : start + 3] for start in range(0, len(labels), 2))
    ]
    edges = ", ".join(f"{edge:g}" for edge in treatment.edges[1::2])
    words = ", ".join(map(quote, merged))
    path = (*policy.path_of(name).split("."), "treatment")
    return replace(text, path, f"{{kind: bin, edges: [{edges}], labels: [{words}]}}")


def quote(word: str) -> str:
    """Write a word so that YAML reads it as text."""
    return word if PLAIN.fullmatch(word) else "'" + word.replace("'", "''") + "'"


def replace(text: str, path: tuple[str, ...], value: str) -> str | None:
    """Put a value in place of the one at a path; None where there is none."""
    return _edit(text, path, lambda _, node: (node.start_mark.index, node.end_mark.index, value))


def cut(text: str, path: tuple[str, ...]) -> str | None:
    """Take out the key at a path and all that it holds; None where they share a line."""

    def place(key: yaml.Node, node: yaml.Node) -> tuple[int, int, str] | None:
        start = text.rfind("\n", 0, key.start_mark.index) + 1
        end = text.find("\n", node.end_mark.index) + 1
        if isinstance(node, yaml.MappingNode) and not node.flow_style:
            end = node.end_mark.index - node.end_mark.column
        alone = not text[start : key.start_mark.index].strip()
        return (start, end, "") if alone and end > start else None

    return _edit(text, path, place)


def _edit(
    text: str,
    path: tuple[str, ...],
    place: Callable[[yaml.Node, yaml.Node], tuple[int, int, str] | None],
) -> str | None:
    """Change the part of the text that `place` names for the key and value at a path."""
    node: yaml.Node | None = compose(text, "policy")
    key: yaml.Node | None = None
    for part in path:
        assert isinstance(node, yaml.MappingNode)
        key, node = next((pair for pair in node.value if pair[0].value == part), (None, None))
        if key is None or node is None:
            return None
    assert key is not None
    assert node is not None
    found = place(key, node)
    if found is None:
        return None
    start, end, value = found
    return text[:start] + value + text[end:]
