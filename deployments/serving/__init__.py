"""Runs without anybody: schedules, the processes that serve them, and how they are.

Knows no step, and of a policy only its name and what it spends.
"""
