"""What a run came to, for whoever ran it from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

from expectations.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from deployments.run.notebook import Ran
    from expectations.checks import Check
    from tasks.account.published import OutletSummary, State, Summary, WaysOut

T = TypeVar("T")


class Model(Protocol):
    """A released model: a scikit-learn pipeline, of which this much is promised."""

    def predict(self, X: pd.DataFrame) -> NDArray[np.generic]:  # noqa: N803  # sklearn's
        """Give the likelier answer for each row, of shape (people,)."""
        ...

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the probabilities of no and yes, of shape (people, 2)."""
        ...


@dataclass(frozen=True)
class Result:
    """One run: its verdict, what was found, and what was handed over if it passed.

    `evidence` is everything that may be published about the run, in the form of `evidence.json`:
    counts of people are rounded or hidden, and it holds no person's value. Models and tables are
    read on first use, from where their recipients' copies are.

    >>> import tutela
    >>> result = tutela.run("policy.yaml", "people.csv", tables_only=True, progress=False)
    >>> result.verdict, result.reason, result.ways
    ('passed', '', ())
    >>> result.table.columns.tolist(), result.model
    (['age', 'sex', 'sick'], None)
    """

    _ran: Ran = field(repr=False)

    def __repr__(self) -> str:
        """Say the policy, the verdict and the run."""
        stopped = f" by {self.evidence.stopped_by}" if self.evidence.stopped_by else ""
        return f"<tutela.Result {self.evidence.policy}: {self.verdict}{stopped}, {self.run_id}>"

    def _repr_html_(self) -> str:
        """Show the run in a notebook."""
        from tutela.display import show_run

        return show_run(self.evidence, self.report)

    @property
    def evidence(self) -> Summary:
        """Everything that may be published about the run."""
        return self._ran.summary

    @property
    def run_id(self) -> str:
        """The run's name in the ledger, as `tutela report` takes it."""
        return self.evidence.run_id

    @property
    def verdict(self) -> State:
        """`passed` or `refused`."""
        return self.evidence.verdict

    @property
    def reason(self) -> str:
        """Why a run was refused; empty for one that passed."""
        return self.evidence.reason

    @property
    def checks(self) -> tuple[Check, ...]:
        """Each check: what was asked and measured, the verdict, what it could have found."""
        return self.evidence.checks

    @property
    def ways(self) -> tuple[WaysOut, ...]:
        """The ways out of a refusal, each with its measured cost."""
        return self.evidence.ways

    @property
    def report(self) -> Path | None:
        """The report, one HTML file; None if it was moved away."""
        path = self._ran.home.reports / f"{self.run_id}.html"
        return path if path.is_file() else None

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The released estimators by outlet; ServiceError for one that is not as approved."""
        from deployments.run.notebook import read_model

        found = {o.name: read_model(self._ran, o) for o in self._outlets("model")}
        return MappingProxyType({name: one for name, one in found.items() if one is not None})

    @cached_property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The released tables by outlet, every value as text, as in the recipient's file."""
        from deployments.run.notebook import read_table

        found = {o.name: read_table(self._ran, o) for o in self._outlets("table")}
        return MappingProxyType({name: one for name, one in found.items() if one is not None})

    @property
    def model(self) -> Model | None:
        """The one released estimator; None if there is none, UsageError if there are several."""
        return _the_one(self.models, "models")

    @property
    def table(self) -> pd.DataFrame | None:
        """The one released table; None if there is none, UsageError if there are several."""
        return _the_one(self.tables, "tables")

    def _outlets(self, kind: str) -> list[OutletSummary]:
        return [outlet for outlet in self.evidence.outlets if outlet.kind == kind]


def _the_one(released: Mapping[str, T], what: str) -> T | None:
    """Give what was released where it is one; else say how to choose."""
    if len(released) > 1:
        names = ", ".join(released)
        raise UsageError(f"{len(released)} {what} were released: choose one of .{what} ({names})")
    return next(iter(released.values()), None)
