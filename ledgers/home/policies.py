"""A home's own policies, which commands, workers and deployments name as they name the examples."""

from __future__ import annotations

from expectations.policy_file import PolicyFile, read_policy
from ledgers.home.home import own_policies


def read_named_policy(name_or_path: str) -> PolicyFile:
    """Read a policy by its name among the home's own, or the examples, or by its path.

    Raises `PolicyError` with every problem found, and `HomeError` for settings that cannot be read.
    """
    return read_policy(name_or_path, own_policies())
