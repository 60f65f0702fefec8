"""What was removed and what is held, and triggers that let evidence go once that is noted.

As in the steps before, the triggers stop mistakes and careless tools; the journal shows the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
KEPT = "the record is append-only: evidence is removed only once its removal is noted"
NOTED = "EXISTS (SELECT 1 FROM retention WHERE run_id = OLD.run_id AND what = 'evidence')"
GUARDED = ("evidence", "runs")


def upgrade() -> None:
    """Make the table, guard it, and change how evidence is guarded."""
    op.create_table(
        "retention",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
        sa.Column("until", sa.String(32), nullable=False),
        sa.Column("kept", sa.Text, nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER retention_no_{event.lower()} BEFORE {event} ON retention "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger.
    op.execute(
        "CREATE TRIGGER retention_no_replace BEFORE INSERT ON retention "  # noqa: S608 - constants
        "WHEN EXISTS (SELECT 1 FROM retention WHERE seq = NEW.seq) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
    for table in GUARDED:
        op.execute(f"DROP TRIGGER IF EXISTS {table}_no_delete")
        op.execute(
            f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT {NOTED} "
            f"BEGIN SELECT RAISE(ABORT, '{KEPT}'); END"
        )


def _guard_postgresql() -> None:
    """Use the function of the first step, and one of its own for evidence."""
    op.execute(
        "CREATE TRIGGER retention_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON retention "
        "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
    )
    op.execute(
        "CREATE FUNCTION tutela_unless_removed() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {NOTED} THEN RETURN OLD; END IF; RAISE EXCEPTION '{KEPT}'; END $$"
    )
    for table in GUARDED:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_unless_removed BEFORE DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION tutela_unless_removed()"
        )
