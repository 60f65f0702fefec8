"""The command `tutela draft`: its questions, its answers, and where a draft goes.

What a column is taken for is decided in `tasks.drafting`.
"""
