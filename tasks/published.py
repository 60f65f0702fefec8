"""The published form of a run: what `evidence.json` holds, and what the report shows.

Only shapes stand here; `tasks/summary.py` fills them. The committed `evidence.schema.json` is made
of these classes, so a change here is a change of what others read: it raises `version`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from expectations.checks import Check

State: TypeAlias = Literal["passed", "refused", "failed", "pending", "unfinished"]


class Part:
    """What every part of a summary shares: the published schema names all there is."""

    __slots__ = ()
    __pydantic_config__: ClassVar = ConfigDict(
        json_schema_extra={"additionalProperties": False},
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


@dataclass(frozen=True, slots=True)
class Figure(Part):
    """A number with its label; `about` is None where a count of people is hidden."""

    label: str
    text: str
    about: int | None


@dataclass(frozen=True, slots=True)
class Quality(Part):
    """How good the model is on the test people; see `tasks/training/models.py`."""

    auc: float
    auc_low: float | None
    auc_high: float | None
    accuracy: float | None
    brier: float | None
    base_rate: float | None


@dataclass(frozen=True, slots=True)
class GroupQuality(Part):
    """One group of an audit; `auc` is None where the group is too small to have one."""

    group: str
    auc: float | None
    selection_rate: float | None
    people: str = ""


@dataclass(frozen=True, slots=True)
class Audit(Part):
    """The model's quality for each group of one column."""

    column: str
    groups: tuple[GroupQuality, ...]


@dataclass(frozen=True, slots=True)
class ClassSize(Part):
    """How many classes of a table hold so many people each, and how many people in all."""

    size: str
    classes: int
    people: str


@dataclass(frozen=True, slots=True)
class Release(Part):
    """The file that was handed over, and its plain SHA-256 digest."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class OutletSummary(Part):
    """Who receives what; `claim` is None while nothing has been handed over there."""

    name: str
    kind: Literal["model", "table"]
    recipient: str
    claim: str | None
    limits: str
    checks: tuple[Check, ...]
    released: Figure | None
    suppressed: Figure | None
    measures: dict[str, float | None]
    """By their names without the outlet's: `k`, `suppressed_share`, `ncp`."""
    losses: dict[str, float | None]
    """By column: 0 keeps all detail, 1 loses all."""
    classes: tuple[ClassSize, ...]
    release: Release | None


@dataclass(frozen=True, slots=True)
class ColumnFate(Part):
    """What became of one column; `source` or `expression` says where it came from."""

    name: str
    source: str | None
    expression: str | None
    category: str
    special: bool
    identifiability: str
    uses: tuple[str, ...]
    treatment: str
    outlets: tuple[str, ...]
    note: str | None


@dataclass(frozen=True, slots=True)
class DataSet(Part):
    """A data set that a step gave: its stage, keyed digest and columns; never its rows."""

    step: str
    stage: str
    digest: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link(Part):
    """Where else the run is seen; `url` is None where there is nothing to open."""

    name: str
    id: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Summary(Part):
    """One run as anybody may see it."""

    run_id: str
    policy: str
    title: str
    controller: str
    contact: str
    purpose: str
    legal_basis: tuple[str, ...]
    started_at: str
    verdict: State
    reason: str
    stopped_by: str | None
    """The check that a refused run names."""
    causes: tuple[Check, ...]
    """The checks that stopped a refused run; a refusal outside a check has its reason only."""
    made_up: str | None
    """What is made up in the data, where it is example data."""
    columns: tuple[Figure, ...]
    people: tuple[Figure, ...]
    excluded: tuple[Figure, ...]
    split: tuple[Figure, ...]
    outlets: tuple[OutletSummary, ...]
    checks: tuple[Check, ...]
    measures: dict[str, float | None]
    quality: Quality | None
    audits: tuple[Audit, ...]
    fates: tuple[ColumnFate, ...]
    data_sets: tuple[DataSet, ...]
    seconds: dict[str, float]
    policy_sha256: str | None
    consent_snapshot: str | None
    code: str | None
    links: tuple[Link, ...]
    version: Literal[1] = 1
    """The version of this form."""
