"""The consent ledger: who said what, appended as it is learnt, chained, and erasable.

Keeps events; what they mean for a purpose is decided in `tasks.consent`.
"""
