"""k-anonymity from Parquet to Parquet: the same labels as in memory, and nothing where refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from expectations.errors import Refusal, UsageError
from expectations.policy.privacy_models import DistinctLDiversity
from tasks.anonymization import k_anonymize
from tasks.anonymization.fitting import Asked
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.parquet import anonymize_parquet

AGE = Hierarchy.from_ordered("age", [str(age) for age in range(20, 28)])
PEOPLE = pd.DataFrame({
    "row": range(8),
    "age": [20, 21, 20, 21, None, None, 27, 26],
    "home town": ["A", "A", "A", "A", None, None, "B", "B"],
    "ill": ["x", "y", "x", "y", "x", "y", "x", None],
})  # fmt: skip
COLUMNS = ["age", "home town"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give the people as a file."""
    path = tmp_path / "people.parquet"
    PEOPLE.to_parquet(path)
    return path


@pytest.mark.parametrize("output", ["hierarchy", "sets"])
def test_a_file_gets_the_labels_that_its_rows_would_get(source: Path, output: str) -> None:
    """With missing values, a name with a space, and every other column as it was."""
    target = source.with_name("released.parquet")
    asked = Asked(2, output=output)  # type: ignore[arg-type]  # parametrized
    written = anonymize_parquet(source, target, COLUMNS, asked, {"age": AGE})
    in_memory = k_anonymize(PEOPLE, COLUMNS, 2, hierarchies={"age": AGE}, output=output)  # type: ignore[arg-type]  # as above
    assert written.plan == in_memory.plan
    assert written.measures == in_memory.measures
    read = pd.read_parquet(target).sort_values("row", ignore_index=True)
    for column in COLUMNS:
        assert list(read[column]) == list(in_memory.frame[column].astype(str))
    assert list(read["ill"].fillna("-")) == list(PEOPLE["ill"].fillna("-"))
    assert list(read.columns) == list(PEOPLE.columns)


def test_rows_that_are_left_out_are_absent(source: Path) -> None:
    """And sensitive values, missing ones too, are counted before."""
    target = source.with_name("released.parquet")
    asked = Asked(2, 0.5, {"ill": [DistinctLDiversity(l=3)]})
    written = anonymize_parquet(source, target, COLUMNS, asked)
    read = pd.read_parquet(target)
    assert len(read) == round(8 * (1 - written.measures.suppressed))
    assert read.groupby(COLUMNS)["ill"].nunique(dropna=False).min() >= 3


def test_where_it_is_refused_nothing_is_written(source: Path) -> None:
    """Neither a table nor half of one."""
    with pytest.raises(Refusal):
        anonymize_parquet(source, source.with_name("released.parquet"), COLUMNS, Asked(9))
    assert [path.name for path in source.parent.iterdir()] == ["people.parquet"]


def test_what_is_no_parquet_is_told_with_a_way_to_mend_it(tmp_path: Path) -> None:
    """An absent file, one of another kind, an unknown column."""
    other = tmp_path / "people.csv"
    other.write_text("age\n20\n")
    for path in (other, tmp_path / "absent.parquet"):
        with pytest.raises(UsageError, match="cannot be read as Parquet"):
            anonymize_parquet(path, tmp_path / "out.parquet", ["age"], Asked(2))


def test_what_the_engine_says_of_a_value_is_not_told(tmp_path: Path) -> None:
    """Files whose columns are of other types, found out while they are read."""
    pd.DataFrame({"age": [1, 2]}).to_parquet(tmp_path / "1.parquet")
    pd.DataFrame({"age": ["Ada", "Ada"]}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(UsageError) as told:
        anonymize_parquet(tmp_path / "*.parquet", tmp_path / "out", ["age"], Asked(2))
    assert "Ada" not in str(told.value)
    assert told.value.__suppress_context__
    assert not (tmp_path / ".out.making").exists()


@pytest.mark.parametrize("name", ["_number", "_PEOPLE"])
def test_names_that_would_be_mixed_up_are_refused(tmp_path: Path, name: str) -> None:
    """Those that are used while a file is recoded; SQL does not tell cases apart."""
    pd.DataFrame([[1, 2]] * 2, columns=["age", name]).to_parquet(tmp_path / "people.parquet")
    with pytest.raises(UsageError, match="rename"):
        anonymize_parquet(tmp_path / "people.parquet", tmp_path / "out", ["age"], Asked(2))


def test_decimals_keep_the_zeros_that_a_hierarchy_spells(tmp_path: Path) -> None:
    """As in memory."""
    frame = pd.DataFrame({"dose": [Decimal("1.10")] * 2})
    frame.to_parquet(tmp_path / "people.parquet")
    dose = Hierarchy.flat("dose", ["1.10"])
    target = tmp_path / "out"
    anonymize_parquet(tmp_path / "people.parquet", target, ["dose"], Asked(2), {"dose": dose})
    assert list(pd.read_parquet(target)["dose"]) == ["1.10"] * 2


def test_the_order_of_rows_is_not_kept(tmp_path: Path) -> None:
    """It may be that of their names."""
    pd.DataFrame({"age": ["1"] * 100, "row": range(100)}).to_parquet(tmp_path / "people.parquet")
    anonymize_parquet(tmp_path / "people.parquet", tmp_path / "out", ["age"], Asked(2))
    rows = list(pd.read_parquet(tmp_path / "out")["row"])
    assert rows != sorted(rows) == list(range(100))


def test_a_file_is_not_written_over_itself(source: Path) -> None:
    """The rows as they were would be gone."""
    with pytest.raises(UsageError, match="is the source itself"):
        anonymize_parquet(source, source, COLUMNS, Asked(2))


def test_an_unknown_column_is_named(source: Path) -> None:
    """Before anything is counted."""
    with pytest.raises(UsageError, match="no column 'weight'"):
        anonymize_parquet(source, source.with_name("out.parquet"), ["weight"], Asked(2))
