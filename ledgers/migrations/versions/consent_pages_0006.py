"""Consent events in pages, with triggers: a page shrinks by what was noted as erased, and no more.

What stood in a row each is put into pages as it is. Their seals would need the home's keys, so
pages from before this step have none, and their events are verified by their commitments. As in
the steps before, the triggers stop mistakes and careless tools; the chain shows the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
UNERASED = "an event is removed only once its erasure is noted"
LEFT = (
    "(SELECT COALESCE(SUM(events), 0) FROM consent_pages) - OLD.events + {kept} "
    "< (SELECT COALESCE(MAX(last_seq), 0) FROM consent_blocks) "
    "- (SELECT COUNT(*) FROM consent_erasures)"
)
"""Whether fewer events would be left than were appended and are not noted as erased."""
NUMBERS: Final = (
    *("seq", "token_high", "token_low", "identity", "valid_from", "recorded_at"),
    *("valid_until", "guardian_high", "guardian_low", "absent", "terms"),
)
OLD_ROWS = """
    SELECT seq, token_high, token_low, identity, valid_from, recorded_at,
        COALESCE(valid_until, 0), COALESCE(guardian_high, 0), COALESCE(guardian_low, 0),
        CASE WHEN valid_until IS NULL THEN 1 ELSE 0 END
            + CASE WHEN guardian_high IS NULL THEN 2 ELSE 0 END,
        terms, salt, evidence
    FROM consent_events ORDER BY token_high, token_low, identity
"""
SMALLEST, LARGEST = 512, 1536


def upgrade() -> None:
    """Make the table of pages, move the events into it, guard it, and drop the old table."""
    op.create_table(
        "consent_pages",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("low", sa.BigInteger, nullable=False),
        sa.Column("high", sa.BigInteger, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("code", sa.LargeBinary),
        sa.Column("evidence", sa.LargeBinary),
        sa.Column("packed", sa.LargeBinary, nullable=False),
    )
    op.create_index("consent_pages_by_token", "consent_pages", ["low", "high"])
    _move_events(op.get_bind())
    op.drop_table("consent_events")  # and its triggers with it
    if op.get_context().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _move_events(connection: sa.Connection) -> None:
    for number, rows in enumerate(_cut_events(connection), start=1):
        values = {"id": number, "events": len(rows), "evidence": _evidence([r[12] for r in rows])}
        packed = _pack(rows)
        values |= {"low": rows[0][1], "high": rows[-1][1], "packed": packed.tobytes()}
        connection.execute(
            sa.text(
                "INSERT INTO consent_pages (id, low, high, events, evidence, packed) "
                "VALUES (:id, :low, :high, :events, :evidence, :packed)"
            ),
            values,
        )


def _cut_events(connection: sa.Connection) -> Iterator[list[sa.Row[tuple[object, ...]]]]:
    """Give the events in the order of tokens, a page of random length at a time."""
    found = connection.execute(sa.text(OLD_ROWS).execution_options(stream_results=True))
    while rows := found.fetchmany(SMALLEST + int.from_bytes(os.urandom(4)) % (LARGEST - SMALLEST)):
        yield [*rows]


def _pack(rows: list[sa.Row[tuple[object, ...]]]) -> NDArray[np.void]:
    import numpy as np

    packed = np.zeros(len(rows), [*((name, ">i8") for name in NUMBERS), ("salt", "V16")])
    for place, name in enumerate(NUMBERS):
        packed[name] = [row[place] for row in rows]
    packed["salt"] = [bytes(row[11]) for row in rows]
    return packed


def _evidence(sealed: list[bytes | None]) -> bytes | None:
    """Give the sealed references of a page, as Arrow writes a column of them."""
    if not any(one is not None for one in sealed):
        return None
    import pyarrow as pa

    column = pa.array([None if one is None else bytes(one) for one in sealed], pa.binary())
    table = pa.table({"evidence": column})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _guard_sqlite() -> None:
    op.execute(
        "CREATE TRIGGER consent_pages_no_update BEFORE UPDATE ON consent_pages "
        "WHEN NEW.id <> OLD.id OR NEW.events >= OLD.events "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    for event, kept in (("UPDATE", "NEW.events"), ("DELETE", "0")):
        op.execute(
            f"CREATE TRIGGER consent_pages_{event.lower()}_unless_erased "
            f"BEFORE {event} ON consent_pages WHEN {LEFT.format(kept=kept)} "
            f"BEGIN SELECT RAISE(ABORT, '{UNERASED}'); END"
        )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger.
    op.execute(
        "CREATE TRIGGER consent_pages_no_replace BEFORE INSERT ON consent_pages "  # noqa: S608
        "WHEN EXISTS (SELECT 1 FROM consent_pages WHERE id = NEW.id) "
        f"BEGIN SELECT RAISE(ROLLBACK, '{REFUSAL}'); END"
    )


def _guard_postgresql() -> None:
    """Use the function of the first step, and one of its own for pages."""
    op.execute("DROP FUNCTION tutela_unless_erased() CASCADE")
    op.execute(
        "CREATE FUNCTION tutela_unless_erased() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "DECLARE kept bigint := 0; "
        "BEGIN IF TG_OP = 'UPDATE' THEN kept := NEW.events; "
        f"IF NEW.id <> OLD.id OR kept >= OLD.events THEN RAISE EXCEPTION '{REFUSAL}'; END IF; "
        f"END IF; IF {LEFT.format(kept='kept')} THEN RAISE EXCEPTION '{UNERASED}'; END IF; "
        "IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF; RETURN OLD; END $$"
    )
    op.execute(
        "CREATE TRIGGER consent_pages_unless_erased BEFORE UPDATE OR DELETE ON consent_pages "
        "FOR EACH ROW EXECUTE FUNCTION tutela_unless_erased()"
    )
    op.execute(
        "CREATE TRIGGER consent_pages_append_only BEFORE TRUNCATE ON consent_pages "
        "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
    )
