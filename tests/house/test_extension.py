"""Whoever adds something is led to each place that must follow and that mypy cannot see."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.coherence.rules import RULES
from expectations.policy.event_words import DAYS, FREE, LISTS, NUMBERS
from expectations.policy.legal_basis import EventField, EventSource, Notice
from expectations.policy.locations import CsvFile
from expectations.policy.vocabulary import Category, Purpose
from ledgers.consent.chain import digest_texts, make_records
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from tasks.account.published import Summary
from tasks.consent.events import PEOPLE, TIMES, Setting
from tests.tasks.consent.read_events import read_batch

ROOT = Path(__file__).parents[2]


def trees(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    """Give every module of a folder, parsed."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        yield file, ast.parse(file.read_text("utf-8"))


def is_rule(node: ast.AST) -> bool:
    """Whether a function looks at a policy and yields what is wrong with it."""
    return (
        isinstance(node, ast.FunctionDef)
        and node.returns is not None
        and ast.unparse(node.returns) == "Iterator[Problem]"
        and [ast.unparse(a.annotation) for a in node.args.args if a.annotation] == ["Policy"]
    )


def test_every_rule_about_a_policy_is_asked() -> None:
    """A function that finds problems is among the rules, or another asks it by name."""
    rooms = ("expectations", "deployments/check")
    source = "".join(file.read_text("utf-8") for room in rooms for file, _ in trees(room))
    asked = {rule.__name__ for rule in RULES}
    for file, tree in trees("expectations"):
        for node in filter(is_rule, tree.body):
            name = getattr(node, "name", "")
            called = re.search(rf"(?<!def )\b{name}\(", source)
            place = file.relative_to(ROOT)
            assert name in asked or called, f"{place}: `RULES` there lacks {name}"


def test_every_refusal_that_carries_something_has_its_search() -> None:
    """What a step hands on with its refusal is known where ways out are looked for."""
    finder = ROOT / "tasks" / "ways" / "finder.py"
    searched = set(re.findall(r"^        case (\w+)\(", finder.read_text("utf-8"), re.MULTILINE))
    for file, tree in trees("tasks"):
        for carried in re.findall(r"\bcarrying\((\w)(\w*)", ast.unparse(tree)):
            kind = carried[0].upper() + carried[1]  # a class, or a value that is named as its class
            where = f"no case for the {kind} that {file.relative_to(ROOT)} carries"
            assert kind in searched, f"tasks/ways/finder.py: find_ways_out has {where}"


def test_every_part_of_a_summary_is_shown() -> None:
    """What is published of a run stands on a page, not in `evidence.json` alone."""
    pages = "".join(
        file.read_text("utf-8")
        for file in (ROOT / "tasks" / "pages").iterdir()
        if file.suffix in {".py", ".j2"}
    )
    for name in {field.name for field in fields(Summary)} - {"version"}:
        shown = re.search(rf"\b(?:summary|run|s)\.{name}\b", pages)
        assert shown, f"tasks/pages/report.html.j2: shows no `{name}` of a run's summary"


EVENT = {"person": "p", "status": "withdrawn", "at": "2025-02-03T10:11:12Z"}
NOTICES = tuple(
    Notice(id=name, version=version, language=language,
           purposes=tuple(Purpose), categories=tuple(Category))
    for name in ("a", "b") for version in (1, 2) for language in ("a", "b")
)  # fmt: skip
NOTICE = {"notice": "a", "notice_version": "1", "language": "a"}


def two_values(field: EventField) -> tuple[str, str]:
    """Give two things that a field can say."""
    if field in LISTS:
        first, second, *_ = LISTS[field]
        return ("withdrawn", "objected") if field is EventField.STATUS else (first, second)
    if field in NUMBERS:
        return "1", "2"
    if field in {*FREE, *PEOPLE, EventField.EVIDENCE}:
        return "a", "b"
    if field in DAYS:
        return "2025-02-04", "2025-02-05"
    if field in TIMES:
        return "2025-02-04T00:00:00Z", "2025-02-05T00:00:00Z"
    return pytest.fail(f"expectations/policy/event_words.py: no list there holds `{field}`")


@pytest.fixture
def committed(tmp_path: Path) -> Callable[[dict[str, str]], bytes]:
    """Give what the consent ledger commits to of an event."""
    setting = Setting(
        tmp_path,
        NOTICES,
        Keys(Home(tmp_path, Settings()), bytes(32)),
        datetime(2026, 3, 1, tzinfo=UTC),
    )

    def commit(event: dict[str, str]) -> bytes:
        (tmp_path / "e.csv").write_text(f"{','.join(event)}\n{','.join(event.values())}\n", "utf-8")
        source = EventSource(location=CsvFile(kind="csv", path="e.csv"))
        batch = read_batch(source, "e", setting).batch
        terms = digest_texts([one.to_json() for one in batch.terms])
        return make_records(batch.table, terms).tobytes()

    return commit


@pytest.mark.parametrize("field", EventField)
def test_every_field_of_an_event_is_kept(
    field: EventField, committed: Callable[[dict[str, str]], bytes]
) -> None:
    """Two events that differ in one field differ in what the chain of the ledger holds."""
    one, other = two_values(field)
    event = EVENT | (NOTICE if field in NOTICE else {})
    assert committed({**event, field: one}) != committed({**event, field: other}), (
        f"tasks/consent/event_terms.py: `{field}` reaches no `Terms`; or if it has a column of its "
        "own: make_records in ledgers/consent/chain.py leaves it out"
    )
