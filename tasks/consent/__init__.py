"""Whom a policy may read: consent events, what they mean for a purpose, and each one's standing."""
