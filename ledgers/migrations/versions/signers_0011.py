"""The register of people's keys, which sign what leaves, and triggers that guard it.

As in the steps before, these stop mistakes and careless tools; the journal shows the rest.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"


def upgrade() -> None:
    """Make the table; a home from before has no keys of people."""
    op.create_table(
        "signers",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("signed", sa.Text, nullable=False),
    )
    if op.get_context().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        op.execute(
            "CREATE TRIGGER signers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signers "
            "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
        )


def _guard_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER signers_no_{event.lower()} BEFORE {event} ON signers "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    op.execute(
        "CREATE TRIGGER signers_no_replace BEFORE INSERT ON signers "  # noqa: S608 - constants
        "WHEN EXISTS (SELECT 1 FROM signers WHERE seq = NEW.seq) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
