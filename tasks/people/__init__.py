"""Whom a run is about: the roster, the named columns of the permitted, and who of them is taken.

Knows what may be read, but not why: that is decided in `tasks.consent`.
"""
