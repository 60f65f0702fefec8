"""What happens inside a step stays there: the airlock, steps, and the run they belong to.

Knows no step in particular, and nothing of what is done to people's data.
"""
