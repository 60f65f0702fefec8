"""What the codes of FHIR Consent resources mean: a mapping to notices, purposes and categories.

It stands in the policy, or in a YAML file that the policy names. A code that it does not name has
no meaning, and what cannot be meant is refused when the resources are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from expectations.errors import PolicyError, Problem
from expectations.policy.declaration import Declaration, Term
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


def put_mappings(plain: Plain, folder: Path) -> list[Problem]:
    """Put the content of each mapping that names a file into it; gives what is wrong.

    A relative file stands in `folder`. Where one is wrong, nothing is put.
    """
    problems: list[Problem] = []
    for path, mapping in _mappings(plain):
        file = mapping.get("file")
        if not isinstance(file, str):
            continue
        if beside := sorted({*mapping} & {*PARTS}):
            what = f"has `{beside[0]}` beside `file`"
            problems.append(Problem(path, what, "write it into the file, or take `file` out"))
            continue
        try:
            _, found = read_yaml((folder / file).read_text(encoding="utf-8"), file)
        except (OSError, UnicodeError):
            what = "cannot be read"
            problems.append(Problem(f"{path}.file", what, "name a YAML file in UTF-8"))
            continue
        except PolicyError as error:
            what = f"is not plain YAML ({str(error).splitlines()[-1].strip()})"
            problems.append(Problem(f"{path}.file", what, "correct the file"))
            continue
        if not isinstance(found, dict) or {*found} - {*PARTS}:
            fix = f"write a mapping with {', '.join(f'`{part}`' for part in PARTS)}"
            problems.append(Problem(f"{path}.file", "holds something else than a mapping", fix))
            continue
        mapping.update(found)
    return problems


def _mappings(plain: Plain) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Give each mapping with its path; the form is not checked yet."""
    basis = plain.get("basis") if isinstance(plain, dict) else None
    events = basis.get("events") if isinstance(basis, dict) else None
    for number, source in enumerate(events if isinstance(events, list) else ()):
        mapping = source.get("fhir") if isinstance(source, dict) else None
        if isinstance(mapping, dict):
            yield f"basis.events.{number}.fhir", mapping
