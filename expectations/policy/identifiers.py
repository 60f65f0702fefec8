"""How identifiers of people are compared, wherever they stand, and who has several."""

from __future__ import annotations

from typing import Literal, TypeAlias

from expectations.policy.declaration import Declaration, Term
from expectations.policy.locations import Location

Normal: TypeAlias = Literal["strip", "casefold"]
"""What no longer tells identifiers apart: blanks around them, small and large letters."""


class SamePerson(Declaration):
    """A table of identifiers that were merged: who was known by another is now known by one."""

    location: Location
    other: Term = "other"
    """Its column of the identifiers that are used no more."""
    kept: Term = "kept"
    """Its column of those by which the same people are known now; these may be merged in turn."""
