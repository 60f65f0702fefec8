"""Ways out of a refusal, tried on the run's own people and told with what they cost.

Knows the steps that may refuse, and none of them knows it: a flow hands it to its run.
"""
