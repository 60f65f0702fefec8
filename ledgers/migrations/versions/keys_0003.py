"""The key ledger, with triggers: history is appended, and a key is overwritten once that is noted.

As in the steps before, the triggers stop mistakes and careless tools; the chain shows the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
UNNOTED = "a key is overwritten by nothing, once its destruction is noted"
NOTED = (
    "EXISTS (SELECT 1 FROM key_history WHERE purpose = OLD.purpose "
    "AND version = OLD.version AND what = 'destroyed')"
)
EMPTIED = (
    f"{NOTED} AND NEW.purpose = OLD.purpose AND NEW.version = OLD.version "
    "AND length(NEW.wrapped) = 0"
)
KEYS = {
    "data_keys": "purpose = NEW.purpose AND version = NEW.version",
    "key_history": "seq = NEW.seq",
}


def upgrade() -> None:
    """Make both tables and their triggers."""
    op.create_table(
        "data_keys",
        sa.Column("purpose", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "key_history",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        for table, same in KEYS.items():
            _guard_sqlite(table, same)
    else:
        _guard_postgresql()


def _guard_sqlite(table: str, same: str) -> None:
    unless, said = (f"WHEN NOT ({EMPTIED}) ", UNNOTED) if table == "data_keys" else ("", REFUSAL)
    op.execute(
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {unless}"
        f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - constants
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )


def _guard_postgresql() -> None:
    """Use the function of the first step, and one of its own for keys."""
    op.execute(
        "CREATE FUNCTION tutela_unless_destroyed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {EMPTIED} THEN RETURN NEW; END IF; RAISE EXCEPTION '{UNNOTED}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER data_keys_unless_destroyed BEFORE UPDATE ON data_keys "
        "FOR EACH ROW EXECUTE FUNCTION tutela_unless_destroyed()"
    )
    for table, events in (("data_keys", ""), ("key_history", "UPDATE OR ")):
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {events}DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
        )
