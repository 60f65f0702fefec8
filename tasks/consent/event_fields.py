"""The fields of consent events as a source holds them: found by a mapping, read, and digested.

It knows columns and types, and nothing of what a word or a time means.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import Problem, SourceError, suggest
from expectations.policy.identifiers import Normal
from expectations.policy.legal_basis import EventField, EventSource, Notice
from ledgers.vault.digests import digest_bytes, digest_table
from tasks.sources import open_source

LATER: Final = ("time_format", "missing", "skip_where_missing", "purpose_separator", "fhir")
"""Parts of a mapping that are not digested where they say nothing, as before there were any."""
NEEDED: Final = (EventField.PERSON, EventField.STATUS, EventField.AT)
"""What every event has."""


def missing_fields(source: EventSource, place: str, there: Sequence[str]) -> list[Problem]:
    """Hold a mapping against a source's header: name what it lacks, and what it has twice.

    `place` is the mapping's path in the policy, such as `basis.events.0`.
    """
    problems = []
    for field, name in source.columns.items():
        if name not in there:
            fix = suggest(name, there, f"name one of its {len(there)} columns")
            what = f"the source has no column `{name}`"
            problems.append(Problem(f"{place}.columns.{field}", what, fix))
    for field in NEEDED:
        if field not in {*source.columns, *source.stated, *there}:
            what = f"the source has no column `{field}`, which every event needs"
            problems.append(Problem(place, what, f"name its own under `columns.{field}`"))
    for field in source.stated:
        if field in there and field not in source.columns:
            what = f"it is stated, but the source has a column `{field}`"
            fix = "take it out, or let the source call that column otherwise"
            problems.append(Problem(f"{place}.stated.{field}", what, fix))
    return problems


def read_fields(source: EventSource, place: str, folder: Path) -> pa.Table:
    """Read the fields that a source has, under their own names, and add those that are stated.

    Raises `SourceError` for a column that is lacking, or of a type that no field has.
    """
    opened = open_source(source.location, folder, "consent")
    there = opened.columns()
    problems = missing_fields(source, place, there)
    if problems:
        raise SourceError("\n".join(f"{p.path}: {p.what}; {p.fix}" for p in problems))
    held = {field: source.columns.get(field, str(field)) for field in EventField}
    held = {field: name for field, name in held.items() if name in there}
    read = opened.read(list(dict.fromkeys(held.values())))
    table = pa.table({str(f): _flatten(read.column(name), place, f) for f, name in held.items()})
    return state_fields(table, source)


def state_fields(table: pa.Table, source: EventSource) -> pa.Table:
    """Add what is stated for every event of a source."""
    for field, word in source.stated.items():
        everywhere = pa.array(np.zeros(table.num_rows, dtype=np.int8))
        table = table.append_column(
            str(field), pa.DictionaryArray.from_arrays(everywhere, pa.array([word]))
        )
    return table


def _flatten(column: pa.ChunkedArray, place: str, field: EventField) -> pa.ChunkedArray:
    """Give a list of categories as one text; refuse any other type that no field has."""
    kind = column.type
    if field is EventField.CATEGORIES and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        try:
            lists = column.cast(pa.list_(pa.string()))
        except pa.ArrowException:  # its text may quote a value
            raise SourceError(f"{place}: a list of categories must hold text") from None
        # A list of none says something else than no list, and is no word of ours.
        return pc.if_else(
            pc.equal(pc.list_value_length(lists), 0), "[]", pc.binary_join(lists, "|")
        )
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        raise SourceError(f"{place}: the column of `{field}` must hold text, numbers or times")
    return column


def digest_fields(
    fields: pa.Table,
    source: EventSource,
    notices: Sequence[Notice],
    key: bytes,
    normal: Sequence[Normal] = (),
) -> str:
    """Give a keyed digest of what was read, of its mapping, and of the notices; 64 hex digits.

    Where the source lies does not count, nor how fresh it must be.
    """
    unsaid = {name for name in LATER if not getattr(source, name)}
    aside = {"location", "not_older_than", "delivery"} | unsaid
    mapping = source.model_dump(mode="json", exclude=aside)
    declared = sorted(json.dumps(asdict(notice.terms), sort_keys=True) for notice in notices)
    # Nothing is said of identifiers as they stand, so that a source known to a ledger still is.
    said = [digest_table(key, fields), mapping, declared, *([sorted(normal)] if normal else [])]
    described = json.dumps(said, sort_keys=True)
    return digest_bytes(key, described.encode())
