"""The last word before anything leaves: consent asked for again, then each outlet's goods sealed.

What is approved waits in the home's outbox, encrypted, until the run is decided and its recipients
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
from expectations.outlets import ModelOutlet
from expectations.policy_file import PolicyFile
from ledgers.outbox import Outbox
from ledgers.stages import Approved, Reached, Releasable, Selected
from tasks.consent import PERMITTED, decide
from tasks.ingestion import RECORD, read_people
from tasks.population import TEST
from tasks.run import Desk
from tasks.sources.naming import spell
from tasks.step import Opened, step

MISSING: Final = "missing"
PEOPLE: Final = "-people"
"""Where the people wait, beside the outlets; no outlet's name begins so."""


def refuse_withdrawn(
    used: NDArray[np.uint64], file: PolicyFile, key: bytes, disclosure: Disclosure
) -> None:
    """Raise `Refusal` if somebody of the people used has no legal basis any more, as of now."""
    roster = read_people(file, key)
    kept = roster.filter(pc.equal(decide(file, roster, datetime.now(UTC)), PERMITTED))
    gone = used[~np.isin(used, kept.column(RECORD).to_numpy())]
    if len(gone):
        count = disclosure.publish(Count(len(gone), int(gone.sum(dtype=np.uint64))))
        raise Refusal(
            "legal basis",
            f"{count} of the people used lost their legal basis while the run was under way; "
            "nothing is handed over: run again without them",
        )


def table_content(table: pa.Table) -> bytes:
    """Write a table's released columns as CSV (RFC 4180), every value in quotes.

    Rows are sorted by their values, since the source's order could name its people.
    """
    released = table.drop_columns([RECORD, TEST])
    texts = {
        name: pc.fill_null(spell(released.column(name)), MISSING) for name in released.column_names
    }
    by_values = [(name, "ascending") for name in texts]
    ordered = pa.table(texts).take(pc.sort_indices(pa.table(texts), sort_keys=by_values))
    content = BytesIO()
    write_csv(ordered, content)
    return content.getvalue()


@step("Ask for consent again", gives=Approved)
def confirm_consent(desk: Desk, selected: Opened[Selected]) -> bytes:
    """Refuse if anybody who was used has lost their legal basis since the run began."""
    used = selected.table([RECORD]).column(RECORD).to_numpy()
    refuse_withdrawn(used, desk.run.file, desk.key("person"), desk.run.disclosure)
    content = np.sort(used).tobytes()
    Outbox(desk.run.home, desk.run.keys).put(f"{desk.run.id}-{PEOPLE}", content)
    return content


@step("Approve", gives=Approved)
def approve(desk: Desk, goods: Opened[Releasable], outlet: str) -> Opened[Reached]:
    """Seal one outlet's model or table for its recipient; it is handed over if the run passes."""
    if isinstance(desk.policy.outlets[outlet], ModelOutlet):
        content = goods.content()
    else:
        content = table_content(goods.table())
    Outbox(desk.run.home, desk.run.keys).put(f"{desk.run.id}-{outlet}", content)
    return goods
