"""Before anything leaves: each outlet's goods made ready, and consent asked for again.

What is ready waits in the home's outbox, encrypted, until the run is decided and its recipients
can be served; a run that is not decided as passed leaves nothing there. The record keys of the
people used wait with it, so that consent can be asked for once more if serving is delayed.
"""

from __future__ import annotations

from io import BytesIO
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow.csv import write_csv

from expectations.disclosure import Count, Disclosure
from expectations.errors import Refusal
from expectations.policy.outlets import ModelOutlet
from expectations.policy.vocabulary import MISSING
from expectations.policy_file import PolicyFile
from ledgers.consent.ledger import ConsentLedger
from ledgers.outbox import Outbox
from ledgers.vault.stages import Reached, Ready, Releasable, Selected
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.consent.deliveries import find_deliveries, judge_deliveries, refuse_stale
from tasks.consent.events import import_events
from tasks.consent.standing import decide
from tasks.people.ingestion import CATEGORIES, RECORD, read_people
from tasks.sources.naming import spell

PEOPLE: Final = "-people"
"""Where the people wait, beside the outlets; no outlet's name begins so."""


USED: Final = np.dtype([("record", "<u8"), ("categories", "<u4")])
"""A person whose data was used, and which categories of it (see `Policy.categories`)."""


def refuse_withdrawn(
    used: NDArray[np.void], file: PolicyFile, ledger: ConsentLedger, disclosure: Disclosure
) -> None:
    """Raise `Refusal` if somebody of the people used may not be so used any more, as of now.

    `used` is an array of `USED`. Events that came in meanwhile are taken in first, and must still
    arrive.
    """
    deliveries = find_deliveries(file)
    import_events(file, ledger, ledger.keys, ledger.now())
    refuse_stale(judge_deliveries(deliveries, ledger.now()))
    roster = read_people(file, ledger.keys.derive("person"))
    standings = decide(file, roster, ledger, ledger.now())
    covered = np.where(standings.permitted, standings.categories, np.uint32(0))
    gone = used["record"][~still_covered(used, roster.column(RECORD).to_numpy(), covered)]
    if len(gone):
        count = disclosure.publish(Count(len(gone)))
        raise Refusal(
            "legal basis",
            f"{count} of the people used lost their legal basis, for some of their data at least, "
            "while the run was under way; nothing is handed over: run again without them",
        )


def still_covered(
    used: NDArray[np.void], record: NDArray[np.uint64], covered: NDArray[np.uint32]
) -> NDArray[np.bool_]:
    """Tell of each person used whether all that was used of them is covered; the absent are not."""
    order = np.argsort(record)
    place = order[np.searchsorted(record, used["record"], sorter=order).clip(max=len(order) - 1)]
    there = record[place] == used["record"]
    kept: NDArray[np.bool_] = there & (used["categories"] & ~covered[place] == 0)
    return kept


def table_content(table: pa.Table) -> bytes:
    """Write a table's released columns as CSV (RFC 4180), every value in quotes.

    Rows are sorted by their values, since the source's order could name its people. What a run
    itself keeps of people (keys, sides, weights) is named with `_`, as no policy's column can be.
    """
    released = table.select([name for name in table.column_names if not name.startswith("_")])
    ranked = [rank_texts(column) for column in released.columns]
    # The first column decides first. Who is equal in all columns may stand in any order.
    order = np.lexsort([ranks for _, ranks in reversed(ranked)])
    texts = [words.take(pa.array(ranks[order])) for words, ranks in ranked]
    content = BytesIO()
    write_csv(pa.table(texts, names=released.column_names), content)
    return content.getvalue()


def rank_texts(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.unsignedinteger]]:
    """Give a column's distinct texts in their order, and the place of each row's among them.

    A missing value is a word as others are. Distinct values are few, and each is spelled once.
    """
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    encoded = column.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # of a table without rows
        encoded = pa.array([], column.type)
    values = pc.fill_null(spell(encoded.dictionary), MISSING)
    every = pa.concat_arrays([values, pa.array([MISSING], values.type)])
    number = pc.fill_null(encoded.indices.cast(pa.int64()), len(values))
    words = pc.unique(every.take(number.unique()))
    words = words.take(pc.sort_indices(words))
    # Numbers this short are sorted several times as fast.
    short = pa.uint16() if len(words) <= 1 << 16 else pa.uint32()
    return words, pc.index_in(every, words).fill_null(0).cast(short).take(number).to_numpy()


@step("Re-check consent", gives=Ready)
def confirm_consent(desk: Desk, selected: Opened[Selected]) -> bytes:
    """Refuse if anybody who was used has lost their legal basis since the run began.

    The last that can refuse a run, so that only now its tables are on record as releases.
    """
    from tasks.anonymization.releases.successive_releases import record_release

    people, run = selected.table([RECORD, CATEGORIES]), desk.run
    used = np.empty(people.num_rows, USED)
    used["record"], used["categories"] = (column.to_numpy() for column in people.columns)
    ledger = run.consent
    refuse_withdrawn(used, run.file, ledger, run.disclosure)
    content = np.sort(used, order="record").tobytes()
    outbox, waiting = Outbox(run.home, run.keys), f"{run.id}-"
    outbox.put(waiting + PEOPLE, content)
    for outlet in desk.policy.table_outlets:
        record_release(desk, outlet, outbox.take(waiting + outlet))
    return content


@step("Prepare the handover", gives=Ready)
def make_ready(desk: Desk, goods: Opened[Releasable], outlet: str) -> Opened[Reached]:
    """Seal one outlet's model or table for its recipient; it is handed over if the run passes."""
    if isinstance(desk.policy.outlets[outlet], ModelOutlet):
        content = goods.content()
    else:
        content = table_content(goods.table())
    Outbox(desk.run.home, desk.run.keys).put(f"{desk.run.id}-{outlet}", content)
    return goods
