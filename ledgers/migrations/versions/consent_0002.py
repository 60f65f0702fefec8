"""The consent ledger, with triggers: rows are appended, and erased events alone are removed.

As in the step before, the triggers stop mistakes and careless tools; the chain shows the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
UNERASED = "an event is removed only once its erasure is noted"
NOTED = "EXISTS (SELECT 1 FROM consent_erasures WHERE seq = OLD.seq)"
KEYS = {
    "consent_terms": "id = NEW.id OR text = NEW.text",
    "consent_blocks": "first_seq = NEW.first_seq",
    "consent_events": "token_high = NEW.token_high AND token_low = NEW.token_low "
    "AND identity = NEW.identity",
    "consent_erasures": "seq = NEW.seq",
    "consent_imports": "digest = NEW.digest",
}


def upgrade() -> None:
    """Make the five tables and their triggers."""
    _create_events()
    _create_chain()
    _create_notes()
    if op.get_context().dialect.name == "sqlite":
        for table, same in KEYS.items():
            _guard_sqlite(table, same)
    else:
        _guard_postgresql()


def _create_events() -> None:
    op.create_table(
        "consent_terms",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False, unique=True),
    )
    op.create_table(
        "consent_events",
        sa.Column("token_high", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("token_low", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("identity", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("terms", sa.Integer, nullable=False),
        sa.Column("valid_from", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("valid_until", sa.BigInteger),
        sa.Column("guardian_high", sa.BigInteger),
        sa.Column("guardian_low", sa.BigInteger),
        sa.Column("evidence", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _create_chain() -> None:
    op.create_table(
        "consent_blocks",
        sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("link", sa.LargeBinary, nullable=False),
        sa.Column("commitments", sa.LargeBinary, nullable=False),
    )


def _create_notes() -> None:
    op.create_table(
        "consent_erasures",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("code", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "consent_imports",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("new", sa.BigInteger, nullable=False),
        sa.Column("repeated", sa.BigInteger, nullable=False),
        sa.Column("code", sa.LargeBinary, nullable=False),
    )


def _guard_sqlite(table: str, same: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    unless = f"WHEN NOT {NOTED} " if table == "consent_events" else ""
    said = UNERASED if unless else REFUSAL
    op.execute(
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {unless}"
        f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
    )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger. To be able to ABORT,
    # SQLite would copy every page before each row of an import.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - constants
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ROLLBACK, '{REFUSAL}'); END"
    )


def _guard_postgresql() -> None:
    """Use the function of the step before, and one of its own for events."""
    op.execute(
        "CREATE FUNCTION tutela_unless_erased() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {NOTED} THEN RETURN OLD; END IF; "
        f"RAISE EXCEPTION '{UNERASED}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER consent_events_unless_erased BEFORE DELETE ON consent_events "
        "FOR EACH ROW EXECUTE FUNCTION tutela_unless_erased()"
    )
    for table in KEYS:
        events = (
            "UPDATE OR TRUNCATE" if table == "consent_events" else "UPDATE OR DELETE OR TRUNCATE"
        )
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE {events} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
        )
