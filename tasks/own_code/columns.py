"""Derived columns by functions of one's own: what such a function is given, and what is taken.

It is given a pandas DataFrame of the columns it reads, in declared types whatever is missing there:
float64, Int64, boolean, str and datetime64. It gives one value a row, missing ones allowed, of the
declared type. Whether it looks at one row at a time is tried in `record_wise`; before a claim that
rests on it, it is called with one row at a time, once for each combination of values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from expectations.checks import Check
from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import Policy
from expectations.policy.treatments import Noise
from expectations.policy.vocabulary import CheckVerdict
from tasks.own_code.loading import OwnCode
from tasks.sources.conversion import fit

if TYPE_CHECKING:
    import pandas as pd


class WrongResult(Exception):
    """What a function gave is not one value a row of its declared type; quotes no value."""


@dataclass(frozen=True, slots=True)
class OwnColumn:
    """A derived column with the function that makes it; `singly` if by one row at a time."""

    name: str
    reference: str
    function: Callable[[pd.DataFrame], object]
    reads: tuple[str, ...]
    type: ColumnType
    singly: bool = False

    def derive(self, table: pa.Table) -> pa.ChunkedArray:
        """Compute the column of people's rows; `Refusal` if what comes is not a value a row.

        What the function itself raises is raised, its text and all: call it inside the airlock.
        """
        frame = self.frame(table)
        try:
            return self._call_singly(frame) if self.singly else self.call(frame)
        except WrongResult as wrong:
            raise Refusal("own code", f"derived.{self.name}: `{self.reference}` {wrong}") from None

    def frame(self, table: pa.Table) -> pd.DataFrame:
        """Give what the function reads of a table."""
        import pandas as pd

        kept = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        # Without what pandas may have noted of other types in the table's schema.
        read = table.select(list(self.reads)).replace_schema_metadata(None)
        found = read.to_pandas(types_mapper=kept.get, date_as_object=False)
        return cast("pd.DataFrame", found)

    def call(self, frame: pd.DataFrame) -> pa.ChunkedArray:
        """Call the function once, and give what it returned in the declared type."""
        given = self.function(frame.copy())
        values = read_result(given, len(frame))
        fitted = fit(values, self.type)
        lost = fitted.null_count - values.null_count
        if lost:
            raise WrongResult(
                f"gave values that are not {self.type} for {roughly(lost)} rows; let it give "
                f"{self.type} or nothing, or declare another type"
            )
        return fitted

    def _call_singly(self, frame: pd.DataFrame) -> pa.ChunkedArray:
        """Call the function with one row of each combination of values that there is."""
        if frame.empty:
            return self.call(frame)
        places = frame.groupby(list(self.reads), sort=False, dropna=False).ngroup()
        first = frame[~places.duplicated()].reset_index(drop=True)
        one = [self.call(first.iloc[[at]].reset_index(drop=True)) for at in range(len(first))]
        chunks = [chunk for made in one for chunk in made.chunks]
        return pa.chunked_array([pa.concat_arrays(chunks).take(pa.array(places))])


def tell_tried(functions: Collection[str]) -> Check:
    """Tell what the trial of functions on made-up rows found; who failed it was no run."""
    return Check(
        name="record-wise functions",
        asked="the same value whether a row is computed alone, in another order or among others",
        measured=f"{', '.join(dict.fromkeys(functions))} gave the same on made-up rows",
        verdict=CheckVerdict.PASSED,
        power="dependence on other rows, on their order or on chance, up to 5,000 rows and beside "
        "extreme numbers; not dependence that shows only among more rows, for combinations that "
        "were not made up, or on purpose",
        remedy="let each compute a value from its own row alone",
    )


def read_result(given: object, rows: int) -> pa.ChunkedArray:
    """Read what a function returned as values, one a row; raises `WrongResult`."""
    import pandas as pd

    if isinstance(given, pd.Series) and not given.index.equals(pd.RangeIndex(rows)):
        raise WrongResult(
            "returned a Series with other rows, or in another order; keep the index of the rows"
        )
    try:
        values = given if isinstance(given, pd.Series) else pd.Series(given)
        array = pa.Array.from_pandas(values)
    except (TypeError, ValueError):  # pyarrow's errors are such; their text quotes the value
        array = None
    if array is None or isinstance(given, dict | str | pd.DataFrame) or len(array) != rows:
        raise WrongResult("does not give one value a row; return a Series, an array or a list")
    return pa.chunked_array([array])


def own_columns(policy: Policy, own: Mapping[str, OwnCode]) -> list[OwnColumn]:
    """Give the policy's derived columns that are made by own functions, which were loaded before.

    Raises `UsageError` where one was not loaded, or cannot be called.
    """
    columns = []
    for name, reference in policy.own_functions.items():
        derived = policy.derived[name]
        function = own[reference].value if reference in own else None
        if not callable(function) or derived.type is None:
            raise UsageError(f"derived.{name}: `{reference}` is not a function; name one")
        singly = policy.private or isinstance(derived.treatment, Noise)
        columns.append(
            OwnColumn(name, reference, function, derived.reads, derived.type, singly=singly)
        )
    return columns
