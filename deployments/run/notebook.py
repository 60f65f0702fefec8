"""Running a policy from Python, in a script or a notebook: the same flow, home and airlock.

A frame is handed over inside this process and nowhere else (`tasks.sources.frame`). What a run
came to is read from the ledger afterwards, as the command line does. Prefect and MLflow are loaded
by the first run, not by the import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

from expectations.errors import HomeError, Refusal, UsageError
from expectations.policy.locations import InMemory

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from deployments.run.progress import Progress
    from expectations.policy.policy import Part
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.account.published import OutletSummary, Summary
    from tasks.handover.decided_run import DecidedRun

Data: TypeAlias = "pd.DataFrame | str | Path | None"
"""Rows in memory, a file (or `URL#table`), or None for the policy's own source."""

KNOWN: Final = frozenset({
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "tasks.training.encoding.DeclaredEncoder",
    "tasks.training.private_boosting.PrivateBoosting",
    "tasks.training.private_boosting.PrivateBoostingRegressor",
    "tasks.training.private_linear.PrivateLinearRegression",
    "tasks.training.private_logistic.PrivateLogisticRegression",
    "tasks.training.private_network.PrivateNetwork",
    "tasks.training.served_model.DeclaredColumns",
})  # fmt: skip
"""Types that models of the grammar's kinds are made of, beside those that skops itself trusts."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that is on record: what may be published of it, and the home it is in."""

    summary: Summary
    run: DecidedRun = field(repr=False)

    @property
    def home(self) -> Home:
        """The home it is in."""
        return self.run.home


def run_here(
    policy: str, data: Data, part: Part, *, progress: bool, key: str | Path | None = None
) -> Ran:
    """Run a policy in this process; a refused run is on record and comes back like any other.

    Raises `HomeError`, `PolicyError`, `SourceError` and `UsageError` for what is wrong before
    anything is read of a person, and whatever else ended a run that no check refused.
    """
    from deployments.request import checked_request
    from deployments.run.launch import carry_out
    from deployments.run.progress import Progress
    from deployments.signing import A_DAY, Signer

    home, keys = open_home()
    with given(data) as source, Progress(choose_stream(show=progress)) as shown:
        file, _ = checked_request(policy, source)
        finish_others(home, keys, shown)
        started = Signer.by(key).start(keys, file, A_DAY)
        ended = carry_out(home, file, source, part, None, shown, started)
    if ended.error is not None and not isinstance(ended.error, Refusal):
        ended.error.add_note(f"the run is recorded: tutela report {ended.run_id}")
        raise ended.error
    return read_ran(home, keys, ended.run_id)


def open_home() -> tuple[Home, Keys]:
    """Open the home and its keys; HomeError, in words for Python, where there is none."""
    from ledgers.home.home import Home, home_path
    from ledgers.home.keys import Keys

    root = home_path()
    if not root.exists():
        raise HomeError(
            f"there is no home at {root}: make one, once, with tutela.init(); or name the one you "
            'have: os.environ["TUTELA_HOME"] = "/path/to/.tutela"'
        )
    home = Home.open()
    return home, Keys.open(home)


@contextmanager
def given(data: Data) -> Iterator[str | InMemory | None]:
    """Give data as a request names them; a frame is held meanwhile. UsageError for others."""
    if data is None or isinstance(data, (str, Path)):
        yield None if data is None else str(data)
        return
    import pandas as pd

    from tasks.sources.frame import held

    if not isinstance(data, pd.DataFrame):
        raise UsageError(
            f"data is a {type(data).__name__}: give a pandas DataFrame, the path of a .csv or "
            ".parquet file, or nothing for the policy's own source"
        )
    with held(data) as location:
        yield location


def choose_stream(*, show: bool) -> TextIO | None:
    """Say where progress goes: a notebook's cell, else standard error (None)."""
    if not show:
        return StringIO()
    return None if sys.stderr is sys.__stderr__ else sys.stdout


def finish_others(home: Home, keys: Keys, shown: Progress) -> None:
    """Finish what earlier processes left, and say so."""
    from deployments.run.leftovers import finish_leftovers

    for sentence in finish_leftovers(home, keys):
        shown.tell(sentence)


def read_ran(home: Home, keys: Keys, run_id: str) -> Ran:
    """Read what may be published of a run from the verified ledger."""
    from tasks.handover.delivery import read_run

    run = read_run(home, keys, run_id)
    return Ran(run.summary(), run)


def read_table(ran: Ran, outlet: OutletSummary) -> pd.DataFrame | None:
    """Read a released table as its recipient's file has it, every value as text; else None.

    Refusal where the package is not the one that was released.
    """
    from tasks.handover.written import released_table

    return released_table(ran.run, outlet.name)


def read_model(ran: Ran, outlet: OutletSummary) -> Pipeline | None:
    """Load the model that a run registered for an outlet; None where none left.

    A model's file can name any type to be made, and MLflow's store can be changed. So its bytes
    must be those on the run's record (`ServiceError`), and its types those of the kind of model
    that the policy names (`UsageError`).
    """
    import skops.io

    from tasks.handover.delivery import registered_model

    found = registered_model(ran.run, outlet.name) if outlet.claim else None
    if found is None:
        return None
    content, on_record = found
    asked = skops.io.get_untrusted_types(data=content)
    others = [name for name in asked if not is_trusted(name, ran.run, on_record=on_record)]
    if others:
        raise UsageError(
            f"the model {outlet.name} is made of {len(others)} types that no model of its kind "
            f"has: {', '.join(others)}; look at their code, then load it from MLflow yourself, "
            "with skops"
        )
    loaded: Pipeline = skops.io.loads(content, trusted=asked)
    return loaded


def is_trusted(name: str, run: DecidedRun, *, on_record: bool) -> bool:
    """Whether a run's model may be made of a type, by the type's full name.

    What a class that is not tutela's is made of in turn, nobody can list: its author vouches for
    that in the policy, and the record for its being the very file.
    """
    from expectations.policy.training import find_kind
    from tasks.own_code.loading import kept_packages

    training = run.file.policy.training
    if training is None or find_kind(training.model) is not None:
        return name in KNOWN
    packages = kept_packages(run.record.facts.get("own_code"))
    return on_record or name in KNOWN | {training.model} or name.partition(".")[0] in packages
