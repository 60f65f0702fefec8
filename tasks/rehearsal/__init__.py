"""Made-up people and permissions for a policy, so that its whole flow can be rehearsed.

Opens no data that the policy names, and knows no run: people are made of declarations alone.
"""
