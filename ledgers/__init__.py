"""What is remembered: the home, its vault, and the ledgers of runs, consent, budgets and keys.

Keeps what it is given, and shows what was changed; what that means is decided above.
"""
