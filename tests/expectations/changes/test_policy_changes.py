"""What the change of a policy means: nothing is silent, and what got weaker is called so.

Directions are checked against a table written from what the words of the grammar promise people,
and by turning every change round.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any, cast, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from deployments.check.diff_screen import describe_changes
from expectations.changes.meanings import PARTS, VALUES
from expectations.changes.policies import GROUPS, compare_policies
from expectations.policy import vocabulary
from expectations.policy.declaration import Declaration
from expectations.policy.locations import InMemory
from expectations.policy.policy import Policy
from expectations.policy_file import policy_schema, read_policy
from tests.conftest import small_policy
from tests.expectations.policy.rich_policies import RICH, TREES, Tree, read
from tests.runs import say

Path = tuple[str | int, ...]
OPPOSITE = {"weaker": "stronger", "stronger": "weaker", "changed": "changed", "other": "other"}
PATTERNS = ("own.Other", "own.py:other", "other", "Europe/Paris", "other_column", "b", "|",
            "2024-02-02", "36 hours")  # fmt: skip
FIXED = {"tutela", "kind", "rule"}
"""What cannot be changed alone: it says which grammar or which form the rest is written in."""


def leaves(tree: object, path: Path = ()) -> Iterator[Path]:
    """Give the path of every leaf; a list of words is a leaf of its own beside its words."""
    if isinstance(tree, dict):
        for key, inner in tree.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(tree, list):
        for place, inner in enumerate(tree):
            yield from leaves(inner, (*path, place))
    else:
        yield path


def value_at(tree: Any, path: Path) -> Any:
    """Give what stands at a path."""
    for key in path:
        tree = tree[key]
    return tree


def put(tree: Tree, path: Path, value: object) -> Tree:
    """Give a copy of a tree with another value at a path."""
    made = copy.deepcopy(tree)
    value_at(made, path[:-1])[path[-1]] = value
    return made


def take_out(tree: Tree, path: Path) -> Tree:
    """Give a copy of a tree without what stands at a path."""
    made = copy.deepcopy(tree)
    del value_at(made, path[:-1])[path[-1]]
    return made


def words_of_the_grammar(schema: object) -> Iterator[str]:
    """Give every word of a closed list."""
    if isinstance(schema, dict):
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
        for inner in schema.values():
            yield from words_of_the_grammar(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from words_of_the_grammar(inner)


WORDS = (*dict.fromkeys(words_of_the_grammar(policy_schema())), *PATTERNS)


def others(value: object) -> Iterator[object]:
    """Give values that could stand in one's place."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (n for n in (value * 2, value + 1, value / 2, value * 0.9) if n != value)
    else:
        yield from (f"{value}_x", *(word for word in WORDS if word != value))
        yield f"{value}"[:-1] + "C"


def mutate(tree: Tree, path: Path) -> Tree | None:
    """Give a well-formed policy that differs at one leaf, or None where there is none."""
    for other in others(value_at(tree, path)):
        made = put(tree, path, other)
        try:
            read(made)
        except ValidationError:
            continue
        return made
    return None


MUTATED = [
    (number, path)
    for number, tree in enumerate(TREES)
    for path in leaves(tree)
    if path[-1] not in FIXED and (number == 0 or path[0] == ("basis" if number < 5 else "source"))
]
BOUND: frozenset[Path] = frozenset(
    {("columns", "worded", "treatment", "values", 0), ("columns", "worded", "treatment", "ordered")}
    | {("population", "reference", "margins", "kept", "shares", word) for word in ("yes", "no")}
    | {("approvals", "not_by")}
)
"""What can't change alone: a word that others are renamed to, an order, shares that add up to 1;
and what has one word only."""


def test_the_policies_say_all_that_the_grammar_can() -> None:
    """A new part of the grammar must be written here, or its changes could be silent."""
    seen: set[tuple[str, str]] = set()

    def note(part: object) -> None:
        if isinstance(part, BaseModel):
            for name in type(part).model_fields:
                value = getattr(part, name)
                if value not in (None, (), {}):
                    seen.add((type(part).__name__, name))
                note(value)
        for inner in part.values() if isinstance(part, dict) else ():
            note(inner)
        for inner in part if isinstance(part, tuple) else ():
            note(inner)

    for tree in TREES:
        note(read(tree))
    asked = {(form.__name__, field) for form in forms(Policy) for field in form.model_fields}
    unsaid = asked - seen - {(InMemory.__name__, name) for name in InMemory.model_fields}
    assert not unsaid, f"tests/expectations/policy/rich_policies.py: no policy there says {unsaid}"


def forms(annotation: object, met: tuple[type, ...] = ()) -> set[type[Declaration]]:
    """Give every form that a part of a policy may have."""
    if isinstance(annotation, type) and issubclass(annotation, Declaration):
        if annotation in met:
            return set()
        fields = annotation.model_fields.values()
        return {annotation}.union(
            *(forms(field.annotation, (*met, annotation)) for field in fields)
        )
    parts = get_args(annotation) if get_origin(annotation) is not None else ()
    return set().union(*map(forms, parts))


@pytest.mark.parametrize(("number", "path"), MUTATED, ids=str)
def test_no_changed_word_is_silent(number: int, path: Path) -> None:
    """Whatever is written differently is told of, and turned round it points the other way."""
    tree = TREES[number]
    made = mutate(tree, path)
    assert (made is None) == (path in BOUND)
    if made is None:
        return
    old, new = read(tree), read(made)
    there, back = compare_policies(old, new), compare_policies(new, old)
    assert there
    assert all(change.words and change.group in GROUPS for change in there)
    turned = sorted((change.path, OPPOSITE[change.direction]) for change in back)
    assert sorted((change.path, change.direction) for change in there) == turned


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in (
            *(
                (key,)
                for key in ("derived", "expectations", "training", "budget", "attacks", "approvals")
            ),
            *(("population", key) for key in RICH["population"] if key != "smallest"),
            *(("columns", key) for key in RICH["columns"]),
            *(("outlets", key) for key in RICH["outlets"]),
            *(("outlets", "partner", key) for key in RICH["outlets"]["partner"]),
            *(("outlets", "partner", "sensitive", "kept", n) for n in range(7)),
            *(("expectations", n) for n in range(4)),
            *(("basis", key) for key in RICH["basis"]),
            *(("legal_basis", key) for key in ("article_9", "assessment", "safeguards")),
        )
        if path[-1] not in {"kind", "recipient", "k", "columns"} or len(path) == 1
    ],
    ids=str,
)
def test_no_part_comes_or_goes_silently(path: Path) -> None:
    """What is taken out is told of, and so is what is put in."""
    old, new = read(RICH), read(take_out(RICH, path))
    there, back = compare_policies(old, new), compare_policies(new, old)
    assert there
    assert back
    turned = sorted((change.path, OPPOSITE[change.direction]) for change in back)
    assert sorted((change.path, change.direction) for change in there) == turned


def test_equal_policies_have_no_change() -> None:
    """The order of the keys is no change either."""
    turned = json.loads(json.dumps(RICH, sort_keys=True))
    assert compare_policies(read(RICH), read(turned)) == []


WEAKER: tuple[tuple[str, object], ...] = (
    ("population.smallest", 50),
    ("population.sample", 1),
    ("population.at_most", 2000),
    ("population.reference.when_exceeded", "warn"),
    ("purpose", "dpv:ResearchAndDevelopment"),
    ("retention_days", 366),
    ("basis", {"kind": "opt-out", "objections": {"kind": "csv", "path": "o.csv"}, "person": "p"}),
    ("basis.maximum_age_days", 900),
    ("basis.events.0.not_older_than", "2 days"),
    ("basis.events.0.not_older_than+", None),
    ("basis.minors.own_consent_from", 14),
    ("columns.binned.treatment", {"kind": "keep"}),
    ("columns.binned.treatment", {"kind": "clip", "low": 0, "high": 20}),
    ("columns.binned.treatment.edges+", ([10, 15, 20], ["a", "b", "c", "d"])),
    ("columns.clipped.treatment.low", 5),
    ("columns.rounded.treatment.to", 2.5),
    ("columns.masked.treatment.show_last", 3),
    ("columns.dropped.treatment", {"kind": "mask"}),
    ("columns.dated.treatment.precision", "month"),
    ("columns.shifted.treatment.days", 10),
    ("columns.noisy.treatment.epsilon", 2),
    ("columns.levelled.treatment.level", 1),
    ("columns.redacted.treatment.known", []),
    ("columns.kept.identifiability", "none"),
    ("columns.kept.use", ["feature", "release", "audit"]),
    ("outlets.clinic.promise", None),
    ("outlets.clinic.promise.epsilon", 2),
    ("outlets.clinic.promise.delta", 1e-4),
    ("outlets.partner.k", 5),
    ("outlets.partner.not_linkable.binned", "nobody knows it"),
    ("outlets.partner.columns.dated", "keep"),
    ("outlets.partner.sensitive.kept.0.l", 2),
    ("outlets.partner.sensitive.kept.3.t", 0.3),
    ("budget.lifetime_epsilon", 8),
    ("budget.composition+", "adaptive"),
    ("attacks.membership.auc_at_most", 0.7),
    ("attacks.membership.references", 8),
    ("training.model", "gradient-boosting"),
    ("expectations.0.low", 5),
    ("expectations.2.share", 0.2),
)
"""Changes of the rich policy after which people are worse off, as its words are meant."""


@pytest.mark.parametrize(("path", "value"), WEAKER, ids=str)
def test_what_takes_from_people_is_called_weaker(path: str, value: object) -> None:
    """One such change is told once, as weaker; the way back is stronger."""
    tree = RICH
    plain = path.partition("+")[0]
    keys = tuple(int(key) if key.isdigit() else key for key in plain.split("."))
    if isinstance(value, tuple):
        edges, labels = value
        tree = put(put(tree, keys, edges), (*keys[:-1], "labels"), labels)
    else:
        tree = put(tree, keys, value)
    old, new = read(RICH), read(tree)
    if path == "budget.composition+":  # adaptive lets fewer runs pass
        old, new = new, old
    assert [change.direction for change in compare_policies(old, new)] == ["weaker"]
    assert [change.direction for change in compare_policies(new, old)] == ["stronger"]


UNKNOWN: tuple[tuple[str, object], ...] = (
    ("columns.clipped.treatment", {"kind": "clip", "low": 5, "high": 15}),
    ("columns.rounded.treatment.to", 3),
    ("columns.binned.treatment", {"kind": "bin", "edges": [12, 20], "labels": ["a", "b", "c"]}),
    ("columns.binned.treatment", {"kind": "clip", "low": 10, "high": 20}),
    ("columns.clipped.treatment", {"kind": "round", "to": 0.001}),
    ("columns.clipped.treatment", {"kind": "noise", "low": 0, "high": 20, "epsilon": 20}),
    ("columns.rounded.treatment", {"kind": "clip", "low": 0, "high": 20}),
    ("population.eligible", "binned > 4"),
    ("purpose", "dpv:Marketing"),
    ("outlets.partner.max_suppressed", 0.2),
    ("outlets.partner.recipient", "Somebody else"),
)


@pytest.mark.parametrize(("path", "value"), UNKNOWN, ids=str)
def test_what_can_be_either_is_left_to_a_person(path: str, value: object) -> None:
    """Neither follows from the other, so no direction is claimed."""
    old, new = read(RICH), read(put(RICH, tuple(path.split(".")), value))
    assert [change.direction for change in compare_policies(old, new)] == ["changed"]


def test_other_code_of_the_same_name_is_a_change(tmp_path: FilePath) -> None:
    """Its file is read, not run; where it is not beside both policies, that is said."""
    files = []
    for place, text in (("old", "def f(rows): raise SystemExit"), ("new", "1 / 0"), ("none", None)):
        (tmp_path / place).mkdir()
        if text is not None:
            (tmp_path / place / "f.py").write_text(text, encoding="utf-8")
        own = ("    expression: sugar >= 6.5\n", OWN)
        (tmp_path / place / "small.yaml").write_text(small_policy(own), encoding="utf-8")
        files.append(read_policy(str(tmp_path / place / "small.yaml")))
    old, new, none = files
    same, other, unseen = (describe_changes(old, file) for file in (old, new, none))
    assert "No change." in "\n".join(same.lines)
    (change,) = cast("list[dict[str, str]]", other.found["changes"])
    assert (change["path"], change["direction"]) == ("derived.sick.function", "changed")
    assert "f.py:f: its code changed" in "\n".join(other.lines)
    assert unseen.found["own_code_not_compared"] == ["f.py:f"]
    text = "\n".join(unseen.lines)
    assert "Not compared: the own code f.py:f" in text
    assert "both say the same" not in text


OWN = "    function: f.py:f\n    reads: [sugar]\n    type: boolean\n"


def test_a_rule_that_went_with_its_column_is_not_called_weaker() -> None:
    """Nor one that came with a column stronger; one that went alone is."""
    rule = {"rule": "missing-at-most", "column": "ill", "share": 0.5}
    column = {**RICH["columns"]["kept"], "category": "dpv-pd:Health"}
    without = copy.deepcopy(RICH)
    unruled = put(RICH, ("columns", "ill"), column)
    ruled = put(unruled, ("expectations",), [*RICH["expectations"], rule])
    ways = {
        (change.direction, change.words.partition("asked of the values")[2])
        for old, new in ((ruled, without), (without, ruled), (ruled, unruled), (unruled, ruled))
        for change in compare_policies(read(old), read(new))
        if change.path.startswith("expectations")
    }
    assert ways == {
        ("other", " (ill is no longer read)"),
        ("other", " (ill was not read before)"),
        ("weaker", ""),
        ("stronger", ""),
    }


def test_a_table_that_became_a_model_is_told_with_its_k_and_its_columns() -> None:
    """What is gone with it stands in the same line; turned round, what came with it."""
    plain = {"kind": "table", "recipient": "R", "k": 7, "columns": {"kept": "keep"}}
    model = {"kind": "model", "recipient": "R"}
    old, new = (read(put(RICH, ("outlets", "partner"), each)) for each in (plain, model))
    said = next(c.words for c in compare_policies(old, new) if c.path == "outlets.partner")
    assert said == (
        "partner: was a table of kept (k = 7, at most 0 % left out), is now a model without "
        "differential privacy"
    )


def test_a_new_column_says_whether_it_is_of_a_special_category() -> None:
    """The words name Art. 9, which is what a data protection officer looks for."""
    column = {**RICH["columns"]["kept"], "category": "dpv-pd:Health"}
    (change,) = compare_policies(read(RICH), read(put(RICH, ("columns", "ill"), column)))
    assert change.direction == "weaker"
    assert "special category (Art. 9 GDPR)" in change.words


@pytest.mark.parametrize("table", [VALUES, PARTS], ids=["values", "parts"])
def test_every_written_meaning_is_of_a_place_that_there_is(table: dict[str, object]) -> None:
    """A meaning whose place was renamed would be dead, and its changes called unknown."""
    trees = [read(tree).model_dump() for tree in TREES]
    for pattern in table:
        words = pattern.split(".")
        assert any(reaches(tree, words) for tree in trees), pattern


def reaches(tree: object, words: list[str]) -> bool:
    """Whether some path of a tree goes by these words; parts of lists are named by themselves."""
    if not words:
        return True
    if isinstance(tree, dict):
        keys = tree if words[0] == "*" else [words[0]] if words[0] in tree else []
        found = any(reaches(tree[key], words[1:]) for key in keys)
        derived = words[0] == "columns" and "derived" in tree
        return found or (derived and reaches(tree["derived"], words[1:]))
    if isinstance(tree, tuple) and words[0] == "*":
        return any(reaches(inner, words[1:]) for inner in tree)
    return False


def test_the_command_tells_by_groups_and_counts_what_is_weaker(tmp_path: Any) -> None:
    """On the screen and as JSON; nothing wider than 80 columns, nothing coloured in a pipe."""
    from expectations.policy_file import PACKAGED

    text = (PACKAGED / "diabetes.yaml").read_text("utf-8")
    new = tmp_path / "new.yaml"
    new.write_text(text.replace("k: 10", "k: 5").replace("smallest: 500", "smallest: 900"), "utf-8")
    said = say("check", str(new), "--diff", "diabetes")
    assert (said.status, said.err) == (0, "")
    assert "What is promised\n  weaker " in said.out
    assert "2 changes: 1 weaker" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    found = json.loads(say("check", str(new), "--diff", "diabetes", "--json").out)
    assert found["weaker"] == 1
    assert {(c["path"], c["direction"]) for c in found["changes"]} == {
        ("outlets.partner.k", "weaker"),
        ("population.smallest", "stronger"),
    }


def test_categories_that_article_9_protects_are_told_apart() -> None:
    """A column that is no longer called special loses a protection."""
    health, age = str(vocabulary.Category.HEALTH), str(vocabulary.Category.AGE)
    old = read(put(RICH, ("columns", "kept", "category"), health))
    new = read(put(RICH, ("columns", "kept", "category"), age))
    assert [change.direction for change in compare_policies(old, new)] == ["weaker"]


def test_a_further_table_and_a_field_of_its_rows_are_said_to_be_read() -> None:
    """What comes is weaker, and what goes is stronger; neither is just some part."""
    old = read_policy("readmission").policy
    labs, stays = old.source.tables["labs"], old.source.tables["stays"]
    wider = labs.model_copy(update={"fields": {**labs.fields, "ward": labs.fields["test"]}})
    tables = {**old.source.tables, "labs": wider, "wards": stays}
    new = old.model_copy(update={"source": old.source.model_copy(update={"tables": tables})})
    for pair, direction in (((old, new), "weaker"), ((new, old), "stronger")):
        changes = compare_policies(*pair)
        assert {change.direction for change in changes} == {direction}
        said = " ".join(change.words for change in changes)
        assert "this field of its rows is read" in said
        assert "rows of this table are read" in said
