"""Expectations for Great Expectations (GX): value rules, promises of a table, and our own kinds.

The one room that knows GX; results leave it without any value.
"""
