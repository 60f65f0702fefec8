"""What every part of a run's published form shares."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict


class Part:
    """What every part of a summary shares: the published schema names all there is."""

    __slots__ = ()
    __pydantic_config__: ClassVar = ConfigDict(
        json_schema_extra={"additionalProperties": False},
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
