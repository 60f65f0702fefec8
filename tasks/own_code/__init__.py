"""Code that a policy's author brings along: loaded under names of its own, packed with a model.

Knows no person's data, and no step that runs such code on it.
"""
