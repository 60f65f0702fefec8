"""Attacks on what is to leave, a model or a table, tried on the people of the run before it does."""
