"""The journal of what the ledgers must not lose, with triggers: lines are appended.

What is on record already gets its lines here, in the order of its moments. Their links would need
the home's keys, so they have none, and are covered by the first line that is written with them; so
would the codes of runs, plans and releases. As in the steps before, the triggers stop mistakes and
careless tools; the chain shows the rest.
"""

from __future__ import annotations

import json
from typing import TypeAlias

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

REFUSAL = "the record is append-only"
Row: TypeAlias = tuple[str, str, str, str, int, str]
"""When, of which kind, by what name, of which run, at which place, by which code."""
ON_RECORD = (
    "SELECT started_at, 'begun', policy, run_id, 0, '' FROM runs",
    """SELECT at, kind, name, run_id, seq, chain FROM evidence
       WHERE kind IN ('decision', 'release', 'verdict')""",
    """SELECT at, 'plan', policy_sha256 || '/' || outlet || '/' || period, run_id, version, ''
       FROM release_plans""",
    "SELECT at, 'released', policy || '/' || outlet, run_id, seq, '' FROM releases",
    "SELECT at, 'charge', what, run_id, seq, chain FROM budget_events",
    "SELECT at, 'key', what, '', seq, chain FROM key_history",
)
NOTED = "SELECT at, run_id, body FROM evidence WHERE kind = 'budget' AND name = 'head'"


def upgrade() -> None:
    """Make the table, fill it with what is on record, and guard it."""
    journal = op.create_table(
        "journal",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
    )
    names = [name for name in journal.c.keys() if name not in {"seq", "link"}]  # noqa: SIM118
    rows = [
        {"seq": seq, "link": "", **dict(zip(names, row, strict=True))}
        for seq, row in enumerate(_read_record(op.get_bind()), start=1)
    ]
    op.bulk_insert(journal, rows)
    if op.get_context().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        op.execute(
            "CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
            "FOR EACH STATEMENT EXECUTE FUNCTION tutela_append_only()"
        )


def _read_record(connection: sa.Connection) -> list[Row]:
    """Give what is on record, oldest first; with charges that runs noted and that are gone."""
    found: set[Row] = set()
    for query in ON_RECORD:
        found.update(tuple(row) for row in connection.execute(sa.text(query)))
    charged = {(place, code) for _, what, _, _, place, code in found if what == "charge"}
    for at, run_id, body in connection.execute(sa.text(NOTED)):
        head = json.loads(body)
        if (head["seq"], head["link"]) not in charged:
            found.add((at, "charge", "reserved", run_id, head["seq"], head["link"]))
    return sorted(found)


def _guard_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER journal_no_{event.lower()} BEFORE {event} ON journal "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    # INSERT OR REPLACE deletes the old row without firing a DELETE trigger.
    op.execute(
        "CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal "  # noqa: S608 - constants
        "WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
