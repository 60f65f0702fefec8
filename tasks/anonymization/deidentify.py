"""Carrying out the treatments that a policy declares, column by column.

Each is record-wise with public parameters: what becomes of a value depends on the row and the
policy alone (for tokens and moved dates also on the purpose's key, for noise on chance). Labelled
results come as Arrow dictionaries whose words are the declared ones. A value that fits no declared
word stops the run, and so does a column of tokens that counting undoes.

Moved dates hide when something happened and keep how long it took: all dates of one person move by
the same number of days, in every column and table of a purpose whose policies declare the same
`days`. Whoever knows one date of a person knows that person's shift, and with it all their dates;
so does whoever sees a moved placeholder, such as the end of the calendar for "no end". Intervals
stay, and weekdays and seasons show where `days` is small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, Published
from expectations.errors import SourceError
from expectations.policy.policy import Policy
from expectations.policy.treatments import (
    YES_NO,
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
)
from expectations.policy.vocabulary import CheckVerdict
from ledgers.home.keys import derive_key
from ledgers.key_ledger import KeyLedger
from ledgers.vault.stages import Deidentified, Selected
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.free_text.text import reduce_texts, residual_identifiers
from tasks.anonymization.labels import Undeclared, label_values, name_words
from tasks.anonymization.noise import add_noise
from tasks.anonymization.token_counts import judge_tokens, undone_by_counting
from tasks.anonymization.tokens import digest_each, encrypt_identifiers, tokenize
from tasks.people.ingestion import RECORD
from tasks.people.population import TEST

PRECISION: Final = {"year": "%Y", "month": "%Y-%m"}
FIRST, LAST = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))


def shorten_dates(values: pa.ChunkedArray, precision: str) -> pa.Array:
    """Reduce dates to year, quarter or month, as text."""
    if precision == "quarter":
        quarter = pc.quarter(values).cast(pa.string())
        return pc.binary_join_element_wise(pc.strftime(values, format="%Y"), quarter, "-Q")
    return pc.strftime(values, format=PRECISION[precision])


def shift_dates(
    values: pa.ChunkedArray, people: pa.ChunkedArray, key: bytes, days: int
) -> pa.Array:
    """Move each date by the offset of the row's person; missing stays missing.

    `people` are their record numbers, the same in every run of a home. A date that would leave the
    calendar, before the year 1 or after 9999, becomes missing.
    """
    offsets = draw_offsets(people.to_numpy(), key, days)
    dates = values.cast(pa.date32()).combine_chunks()
    numbers = dates.cast(pa.int32()).fill_null(0).to_numpy() + offsets
    gone = dates.is_null().to_numpy(zero_copy_only=False) | (numbers < FIRST) | (numbers > LAST)
    return pa.array(numbers.astype(np.int32), mask=gone).cast(pa.date32())


def draw_offsets(people: NDArray[np.uint64], key: bytes, days: int) -> NDArray[np.int64]:
    """Give each person's days from -days to days without 0, each as likely, by HMAC-SHA-256."""
    names = people.astype(">u8").tobytes()
    codes = digest_each(
        (names[n : n + 8] for n in range(0, len(names), 8)), derive_key(key, "shift")
    )
    raw = b"".join([code[:8] for code in codes])
    drawn = (np.frombuffer(raw, ">u8") % np.uint64(2 * days)).astype(np.int64) - days
    return drawn + (drawn >= 0)


def treat(values: pa.ChunkedArray, treatment: Treatment, key: bytes) -> pa.Array | None:
    """Apply one treatment to one column; None where nothing of it stays.

    `key` is that of the policy's purpose. Raises `Undeclared` for values that neither `categories`
    nor a hierarchy declares. What needs the row's other columns is done by `reduce_column` for free
    text, and by `shift_dates` for dates that move per person.
    """
    match treatment:
        case Drop() | Redact() | Shift():
            return None
        case Keep():
            return as_words(values) if pa.types.is_boolean(values.type) else values
        case Mask(show_last=shown):
            return mask(values, shown)
        case Token(reversible=reversible):
            make = encrypt_identifiers if reversible else tokenize
            return make(values.cast(pa.large_string()), key)
        case Bin(edges=edges, labels=labels):
            return put_into_bins(values, edges, labels)
        case Clip(low=low, high=high):
            return pc.max_element_wise(
                pc.min_element_wise(values, high, skip_nulls=False), low, skip_nulls=False
            )
        case Round(to=to):
            return pc.multiply(pc.round(pc.divide(values.cast(pa.float64()), to)), to)
        case Noise(low=low, high=high, epsilon=epsilon):
            return add_noise(values, low, high, epsilon)
        case Categories(values=words, rename=rename, other=other):
            named = {word: word for word in words} | {**rename}
            return name_words(values, named, words, other)
        case Level():
            return label_values(values, treatment)
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


def reduce_column(
    table: pa.Table, name: str, treatment: Redact
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Reduce a column of free text; also mark the rows where a known identifier still stands."""
    texts = table.column(name).to_pylist()
    columns = [table.column(known).cast(pa.large_string()).to_pylist() for known in treatment.known]
    known = [list(row) for row in zip(*columns, strict=True)] or [[] for _ in texts]
    reduced = reduce_texts(texts, known=known, languages=treatment.languages)
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
    broken, standing = {}, np.zeros(table.num_rows, dtype=bool)
    for name, column in policy.treated.items():
        match column.treatment:
            case Redact() as treatment:
                made[name], left = reduce_column(table, name, treatment)
                standing |= left
            case Shift(days=days):
                made[name] = shift_dates(table.column(name), table.column(RECORD), key, days)
            case treatment:
                try:
                    treated = treat(table.column(name), treatment, key)
                except Undeclared as error:
                    broken[name] = str(error)
                    continue
                if treated is not None:
                    made[name] = treated
    if broken:
        raise SourceError(say_undeclared(broken, policy.own_functions))
    kept = {name: table.column(name) for name in (RECORD, TEST)}
    return pa.table({**kept, **made}), standing


def say_undeclared(broken: Mapping[str, str], own: Mapping[str, str]) -> str:
    """Say which columns hold values that are not declared, and where each can be mended."""
    made = [f"`{own[name]}`" for name in broken if name in own]
    origins = ["the source"] * (len(made) < len(broken)) + made
    return (
        "source: some values fit no treatment\n"
        + "\n".join(f"  {name}: {what}" for name, what in broken.items())
        + "\n  declare them under the column's treatment (`values`, `rename`, a line of its "
        "hierarchy; or `other: other`, which takes in all that are not declared), or correct "
        f"{', '.join(origins)}"
    )


@step("De-identify", gives=Deidentified)
def deidentify(desk: Desk, selected: Opened[Selected]) -> pa.Table:
    """Treat every column as the policy says: drop, token, mask, bin, move, add noise, reduce."""
    table, standing = deidentify_table(selected.table(), desk.policy, purpose_key(desk))
    desk.measure("columns.leaving", len(desk.policy.leaving))
    note_noise(desk)
    checks = [*check_tokens(desk, table), *check_texts(desk, standing)]
    for check in checks:
        desk.check(check)
    refuse_failed(checks)
    return table


def purpose_key(desk: Desk) -> bytes:
    """Give the newest key of the policy's purpose and note its version; empty if none is needed.

    Raises ServiceError for a key that was destroyed or is missing.
    """
    treatments = [column.treatment for column in desk.policy.treated.values()]
    if not any(isinstance(treatment, Token | Shift) for treatment in treatments):
        return b""
    purpose = str(desk.policy.purpose)
    found = KeyLedger(desk.run.ledger.engine, desk.run.keys).use(purpose)
    desk.note("key", purpose, {"version": found.version})
    return found.secret


def note_noise(desk: Desk) -> None:
    """Note the local ε of each column with noise, and their sum, which a person's row costs."""
    spent = {
        name: column.treatment.epsilon
        for name, column in desk.policy.treated.items()
        if isinstance(column.treatment, Noise)
    }
    for name, epsilon in spent.items():
        desk.measure(f"noise.epsilon.{name}", epsilon)
    if spent:
        desk.measure("noise.epsilon", sum(spent.values()))


def check_tokens(desk: Desk, table: pa.Table) -> Iterator[Check]:
    """Judge each column of tokens by how often they occur, and count whom counting tells."""
    for name, column in desk.policy.treated.items():
        if isinstance(column.treatment, Token):
            tokens = table.column(name)
            told = undone_by_counting(tokens)
            people = Count(int(np.count_nonzero(told)))
            published = desk.count(f"people.tokens_undone.{name}", people)
            yield judge_tokens(name, len(tokens) - tokens.null_count, bool(told.any()), published)


def check_texts(desk: Desk, standing: NDArray[np.bool_]) -> Iterator[Check]:
    """Judge reduced texts, where there is an identifier to search for: else nothing could fail."""
    treatments = [column.treatment for column in desk.policy.treated.values()]
    if any(isinstance(treatment, Redact) and treatment.known for treatment in treatments):
        people = Count(int(np.count_nonzero(standing)))
        left = desk.count("people.texts_with_identifiers", people)
        yield judge_texts(bool(standing.any()), left)


def judge_texts(found: bool, people: Published) -> Check:
    """Judge whether a row's own identifiers still stand in its reduced text."""
    return Check(
        name="own identifiers in free text",
        asked="no text with an identifier of its own row",
        measured=f"found in the texts of {people} people" if found else "none found",
        verdict=CheckVerdict.REFUSED if found else CheckVerdict.PASSED,
        power="every text was searched for the row's own identifiers; other people's, nicknames "
        "and misspellings are not found",
        remedy="drop the text, or report this as a fault",
    )
