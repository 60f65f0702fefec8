"""People who come and leave between releases of one small table, for tests of its differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from expectations.policy.outlets import TableOutlet
from expectations.policy.privacy_models import DistinctLDiversity
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.recoding import k_anonymize
from tasks.anonymization.releases.difference_attack import Row
from tasks.anonymization.releases.release import Past, choose_rows
from tasks.anonymization.releases.succession import CountedRows
from tasks.anonymization.table_plan import TablePlan
from tasks.people.ingestion import RECORD

K = 3
AGES = Hierarchy.from_ordered("age", ["0-9", "10-19", "20-29", "30-39"])
TOWNS = Hierarchy.flat("town", ["a", "b"])
OUTLET = TableOutlet(
    kind="table",
    recipient="Partner",
    k=K,
    max_suppressed=0.5,
    columns={"age": "generalize", "town": "generalize", "ill": "keep"},
    not_linkable={"ill": "nobody knows it"},
)
SENSITIVE = OUTLET.model_copy(
    update={"not_linkable": {}, "sensitive": {"ill": (DistinctLDiversity(l=2),)}}
)
PLAIN = OUTLET.model_copy(
    update={"columns": {"age": "generalize", "town": "generalize"}, "not_linkable": {}}
)

Person = tuple[int, int, int, int]
"""Record key, and which age, town and illness."""


def people(drawn: Sequence[Person]) -> pd.DataFrame:
    """Put people into a frame as the step sees them."""
    records, ages, towns, ill = zip(*drawn, strict=True) if drawn else ((), (), (), ())
    leaves = [row[0] for row in AGES.levels]
    return pd.DataFrame(
        {
            RECORD: np.array(records, dtype=np.uint64),
            "age": pd.Series([leaves[age] for age in ages], dtype=object),
            "town": pd.Series(["ab"[town] for town in towns], dtype=object),
            "ill": pd.Series(["no", "yes", "new"][one] for one in ill),
        }
    )


@cache
def fitted(*drawn: Person) -> TablePlan:
    """Fit a plan on some people, as the first run of a period does."""
    frame = people(drawn)
    found = {"age": AGES, "town": TOWNS}
    recoded = k_anonymize(frame, list(found), K, hierarchies=found, max_suppressed=0.5)
    return TablePlan(recoded.plan, {})


def count(frame: pd.DataFrame, outlet: TableOutlet) -> CountedRows:
    """Count what a released frame shows."""
    return CountedRows.from_frame(frame, {c: c for c in outlet.columns}, outlet.linkable)[0]


def observe_each(frame: pd.DataFrame, outlet: TableOutlet) -> Iterator[tuple[Row, Row]]:
    """Give what each row shows, class and tail."""
    texts = frame.astype(str)
    tail = [column for column in outlet.columns if column not in outlet.linkable]
    for labels, rest in zip(
        texts[list(outlet.linkable)].to_numpy(), texts[tail].to_numpy(), strict=True
    ):
        yield tuple(labels), tuple(rest)


def observe(frame: pd.DataFrame, outlet: TableOutlet) -> Counter[tuple[Row, Row]]:
    """Count it as somebody who has the file would, without the code that is tested."""
    return Counter(observe_each(frame, outlet))


def release_all(
    waves: Sequence[Sequence[Person]], outlet: TableOutlet, plan: TablePlan
) -> list[pd.DataFrame]:
    """Release one wave of people after the other, each beside all before it."""
    made: list[pd.DataFrame] = []
    for wave in waves:
        past = Past(tuple(count(frame, outlet) for frame in made))
        made.append(choose(people(wave), outlet, plan, past))
    return made


def choose(
    frame: pd.DataFrame, outlet: TableOutlet, plan: TablePlan, past: Past | None = None
) -> pd.DataFrame:
    """Give the rows that leave."""
    return choose_rows(frame, outlet, plan, past or Past(), b"only the home knows").frame


START: Final = [(n, n % 4, n // 4 % 2, n % 2) for n in range(64)]
MIXED: Final = [(n, n % 4, n // 4 % 2, n // 8 % 2) for n in range(64)]
"""The same people, with both illnesses in every class."""
newcomer = st.tuples(st.integers(64, 120), st.integers(0, 3), st.integers(0, 1), st.integers(0, 2))


def number_of(most: int) -> st.SearchStrategy[int]:
    """Draw sizes evenly; lists of Hypothesis's own choice hold a handful."""
    return st.sampled_from(range(most + 1))


leavers = number_of(40).flatmap(lambda n: st.sets(st.integers(0, 63), min_size=n, max_size=n))
newcomers = number_of(25).flatmap(
    lambda n: st.lists(newcomer, min_size=n, max_size=n, unique_by=lambda one: one[0])
)
wave = st.builds(
    lambda gone, came: [*(one for one in START if one[0] not in gone), *came], leavers, newcomers
)
"""The people of one run: some have left since the first, others came instead of them or besides."""
