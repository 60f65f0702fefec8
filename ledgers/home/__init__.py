"""The home: its folder, settings, keys and files, and the database that all ledgers share.

Knows no ledger that lies in it.
"""
