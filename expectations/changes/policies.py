"""What the change of a policy means in words: whose data is used, what is read, what is promised.

Every place at which two policies differ is told of, none silently: a place that no meaning is
written for is shown with both values, as changed. Knows neither data nor runs, and not whether a
change is lawful.

A treatment is stronger where all that it tells follows from what the other told, or where it is the
same with a larger step, shift or noise; where neither can be said, a person has to look. A rule
about a column that is not read any more protects nobody: that it is gone is no weaker promise, and
that one came with a new column no stronger. A table that became a model took its k and its columns
with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

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
from expectations.policy.outlets import ModelOutlet, Outlet, TableOutlet
from expectations.policy.policy import Column, DerivedColumn, Policy
from expectations.policy.spans import length
from expectations.policy.training import PRIVATE_KINDS
from expectations.policy.treatments import (
    Bin,
    Categories,
    Clip,
    DateParts,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
    describe,
)
from expectations.policy.vocabulary import BROADER, SPECIAL

KINDS: Final = ("kind", "rule")
GROUPS: Final = {
    "whose data is used": ("population", "basis"),
    "what is read": ("source", "columns", "derived"),
    "what becomes of columns": (),
    "who receives what": ("outlets", "combine", "approvals"),
    "what is promised": ("budget", "attacks", "expectations"),
    "how the model is trained": ("training",),
    "purpose and legal basis": ("purpose", "legal_basis", "controller"),
    "how long it is kept": ("retention_days", "retention"),
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

ABOUT: Final = ("sensitive", "loss_ratio")
"""The parts of a table's outlet that promise something about a single column."""
KEPT: Final = {"drop": 0, "keep": 2}
"""The kinds that keep nothing and everything. Between the others there is no order: a clip to two
numbers keeps less than a fine rounding, a wide one more."""
PARTS_OF_A_DATE: Final = ("year", "quarter", "month")


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
    if (old.retention is None) != (new.retention is None):
        old, new = (
            each.model_copy(update={"retention": each.kept, "retention_days": None})
            for each in (old, new)
        )
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
        direction = _compare_treatments(was.treatment, column.treatment)
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
    about = _find_column(path, rules)
    if unread := _tell_unread(about, change.direction, old, new):
        return Change(change.path, "other", change.words + unread)
    if path[0] == "outlets" and len(path) == 2 and {path[1]} <= old.outlets.keys() & new.outlets:
        said = _say_other_kind(old.outlets[path[1]], new.outlets[path[1]])
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
    if change.path == "retention.goods":
        return _by_amount(length(old.kept.goods), length(new.kept.goods))
    if change.path == "training.model":
        assert old.training is not None
        assert new.training is not None
        private = [each.training.model in PRIVATE_KINDS for each in (old, new) if each.training]
        return "changed" if len(set(private)) == 1 else "weaker" if private[0] else "stronger"
    return change.direction


def _compare_treatments(old: Treatment, new: Treatment) -> Direction:
    """Say which way another treatment of the same column points."""
    if old.kind != new.kind:
        if isinstance(old, Bin) and isinstance(new, Clip):
            return "weaker" if _tells(new, old) else "changed"
        if isinstance(old, Clip) and isinstance(new, Bin):
            return "stronger" if _tells(old, new) else "changed"
        return _by_amount(KEPT.get(old.kind, 1), KEPT.get(new.kind, 1))
    differing = {
        name for name in type(old).model_fields if getattr(old, name) != getattr(new, name)
    }
    compared, direction = _compare_alike(old, new)
    return direction if differing <= compared else "changed"


def _compare_alike(old: Treatment, new: Treatment) -> tuple[set[str], Direction]:
    """Give the parameters that can be compared where all others are alike, and what they say."""
    match old, new:
        case Mask(), Mask():
            return {"show_last"}, _by_amount(old.show_last, new.show_last)
        case Token(), Token():
            return {"reversible"}, _by_amount(old.reversible, new.reversible)
        case Bin(), Bin():
            return {"edges", "labels"}, _by_set(old.edges, new.edges)
        case Clip(), Clip():
            return {"low", "high"}, _by_bounds(old, new)
        case Round(), Round():
            return {"to"}, _by_step(old.to, new.to)
        case Noise(), Noise():
            return {"epsilon"}, _by_amount(old.epsilon, new.epsilon)
        case Shift(), Shift():
            return {"days"}, _by_amount(-old.days, -new.days)
        case Categories(), Categories():
            return {"values"}, _by_set(old.values, new.values)
        case Redact(), Redact():
            return {"known"}, _by_set(new.known, old.known)
        case Level(), Level():
            return {"level"}, _by_amount(-old.level, -new.level)
        case DateParts(), DateParts():
            before, after = (PARTS_OF_A_DATE.index(part.precision) for part in (old, new))
            return {"precision"}, _by_amount(before, after)
        case _:
            return set(), "changed"


def _by_amount(old: float, new: float) -> Direction:
    """Weaker where more is kept."""
    return "changed" if old == new else "weaker" if new > old else "stronger"


def _by_set(old: tuple[object, ...], new: tuple[object, ...]) -> Direction:
    """Weaker where all that was told apart still is, and more."""
    before, after = set(old), set(new)
    return "weaker" if before < after else "stronger" if after < before else "changed"


def _by_bounds(old: Clip, new: Clip) -> Direction:
    """Weaker where the bounds are wider: exact values farther out stay."""
    if new.low <= old.low and old.high <= new.high:
        return "weaker"
    return "stronger" if old.low <= new.low and new.high <= old.high else "changed"


def _tells(clip: Clip, binned: Bin) -> bool:
    """Whether a clipped number says in which interval the number lies."""
    return clip.low < binned.edges[0] and binned.edges[-1] <= clip.high


def _by_step(old: float, new: float) -> Direction:
    """Weaker for a smaller step; unless one is a multiple of the other, they can't be compared."""
    larger, smaller = max(old, new), min(old, new)
    if (larger / smaller) % 1:
        return "changed"
    return "weaker" if new < old else "stronger"


def _find_column(path: Sequence[str], rules: Mapping[str, str]) -> str | None:
    """Name the single column that a rule, or a part of an outlet, is about; None for all else.

    `rules` gives by the name of each rule the column that it is about.
    """
    match path:
        case ["expectations", rule, *_]:
            return rules.get(rule.partition(" #")[0])
        case ["outlets", _, part, column, *_] if part in ABOUT:
            return column
        case _:
            return None


def _tell_unread(column: str | None, direction: Direction, old: Policy, new: Policy) -> str:
    """Say that a promise came or went with the column that it is about; "" where it did not."""
    if column is None:
        return ""
    if direction == "weaker" and column not in new.treated:
        return f" ({column} is no longer read)"
    if direction == "stronger" and column not in old.treated:
        return f" ({column} was not read before)"
    return ""


def _say_other_kind(old: Outlet, new: Outlet) -> str:
    """Say what an outlet of another kind was and is; "" for one of the same kind."""
    if old.kind == new.kind:
        return ""
    return f"was {_say_outlet(old)}, is now {_say_outlet(new)}"


def _say_outlet(outlet: Outlet) -> str:
    match outlet:
        case ModelOutlet(promise=None):
            return "a model without differential privacy"
        case ModelOutlet(promise=promise):
            assert promise is not None
            return f"a model under ε = {promise.epsilon:g}, δ = {promise.delta:g}"
        case TableOutlet(k=k, max_suppressed=share, columns=columns):
            told = f"k = {k}, at most {100 * share:.3g} % left out"
            return f"a table of {', '.join(columns)} ({told})"
