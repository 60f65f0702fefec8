"""The published form of a run: what `evidence.json` holds, and what the report shows.

Only shapes and names stand here; `tasks/account/summary.py` fills them, and `tasks/ways/` those of
the ways out of a refusal. The committed `evidence.schema.json` is made of these classes, so a
change here is a change of what others read: it raises `version`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from expectations.checks import Check
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.advised import Advice
from tasks.account.measured import Audit, NumberQuality, Quality
from tasks.account.part import Part

AS_THEY_ARE: Final = "representation"
ONCE_WEIGHTED: Final = "representation after weighting"
WEIGHTS: Final = "weights"
"""The checks on whom the people stand for, by the names under which they are on record."""
State: TypeAlias = Literal["passed", "refused", "failed", "pending", "awaiting", "unfinished"]


@dataclass(frozen=True, slots=True)
class Figure(Part):
    """A number with its label; `about` is None where a count of people is hidden."""

    label: str
    text: str
    about: int | None


@dataclass(frozen=True, slots=True)
class ConsentHistory(Part):
    """Which history of consent a run decided on, so that the decision can be made again.

    Both moments are UTC in ISO 8601; the link is that of the ledger's last event then, and the
    digest, which is keyed, what the decision came to.
    """

    valid_at: str
    known_at: str
    link: str
    digest: str


@dataclass(frozen=True, slots=True)
class LabelShares(Part):
    """One label of a column: its share of the people beside its share in the reference.

    A figure is None where the people's number is hidden, nobody is weighted, or the reference has
    no such label.
    """

    label: str
    people: str
    share: float | None
    reference: float | None
    difference: float | None
    """The standardized difference of the two shares (Austin 2009)."""
    ratio: float | None
    """The share over that of the reference, with the ends of its 95 % interval."""
    ratio_low: float | None
    ratio_high: float | None
    weighted: float | None
    weighted_difference: float | None


@dataclass(frozen=True, slots=True)
class ComparedColumn(Part):
    """The labels of one column in the order of its margin."""

    column: str
    role: Literal["rake", "hold-out"]
    ordered: bool
    """Whether the labels have an order of their own."""
    labels: tuple[LabelShares, ...]
    drift: float | None
    """The share of the people who would need another label for all shares to be met."""
    drift_weighted: float | None


@dataclass(frozen=True, slots=True)
class Representation(Part):
    """How far the people who were used are from the reference population."""

    source: str
    """Where the reference is published."""
    difference_at_most: float
    columns: tuple[ComparedColumn, ...]
    effective_sample_share: float | None
    """What weights leave of the sample's size (Kish 1965); None where nobody is weighted."""


@dataclass(frozen=True, slots=True)
class InclusionRate(Part):
    """The share of a label's eligible people who are there, with its 95 % interval (Wilson 1927).

    None where one of the two counts is hidden.
    """

    label: str
    included: str
    absent: str
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class ColumnInclusion(Part):
    """The inclusion rates of one column's labels."""

    column: str
    rates: tuple[InclusionRate, ...]


@dataclass(frozen=True, slots=True)
class Inclusion(Part):
    """What was counted of eligible people without consent, and on which basis."""

    article_6: str
    assessment: str
    read: tuple[str, ...]
    """The columns that were read of them."""
    left_alone: tuple[str, ...]
    """For which reasons people were not looked at even here."""
    absent: Figure | None
    columns: tuple[ColumnInclusion, ...]


@dataclass(frozen=True, slots=True)
class Way(Part):
    """One change of the policy, whether the check then holds, and what that costs."""

    change: str
    """In the policy's own keys and words."""
    holds: bool | None
    """Whether it held when it was tried on the same people; None where it could not be tried."""
    reached: str
    """What the check came to with the change, or what is known of it without a trial."""
    cost: dict[str, float | None]
    """By measure: `granularity` (0 to 1, more is better), `suppressed_share` (a bound),
    `auc` of the model, `membership_auc` of the attack, `lifetime_epsilon`, `runs`."""


@dataclass(frozen=True, slots=True)
class WaysOut(Part):
    """One refusal: what was asked, what was reached, and the ways out that were found."""

    check: str
    outlet: str | None
    asked: str
    reached: str
    note: str
    """How the ways were measured, how many were tried, and what that leaves out."""
    as_is: dict[str, float | None]
    """The same measures where nothing is recoded, or of what was refused; those that are known."""
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Training(Part):
    """How the model was trained; what was not noted, as in a run that stopped before, is empty."""

    kind: str
    """The policy's word: a built-in kind, or a dotted path."""
    input: str
    crosses: tuple[tuple[str, ...], ...]
    """Features whose combinations the model reads too."""
    parameters: dict[str, str]
    """All of them, those that the policy does not name included."""
    mechanisms: tuple[dict[str, str | float], ...]
    """What noise was drawn, as `expectations` describe it; of a model without noise, nothing."""
    lifetime_epsilon: float | None
    """What the policy lets all models together cost one person."""
    lifetime_delta: float | None
    composition: str | None


@dataclass(frozen=True, slots=True)
class ClassSize(Part):
    """How many classes of a table hold so many people each, and how many people in all."""

    size: str
    classes: int
    people: str


@dataclass(frozen=True, slots=True)
class TradePoint(Part):
    """What the table would keep at one k; see `tasks/training/tradeoff.py`.

    k = 1 stands for the rows as they are. All others are None where k cannot be reached.
    """

    k: int
    granularity: float | None
    """1 - the mean share of a column's values that a label stands for: more is better."""
    query_error: float | None
    """Median relative error of counts asked of the table."""
    auc: float | None
    """Of a plain model that learns from the table to predict the policy's target."""


@dataclass(frozen=True, slots=True)
class GroupLoss(Part):
    """How much of its detail a group of people loses; counts under the threshold are not told."""

    group: str
    people: str
    loss: float


@dataclass(frozen=True, slots=True)
class PlanUsed(Part):
    """The plan that a table was recoded by, and which run fitted it on how many people."""

    period: str
    version: int
    fitted_by: str
    fitted_at: str
    fitted_on: str
    compared: int
    """The number of the last release of the outlet that the run knew of."""


@dataclass(frozen=True, slots=True)
class Release(Part):
    """The package that was handed over: its folder, and a digest that only its holder can confirm.

    What an earlier version handed over is a bare table, whose digest would confirm a guess of its
    rows: it is not told.
    """

    place: str
    digest: str | None


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
    losses_by: dict[str, tuple[GroupLoss, ...]]
    """By column whose groups are compared: what each of its groups loses over all columns."""
    classes: tuple[ClassSize, ...]
    k: int | None
    """The k that the policy asks of a table."""
    tradeoff: tuple[TradePoint, ...]
    plan: PlanUsed | None
    release: Release | None


@dataclass(frozen=True, slots=True)
class Promise(Part):
    """One promise to a recipient in figures: the limit that was asked for, and what was reached."""

    outlet: str
    name: str
    """Such as `k-anonymity` or `t-closeness of diagnosis`."""
    symbol: str
    """What the figures are: `k`, `ε`, `AUC`; `share` of people, 0 to 1."""
    at_least: bool
    """Whether the limit is a least figure, as of k; else it is a largest one."""
    asked: float
    reached: float
    verdict: CheckVerdict
    """That of the check which judged it."""


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
    origins: tuple[str, ...]
    """Which columns of which tables it was made of, as `table.column`; the people's is `people`."""


@dataclass(frozen=True, slots=True)
class DataSet(Part):
    """A data set that a step gave: its stage, keyed digest and columns; never its rows."""

    step: str
    stage: str
    digest: str
    columns: tuple[str, ...]
    parents: tuple[str, ...] = ()
    """The steps whose data sets it was made of; runs of earlier versions noted none."""


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
    unfit: bool
    """Whether a failed run found data that do not fit the policy, and nothing broke."""
    stopped_by: str | None
    """The check that a refused run names."""
    causes: tuple[Check, ...]
    """The checks that stopped a refused run; a refusal outside a check has its reason only."""
    undecided: tuple[int, ...]
    """The lines of the policy that are still marked as to be decided."""
    made_up: str | None
    """What is made up in the data, where it is example data."""
    columns: tuple[Figure, ...]
    people: tuple[Figure, ...]
    excluded: tuple[Figure, ...]
    blanked: tuple[Figure, ...]
    """How many people kept each category back, and were read without it."""
    cut: tuple[Figure, ...]
    """Of how many people not all rows of a further table, or values of a field in it, counted."""
    strangers: tuple[Figure, ...]
    """How many people the consent ledger and each further table know who are not on the roster."""
    nameless: tuple[Figure, ...]
    """How many rows of each further table name nobody, and were left out."""
    elements: dict[str, tuple[str, ...]]
    """Of which elements of each FHIR resource something was read."""
    split: tuple[Figure, ...]
    outlets: tuple[OutletSummary, ...]
    promises: tuple[Promise, ...]
    """Those of which a figure was reached."""
    checks: tuple[Check, ...]
    measures: dict[str, float | None]
    training: Training | None
    """None where the policy trains nothing."""
    quality: Quality | None
    number_quality: NumberQuality | None
    """In place of it, where the model predicts a number."""
    audits: tuple[Audit, ...]
    representation: Representation | None
    """None where nobody was compared, as in a run that stopped before."""
    inclusion: Inclusion | None
    """None where nobody without consent was looked at."""
    fates: tuple[ColumnFate, ...]
    data_sets: tuple[DataSet, ...]
    seconds: dict[str, float]
    policy_sha256: str | None
    consent_snapshot: str | None
    history: ConsentHistory | None
    code: str | None
    advice: Advice | None
    """None where none was asked for."""
    links: tuple[Link, ...]
    ways: tuple[WaysOut, ...]
    """Ways out of a refusal, where some were found."""
    version: Literal[10] = 10
    """The version of this form."""
