"""Judging data against the policy: its value rules, and each table before it leaves.

Shares no code with what it judges, and must not know the anonymizer or the trainers.
"""
