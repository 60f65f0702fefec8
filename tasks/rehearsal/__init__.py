"""Made-up people and permissions for a policy, so that its whole flow can be rehearsed."""
