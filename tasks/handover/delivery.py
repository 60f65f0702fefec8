"""Handing over what a decided run made ready, closing its record, and reading it back.

A decided run is recorded in MLflow, its tables are put where their recipients' copies are made,
its report is written, and only then is it closed and its outbox emptied. It is safe to repeat:
whatever ends the process on the way, the next command finds the run decided but open and completes
it, after asking for the consent of its people again. A run on record is read back by those who tell
of it afterwards.
"""

from __future__ import annotations

import hmac
import json
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from expectations.disclosure import Disclosure
from expectations.errors import PolicyError, Refusal, ServiceError, TutelaError
from expectations.policy.outlets import ModelOutlet
from expectations.policy.vocabulary import Verdict
from ledgers.consent.turn import turn
from ledgers.evidence import OPEN, EvidenceLedger, RunRecord
from ledgers.home.database import open_database, using_database
from ledgers.home.flow_runs import find_abandoned
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import locked, write_private
from ledgers.leases import renewed
from ledgers.outbox import Outbox
from ledgers.vault.digests import digest_shown, digest_written
from ledgers.vault.stages import Ready, Recorded
from ledgers.vault.vault import Vault
from tasks.account.projection import MEASURES, write_measures
from tasks.account.summary import to_evidence_json
from tasks.airlock.airlock import run_inside
from tasks.airlock.run import Desk, Run
from tasks.airlock.step import Opened, step
from tasks.handover.approval import (
    APPROVAL,
    AwaitingApproval,
    find_request,
    refuse_without_approval,
)
from tasks.handover.decided_run import DecidedRun
from tasks.handover.package import (
    digest_package,
    pack,
    place_package,
)
from tasks.handover.readiness import PEOPLE, USED, refuse_withdrawn
from tasks.handover.receipt import NAME as RECEIPT
from tasks.handover.receipt import write_receipts
from tasks.handover.recipe import find_recipe
from tasks.handover.recorded_policy import read_recorded
from tasks.handover.recording import (
    attach,
    attach_to_model,
    fetch_model,
    links_body,
    move_aliases,
    name_store,
    record_run,
)
from tasks.lineage.event_file import write_lineage
from tasks.own_code.loading import remember_sources
from tasks.pages.model_card import write_cards
from tasks.pages.report import render_lineage, render_report


def hand_over(run: DecidedRun) -> None:
    """Record the run in MLflow and put its tables in place; ServiceError leaves it for later."""
    refuse_without_approval(run)
    if run.decision == Verdict.PASSED:
        run.ledger.intend(run.record.run_id, "record")
    else:
        run.ledger.hold(run.record.run_id)  # or two machines would show it in MLflow
    goods, outlets = run.goods(), run.file.policy.outlets
    models = {name: goods[name] for name in goods if isinstance(outlets[name], ModelOutlet)}
    begin = begin_registering(run)
    for name, content in models.items():
        approve(run, name, content)
    recorded = record_run(run.home, run.record, run.file, run.entries, models, begin)
    for name in goods.keys() - models.keys():
        release(run, name, goods[name])
    if find_request(run.entries) is not None and recorded.models:
        named = {f"{run.file.policy.name}.{one}": v for one, v in recorded.models.items()}
        for alias, version in move_aliases(run.home, named).items():
            run.note("record", "alias", alias, version)
    # Last, so that a run with this note has handed over everything.
    run.note(
        "record",
        "mlflow",
        "run",
        links_body(recorded, partial(digest_shown, run.keys, run.record.run_id)),
    )


def release(run: DecidedRun, outlet: str, content: bytes) -> None:
    """Note the package of an outlet's table, and put it in place."""
    files = pack(run.summary(), run.file.policy, outlet, content, run.nonce(outlet))
    folder = run.home.releases / run.record.run_id / outlet
    package, digest = str(folder.relative_to(run.home.releases)), digest_package(files)
    # Noted first, so that a table that somebody saw is never one that the ledger forgets.
    run.note("record", "release", outlet, {"package": package, "digest": digest})
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    place_package(folder, files)


def begin_registering(run: DecidedRun) -> Callable[[], None]:
    """Give what notes in which store the run registers; `ServiceError` if it began in another one.

    Else a model would be registered twice, or taken back where it is not. To be called once MLflow
    answered: a store that was away has nothing of the run.
    """
    noted = [e.body for e in run.entries if (e.kind, e.name) == ("registering", "mlflow")]
    now = name_store(run.home)
    if noted and noted[0] != now:
        raise ServiceError(
            f"run {run.record.run_id} began to register in another MLflow store ({noted[0]}): set "
            "MLFLOW_TRACKING_URI back to it; the next tutela command completes the run"
        )
    if noted:
        return lambda: None
    return lambda: run.note("record", "registering", "mlflow", now)


def approve(run: DecidedRun, outlet: str, content: bytes) -> None:
    """Note what a model is before it goes anywhere; one that was noted before must be the same."""
    if run.approved(outlet) is None:
        run.note("record", "approved", outlet, run.digest(content))
    refuse_others(run, outlet, content)


def refuse_others(run: DecidedRun, outlet: str, content: bytes) -> None:
    """Raise `ServiceError` for bytes that are not the model that was approved."""
    if not hmac.compare_digest(run.digest(content), str(run.approved(outlet))):
        raise ServiceError(
            f"the model {outlet} is not the one that run {run.record.run_id} approved: its bytes "
            "differ from those on record. Do not load it; find out who changed MLflow's store, "
            "then run the policy again"
        )


def registered_model(run: DecidedRun, outlet: str) -> tuple[bytes, bool] | None:
    """Give a run's model as MLflow has it, and whether its bytes are on record; None where none is.

    Raises `ServiceError` for bytes other than those on record, and for a record that was changed.
    Of what an earlier version registered, no bytes are on record.
    """
    run.ledger.verify(run.record.run_id)
    if run.mlflow_run is None:
        return None
    content = fetch_model(run.home, run.mlflow_run, f"{run.file.policy.name}.{outlet}")
    on_record = run.approved(outlet) is not None
    if on_record:
        refuse_others(run, outlet, content)
    return content, on_record


def take_back(run: DecidedRun) -> None:
    """Remove the tables of a run that was killed while it handed over, and is refused since."""
    place = run.home.releases / run.record.run_id
    if place.exists():
        shutil.rmtree(place)


def write_report(run: DecidedRun) -> Path:
    """Write the report, and each model's card and recipe, into the home and into MLflow."""
    summary = run.summary()
    page = render_report(summary)
    path = run.home.reports / f"{run.record.run_id}.html"
    write_private(path, page.encode())
    recipe = find_recipe(run.file.policy, run.entries)
    cards = write_cards(run.home.reports, summary, recipe)
    receipts = write_receipts(run.keys, run.record, summary, run.entries)
    for outlet, text in receipts.items():
        write_private(run.home.reports / f"{run.record.run_id}-{outlet}-{RECEIPT}", text.encode())
    if summary.advice and summary.advice.patch:
        write_private(path.with_suffix(".patch"), summary.advice.patch.encode())
    write_lineage(run.home, run.record, run.file.policy, run.entries)
    written = sorted(run.home.reports.glob(f"{run.record.run_id}*"))
    digests = {file.name: digest_written(run.keys, file.read_bytes()) for file in written}
    run.note("report", "files", "reports", {**digests})
    if run.mlflow_run is not None:
        evidence = json.dumps(to_evidence_json(summary), indent=2, sort_keys=True)
        files = {"report.html": page, "lineage.html": render_lineage(summary)}
        files |= {"evidence.json": evidence, MEASURES: write_measures(run.entries)}
        for outlet, texts in cards.items():
            files |= {f"{outlet}/{name}": texts[name] for name in texts}
        files |= {f"{outlet}/{RECEIPT}": text for outlet, text in receipts.items()}
        known = {name: digest_written(run.keys, text.encode()) for name, text in files.items()}
        run.note("report", "artifacts", "mlflow", {**known})
        attach(run.home, run.mlflow_run, files)
        for outlet, texts in cards.items():
            beside = {name: texts[name] for name in texts if name not in recipe}
            beside |= {RECEIPT: receipts[outlet]} if outlet in receipts else {}
            attach_to_model(run.home, run.mlflow_run, outlet, beside)
    return path


def close(run: DecidedRun) -> None:
    """Close the record of a run that is handed over; one that MLflow did not take stays pending."""
    decision, handed_over = run.decision, run.mlflow_run is not None
    for name in run.waiting().values() if handed_over or decision != Verdict.PASSED else ():
        run.outbox.remove(name)
    if not handed_over:
        run.ledger.close(run.record.run_id, "pending")
        return
    assert decision in {"passed", "refused", "failed"}
    run.ledger.close(run.record.run_id, decision)  # type: ignore[arg-type]  # narrowed above


class Completed(NamedTuple):
    """What became of a run that its own process did not finish."""

    said: str
    flow_run: str | None = None
    """The Prefect flow run that it was, where it was one."""
    verdict: str | None = None
    """What it was closed as; None where it still waits."""
    run_id: str = ""
    awaits: bool = False
    """Whether it waits for people, and not for a server."""


def complete_runs(home: Home, keys: Keys) -> list[Completed]:
    """Finish what earlier processes left: sweep dead runs, close them, serve pending recipients.

    A run that still cannot be completed stays as it is, and is said to. One of another machine is
    left to it, and closed as failed once that machine's lease lapsed before anything could leave.
    One process at a time does this: two would register a model twice. Flow runs that dead processes
    left are among them, for Prefect to be told.
    """
    with using_database(home) as engine:
        return _complete_runs(home, EvidenceLedger(engine, keys))


def _complete_runs(home: Home, ledger: EvidenceLedger) -> list[Completed]:
    keys = ledger.keys
    vault = Vault(home.vault, keys)
    removed = "; its encrypted folder was removed"
    with locked(home.outbox):
        # Begun before the living are counted, and still open after it: a run that begins or ends
        # in order meanwhile is no killed one.
        known = ledger.runs()
        begun = {run.run_id for run in known} - ledger.elsewhere(known)
        swept, alive = vault.sweep(), vault.living()
        still_open = [run for run in ledger.runs() if run.verdict in OPEN]
        ended = begun - alive
        left = [run for run in still_open if run.run_id in ended]
        remove_halves(home, ended)
        discard_goods(home, keys, [run for run in known if run.verdict not in OPEN])
        completed = [complete_record(home, keys, ledger, record) for record in left]
        abandoned = find_abandoned(home)
    done = [
        one._replace(said=one.said + removed * (record.run_id in swept))
        for record, one in zip(left, completed, strict=True)
    ]
    told = {one.flow_run for one in done}
    others = {flow_run: run_id for flow_run, run_id in abandoned.items() if flow_run not in told}
    return done + (list_abandoned(ledger, others) if others else [])


def list_abandoned(ledger: EvidenceLedger, abandoned: Mapping[str, str]) -> list[Completed]:
    """Give what flow runs came to whose process was killed before or after their run was open."""
    verdicts = {run.run_id: run.verdict for run in ledger.runs()}
    return [
        Completed(
            f"run {run_id} had ended before its process was killed; Prefect is told"
            if run_id
            else "a process was killed before its run began; Prefect is told",
            flow_run,
            verdicts.get(run_id) or Verdict.FAILED,
        )
        for flow_run, run_id in abandoned.items()
    ]


def expire(home: Home, keys: Keys, ledger: EvidenceLedger, record: RunRecord) -> None:
    """End a run that waited until its days were over: nothing of it is handed over any more."""
    with locked(home.outbox):
        run = _decided_run(home, keys, ledger, record)
        reason = "it could not be handed over before its days were over"
        run.note("run", "decision", Verdict.FAILED, {"reason": reason})
        take_back(run)
        for name in run.waiting().values():
            run.outbox.remove(name)


def remove_halves(home: Home, ended: Collection[str]) -> None:
    """Remove files that processes of ended runs were killed over: nothing else would know them."""
    for place in (home.outbox, home.reports):
        for half in place.glob(".*.making"):
            if half.name.startswith(tuple(f".{run}" for run in ended)):
                half.unlink(missing_ok=True)


def discard_goods(home: Home, keys: Keys, closed: Sequence[RunRecord]) -> None:
    """Remove what waits here of runs that another machine has closed since: it may not leave."""
    outbox, gone = Outbox(home, keys), tuple(f"{run.run_id}-" for run in closed)
    for name in outbox.pending():
        if name.startswith(gone):
            outbox.remove(name)


def complete_record(home: Home, keys: Keys, ledger: EvidenceLedger, record: RunRecord) -> Completed:
    """Finish the run of one record; one that was changed, or is of another grammar, stays."""
    try:
        # Own code is taken from the record and run.
        ledger.verify(record.run_id)
        run = _decided_run(home, keys, ledger, record)
        ledger.take(record)
    except (PolicyError, ServiceError) as error:
        unread = "this version cannot read its policy: use the one that began it"
        reason = unread if isinstance(error, PolicyError) else error
        return Completed(f"run {record.run_id} is still pending: {reason}")
    with renewed(ledger.engine, keys, record.run_id):
        said = complete(run)
    closed = run.decision if run.mlflow_run is not None else None
    awaits = closed is None and find_request(run.entries) is not None
    return Completed(said, run.flow_run, closed, record.run_id, awaits)


def _decided_run(home: Home, keys: Keys, ledger: EvidenceLedger, record: RunRecord) -> DecidedRun:
    """Give a run from its record alone, its policy read from there."""
    file = read_recorded(record)
    remember_sources(record.facts.get("own_code"), file.path.parent)
    return DecidedRun(home, keys, ledger, record, file)


def complete(run: DecidedRun) -> str:
    """Finish one run that its own process did not."""
    name = run.record.run_id
    if run.decision is None or run.lost_its_goods:
        reason = "the process ended on the way; its data is gone: run it again"
        run.note("run", "decision", Verdict.FAILED, {"reason": reason})
    try:
        run_inside("complete", lambda: finish(run), run.keys.seal_incident)
    except Refusal as refusal:
        take_back(run)
        run.note(
            "run", "decision", Verdict.REFUSED, {"reason": str(refusal), "check": refusal.check}
        )
        return complete(run)
    except AwaitingApproval as waits:
        if run.record.verdict is None:  # its process ended before it could say so
            await_approval(run, waits)
        return f"run {name}: {waits}"
    except TutelaError as error:
        return f"run {name} is still pending: {error}"
    close(run)
    if find_request(run.entries) is not None:
        left = "handed over" if run.decision == Verdict.PASSED else "not handed over"
        return f"run {name} waited for approval, and is now closed as {run.decision}: {left}"
    return f"run {name} ended before it was done and is now closed as {run.decision}"


def await_approval(run: DecidedRun, waits: AwaitingApproval) -> None:
    """Let a run whose process was killed wait as others do, with a report for whoever looks."""
    run.note("record", "pending", APPROVAL, str(waits))
    run_inside("report", lambda: write_report(run), run.keys.seal_incident)
    run.ledger.close(run.record.run_id, "pending")


def finish(run: DecidedRun) -> None:
    """Re-check consent, which reads people, hand over and report; call it in the airlock.

    What was all handed over before the process ended is not asked about: it has left.
    """
    if run.mlflow_run is None and run.decision == Verdict.PASSED:
        refuse_without_approval(run)  # before anybody is read
        with turn(run.consent):
            ask_again(run)
            hand_over(run)
    elif run.mlflow_run is None:
        # Without a turn: a machine that stands still may have it.
        hand_over(run)
    write_report(run)


def ask_again(run: DecidedRun) -> None:
    """Refuse if anybody whose data a waiting run used has lost their legal basis since."""
    name = run.waiting().get(PEOPLE)
    if name is None:
        raise ServiceError("the list of its people is gone from the outbox; run it again")
    used = np.frombuffer(run.outbox.take(name), dtype=USED)
    disclosure = Disclosure(run.keys.derive("disclosure"), run.home.settings.disclosure_threshold)
    refuse_withdrawn(used, run.file, run.consent, disclosure)


def decided(desk: Desk) -> DecidedRun:
    """Give the run that a step belongs to, as decided."""
    run = desk.run
    record = next(r for r in run.ledger.runs() if r.run_id == run.id)
    return DecidedRun(run.home, run.keys, run.ledger, record, run.file)


def conclude(run: Run) -> None:
    """Close the record of a run that was handed over."""
    close(decided(Desk(run, "conclude")))


@step("Record in MLflow", gives=Recorded)
def record(desk: Desk, *ready: Opened[Ready]) -> bytes:
    """Show the run in MLflow, register its model, release its tables; later if MLflow is away."""
    try:
        hand_over(decided(desk))
    except ServiceError as error:
        waits = isinstance(error, AwaitingApproval)
        desk.note("pending", APPROVAL if waits else "mlflow", str(error))
        desk.run.outcome.append(error)
    return b"recorded" if ready else b"recorded without goods"


@step("Write the report", gives=Recorded)
def report(desk: Desk, recorded: Opened[Recorded]) -> bytes:
    """Write the report, show it in Prefect and MLflow."""
    from tasks.pages.artifacts import publish_artifacts

    run = decided(desk)
    path = write_report(run)
    publish_artifacts(run.summary())
    return path.name.encode() + recorded.content()[:0]


def read_run(home: Home, keys: Keys, prefix: str) -> DecidedRun:
    """Give the run whose id begins so, its evidence verified.

    Raises `UsageError` where none or several do, and what the ledger raises for a record that is
    not as it was written.
    """
    ledger = EvidenceLedger(open_database(home), keys)
    record = ledger.find(prefix)
    ledger.verify(record.run_id)
    return _decided_run(home, keys, ledger, record)
