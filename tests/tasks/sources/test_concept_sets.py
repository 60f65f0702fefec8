"""Concept sets of OMOP stand for the codes that ATLAS takes them for, or are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expectations.errors import SourceError
from expectations.policy.code_files import read_concept_set
from expectations.policy.hierarchy_files import UnreadableError
from expectations.policy.policy import PeopleSource
from tasks.sources.concept_sets import describe_concept_sets, find_faults_of_concepts
from tasks.sources.concept_sets import resolve_concept_sets as resolve

ANCESTORS = "ancestor_concept_id,descendant_concept_id\n1,1\n1,2\n1,3\n1,4\n3,3\n3,4\n"
RELATIONSHIPS = "concept_id_1,concept_id_2,relationship_id\n90,2,Maps to\n91,2,Is a\n92,4,Maps to\n"
BOTH = {"ancestors": {"kind": "csv", "path": "ancestors.csv"},
        "relationships": {"kind": "csv", "path": "relationships.csv"}}  # fmt: skip


def source(concepts: list[dict[str, Any]], vocabulary: object = BOTH) -> PeopleSource:
    """Give a source with one concept set."""
    return PeopleSource.model_validate(
        {"location": {"kind": "csv", "path": "people.csv"}, "person": "pid",
         "codes": {"lasting": {"concepts": concepts}}, "vocabulary": vocabulary}, strict=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small vocabulary."""
    (tmp_path / "ancestors.csv").write_text(ANCESTORS, "utf-8")
    (tmp_path / "relationships.csv").write_text(RELATIONSHIPS, "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("concepts", "codes"),
    [
        ([{"id": 1}], "1"),
        ([{"id": 1, "descendants": True}], "1 2 3 4"),
        ([{"id": 1, "descendants": True}, {"id": 3, "excluded": True}], "1 2 4"),
        ([{"id": 3, "excluded": True, "descendants": True}, {"id": 1, "descendants": True}], "1 2"),
        ([{"id": 1, "descendants": True, "mapped": True}], "1 2 3 4 90 92"),
        ([{"id": 2, "mapped": True}, {"id": 4}], "2 4 90"),
        ([{"id": 2, "mapped": True}, {"id": 90, "excluded": True}], "2"),
        ([{"id": 9}, {"id": 4, "excluded": True, "mapped": True}], "9"),
    ],
)
def test_a_concept_set_stands_for_these_codes(
    concepts: list[dict[str, Any]], codes: str, folder: Path
) -> None:
    """What is excluded is out, wherever it stands and whatever brings it in."""
    found = resolve(source(concepts), folder)
    assert found.code_lists == {"lasting": tuple(codes.split())}
    ((_, told),) = describe_concept_sets(found)
    assert told["codes"] == len(codes.split())


@pytest.mark.parametrize(
    ("concepts", "vocabulary", "said"),
    [
        ([{"id": 1, "descendants": True}], None, r"name it as `source\.vocabulary\.ancestors`"),
        ([{"id": 1, "mapped": True}], {"ancestors": BOTH["ancestors"]}, "concept_relationship"),
        ([{"id": 1}, {"id": 1, "excluded": True}], None, "stands for no concept"),
        ([{"id": 7, "descendants": True}], BOTH, "knows none of its concepts"),
        ([{"id": 1, "descendants": True}], {"ancestors": BOTH["relationships"]}, "has no column"),
    ],
)
def test_a_concept_set_without_its_meaning_is_refused(
    concepts: list[dict[str, Any]], vocabulary: object, said: str, folder: Path
) -> None:
    """Before anybody is read, and again where rows are."""
    told = source(concepts, vocabulary)
    (problem,) = find_faults_of_concepts(told, folder)
    assert problem.path == "source.codes.lasting"
    with pytest.raises(SourceError, match=said):
        resolve(told, folder)


ITEM = {"concept": {"CONCEPT_ID": 1}, "isExcluded": False, "includeDescendants": True}


@pytest.mark.parametrize("whole", [{"expression": {"items": [ITEM]}}, {"items": [ITEM]}, [ITEM]])
def test_a_file_of_atlas_is_read(whole: object, tmp_path: Path) -> None:
    """As a whole concept set, its expression, or its items; an absent flag is no."""
    (tmp_path / "set.json").write_text(json.dumps(whole), "utf-8")
    assert read_concept_set(tmp_path / "set.json") == [
        {"id": 1, "excluded": False, "descendants": True, "mapped": False}
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not JSON"), ("{}", "no list `items`"), ('[{"concept": {}}]', "item 1 has no `concept`"),
     ('[{"concept": {"CONCEPT_ID": 1}, "isExcluded": "no"}]', "neither true nor false")],
)  # fmt: skip
def test_a_file_that_is_no_concept_set_is_refused(text: str, said: str, tmp_path: Path) -> None:
    """With the item that is wrong."""
    (tmp_path / "set.json").write_text(text, "utf-8")
    with pytest.raises(UnreadableError, match=said):
        read_concept_set(tmp_path / "set.json")
