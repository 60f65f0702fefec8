"""What is done to columns so that they say less about a person.

Importing this package imports no pandas; `k_anonymize` is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.anonymization.recoding import k_anonymize

__all__ = ["k_anonymize"]


def __getattr__(name: str) -> object:
    """Load the public function when it is first asked for (PEP 562)."""
    if name == "k_anonymize":
        from tasks.anonymization.recoding import k_anonymize

        return k_anonymize
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
