"""The schema of the ledger database, as steps that alembic carries out in order."""
