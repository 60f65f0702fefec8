"""A codebook's words and bounds are proposed as they stand in it, whatever the people's values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from expectations.errors import UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Bin, Categories
from tasks.drafting.codebook import Declared, read_codebook
from tasks.drafting.deciding import propose_published
from tests.tasks.drafting.test_drafting_profile import profile_of

FIELDS = [
    {"name": "sex", "categories": [{"value": 1, "label": "male"}, {"value": 2, "label": "female"}]},
    {"name": "pain", "categories": ["none", "some", "much"], "categoriesOrdered": True},
    {"name": "score", "type": "integer", "constraints": {"minimum": 0, "maximum": 100}},
    {"name": "smoker", "constraints": {"enum": ["yes", "no", "other"]}},
    {"name": "free"},
]
DICTIONARY = """\
Variable / Field Name,Field Type,"Choices, Calculations, OR Slider Labels",\
Text Validation Min,Text Validation Max
sex,radio,"1, male | 2, female",,
score,text,,0,100
born,text,,2001-01-01,today
total,calc,"sum([a], [b])",,
"""
SEX = Declared({"1": "male", "2": "female"})
SCORE = Declared({}, low=0, high=100)


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_schema_declares_words_and_bounds(tmp_path: Path, packed: bool) -> None:
    """Alone, or of each resource of a package."""
    schema = {"fields": FIELDS}
    path = tmp_path / "codebook.json"
    path.write_text(json.dumps({"resources": [{"schema": schema}]} if packed else schema))
    found = read_codebook(path)
    assert found["sex"] == SEX
    assert found["score"] == SCORE
    assert found["pain"] == Declared({"none": "", "some": "", "much": ""}, ordered=True)
    assert found["free"] == Declared({})


def test_a_data_dictionary_declares_choices_and_bounds(tmp_path: Path) -> None:
    """Of fields that hold a choice; bounds that are dates, and formulas, are none."""
    path = tmp_path / "dictionary.csv"
    path.write_text("\ufeff" + DICTIONARY)
    found = read_codebook(path)
    assert (found["sex"], found["score"]) == (SEX, SCORE)
    assert found["born"] == found["total"] == Declared({})


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"fields": [{}]}', '{"fields": []}', "x,y\n1,2"]
)
@pytest.mark.parametrize("name", ["codebook.json", "codebook.csv"])
def test_a_file_that_is_no_codebook_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """With the forms that are read."""
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError, match="a codebook is a Frictionless"):
        read_codebook(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_codebook(tmp_path / "none.json")


@pytest.mark.parametrize("codes", [["1", "2"] * 50, ["1", "2", "9"] * 50, ["1"] * 99 + ["7"]])
def test_words_follow_from_the_codebook_alone(codes: list[str]) -> None:
    """Whatever the people have; what is none of them is another word."""
    made = propose_published(profile_of(codes, "sex"), SEX)
    assert made == (
        ColumnType.TEXT,
        Categories(kind="categories", values=("1", "2"), other="other"),
        "the words of the codebook: 1 male, 2 female",
    )


@pytest.mark.parametrize("top", [60, 100])
def test_bins_lie_between_the_bounds_of_the_codebook(top: int) -> None:
    """And not between those of the people; a column that is not described has none."""
    profile = profile_of([str(n % top) for n in range(400)], "score")
    made = propose_published(profile, SCORE)
    assert made is not None
    assert isinstance(made[1], Bin)
    assert made[1].edges == tuple(range(10, 100, 10))
    assert propose_published(profile, None) is None


def test_published_cut_offs_come_before_bounds() -> None:
    """A measurement is read as medicine reads it."""
    profile = profile_of([str(15 + n / 10) for n in range(300)], "bmi")
    made = propose_published(profile, Declared({}, low=0, high=100))
    assert made is not None
    assert "cut-offs of WHO" in made[2]
