"""One run of one policy: what its steps may know, and where what they find is written.

A run is opened by a flow, judged once, and recorded whatever the verdict. Its evidence goes
straight to the ledger, so that a crash loses none; exact counts are sealed there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from expectations.checks import Check
from expectations.disclosure import Count, Disclosure, Published
from expectations.errors import Refusal, ServiceError, TutelaError, UsageError
from expectations.locations import InMemory, Location
from expectations.policy import Part, Policy
from expectations.policy_file import PolicyFile, read_policy
from expectations.vocabulary import Verdict
from ledgers.digests import digest_in_run
from ledgers.home import Home
from ledgers.settings import without_login
from tasks.own_code import NO_CODE, OwnCode

if TYPE_CHECKING:
    from ledgers.consent import ConsentLedger
    from ledgers.evidence import JSON, EvidenceLedger
    from ledgers.keys import Keys
    from ledgers.vault import RunVault

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
    outcome: list[TutelaError | None] = field(default_factory=list, repr=False)

    @property
    def policy(self) -> Policy:
        """The policy that drives the run."""
        return self.file.policy

    @property
    def consent(self) -> ConsentLedger:
        """The home's consent ledger, in the same database as the evidence."""
        from ledgers.consent import ConsentLedger

        return ConsentLedger(self.ledger.engine, self.home, self.keys)

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Hold the steps that decide; a refusal or failure ends them, and the record goes on."""
        try:
            yield
        except TutelaError as error:
            self._decide(Verdict.REFUSED if isinstance(error, Refusal) else Verdict.FAILED, error)
        except BaseException:
            self._decide(Verdict.FAILED, ServiceError("the run was interrupted"))
            raise
        else:
            self._decide(Verdict.PASSED, None)

    def _decide(self, verdict: Verdict, error: TutelaError | None) -> None:
        body: dict[str, JSON] = {"reason": str(error) if error else ""}
        if isinstance(error, Refusal):
            body["check"] = error.check
        self.ledger.append(self.id, "run", "decision", verdict, body)
        self.outcome.append(error)
        if error is not None:
            from tasks.budget import give_back

            give_back(self)


@dataclass(frozen=True)
class Request:
    """What is asked for: a policy, other data if any, who is told of progress, the ε of advice."""

    policy: str
    source: Location | InMemory | None = None
    observe: Observer = lambda _title, _what, _seconds: None
    epsilon: float | None = None
    file: PolicyFile | None = None
    """The policy as it was read and checked; without it, it is read from `policy` again."""


_requested: Final[dict[str, Request]] = {}
_current: Final[list[Run]] = []


def request(asked: Request) -> str:
    """Leave a request for the flow to pick up in this process, and give the policy's name.

    Prefect stores a flow's parameters before it validates them, so a flow takes a policy's name
    and nothing else; paths and sources wait here.
    """
    name = (asked.file or read_policy(asked.policy)).policy.name
    _requested[name] = asked
    return name


def read_request(policy: str) -> tuple[PolicyFile, Request]:
    """Read the policy that was requested under a name, its source replaced where asked."""
    asked = _requested.pop(policy, Request(policy))
    file = asked.file or read_policy(asked.policy)
    if asked.source is None:
        return file, asked
    people = file.policy.source.model_copy(update={"location": asked.source})
    return replace(file, policy=file.policy.model_copy(update={"source": people})), asked


def current_run() -> Run:
    """Give the run that is open in this process; `UsageError` when there is none."""
    if not _current:
        raise UsageError("a step was called outside a run; call it from a flow")
    return _current[-1]


@contextlib.contextmanager
def open_run(policy: str, *, part: Part = "all") -> Iterator[Run]:
    """Open a run of the policy requested under a name; its vault ends with it.

    Raises `PolicyError`, `HomeError` and `VaultError` before anything is on record.
    """
    from ledgers.database import open_database
    from ledgers.evidence import EvidenceLedger
    from ledgers.keys import Keys
    from ledgers.vault import Vault
    from tasks.record_wise import load_checked_code

    file, asked = read_request(policy)
    file = replace(file, policy=file.policy.for_part(part))
    own = load_checked_code(file) if file.policy.own_code else NO_CODE
    home = Home.open()
    keys = Keys.open(home)
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    ledger = EvidenceLedger(open_database(home), keys)
    disclosure = Disclosure(keys.derive("disclosure"), home.settings.disclosure_threshold)
    with Vault(home.vault, keys).begin(run_id) as vault:
        ledger.begin(run_id, file.policy.name, run_facts(file, asked, part, own))
        run = Run(
            id=run_id, file=file, now=now, home=home, keys=keys, ledger=ledger, vault=vault,
            disclosure=disclosure, observe=asked.observe, epsilon=asked.epsilon, own=own,
        )  # fmt: skip
        if flow_run := prefect_flow_run():
            ledger.append(run_id, "run", "prefect", "flow_run", flow_run)
        _current.append(run)
        run.observe(run_id, "opened", 0.0)
        try:
            yield run
        finally:
            _current.remove(run)


def run_facts(
    file: PolicyFile, asked: Request, part: Part, own: Mapping[str, OwnCode] = NO_CODE
) -> dict[str, JSON]:
    """Gather what is known of a run before it reads anything."""
    return {
        "policy_text": file.text,
        "policy_sha256": file.sha256,
        "policy_hierarchies": file.hierarchies,
        "policy_folder": str(file.folder),
        "source": asked.source.model_dump(mode="json") if asked.source else None,
        "code": code_version(),
        "own_code": {reference: code.record() for reference, code in own.items()},
        "part": part,
    }


def read_part(facts: Mapping[str, JSON]) -> Part:
    """Read which part of its policy a run carried out; older records tell of tables alone."""
    return cast("Part", facts.get("part") or ("tables" if facts.get("tables_only") else "all"))


def prefect_flow_run() -> dict[str, JSON] | None:
    """Give the Prefect flow run that is under way here, if any; Prefect is not imported for it."""
    module = sys.modules.get("prefect.context")
    context = module.FlowRunContext.get() if module else None
    if context is None or context.flow_run is None:
        return None
    api = without_login(os.environ.get("PREFECT_API_URL", ""))
    page = f"{api.removesuffix('/api')}/runs/flow-run/{context.flow_run.id}" if api else None
    return {"id": str(context.flow_run.id), "url": page}


def code_version() -> str:
    """Name the code that runs: the package's version, and the commit where it is a checkout."""
    from importlib.metadata import version

    head = Path(__file__).parent.parent / ".git" / "HEAD"
    name = f"tutela {version('tutela')}"
    if not head.is_file():
        return name
    ref = head.read_text(encoding="utf-8").strip().removeprefix("ref: ")
    commit = head.parent / ref
    known = commit.read_text(encoding="utf-8").strip() if commit.is_file() else ref
    return f"{name} ({known[:12]})" if all(c in "0123456789abcdef" for c in known) else name
