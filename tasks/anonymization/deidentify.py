"""Carrying out the treatments that a policy declares, column by column.

Each is record-wise with public parameters: what becomes of a value depends on the row and the
policy alone (and on the home's key, for tokens). Labelled results come as Arrow dictionaries whose
words are the declared ones. A value that fits no declared word stops the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Published, roughly
from expectations.errors import SourceError
from expectations.policy import Policy
from expectations.treatments import (
    YES_NO,
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Mask,
    Redact,
    Round,
    Token,
    Treatment,
)
from expectations.vocabulary import CheckVerdict
from ledgers.stages import Deidentified, Selected
from tasks.anonymization.text import reduce_texts, residual_identifiers
from tasks.anonymization.tokens import tokenize
from tasks.ingestion import RECORD, count_people
from tasks.population import TEST
from tasks.run import Desk
from tasks.step import Opened, step

PRECISION: Final = {"year": "%Y", "month": "%Y-%m"}


class Undeclared(ValueError):
    """A column holds values that its treatment does not know; the text is their count."""


def treat(values: pa.ChunkedArray, treatment: Treatment, key: bytes) -> pa.Array | None:
    """Apply one treatment to one column; None where nothing of it stays.

    Raises `Undeclared` for words that `categories` does not declare. Free text is reduced by
    `reduce_column`, which sees the row's other columns.
    """
    match treatment:
        case Drop() | Redact():
            return None
        case Keep():
            return as_words(values) if pa.types.is_boolean(values.type) else values
        case Mask(show_last=shown):
            return mask(values, shown)
        case Token():
            return tokenize(values.cast(pa.large_string()), key)
        case Bin(edges=edges, labels=labels):
            return put_into_bins(values, edges, labels)
        case Clip(low=low, high=high):
            return pc.max_element_wise(
                pc.min_element_wise(values, high, skip_nulls=False), low, skip_nulls=False
            )
        case Round(to=to):
            return pc.multiply(pc.round(pc.divide(values.cast(pa.float64()), to)), to)
        case Categories():
            return name_categories(values, treatment)
        case DateParts(precision=precision):
            return shorten_dates(values, precision)
        case _:
            assert_never(treatment)


def as_words(values: pa.ChunkedArray) -> pa.Array:
    """Write booleans as the words no and yes."""
    codes = values.combine_chunks().cast(pa.int8())
    return pa.DictionaryArray.from_arrays(codes, pa.array(YES_NO))


def mask(values: pa.ChunkedArray, shown: int) -> pa.Array:
    """Replace all but the last characters by `*`; texts of at most `shown` are masked whole."""
    texts = values.cast(pa.large_string())
    hidden = pc.replace_substring_regex(texts, r"(?s).", "*")
    if shown == 0:
        return hidden
    kept = pc.utf8_slice_codeunits(texts, -shown)
    starred = pc.utf8_slice_codeunits(hidden, 0, -shown)
    longer = pc.greater(pc.utf8_length(texts), shown)
    return pc.if_else(
        longer, pc.binary_join_element_wise(starred, kept, pa.scalar("", texts.type)), hidden
    )


def put_into_bins(
    values: pa.ChunkedArray, edges: Sequence[float], labels: Sequence[str]
) -> pa.Array:
    """Name the public interval of each number; missing and not-a-number stay missing."""
    numbers = values.cast(pa.float64()).to_numpy()
    codes = np.searchsorted(np.asarray(edges), numbers, side="right").astype(np.int16)
    indices = pa.array(codes, mask=np.isnan(numbers))
    return pa.DictionaryArray.from_arrays(indices, pa.array(labels))


def name_categories(values: pa.ChunkedArray, treatment: Categories) -> pa.Array:
    """Give each value's declared word; `Undeclared` when a value has none."""
    encoded = pc.dictionary_encode(values.cast(pa.large_string())).combine_chunks()
    place = {word: n for n, word in enumerate(treatment.values)}
    words = encoded.dictionary.to_pylist()
    codes = pa.array([place.get(treatment.rename.get(word, word)) for word in words], pa.int16())
    indices = codes.take(encoded.indices)
    unknown = indices.null_count - encoded.indices.null_count
    if unknown:
        raise Undeclared(f"{roughly(unknown)} values are not among those declared")
    return pa.DictionaryArray.from_arrays(indices, pa.array(treatment.values))


def shorten_dates(values: pa.ChunkedArray, precision: str) -> pa.Array:
    """Reduce dates to year, quarter or month, as text."""
    if precision == "quarter":
        quarter = pc.quarter(values).cast(pa.string())
        return pc.binary_join_element_wise(pc.strftime(values, format="%Y"), quarter, "-Q")
    return pc.strftime(values, format=PRECISION[precision])


def reduce_column(
    table: pa.Table, name: str, treatment: Redact
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Reduce a column of free text; also mark the rows where a known identifier still stands."""
    texts = table.column(name).to_pylist()
    columns = [table.column(known).cast(pa.large_string()).to_pylist() for known in treatment.known]
    known = [list(row) for row in zip(*columns, strict=True)] or [[] for _ in texts]
    reduced = reduce_texts(texts, known=known)
    standing = [residual_identifiers([t], [k]) > 0 for t, k in zip(reduced, known, strict=True)]
    return pa.array(reduced, pa.large_string()), np.array(standing, dtype=bool)


def deidentify_table(
    table: pa.Table, policy: Policy, key: bytes
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Treat every column of the policy; what is dropped is gone, the person's column with it.

    Also marks the rows whose reduced texts still hold one of their known identifiers. Raises
    `SourceError` naming all columns that hold undeclared values, with counts.
    """
    made: dict[str, pa.Array] = {}
    broken, standing = [], np.zeros(table.num_rows, dtype=bool)
    for name, column in policy.treated.items():
        if isinstance(column.treatment, Redact):
            made[name], left = reduce_column(table, name, column.treatment)
            standing |= left
            continue
        try:
            treated = treat(table.column(name), column.treatment, key)
        except Undeclared as error:
            broken.append(f"  {name}: {error}")
            continue
        if treated is not None:
            made[name] = treated
    if broken:
        raise SourceError(
            "source: some values fit no treatment\n" + "\n".join(broken) + "\n  declare them "
            "under the column's treatment (values, rename), or correct the source"
        )
    kept = {name: table.column(name) for name in (RECORD, TEST)}
    return pa.table({**kept, **made}), standing


@step("De-identify", gives=Deidentified)
def deidentify(desk: Desk, selected: Opened[Selected]) -> pa.Table:
    """Treat every column as the policy says: drop, token, mask, bin, clip, words, reduce."""
    key = desk.key(f"token:{desk.policy.purpose}")
    table, standing = deidentify_table(selected.table(), desk.policy, key)
    desk.measure("columns.leaving", len(desk.policy.leaving))
    # Where no identifier is known there is nothing to search for, and so no check that could fail.
    treatments = [column.treatment for column in desk.policy.treated.values()]
    if any(isinstance(treatment, Redact) and treatment.known for treatment in treatments):
        left = desk.count("people.texts_with_identifiers", count_people(table.filter(standing)))
        check = judge_texts(bool(standing.any()), left)
        desk.check(check)
        refuse_failed([check])
    return table


def judge_texts(found: bool, people: Published) -> Check:
    """Judge whether a row's own identifiers still stand in its reduced text."""
    return Check(
        name="own identifiers in free text",
        asked="no text that holds an identifier of its own row",
        measured=f"they stand in the texts of {people} people" if found else "none stands",
        verdict=CheckVerdict.REFUSED if found else CheckVerdict.PASSED,
        power="every text was searched for the row's own identifiers; other people's, nicknames "
        "and misspellings are not found",
        remedy="drop the text, or report this as a fault",
    )
