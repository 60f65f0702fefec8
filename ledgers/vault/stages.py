"""The stages that a data set can reach, and the references by which steps hand data sets on.

Each stage has a marker class, so that `DatasetRef[Permitted]` is a type and a step that takes
one cannot be handed a `DatasetRef[Roster]`. The type is a promise to the reader and to mypy; at
run time the vault's manifest decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final, Generic, TypeAlias, TypeVar

import attrs


class Stage(StrEnum):
    """How far a data set has come, in the order of the flow."""

    ROSTER = "roster"
    PERMITTED = "permitted"
    CHARGED = "charged"
    COLLECTED = "collected"
    SELECTED = "selected"
    DEIDENTIFIED = "deidentified"
    VALIDATED = "validated"
    COMPARED = "compared"
    WEIGHTED = "weighted"
    GENERALIZED = "generalized"
    CHECKED = "checked"
    TRAINED = "trained"
    ATTACKED = "attacked"
    READY = "approved"
    """The word stands in evidence; nobody approves anything."""
    RECORDED = "recorded"


class Reached:
    """What every marker is; used alone it stands for any stage."""

    stage: ClassVar[Stage]


class Trainable(Reached):
    """Rows that a model may be trained on: record-wise, or those of a checked table."""


class Releasable(Reached):
    """What has passed its checks and may be made ready for its recipient."""


class Roster(Reached):
    """Identifiers and declared basis columns of everybody; nothing else was read."""

    stage = Stage.ROSTER


class Permitted(Reached):
    """The people with a legal basis."""

    stage = Stage.PERMITTED


class Charged(Permitted):
    """The same people, whose privacy budget was charged for what is to come."""

    stage = Stage.CHARGED


class Collected(Reached):
    """The named columns of the permitted people."""

    stage = Stage.COLLECTED


class Selected(Reached):
    """The population that the policy names."""

    stage = Stage.SELECTED


class Deidentified(Reached):
    """Every column treated as the policy says."""

    stage = Stage.DEIDENTIFIED


class Validated(Trainable):
    """Values that kept the policy's expectations."""

    stage = Stage.VALIDATED


class Compared(Validated):
    """The same rows, whose people were compared with the reference population."""

    stage = Stage.COMPARED


class Weighted(Trainable):
    """Compared rows with a weight for each person, which depends on everybody."""

    stage = Stage.WEIGHTED


class Generalized(Reached):
    """A table recoded for release."""

    stage = Stage.GENERALIZED


class Checked(Trainable, Releasable):
    """A recoded table whose protection was measured."""

    stage = Stage.CHECKED


class Trained(Reached):
    """A model."""

    stage = Stage.TRAINED


class Attacked(Releasable):
    """A model that withstood the policy's attacks."""

    stage = Stage.ATTACKED


class Ready(Reached):
    """A model or table, or the consent of its people asked for again, ready to be handed over."""

    stage = Stage.READY


class Recorded(Reached):
    """Where the run is on record beside the evidence ledger."""

    stage = Stage.RECORDED


MARKERS: Final[Mapping[Stage, type[Reached]]] = {
    marker.stage: marker
    for marker in list(globals().values())
    if isinstance(marker, type) and issubclass(marker, Reached) and "stage" in vars(marker)
}
"""The marker of each stage."""

S = TypeVar("S", bound=Reached)
S_co = TypeVar("S_co", bound=Reached, covariant=True)


@attrs.frozen(slots=True, weakref_slot=True, eq=False)
class DatasetRef(Generic[S_co]):
    """A name for a data set in a run's vault: all that a step hands on, and all that Prefect sees.

    `digest` is a keyed digest of the content in hex, `schema` the column names (empty for
    bytes). There is no row count: it would be a count of people. Compared by identity, with
    slots and a weak reference, because Prefect draws false edges between tasks whose results
    share a field that it can look into.
    """

    uri: str
    digest: str
    schema: tuple[str, ...]


AnyRef: TypeAlias = DatasetRef[Reached]
"""A reference to a data set at whatever stage."""
