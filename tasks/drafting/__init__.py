"""What `tutela draft` sees of a table, what it decides of each column, and the policy it writes.

Knows no run and no ledger: it keeps nothing of what it reads, and tells no value of few rows.
"""
