"""Attacks on a model or a table that is to leave, tried on the people of the run before it does."""
