"""One run of one policy: what its steps may know, and where what they find is written.

A run is opened and judged by a flow (`flows/opening.py`), and recorded whatever the verdict. Its
evidence goes straight to the ledger, so that a crash loses none; exact counts are sealed there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from expectations.checks import Check
from expectations.disclosure import Count, Disclosure, Published
from expectations.errors import Refusal, TutelaError, UsageError
from expectations.policy.policy import Part, Policy
from expectations.policy_file import PolicyFile
from ledgers.home.home import Home, without_login
from ledgers.vault.digests import digest_in_run
from tasks.own_code.loading import OwnCode

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.evidence import JSON, EvidenceLedger
    from ledgers.home.keys import Keys
    from ledgers.vault.vault import RunVault

Observer = Callable[[str, str, float], None]
"""Told of a run's id (`opened`) and each step's title (`started`, `finished`, `failed`), with its
seconds."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What one step sees of its run: the policy, the moment, keys by label, and its notebook."""

    run: Run
    step: str

    @property
    def policy(self) -> Policy:
        """The policy that drives the run."""
        return self.run.file.policy

    def key(self, label: str) -> bytes:
        """Derive a lasting key of the home; 32 bytes."""
        return self.run.keys.derive(label)

    def show_digest(self, lasting: str) -> str:
        """Give what the run shows of a lasting digest, which itself is noted under seal only."""
        return digest_in_run(self.run.id, lasting)

    def note(self, kind: str, name: str, body: JSON, sealed: JSON = None) -> None:
        """Write one piece of evidence through to the ledger; never a person's value."""
        self.run.ledger.append(self.run.id, self.step, kind, name, body, sealed=sealed)

    def measure(self, name: str, value: float | None) -> None:
        """Note a measure: k, an AUC, a share; not a count of people."""
        self.note("measure", name, value)

    def count(self, name: str, count: Count) -> Published:
        """Note a count of people: published by the disclosure rule, exact under seal."""
        published = self.run.disclosure.publish(count)
        self.note("count", name, {"about": published.about, "text": str(published)}, count.exact)
        return published

    def check(self, check: Check) -> None:
        """Note what a check found."""
        self.note("check", check.name, {**asdict(check), "verdict": str(check.verdict)})


Finder: TypeAlias = Callable[[Desk, Refusal], None]
"""Tries again what a refusal carries, and notes on the desk what would have passed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One opened run; `source` overrides where the policy's people are."""

    id: str
    file: PolicyFile
    now: datetime
    home: Home
    keys: Keys = field(repr=False)
    ledger: EvidenceLedger = field(repr=False)
    vault: RunVault = field(repr=False)
    disclosure: Disclosure = field(repr=False)
    observe: Observer = field(repr=False)
    epsilon: float | None = None
    """What advice may cost the people it is drawn from; asked for beside the policy."""
    own: Mapping[str, OwnCode] = field(default_factory=dict, repr=False)
    """The policy's own code by reference, loaded and tried before anybody was read."""
    finder: Finder | None = field(default=None, repr=False)
    """Who looks for ways out of a refusal; given from above, for no step knows of any."""
    outcome: list[TutelaError | None] = field(default_factory=list, repr=False)
    made: dict[str, str] = field(default_factory=dict, repr=False)
    """Which step gave each data set, by the address of its reference."""

    @property
    def policy(self) -> Policy:
        """The policy that drives the run."""
        return self.file.policy

    @property
    def consent(self) -> ConsentLedger:
        """The home's consent ledger, in the same database as the evidence."""
        from ledgers.consent.ledger import ConsentLedger

        return ConsentLedger(self.ledger.engine, self.home, self.keys)


_current: Final[list[Run]] = []


def current_run() -> Run:
    """Give the run that is open in this process; `UsageError` when there is none."""
    if not _current:
        raise UsageError("a step was called outside a run; call it from a flow")
    return _current[-1]


@contextlib.contextmanager
def under_way(run: Run) -> Iterator[Run]:
    """Let the steps that are called meanwhile be those of a run."""
    _current.append(run)
    try:
        yield run
    finally:
        _current.remove(run)


def read_part(facts: Mapping[str, JSON]) -> Part:
    """Read which part of its policy a run carried out; older records tell of tables alone."""
    return cast("Part", facts.get("part") or ("tables" if facts.get("tables_only") else "all"))


def keep_errors_in_memory() -> None:
    """Let Prefect write no error of the flow that is under way here, if one is.

    It pickles what ends a flow into its storage, whatever it was told of results.
    """
    module = sys.modules.get("prefect.context")
    context = module.FlowRunContext.get() if module else None
    if context is not None:
        from prefect.filesystems import NullFileSystem

        context.result_store.result_storage = NullFileSystem()


def log_errors_in_words() -> None:
    """Let Prefect log what ends a step without a traceback: its words say all that there is."""
    logging.getLogger("prefect.task_runs").addFilter(drop_traceback)


def drop_traceback(record: logging.LogRecord) -> bool:
    """Take the traceback of an error that was foreseen out of a log record."""
    if record.exc_info and isinstance(record.exc_info[1], TutelaError):
        record.exc_info = None
    return True


def prefect_flow_run() -> dict[str, JSON] | None:
    """Give the Prefect flow run that is under way here, if any; Prefect is not imported for it."""
    module = sys.modules.get("prefect.context")
    context = module.FlowRunContext.get() if module else None
    if context is None or context.flow_run is None:
        return None
    api = without_login(os.environ.get("PREFECT_API_URL", ""))
    page = f"{api.removesuffix('/api')}/runs/flow-run/{context.flow_run.id}" if api else None
    return {"id": str(context.flow_run.id), "url": page}
