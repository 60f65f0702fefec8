"""How a policy's model is trained, what it may cost, and which attacks it must withstand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from expectations.policy.declaration import Declaration
from expectations.privacy_loss import SANE_EPSILON

PrivateKind = Literal[
    "private-logistic-regression", "private-linear-regression", "private-boosting",
    "private-network",
]  # fmt: skip
ModelKind = Literal["logistic-regression", "linear-regression", "gradient-boosting", PrivateKind]
PRIVATE_KINDS: Final[tuple[PrivateKind, ...]] = get_args(PrivateKind)
MODEL_KINDS: Final[tuple[ModelKind, ...]] = get_args(ModelKind)
KINDS_OF_TWO: Final[tuple[ModelKind, ...]] = (
    "logistic-regression", "gradient-boosting", "private-logistic-regression", "private-boosting",
    "private-network",
)  # fmt: skip
"""Those that predict one of two words."""
KINDS_OF_CLASSES: Final[tuple[ModelKind, ...]] = (
    "logistic-regression", "gradient-boosting", "private-logistic-regression", "private-boosting",
)  # fmt: skip
"""Those that predict one of more words."""
KINDS_OF_NUMBERS: Final[tuple[ModelKind, ...]] = (
    "linear-regression", "gradient-boosting", "private-linear-regression", "private-boosting",
)  # fmt: skip
KEEPS_ROWS: Final = frozenset({
    "GaussianProcessClassifier", "GaussianProcessRegressor", "IsotonicRegression",
    "KNeighborsClassifier", "KNeighborsRegressor", "KernelRidge", "LabelPropagation",
    "LabelSpreading", "NuSVC", "NuSVR", "RadiusNeighborsClassifier", "RadiusNeighborsRegressor",
    "SVC", "SVR",
})  # fmt: skip
"""Models of scikit-learn that predict with the rows of people, and so hand them over."""
WhenInconclusive = Literal["refuse", "approve", "report"]
"""What an inconclusive check does: it refuses, waits for approval with a reason, or is reported."""
FOUND_AT_MOST: Final = 3.0
"""Under differential privacy with an ε of ln 3 = 1.1, no attack could find members more often."""
OwnReference = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*[.:][A-Za-z_][A-Za-z0-9_]*$")
]
"""A function or class of one's own: `file.py:Name`, from the policy's folder, or `module.Name`."""


class Training(Declaration):
    """Which model is trained, on the columns whose use is `feature`."""

    model: ModelKind | OwnReference
    """A built-in model, or your own scikit-learn classifier or, of a number, regressor (see
    own-code.md)."""
    parameters: Mapping[str, int | float | str | bool] = Field(default_factory=dict)
    input: Annotated[str, Field(min_length=1)] = "record-wise"
    """`record-wise`: the de-identified rows; or a table outlet's name, to train on its rows."""
    crosses: tuple[Annotated[tuple[str, ...], Field(min_length=2, max_length=3)], ...] = ()
    """Labelled features whose combinations the model also reads, two or three at a time."""
    unlabelled_at_most: float = Field(default=0.05, ge=0, le=1)
    """The largest share of the selected people whose outcome may be unknown; they are left out."""

    @property
    def private(self) -> bool:
        """Whether the model is trained under differential privacy."""
        return self.model in PRIVATE_KINDS


def find_kind(model: str) -> ModelKind | None:
    """Give the built-in kind that a policy's word for its model names; None for code of its own."""
    return next((kind for kind in MODEL_KINDS if kind == model), None)


def find_private_kind(model: str) -> PrivateKind | None:
    """Give the kind trained under differential privacy that a policy's word names, if it does."""
    return next((kind for kind in PRIVATE_KINDS if kind == model), None)


def keeps_rows(model: str) -> bool:
    """Say whether a policy's word for its model names a class of scikit-learn that keeps rows."""
    return model.startswith("sklearn.") and model.rpartition(".")[2] in KEEPS_ROWS


class Budget(Declaration):
    """How much a person's lifetime of models, over all policies, may cost after a run of this one.

    It is checked for each person that a run may read, before any column is read: privacy loss
    never renews. It binds only this policy: another with a higher ceiling may go on with the same
    people, so the highest ceiling among the policies that use them is what protects them.
    """

    lifetime_epsilon: float = Field(gt=0, le=SANE_EPSILON)
    """The ceiling of the ε of everything that a person was used for, together."""
    delta: float = Field(gt=0, lt=0.001)
    """The δ at which that ε is taken; also below one in the number of people."""
    composition: Literal["fixed", "adaptive"] = "adaptive"
    """`fixed` if no run's parameters ever depend on what an earlier run showed: composed exactly.
    Else `adaptive`, as advice always is: bounded by a Rényi filter, which lets fewer runs pass."""


class MembershipCheck(Declaration):
    """Membership inference must not reveal who was trained on (Zarifzadeh et al. 2024, RMIA)."""

    auc_at_most: float = Field(default=0.60, gt=0.5, lt=1)
    """The highest AUC allowed at the upper end of its 95 % interval."""
    found_at_most: float = Field(default=FOUND_AT_MOST, gt=1, le=100)
    """Of the people whom an attack is surest of: how many times as often as others those may be
    who were trained on. Refused where more is certain, to 99 %."""
    references: int = Field(default=16, ge=8, le=64, multiple_of=2)
    """How many reference models the attack trains; half of them see each person."""
    when_inconclusive: WhenInconclusive | None = None
    """Unset: refuse, but where a promise of differential privacy says enough."""


class AuditCheck(Declaration):
    """Each release of a private model's training, seen in twins, must be what its ε rests on."""

    when_inconclusive: WhenInconclusive | None = None
    """Unset: refuse for your own class and for small cohorts, else report."""


class MemorizationCheck(Declaration):
    """The model must not know its own people's rows better than other people's."""

    gap_at_most: float = Field(default=0.1, gt=0, lt=1)
    """The largest gap allowed at the upper end of its 95 % interval."""
    when_inconclusive: WhenInconclusive | None = None
    """Unset: refuse for your own class and for small cohorts, else report."""


class AttributeCheck(Declaration):
    """A feature must not be guessed better for training people than for others."""

    advantage_at_most: float = Field(default=0.1, gt=0, lt=1)
    """The largest difference of the shares guessed right, at the upper end of its interval."""
    when_inconclusive: WhenInconclusive = "report"


class SearchCheck(Declaration):
    """The model's file must hold nobody's rows; what is found in it is always refused."""

    when_inconclusive: WhenInconclusive | None = None
    """Where hardly anybody has a row of their own. Unset: refuse for your own class and for small
    cohorts, else report."""


class Attacks(Declaration):
    """The attacks that a model must withstand before the handover; all are tried."""

    membership: MembershipCheck
    audit: AuditCheck = AuditCheck()
    """Audits a private model's ε; other models have nothing to audit."""
    memorization: MemorizationCheck = MemorizationCheck()
    attribute_inference: AttributeCheck = AttributeCheck()
    search: SearchCheck = SearchCheck()
    """Searches the file that leaves for people's rows, columns, numbers and words."""
