"""Opening a run of the policy that was asked for, and judging it: how every flow begins and ends.

What is asked for waits in this process until the flow picks it up. Here, above all steps, a run is
given what no step knows of: its own code tried on made-up rows, who looks for ways out of a
refusal, and what becomes of its charge.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NoReturn, cast

from expectations.disclosure import Disclosure
from expectations.errors import Refusal, ServiceError, SourceError, TutelaError
from expectations.policy.locations import InMemory, Location
from expectations.policy.policy import Part
from expectations.policy.vocabulary import Verdict
from expectations.policy_file import PolicyFile
from flows.ending import finish_others
from ledgers.checkpoints import name_checkpoint
from ledgers.consent.ledger import ConsentLedger
from ledgers.evidence import JSON, EvidenceLedger
from ledgers.home.database import using_database
from ledgers.home.flow_runs import name_run, note_flow_run
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.machine import name_machine
from ledgers.home.policies import read_named_policy
from ledgers.home.private_files import owners_alone
from ledgers.leases import renewed
from ledgers.people.starts import find_start
from ledgers.people.statement import Signed
from ledgers.vault.vault import Vault
from tasks.airlock.run import (
    Observer,
    Run,
    keep_errors_in_memory,
    log_errors_in_words,
    prefect_flow_run,
    under_way,
)
from tasks.handover.policy_approval import refuse_unapproved_policy
from tasks.own_code.loading import OwnCode
from tasks.rehearsal.trial import load_checked_code
from tasks.training.charge import give_back
from tasks.ways.finder import note_ways_out


@dataclass(frozen=True)
class Request:
    """What is asked for: a policy, other data if any, who is told of progress, the ε of advice."""

    policy: str
    source: Location | InMemory | None = None
    observe: Observer = lambda _title, _what, _seconds: None
    epsilon: float | None = None
    file: PolicyFile | None = None
    """The policy as it was read and checked; without it, it is read from `policy` again."""
    started: Sequence[Signed] | None = ()
    """Who signed this start, if anybody; None where a schedule starts it, whose signer counts."""


_requested: Final[dict[str, Request]] = {}


def request(asked: Request) -> str:
    """Leave a request for the flow to pick up in this process, and give the policy's name.

    Prefect stores a flow's parameters before it validates them, so a flow takes a policy's name
    and nothing else; paths and sources wait here.
    """
    name = (asked.file or read_named_policy(asked.policy)).policy.name
    _requested[name] = asked
    return name


def read_request(policy: str) -> tuple[PolicyFile, Request]:
    """Read the policy that was requested under a name, its source replaced where asked."""
    asked = _requested.pop(policy, Request(policy, started=None))
    file = asked.file or read_named_policy(asked.policy)
    if asked.source is None:
        return file, asked
    people = file.policy.source.model_copy(update={"location": asked.source})
    return replace(file, policy=file.policy.model_copy(update={"source": people})), asked


@contextlib.contextmanager
def open_run(policy: str, *, part: Part = "all") -> Iterator[Run]:
    """Open a run of the policy requested under a name; its vault ends with it.

    Raises `PolicyError`, `HomeError` and `VaultError` before anything is on record, and `Refusal`
    where the record is not as it was written.
    """
    with owners_alone():
        keep_errors_in_memory()
        log_errors_in_words()
        yield from begin_run(policy, part)


def begin_run(policy: str, part: Part) -> Iterator[Run]:
    """Open a run, and end it when it is closed."""
    file, asked = read_request(policy)
    home, flow_run = Home.open(), prefect_flow_run()
    if flow_run and not note_flow_run(home, str(flow_run["id"])):
        leave_to_other(flow_run)
    file = replace(file, policy=file.policy.for_part(part))
    own = load_checked_code(file)
    keys = Keys.open(home)
    finish_others(home, keys)
    with using_database(home) as engine:
        now = ConsentLedger(engine, home, keys).now()
        run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        ledger = EvidenceLedger(engine, keys)
        disclosure = Disclosure(keys.derive("disclosure"), home.settings.disclosure_threshold)
        start = find_starter(keys, file, asked, part) | refuse_unapproved_policy(keys, ledger, file)
        with Vault(home.vault, keys).begin(run_id) as vault:
            facts = run_facts(file, asked, part, own) | {
                "machine": name_machine(keys), "checkpoint": name_checkpoint(keys), **start
            }  # fmt: skip
            ledger.begin(run_id, file.policy.name, facts)
            run = Run(
                id=run_id, file=file, now=now, home=home, keys=keys, ledger=ledger, vault=vault,
                disclosure=disclosure, observe=asked.observe, epsilon=asked.epsilon, own=own,
                finder=note_ways_out,
            )  # fmt: skip
            if flow_run:
                name_run(str(flow_run["id"]), run_id)
                ledger.append(run_id, "run", "prefect", "flow_run", flow_run)
            with renewed(ledger.engine, keys, run_id), under_way(run):
                run.observe(run_id, "opened", 0.0)
                yield run


def find_starter(keys: Keys, file: PolicyFile, asked: Request, part: Part) -> dict[str, JSON]:
    """Give who signed the start of a run whose starter may not approve; UsageError for nobody.

    Advice hands over nothing, and so needs none.
    """
    wanted = file.policy.approvals
    if wanted is None or wanted.not_by is None or part == "advice":
        return {}
    signed = find_start(keys, file.policy.name, file.sha256, asked.started)
    return {"start": cast("JSON", signed.to_said())}


def leave_to_other(flow_run: Mapping[str, JSON]) -> NoReturn:
    """End this process's part in a flow run that another one carries out, which tells Prefect."""
    from prefect.exceptions import Abort

    raise Abort(f"another process carries out flow run {flow_run['id']}")


def run_facts(
    file: PolicyFile, asked: Request, part: Part, own: Mapping[str, OwnCode]
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


@contextlib.contextmanager
def judged(run: Run) -> Iterator[None]:
    """Hold the steps that decide; a refusal or failure ends them, and the record goes on."""
    try:
        yield
    except TutelaError as error:
        decide(run, Verdict.REFUSED if isinstance(error, Refusal) else Verdict.FAILED, error)
    except BaseException:
        decide(run, Verdict.FAILED, ServiceError("the run was interrupted"))
        raise
    else:
        decide(run, Verdict.PASSED, None)


def decide(run: Run, verdict: Verdict, error: TutelaError | None) -> None:
    """Record the verdict; a run that did not pass gives back the budget that it did not use."""
    body: dict[str, JSON] = {"reason": str(error) if error else ""}
    if isinstance(error, Refusal):
        body["check"] = error.check
    if isinstance(error, SourceError):
        body["unfit"] = True
    run.ledger.append(run.id, "run", "decision", verdict, body)
    run.outcome.append(error)
    if error is not None:
        give_back(run)
