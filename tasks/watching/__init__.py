"""What is told of runs to whoever watches: a page, metrics, events, notifications.

All of it is published figures and names; nothing here knows a person, and nothing can fail a run.
"""
