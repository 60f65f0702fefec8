"""From the rows of a source as people keep them to one event a row.

A cell may hold a word that says nothing, several purposes, or nothing where nobody answered yet. It
knows what is missing and where a cell comes apart, and of words only which of them take back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.policy.event_words import tidy
from expectations.policy.legal_basis import EventField, EventSource
from tasks.consent.event_terms import LESS, BadRows, read_words
from tasks.sources.naming import canonical


@dataclass(frozen=True, slots=True)
class Rows:
    """The fields of one event a row, and the number of the source's row that each is from."""

    fields: pa.Table
    numbers: NDArray[np.int64]


def shape_rows(fields: pa.Table, source: EventSource, place: str) -> Rows:
    """Give one row for each event that a source's rows tell of."""
    rows = Rows(fields, np.arange(fields.num_rows) + 1)
    if source.missing:
        rows = Rows(_empty(fields, source, place), rows.numbers)
    if source.purpose_separator is not None and EventField.PURPOSE in fields.column_names:
        rows = _split_purposes(rows, source.purpose_separator, place)
    if source.skip_where_missing is not None:
        rows = _skip(rows, source, source.skip_where_missing, place)
    return rows


def _empty(fields: pa.Table, source: EventSource, place: str) -> pa.Table:
    """Take out the words that say nothing."""
    nothing = pa.array([word.strip() for word in source.missing], pa.large_string())
    for number, name in enumerate(fields.column_names):
        if name in source.stated:
            continue
        if pa.types.is_temporal(fields.column(name).type):
            continue
        text = canonical(fields.column(name), f"{place}: the column of `{name}`")
        silent = pc.is_in(pc.utf8_trim_whitespace(text), nothing)
        if pc.any(silent).as_py():
            fields = fields.set_column(number, name, pc.if_else(silent, None, text))
    return fields


def _split_purposes(rows: Rows, separator: str, place: str) -> Rows:
    """Give a row for each purpose of a cell; a cell without any stays one."""
    name = str(EventField.PURPOSE)
    text = canonical(rows.fields.column(name), f"{place}: the column of `{name}`")
    lists = pc.split_pattern(pc.fill_null(text, ""), separator).combine_chunks()
    parents = pc.list_parent_indices(lists)
    parts = pc.utf8_trim_whitespace(pc.list_flatten(lists))
    # A separator at the end names no purpose more.
    whole = pc.is_in(parents, pc.filter(parents, pc.not_equal(parts, "")))
    kept = pc.invert(pc.and_(whole, pc.equal(parts, "")))
    parents, parts = parents.filter(kept), parts.filter(kept)
    fields = rows.fields.take(parents)
    where = fields.column_names.index(name)
    split = fields.set_column(where, name, pa.chunked_array([parts]))
    return Rows(split, rows.numbers[parents.to_numpy()])


def _skip(rows: Rows, source: EventSource, needed: EventField, place: str) -> Rows:
    """Leave out the rows that lack a field, but none that takes something back."""
    fields = rows.fields
    if needed not in fields.column_names:
        return rows
    column = fields.column(str(needed))
    kept = pc.is_valid(column).to_numpy()
    if not pa.types.is_temporal(column.type):
        text = canonical(column, f"{place}: the column of `{needed}`")
        said = pc.not_equal(pc.utf8_trim_whitespace(text), "")
        kept = pc.fill_null(said, False).to_numpy()
    kept = kept.copy()
    if EventField.STATUS in fields.column_names:
        words = read_words(
            fields.column(str(EventField.STATUS)),
            EventField.STATUS,
            tidy(source.words.get(EventField.STATUS, {})),
            BadRows(place),  # what is not known is told when all is read
        )
        takes_back = np.array([word in LESS for word in words.ours])
        kept |= takes_back[words.places]
    return Rows(fields.filter(pa.array(kept)), rows.numbers[kept])
