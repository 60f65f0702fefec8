"""The heavy libraries of a run, each to be loaded by itself, for who has to wait before it begins.

Knows which of them a policy needs, and in which order they are loaded quickest. What is not loaded
here is loaded by the step that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from expectations.gx.quiet_validation import quiet
from expectations.policy.policy import Policy
from ledgers.home.home import Home
from tasks.handover.recording import prepare_store


def list_libraries(home: Home, policy: Policy) -> Iterator[Callable[[], None]]:
    """Give what loads each library that a run of this policy needs."""
    if policy.training is not None:
        # First, since it looks for hundreds of names in all that is loaded.
        yield _load_skops
    yield _load_prefect
    if policy.expectations or policy.table_outlets:
        yield _load_great_expectations
    yield partial(_load_mlflow, home)


def _load_skops() -> None:
    with quiet():
        import skops.io  # noqa: F401  # with scikit-learn


def _load_prefect() -> None:
    import flows.training  # noqa: F401


def _load_great_expectations() -> None:
    with quiet():
        import expectations.custom_expectations  # noqa: F401


def _load_mlflow(home: Home) -> None:
    with quiet():
        prepare_store(home)
