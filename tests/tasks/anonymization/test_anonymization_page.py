"""What the page on anonymization shows is so: its snippets run, its examples and pictures hold."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from expectations.gx.quiet_validation import quiet
from expectations.measures.measures import measure
from tasks.anonymization import k_anonymize
from tasks.anonymization.releases.succession import CountedRows, compare, hold_back, release_again
from tasks.attack.downcoding import downcode
from tasks.attack.released import read_release

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "anonymization.md").read_text("utf-8")
AGES = ("20-29", "30-39", "40-49", "50-59")
PEOPLE = pd.DataFrame(
    [
        *(("20-29", "North"), ("20-29", "North"), ("20-29", "East"), ("30-39", "East")),
        *(("30-39", "South"), ("40-49", "South"), ("50-59", "South"), ("50-59", "West")),
    ],
    columns=["age", "district"],
)
LEVELS = {
    "age": {"20-39": AGES[:2], "40-59": AGES[2:]},
    "district": {"north and east": ("North", "East"), "south and west": ("South", "West")},
}
HIERARCHIES = {
    column: pd.DataFrame([(leaf, label, "*") for label, group in of.items() for leaf in group])
    for column, of in LEVELS.items()
}
LABELS = [("20-29", "North"), ("20-39", "East"), ("*", "South"), ("50-59", "south and west")]
SETS = [("20-29", "North"), ("20-29~30-39", "East"), ("30-39~40-49", "South"),
        ("50-59", "South~West")]  # fmt: skip


def test_the_snippets_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would run them; the last one asserts by itself."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for body in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        with quiet():  # Great Expectations warns on import
            exec(body, names)  # noqa: S102  # our own page
    assert (tmp_path / "released.parquet").is_file()


@pytest.mark.parametrize(("output", "shown"), [("hierarchy", LABELS), ("sets", SETS)])
def test_the_picture_of_eight_rows_is_what_comes_out(output: str, shown: list[object]) -> None:
    """Both columns of classes in the picture, and their words stand in it."""
    made = k_anonymize(PEOPLE, ["age", "district"], 2, hierarchies=HIERARCHIES, output=output)  # type: ignore[arg-type]  # one of the two
    rows = list(made.frame.astype(str).itertuples(index=False, name=None))
    assert rows == [pair for pair in shown for _ in range(2)]
    picture = (ROOT / "docs" / "pictures" / "recoding.svg").read_text("utf-8")
    assert [word for word in chain(*SETS, *LABELS) if f">{word}<" not in picture] == ["*"]


def test_the_class_without_an_age_has_one_person_in_either_half() -> None:
    """The page's example of downcoding."""
    released = pd.DataFrame([pair for pair in LABELS for _ in range(2)], columns=PEOPLE.columns)
    coverage = {
        column: {**{name: list(group) for name, group in of.items()}, "*": [*chain(*of.values())]}
        for column, of in LEVELS.items()
    }
    release, _ = read_release(released, PEOPLE, ["age", "district"], k=2, coverage=coverage)
    found = downcode(release, coverage)
    ages = [release.columns[0].labels[label] for label in release.rows[0]]
    assert dict(zip(ages, found.split.tolist(), strict=True))["*"]


@pytest.mark.parametrize(
    ("classes", "name", "reached"),
    [
        (("flu flu", "flu cold cough"), "distinct_l", 1),
        (("HIV HIV HIV HIV flu",), "entropy_l", 1.65),
        (("flu flu flu cold cough",), "smallest_c", 1.5),
        (("flu cold", "flu flu cold"), "alpha", 2 / 3),
        (("ulcer gastritis", "flu cold cough"), "equal_t", 0.6),
        (("HIV flu", "flu flu flu"), "equal_t", 0.3),
        (("HIV flu", "flu flu flu"), "beta", 1.5),
        (("HIV flu", "flu flu flu"), "delta", float("inf")),
    ],
)
def test_the_examples_of_five_rows_fail_where_they_say(
    classes: tuple[str, ...], name: str, reached: float
) -> None:
    """Each is 2-anonymous, and the measure is the one that the page gives."""
    rows = [(number, one) for number, text in enumerate(classes) for one in text.split()]
    found = measure(pd.DataFrame(rows, columns=["class", "ill"]), ["class"], ["ill"])
    assert len(rows) == 5
    assert found.k >= 2
    assert getattr(found.sensitive["ill"], name) == pytest.approx(reached, abs=0.005)


def test_the_picture_of_releases_is_what_comes_out() -> None:
    """Ten, ten again, fifteen, and ten after one has left."""
    made: list[CountedRows] = []
    for people in (10, 11, 15, 14):
        frame = pd.DataFrame({"age": ["20-29"] * people, "district": ["North"] * people})
        present, _ = CountedRows.from_frame(frame, {c: c for c in frame}, list(frame))
        past = [compare(present, one) for one in made]
        draw = np.random.default_rng(1)
        leaving = hold_back(
            present,
            5,
            past[::-1],
            (lambda _: np.ones(1, dtype=bool), lambda counts: counts >= 0),
            draw,
        )
        leaving = release_again(present, leaving, past[-1]) if past else leaving
        made.append(replace(present, counts=leaving))
    assert [int(one.counts.sum()) for one in made] == [10, 10, 15, 10]
