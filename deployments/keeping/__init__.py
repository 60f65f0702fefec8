"""Keeping and ending: what is removed when its days are over, held, backed up and restored.

What is due, and where it lies, is decided below; here it is asked for and told.
"""
