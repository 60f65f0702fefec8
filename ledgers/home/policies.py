"""A home's own policies, which commands, workers and deployments name as they name the examples."""

from __future__ import annotations

from expectations.errors import PolicyError
from expectations.policy.identifiers import Normal
from expectations.policy_file import PolicyFile, read_policy
from ledgers.home.home import own_policies


def read_named_policy(name_or_path: str) -> PolicyFile:
    """Read a policy by its name among the home's own, or the examples, or by its path.

    Raises `PolicyError` with every problem found, and `HomeError` for settings that cannot be read.
    """
    return read_policy(name_or_path, own_policies())


def list_spellings() -> set[tuple[Normal, ...]]:
    """Give how this home's own policies spell identifiers; one that cannot be read has no say."""
    found, folder = set(), own_policies()
    for path in sorted(folder.glob("*.yaml")) if folder and folder.is_dir() else []:
        try:
            found.add(read_policy(str(path)).policy.source.normalize)
        except PolicyError:
            continue
    return found
