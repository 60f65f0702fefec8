"""What machines that share a database tell each other: who is at work on a run, and signed heads.

No trigger guards these rows: leases are renewed, and heads show by themselves who signed them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; runs from before have no row."""
    op.create_table(
        "leases",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("machine", sa.String(32), nullable=False),
        sa.Column("until", sa.Double, nullable=False),
    )
    op.create_table(
        "shared_heads",
        sa.Column("signature", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("erased", sa.Text, nullable=False),
    )
