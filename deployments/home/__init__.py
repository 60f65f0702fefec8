"""A second machine joins a home: `tutela home invite` and `tutela home join`.

Knows no run, and nothing of what the machines do afterwards.
"""
