"""The command `tutela rehearse`, in a home of its own that goes afterwards.

Touches no real person, key or record.
"""
