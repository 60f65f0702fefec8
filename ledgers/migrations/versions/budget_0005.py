"""What each person's privacy was charged for, with triggers: rows are appended.

As in the steps before, the triggers stop mistakes and careless tools; chain and seals show an edit.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
KEYS = {
    "budget_events": "seq = NEW.seq OR (run_id = NEW.run_id AND what = NEW.what)",
    "budget_people": "digest = NEW.digest",
}


def upgrade() -> None:
    """Make both tables and their triggers."""
    _create_tables()
    for table, same in KEYS.items():
        if op.get_context().dialect.name == "sqlite":
            _guard_sqlite(table, same)
        else:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE "
                f"ON {table} FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
            )


def _create_tables() -> None:
    op.create_table(
        "budget_events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("composition", sa.String(16), nullable=False),
        sa.Column("mechanisms", sa.Text, nullable=False),
        sa.Column("ceiling", sa.Text, nullable=False),
        sa.Column("people", sa.String(64), nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.UniqueConstraint("run_id", "what"),
    )
    op.create_table(
        "budget_people",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("base", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )


def _guard_sqlite(table: str, same: str) -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - constants
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
