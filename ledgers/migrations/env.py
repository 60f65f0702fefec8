"""Where alembic starts: it is handed an open connection, inside a transaction that commits all."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
