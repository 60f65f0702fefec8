"""Before anything leaves: each outlet's goods made ready, and consent asked for again.

What is ready waits in the home's outbox, encrypted, until the run is decided and its recipients
can be served; a run that is not decided as passed leaves nothing there. The record keys of the
people used wait with it, so that consent can be asked for once more if serving is delayed.
"""

from __future__ import annotations

from datetime import UTC, datetime
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

    `used` is an array of `USED`. Events that came in meanwhile are taken in first.
    """
    import_events(file, ledger, ledger.keys, datetime.now(UTC))
    roster = read_people(file, ledger.keys.derive("person"))
    standings = decide(file, roster, ledger, datetime.now(UTC))
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
    texts = {
        name: pc.fill_null(spell(released.column(name)), MISSING) for name in released.column_names
    }
    by_values = [(name, "ascending") for name in texts]
    ordered = pa.table(texts).take(pc.sort_indices(pa.table(texts), sort_keys=by_values))
    content = BytesIO()
    write_csv(ordered, content)
    return content.getvalue()


@step("Ask for consent again", gives=Ready)
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


@step("Make ready", gives=Ready)
def make_ready(desk: Desk, goods: Opened[Releasable], outlet: str) -> Opened[Reached]:
    """Seal one outlet's model or table for its recipient; it is handed over if the run passes."""
    if isinstance(desk.policy.outlets[outlet], ModelOutlet):
        content = goods.content()
    else:
        content = table_content(goods.table())
    Outbox(desk.run.home, desk.run.keys).put(f"{desk.run.id}-{outlet}", content)
    return goods
