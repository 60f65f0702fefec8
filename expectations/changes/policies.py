"""What the change of a policy means in words: whom it reaches, what is read, what is promised.

Every place at which two policies differ is told of, none silently: a place that no meaning is
written for is shown with both values, as changed. Knows neither data nor runs, and not whether a
change is lawful.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.changes.lost_columns import find_column, say_other_kind, tell_unread
from expectations.changes.meanings import (
    NONE,
    OPPOSITE,
    PARTS,
    VALUES,
    Direction,
    Path,
    direction_of,
    meaning_of,
)
from expectations.changes.treatments import compare_treatments
from expectations.policy.policy import Column, DerivedColumn, Policy
from expectations.policy.training import PRIVATE_KINDS
from expectations.policy.treatments import describe
from expectations.policy.vocabulary import BROADER, SPECIAL

KINDS: Final = ("kind", "rule")
GROUPS: Final = {
    "whom it reaches": ("population", "basis"),
    "what is read": ("source", "columns", "derived"),
    "what becomes of columns": (),
    "who receives what": ("outlets",),
    "what is promised": ("budget", "attacks", "expectations"),
    "how the model is trained": ("training",),
    "purpose and legal basis": ("purpose", "legal_basis", "controller"),
    "how long it is kept": ("retention_days",),
    "names and words": (),
}
"""The groups in which changes are told, with the parts of a policy that belong there whole."""
RECEIVED: Final = ("recipient", "columns", "kind")
TREATED: Final = ("columns", "derived")
UNSAID: Final = (
    "population", "basis", "attacks", "budget", "legal_basis", "controller", "training",
    "columns", "derived", "outlets", "expectations", "promise",
)  # fmt: skip
"""Words on the way to a value that say no more than its label and its group do."""
CONSENT: Final = {"other-basis": 0, "opt-out": 1, "consent-column": 2, "consent": 2}
"""How much a person has to say under each basis."""


@dataclass(frozen=True, slots=True)
class Change:
    """One place at which a policy differs from an older one, and which way that points."""

    path: str
    direction: Direction
    words: str

    @property
    def group(self) -> str:
        """The group in which it is told."""
        parts = self.path.split(".")
        if parts[0] == "outlets" and len(parts) > 2 and parts[2] not in RECEIVED:
            return "what is promised"
        if parts[0] in TREATED and parts[-1] == "treatment":
            return "what becomes of columns"
        whole = (group for group, heads in GROUPS.items() if parts[0] in heads)
        return next(whole, "names and words")


def compare_policies(old: Policy, new: Policy) -> list[Change]:
    """Give every change from an older policy to a newer one, in the order of their groups.

    Two policies that are equal have none; where they differ there is at least one.
    """
    before, after = as_tree(old.model_dump()), as_tree(new.model_dump())
    found = [
        *_compare_treated(old, new),
        *(_reword(change, old, new) for change in _walk((), before, after)),
    ]
    order = list(GROUPS)
    return sorted(found, key=lambda change: order.index(change.group))


def as_tree(value: object) -> object:
    """Give a dumped policy with the parts of its lists by what names them, not by their place."""
    if isinstance(value, Mapping):
        return {str(key): as_tree(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and value and all(isinstance(one, Mapping) for one in value):
        named: dict[str, object] = {}
        for one in value:
            name = name_part(one)
            again = sum(each.partition(" #")[0] == name for each in named)
            named[f"{name} #{again + 1}" if again else name] = as_tree(one)
        return named
    return value


def name_part(part: Mapping[str, object]) -> str:
    """Name a part of a list by what tells it from the others: a notice, a model, a rule."""
    words = [
        part.get(key) for key in ("rule", "kind", "column", "value", "id", "version", "language")
    ]
    return " ".join(str(word) for word in words if word is not None).replace(".", "·") or "part"


def _compare_treated(old: Policy, new: Policy) -> Iterator[Change]:
    """Compare what becomes of the columns that both policies have."""
    for name, column in new.treated.items():
        was = old.treated.get(name)
        if was is None or was.treatment == column.treatment:
            continue
        told = (describe(was.treatment), describe(column.treatment))
        said = (
            f"was {told[0]}, is now {told[1]}"
            if told[0] != told[1]
            else f"{told[0]} as before, with other parameters"
        )
        direction = compare_treatments(was.treatment, column.treatment)
        yield Change(f"{new.path_of(name)}.treatment", direction, f"{name}: {said}")


def _walk(path: Path, old: object, new: object) -> Iterator[Change]:
    """Find where two trees differ; treatments of columns that both have are compared elsewhere."""
    treatment = len(path) == 3 and path[0] in TREATED and path[2] == "treatment"
    old, new = _as_part(old, new), _as_part(new, old)
    if old == new or treatment:
        return
    if isinstance(old, dict) and isinstance(new, dict) and _kind(old) == _kind(new):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _walk((*path, key), old.get(key), new.get(key))
        return
    whole = isinstance(old, dict) or isinstance(new, dict)
    came_or_went = old is None or new is None
    if whole or (came_or_went and meaning_of(path, PARTS) is not NONE):
        yield _change_part(path, old, new)
    else:
        yield _change_value(path, old, new)


def _change_value(path: Path, old: object, new: object) -> Change:
    """Tell of a value that is another now."""
    meaning = meaning_of(path, VALUES)
    said = f"{meaning.label or path[-1]}: {_say_difference(old, new)}"
    place = _place(path[:-1])
    return Change(
        ".".join(path), direction_of(meaning, old, new), f"{place}: {said}" if place else said
    )


def _change_part(path: Path, old: object, new: object) -> Change:
    """Tell of a part that came, went, or is now of another kind."""
    meaning, name, place = meaning_of(path, PARTS), ".".join(path), _place(path) or path[-1]
    label = meaning.label or "this part"
    if not old:
        return Change(name, meaning.more, f"{place}: new: {label}")
    if not new:
        gone = OPPOSITE.get(meaning.more, "changed")
        return Change(name, gone, f"{place}: no longer: {label}")
    told = _say(old), _say(new)
    if told[0] == told[1]:
        return Change(name, "changed", f"{place}: {told[0]} as before, with other parameters")
    return Change(name, "changed", f"{place}: was {told[0]}, is now {told[1]}")


def _place(path: Path) -> str:
    """Name a place by the words that are the policy's own."""
    return ".".join(word for word in path if word not in UNSAID)


def _as_part(value: object, other: object) -> object:
    """Give an empty list as an empty part where it is compared with a part."""
    return {} if value == () and isinstance(other, dict) else value


def _kind(tree: Mapping[str, object]) -> object:
    """Give the word that says which form a part has."""
    return next((tree[key] for key in KINDS if isinstance(tree.get(key), str)), None)


def _say_difference(old: object, new: object) -> str:
    """Say what a value was and is; of lists of words only what came and went."""
    if isinstance(old, tuple) and isinstance(new, tuple):
        came, gone = ([w for w in one if w not in other] for one, other in ((new, old), (old, new)))
        if came or gone:
            parts = (f"now also {_say(came)}" * bool(came), f"no longer {_say(gone)}" * bool(gone))
            return "; ".join(filter(None, parts))
    return f"was {_say(old)}, is now {_say(new)}"


def _say(value: object) -> str:
    """Write a value as a person reads it; of a part its kind or its keys."""
    match value:
        case None:
            return "not said"
        case bool():
            return "yes" if value else "no"
        case float() | int():
            return f"{value:,.15g}"
        case dict():
            return str(_kind(value) or ", ".join(map(str, value)) or "empty")
        case tuple() | list():
            return ", ".join(map(_say, value))
        case _:
            return str(value)


def _reword(change: Change, old: Policy, new: Policy) -> Change:
    """Say more of what only whole policies tell: special categories, purposes, legal bases."""
    path = change.path.split(".")
    columns = {**old.treated, **new.treated}
    rules = {name_part(r.model_dump()): r.column for r in (*old.expectations, *new.expectations)}
    about = find_column(path, rules)
    if unread := tell_unread(about, change.direction, old, new):
        return Change(change.path, "other", change.words + unread)
    if path[0] == "outlets" and len(path) == 2 and {path[1]} <= old.outlets.keys() & new.outlets:
        said = say_other_kind(old.outlets[path[1]], new.outlets[path[1]])
        return Change(change.path, change.direction, f"{path[1]}: {said}" if said else change.words)
    if path[0] in TREATED and len(path) == 2:
        return Change(change.path, change.direction, change.words + _say_category(columns[path[1]]))
    if path[-1] == "category" and path[0] in TREATED:
        special = [p.treated[path[1]].category in SPECIAL for p in (old, new)]
        directions: dict[tuple[bool, ...], Direction] = {
            (True, False): "weaker", (False, True): "stronger",
        }  # fmt: skip
        return Change(change.path, directions.get(tuple(special), "changed"), change.words)
    return Change(change.path, _whole_direction(change, old, new), change.words)


def _say_category(column: Column | DerivedColumn) -> str:
    """Say of what category a column is, and whether Art. 9 GDPR protects it."""
    special = ", a special category (Art. 9 GDPR)" if column.category.special else ""
    own = isinstance(column, DerivedColumn) and column.function is not None
    code = "; computed by code of one's own" if own else ""
    return f" ({column.category}{special}{code}; {describe(column.treatment)})"


def _whole_direction(change: Change, old: Policy, new: Policy) -> Direction:
    """Say which way a change of the purpose, the basis per person, or the model's kind points."""
    if change.path == "purpose":
        broader = BROADER.get(old.purpose) == new.purpose
        return "weaker" if broader else (
            "stronger" if BROADER.get(new.purpose) == old.purpose else "changed"
        )  # fmt: skip
    if change.path == "basis" and old.basis.kind != new.basis.kind:
        before, after = CONSENT[old.basis.kind], CONSENT[new.basis.kind]
        return "changed" if before == after else "weaker" if after < before else "stronger"
    if change.path == "training.model":
        assert old.training is not None
        assert new.training is not None
        private = [each.training.model in PRIVATE_KINDS for each in (old, new) if each.training]
        return "changed" if len(set(private)) == 1 else "weaker" if private[0] else "stronger"
    return change.direction
