"""The form of every part of a policy; knows no part."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field


class Declaration(BaseModel):
    """A part of a policy: strict, frozen, without unknown keys, its values hidden in errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
    )


Term = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""


def forms_by_kind(union: object) -> dict[str, Any]:
    """Give the classes of a union that is told apart by `kind`, each by its word."""
    forms = get_args(get_args(union)[0])
    return {get_args(form.model_fields["kind"].annotation)[0]: form for form in forms}
