"""Whom a policy may read: consent events, what they mean for a purpose, and each one's standing.

Must not know what is done with the people it lets through: no treatment, model or attack.
"""
