"""How a policy's model is trained, and which attacks it must withstand before it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from expectations.declaration import Declaration

ModelKind = Literal["logistic-regression", "gradient-boosting", "private-logistic-regression"]


class Training(Declaration):
    """Which model is trained, on the columns whose use is `feature`."""

    model: ModelKind | Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-zA-Z_]+)+$")]
    """A built-in model, or the dotted path of a scikit-learn estimator."""
    parameters: Mapping[str, int | float | str | bool] = Field(default_factory=dict)
    input: Annotated[str, Field(min_length=1)] = "record-wise"
    """`record-wise`: the de-identified rows; or a table outlet's name, to train on its rows."""


class MembershipCheck(Declaration):
    """Membership inference must not tell who was trained on (Zarifzadeh et al. 2024, RMIA)."""

    auc_at_most: float = Field(default=0.60, gt=0.5, lt=1)
    """The highest AUC allowed at the upper end of its 95 % interval."""
    references: int = Field(default=8, ge=8, le=64, multiple_of=2)
    """How many reference models the attack trains; half of them see each person."""
    when_inconclusive: Literal["refuse", "report"] = "refuse"


class Attacks(Declaration):
    """The attacks that a model must withstand before it leaves."""

    membership: MembershipCheck
