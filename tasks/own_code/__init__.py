"""Code that a policy's author brings along: loaded under names of its own, packed with a model.

Hands such code the columns that it reads, and tells nothing of what stands in them; knows no step
that runs it.
"""
