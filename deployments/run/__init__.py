"""Running a policy and saying what came of it: at a terminal and from Python.

Decides nothing of a run; that is the flow's, and the policy's.
"""
