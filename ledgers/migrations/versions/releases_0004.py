"""Plans that are frozen and what was released under them, with triggers: rows are appended.

As in the steps before, the triggers stop mistakes and careless tools; the seals show an edit.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
KEYS = {
    "release_plans": "policy_sha256 = NEW.policy_sha256 AND outlet = NEW.outlet "
    "AND period = NEW.period AND version = NEW.version",
    "releases": "policy = NEW.policy AND outlet = NEW.outlet AND seq = NEW.seq",
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
        "release_plans",
        sa.Column("policy_sha256", sa.String(64), primary_key=True),
        sa.Column("outlet", sa.Text, primary_key=True),
        sa.Column("period", sa.String(16), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("fitted_on", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "releases",
        sa.Column("policy", sa.Text, primary_key=True),
        sa.Column("outlet", sa.Text, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("policy_sha256", sa.String(64), nullable=False),
        sa.Column("period", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
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
