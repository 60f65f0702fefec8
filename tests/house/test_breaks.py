"""The catalogue of deliberate breaks fits the code as it is, and its command finds what catches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from coverage import CoverageData

from tests.break_fork import Campaign, replace_code
from tests.break_places import (
    ROOT,
    Break,
    Place,
    break_source,
    find_place,
    find_places,
    read_catalogue,
)
from tests.break_reach import Reach, choose_lots, name_test
from tests.breaks import compare


def in_disclosure(expression: str) -> Break:
    """A break of a function that is there."""
    return Break("tried", "disclosure", "roughly", expression, "False", "none")


def test_every_break_stands_at_one_place_and_leaves_python() -> None:
    """A catalogue that rots would show nothing: each expression is there, once."""
    wrong = []
    for one in read_catalogue():
        try:
            place = find_place(one)
            source = (ROOT / place.file).read_bytes()
            broken = break_source(source, place, one.becomes)
            compile(broken, place.file, "exec")
            assert broken != source
        except (LookupError, SyntaxError, AssertionError) as error:
            wrong.append(f"{one.id}: {error}")
    assert wrong == []


def test_the_catalogue_has_some_hundred_breaks_of_fourteen_subjects() -> None:
    """Each has a name of its own, and no subject has but a few."""
    catalogue = read_catalogue()
    assert len({one.id for one in catalogue}) == len(catalogue) >= 105
    subjects = Counter(one.subject for one in catalogue)
    assert len(subjects) == 14
    assert min(subjects.values()) >= 8


def test_a_place_is_found_whatever_its_formatting() -> None:
    """Spaces, brackets and quotes do not matter, another operator does."""
    (place,) = find_places(in_disclosure("(number  <threshold)"))
    source = (ROOT / place.file).read_bytes()
    assert source[place.start : place.end] == b"number < threshold"
    assert find_places(in_disclosure("number <= threshold")) == []
    with pytest.raises(LookupError, match="stands 0 times in what is named roughly"):
        find_place(in_disclosure("number <= threshold"))


def test_a_break_changes_its_own_bytes_alone() -> None:
    """What stands before and after it stays, characters of several bytes among it."""
    source = "σ = 'ε'\nif x:\n    y = 1\nz = 2\n".encode()
    statement = Place("", 20, 25, 4, range(3, 4), range(0), statement=True)
    assert break_source(source, statement, "pass").decode() == "σ = 'ε'\nif x:\n    pass\nz = 2\n"
    condition = Place("", 13, 14, 3, range(2, 3), range(3, 4), statement=False)
    assert b"if (not x):" in break_source(source, condition, "not x")


def test_tests_that_go_the_rarer_way_from_a_place_come_first(tmp_path: Path) -> None:
    """Of tests that reach a condition, the few that it lets through tell most of it."""
    place = find_place(in_disclosure("number < threshold"))
    noted = CoverageData(str(tmp_path / "coverage"))
    for test, line in (("t.py::a[1]|run", 0), ("t.py::b|run", 0), ("t.py::c|run", 1)):
        noted.set_context(test)
        first = place.lines.start
        noted.add_arcs({f"/somewhere/{place.file}": [(first - 1, first), (first, first + line)]})
    noted.write()
    reach = Reach(tmp_path)
    assert set(place.inside) == {place.lines.start + 1}
    assert reach.tests(place) == ["t.py::c", "t.py::a", "t.py::b"]
    assert Reach(tmp_path / "elsewhere").tests(place) == []


def test_a_few_tests_are_tried_first_then_what_stands_beside_them() -> None:
    """Tests of a file stay together, since what they share is made once."""
    tests = [f"{file}.py::test_{n}" for n in range(5) for file in "abc"]
    few, beside, reached, all_beside = choose_lots(tests, ["a.py::test_more", "d.py::test", *tests])
    assert [test[0] for test in few] == [*"aaaabbbbcccc"]
    assert sorted(few) == sorted(tests[:12])
    assert [test[0] for test in reached] == [*"aaaaabbbbbccccc"]
    assert sorted(beside) == sorted(all_beside) == sorted([*tests, "a.py::test_more"])


def test_a_test_is_found_again_by_its_name(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Wherever its file lies now; one that is gone is left out."""
    campaign = Campaign(tmp_path, [], Reach(tmp_path), {}, 1.0, lambda _: None)
    here = name_test(request.node.nodeid)
    campaign.items = {here: [request.node]}
    name = test_a_test_is_found_again_by_its_name.__name__
    assert campaign.find_again([f"elsewhere/test_x.py::{name}[case]", "x.py::gone"]) == [here]


def test_a_loaded_function_is_given_its_broken_code(tmp_path: Path) -> None:
    """Whoever holds the function calls the broken one, the next function in its file is as was."""
    sound = "def few(n):\n    return (\n        n < 10\n    )\ndef many(n):\n    return n > 10\n"
    file, module = tmp_path / "counts.py", ModuleType("counts")
    exec(compile(sound, str(file), "exec"), vars(module))  # noqa: S102 - as an import does
    few, many = module.few, module.many
    assert (
        replace_code(file, b"def few(n):\n    return False\ndef many(n):\n    return n > 10\n") == 1
    )
    assert (few(1), many(11), many(1)) == (False, True, False)


def test_what_was_caught_and_is_missed_now_is_named() -> None:
    """So is a break that is not tried any more; one that was never caught is not."""
    before = {name: {"caught": found} for name, found in (("a", "t"), ("b", "t"), ("c", None))}
    assert compare(before, {"a": {"caught": "u"}, "b": {"caught": None}}) == ["b"]
    assert compare(before, {"b": {"caught": "t"}}) == ["a"]
    assert compare(before, before) == []
