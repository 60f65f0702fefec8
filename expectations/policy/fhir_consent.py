"""What the codes of FHIR Consent resources mean: a mapping to notices, purposes and categories.

It stands in the policy, or in a YAML file that the policy names. A code that it does not name has
no meaning, and what cannot be meant is refused when the resources are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from expectations.errors import PolicyError
from expectations.policy.declaration import Declaration, Term
from expectations.policy.hierarchy_files import UnreadableError
from expectations.policy.plain_yaml import Plain, read_yaml
from expectations.policy.vocabulary import Category, Purpose


class FhirNotice(Declaration):
    """The notice that a consent's policy stands for."""

    notice: Term
    version: int | None = Field(default=None, ge=1)
    language: Term | None = None
    decision: Literal["permit", "deny"] | None = None
    """What it says where the resource itself says neither, as `OPTIN` does."""


class FhirScope(Declaration):
    """What a code of a provision is about; without purposes or categories, every one."""

    purposes: tuple[Purpose, ...] = ()
    categories: tuple[Category, ...] = ()


class FhirMapping(Declaration):
    """What FHIR Consent resources, R4 or R5, mean in the words of a policy."""

    file: Term | None = None
    """A YAML file with the other parts of this mapping."""
    identifier: Term | None = None
    """The system of the identifier that names a patient; without one, it is the resource's id."""
    notices: Mapping[str, FhirNotice | Literal["none"]] = Field(default_factory=dict)
    """By policy (`policy.uri`, `policyBasis`, or `SYSTEM|CODE` of a rule); `none` is not ours."""
    codes: Mapping[str, FhirScope | Literal["all", "none"]] = Field(default_factory=dict)
    """By `SYSTEM|CODE`, or a reference; `all` does not narrow a provision, `none` is not ours."""


PARTS: Final = ("identifier", "notices", "codes")


def read_mapping(file: Path) -> dict[str, Plain]:
    """Read a mapping's file; `UnreadableError` says why it cannot."""
    try:
        _, found = read_yaml(file.read_text(encoding="utf-8"), file.name)
    except (OSError, UnicodeError):
        raise UnreadableError("cannot be read") from None
    except PolicyError as error:
        what = f"is not plain YAML ({str(error).splitlines()[-1].strip()})"
        raise UnreadableError(what, "correct the file") from None
    if not isinstance(found, dict) or {*found} - {*PARTS}:
        fix = f"write a mapping with {', '.join(f'`{part}`' for part in PARTS)}"
        raise UnreadableError("holds something else than a mapping", fix)
    return found
