"""How identifiers of people are compared, wherever they stand."""

from __future__ import annotations

from typing import Literal, TypeAlias

Normal: TypeAlias = Literal["strip", "casefold"]
"""What no longer tells identifiers apart: blanks around them, small and large letters."""
