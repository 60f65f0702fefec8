"""Privacy models as expectations: the same on every engine, and nothing of the table in results."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import isabstract
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from expectations.gx.quiet_validation import quiet
from expectations.measures.measures import measure
from tests.expectations.gx import expectation_batches as batches

QI = ["age", "marital-status"]
RARE = "Zanzibar-48151"
FRAME = pd.DataFrame(
    {
        "age": ["20"] * 4 + ["30"] * 4,
        "marital-status": ["single"] * 4 + [None] * 4,
        "illness": list("aabc") + list("abb") + [None],
    }
)
PLANTED = pd.concat(
    [FRAME, pd.DataFrame({"age": ["87"], "marital-status": [RARE], "illness": [RARE]})],
    ignore_index=True,
)


def expectation(name: str, **arguments: Any) -> Any:
    """Make an expectation by its name."""
    with quiet():
        from expectations import custom_expectations

        return getattr(custom_expectations, name)(**arguments)


def on_illness(name: str, **arguments: Any) -> Any:
    """Ask something of the illness in classes of the quasi-identifiers."""
    return expectation(name, column="illness", columns=QI, **arguments)


ASKED: dict[str, tuple[dict[str, Any], float]] = {
    "ExpectColumnToBeLDiverse": ({"l": 3}, 3),
    "ExpectColumnToBeEntropyLDiverse": ({"l": 2.8}, 2**1.5),
    "ExpectColumnToBeRecursivelyLDiverse": ({"c": 1.1, "l": 2}, 1),
    "ExpectColumnToBeTClose": ({"t": 0.25}, 0.25),
    "ExpectColumnToBeBetaLike": ({"beta": 1.1}, 1.0),
    "ExpectColumnValuesToBeAtMostAlphaOfClass": ({"alpha": 0.5}, 0.5),
}
KINDS = [(name, *asked) for name, asked in ASKED.items()]


def test_the_example_in_the_docstring_runs(tmp_path: Path) -> None:
    """Whoever copies it has a suite that judges their table."""
    with quiet():
        from expectations import custom_expectations

    example = str(custom_expectations.__doc__).split("\n\n")[1:3]
    names: dict[str, Any] = {}
    exec(textwrap.dedent("\n".join(example)), names)  # noqa: S102  # the documentation's own words
    frame = FRAME.rename(columns={"marital-status": "sex"})

    found = batches.run(pd.concat([frame, frame]), names["suite"].expectations, tmp_path)
    observed = {each["result"]["observed_value"]: each["success"] for each in found}
    assert observed == {8: True, 0.25: False}


def test_the_public_room_holds_every_expectation() -> None:
    """What is importable from it is all there is; nobody looks for the files behind it."""
    with quiet():
        from great_expectations.expectations.expectation import BatchExpectation

        from expectations import custom_expectations as room

    behind = [BatchExpectation]
    for kind in behind:
        behind += kind.__subclasses__()
    ours = {
        kind.__name__
        for kind in behind
        if kind.__module__.startswith("expectations.") and not isabstract(kind)
    }
    assert ours == set(room.__all__)


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_every_engine_measures_the_same(engine: str, tmp_path: Path) -> None:
    """Grouped by pandas or by a database, what is observed is what the definitions say."""
    asked = [on_illness(name, **arguments) for name, arguments, _ in KINDS]
    found = batches.run(FRAME, asked, tmp_path, engine)

    for (name, _, reached), each in zip(KINDS, found, strict=True):
        assert each["result"]["observed_value"] == pytest.approx(reached), name
        assert each["result"]["classes"] == 2


@pytest.mark.parametrize(("name", "arguments", "reached"), KINDS, ids=list(ASKED))
def test_a_planted_person_breaks_each_model(
    name: str, arguments: dict[str, Any], reached: float, tmp_path: Path
) -> None:
    """A class of one person gives their value away; without them the bound is just met."""
    (without,) = batches.run(FRAME, [on_illness(name, **arguments)], tmp_path)
    (planted,) = batches.run(PLANTED, [on_illness(name, **arguments)], tmp_path)

    assert (without["success"], planted["success"]) == (True, False)
    assert without["result"]["observed_value"] == pytest.approx(reached)


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_nothing_of_the_table_is_in_any_result(engine: str, tmp_path: Path) -> None:
    """Results of every format, their page and GX's log hold no value, errors included."""
    asked = [
        *(on_illness(name, **arguments) for name, arguments, _ in KINDS),
        on_illness("ExpectColumnToBeDeltaDisclosurePrivate", delta=1),
        on_illness("ExpectColumnToBeTClose", t=0.1, distance="ordered"),
        on_illness("ExpectColumnToBeBetaLike", beta=1, enhanced=True),
        expectation("ExpectTableToBeKAnonymous", columns=QI, k=2),
        expectation("ExpectTableToBeKAnonymous", columns=["income"], k=2),
        expectation("ExpectTableReidentificationRiskToBeAtMost", columns=QI, at_most=0.1),
    ]
    made = batches.render(PLANTED, asked, tmp_path, engine)
    for result_format in batches.FORMATS:
        made += str(batches.run(PLANTED, asked, tmp_path, engine, result_format))

    assert RARE not in made
    assert "Zanzibar" not in made


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_a_row_condition_narrows_the_table(engine: str, tmp_path: Path) -> None:
    """What is measured are the rows that meet it, compared with each other."""
    with quiet():
        from great_expectations.expectations.row_conditions import Column

        young = Column("age") != "87"
    asked = [
        on_illness("ExpectColumnToBeTClose", t=0.25, row_condition=young),
        expectation("ExpectTableToBeKAnonymous", columns=QI, k=4, row_condition=young),
    ]
    found = batches.run(PLANTED, asked, tmp_path, engine)

    assert [each["success"] for each in found] == [True, True]
    assert [each["result"]["classes"] for each in found] == [2, 2]


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_k_on_every_engine_counts_missing_as_a_value(engine: str, tmp_path: Path) -> None:
    """Four rows without a status are one class of four."""
    asked = expectation("ExpectTableToBeKAnonymous", columns=QI, k=4)

    assert batches.run(FRAME, [asked], tmp_path, engine)[0]["result"] == {
        "observed_value": 4,
        "classes": 2,
    }
    assert batches.run(PLANTED, [asked], tmp_path, engine)[0]["success"] is False


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_risks_of_linking_rows_on_every_engine(engine: str, tmp_path: Path) -> None:
    """Nine rows in classes of 4, 4 and 1: the one alone is certain, a third is right on average."""
    risk, alone = (
        "ExpectTableReidentificationRiskToBeAtMost",
        "ExpectTableUniqueRowsShareToBeAtMost",
    )
    asked = [
        expectation(risk, columns=QI, at_most=0.9),
        expectation(risk, columns=QI, at_most=1 / 3, attacker="marketer"),
        expectation(risk, columns=QI, at_most=0.33, attacker="marketer"),
        expectation(alone, columns=QI, at_most=0.12),
        expectation(alone, columns=QI, at_most=0.11),
    ]
    found = batches.run(PLANTED, asked, tmp_path, engine)

    assert [each["success"] for each in found] == [False, True, False, True, False]
    reached = [each["result"]["observed_value"] for each in found[::2]]
    assert reached == pytest.approx([1, 1 / 3, 1 / 9])
    safe = batches.run(FRAME, [expectation(risk, columns=QI, at_most=0.25)], tmp_path, engine)
    assert safe[0]["success"] is True


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_the_share_of_a_value_is_of_all_rows_on_every_engine(engine: str, tmp_path: Path) -> None:
    """Three of eight people have b; the one without an illness counts."""
    asked = expectation("ExpectColumnValueShareToBeBetween", column="illness", value="b",
                        min_value=0.375, max_value=0.375)  # fmt: skip
    (found,) = batches.run(FRAME, [asked], tmp_path, engine)

    assert found["success"] is True
    told = {"observed_value": 0.375, "element_count": 8, "matching_count": 3}
    assert found["result"] == told


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_an_unknown_column_is_an_error_and_no_constant(engine: str, tmp_path: Path) -> None:
    """SQLite takes an unknown quoted name for a text, in which everybody is equal."""
    asked = expectation("ExpectTableToBeKAnonymous", columns=["Marital-Status"], k=2)
    (found,) = batches.run(FRAME, [asked], tmp_path, engine)

    assert found["success"] is False
    assert "the table has no column Marital-Status" in str(found["exception_info"])


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_values_on_every_engine_are_ordered_alike(engine: str, tmp_path: Path) -> None:
    """Numbers by size, wherever they were grouped."""
    chance = np.random.default_rng(7)
    frame = pd.DataFrame({"age": chance.integers(2, 4, 60) * 10, "pay": chance.integers(8, 13, 60)})
    asked = expectation("ExpectColumnToBeTClose", column="pay", columns=["age"], t=1,
                        distance="ordered")  # fmt: skip
    (found,) = batches.run(frame, [asked], tmp_path, engine)

    reached = measure(frame, ["age"], ["pay"]).sensitive["pay"].ordered_t
    assert found["result"]["observed_value"] == pytest.approx(reached)
    assert found["result"]["details"]["smallest_violation_found"].startswith("nothing")


def test_a_bound_that_no_number_reaches_is_called_infinite(tmp_path: Path) -> None:
    """JSON has no infinity."""
    asked = on_illness("ExpectColumnToBeDeltaDisclosurePrivate", delta=5)
    (found,) = batches.run(PLANTED, [asked], tmp_path)

    assert (found["success"], found["result"]["observed_value"]) == (False, "infinite")


@pytest.mark.parametrize("engine", batches.ENGINES)
def test_table_without_rows_meets_nothing(engine: str, tmp_path: Path) -> None:
    """An empty release is not a safe one, on any engine."""
    asked = [on_illness(name, **arguments) for name, arguments, _ in KINDS]
    found = batches.run(FRAME.iloc[:0], asked, tmp_path, engine)

    assert [each["success"] for each in found] == [False] * len(KINDS)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ExpectColumnToBeLDiverse", {"l": 1}),
        ("ExpectColumnToBeEntropyLDiverse", {"l": 1}),
        ("ExpectColumnToBeRecursivelyLDiverse", {"c": 0, "l": 2}),
        ("ExpectColumnToBeTClose", {"t": 0}),
        ("ExpectColumnToBeTClose", {"t": 0.1, "distance": "other"}),
        ("ExpectColumnValuesToBeAtMostAlphaOfClass", {"alpha": 1}),
    ],
)
def test_a_promise_that_protects_nobody_is_not_accepted(
    name: str, arguments: dict[str, Any]
) -> None:
    """Bounds that every table or none meets are errors of whoever asks."""
    with pytest.raises(ValueError, match=r"ensure this value|unexpected value"):
        on_illness(name, **arguments)


@pytest.fixture
def sql_engine() -> Any:
    """GX's engine for databases, whose connections tests replace."""
    with quiet():
        from great_expectations.execution_engine.sqlalchemy_execution_engine import (
            SqlAlchemyExecutionEngine,
        )
    return SqlAlchemyExecutionEngine


def test_what_a_database_says_of_its_error_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql_engine: Any
) -> None:
    """Databases quote the value at fault; the type of the error is told in its place."""

    def refuse(_: object) -> None:
        raise sa.exc.DataError("SELECT", {}, ValueError(f"invalid input: {RARE}"))

    @contextmanager
    def connect(_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(execute=refuse)

    asked = on_illness("ExpectColumnToBeLDiverse", l=3)
    monkeypatch.setattr(sql_engine, "get_connection", connect)
    (found,) = batches.run(PLANTED, [asked], tmp_path, "a table in SQLite", "COMPLETE")

    assert found["success"] is False
    assert "could not group by age, marital-status, illness (DataError)" in str(found)
    assert RARE not in str(found)


def test_rows_are_read_while_their_connection_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sql_engine: Any
) -> None:
    """A database like DuckDB has no rows left once its connection is given back."""

    @contextmanager
    def connect(engine: Any) -> Iterator[SimpleNamespace]:
        with engine.engine.connect() as connection:
            given = SimpleNamespace(closed=False)

            def execute(query: Any) -> Iterator[Any]:
                yield from [] if given.closed else connection.execute(query).all()

            given.execute = execute
            yield given
            given.closed = True

    asked = expectation("ExpectTableToBeKAnonymous", columns=QI, k=4)
    monkeypatch.setattr(sql_engine, "get_connection", connect)
    (found,) = batches.run(FRAME, [asked], tmp_path, "a table in SQLite")

    assert found["result"] == {"observed_value": 4, "classes": 2}
