"""The schema of the ledger database, as steps that alembic carries out in order.

Knows none of the ledgers' code, which may change where a released step may not.
"""
