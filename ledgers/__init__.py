"""Floor 2, what is remembered: home and settings, vault, keys, evidence and the outbox."""
