"""What the commands of approval answer: a request on one screen, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deployments.run.leftovers import finish_leftovers
from deployments.terminal import Answer, say, wrap
from expectations.errors import Refusal, UsageError
from ledgers.checkpoints import public_key
from ledgers.people.register import Register, count_keys
from ledgers.people.statement import Request, Signed

if TYPE_CHECKING:
    from deployments.signing import Signer
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.people.signature import PublicKey
    from tasks.handover.decided_run import DecidedRun

WIDE = 14
"""Of the words before each line."""
QUORUM = 2
"""How many a policy asks where nobody has chosen yet: four eyes."""


def say_request(request: Request) -> Iterator[str]:
    """Say what is asked: what would leave first, what to look at, what changed, until when."""
    said = cast("dict[str, Any]", request.said)
    if request.subject == "policy":
        yield f"The text of {said['policy']} would change for people:"
        for change in said["changes"]:
            yield from _line("", change)
        yield from _line("Text", str(said["policy_sha256"]))
        yield from _line("Quorum", f"{said['quorum']} of {len(said['by'])} keys")
    elif request.subject == "keys":
        verb = {"enrol": "take in", "retire": "let go", "lose": "declare lost"}[said["change"]]
        yield f"The home {said['home'][:16]}… asks to {verb} this key:"
        yield f"  {said['key']}"
    else:
        yield f"Run {said['run']} of {said['policy']} would hand over:"
        for outlet in said["outlets"]:
            yield from _line(outlet["kind"], f"{outlet['recipient']}: {outlet['claim']}")
        yield ""
        yield from _say_checks(said["checks"])
        for place, change in enumerate(said["changes"]):
            yield from _line("" if place else "Changed", change)
        for label, text in said["people"]:
            yield from _line("People", f"{text} {label}")
        if said.get("starter"):
            yield from _line("Started by", f"{said['starter']}, which cannot approve it")
        yield from _line("Code", str(said["code"]))
        if said["accepts"]:
            yield from _line("Reason", "the policy asks why you accept what is inconclusive")
        yield from _line("Quorum", f"{said['quorum']} of {len(said['by'])} keys")
    yield from _line("Until", f"{request.until[:16]} UTC")
    yield from _line("Request", request.digest)


def _say_checks(checks: Sequence[dict[str, str]]) -> Iterator[str]:
    passed = sum(check["verdict"] == "passed" for check in checks)
    for check in checks:
        if check["verdict"] != "passed":
            found = f"{check['name']}: {check['measured']} (asked: {check['asked']})"
            yield from _line(check["verdict"], found)
    yield from _line("passed", f"{passed} of {len(checks)} checks")


def _line(word: str, text: str) -> Iterator[str]:
    yield from wrap(f"{word:<{WIDE}}{text}", hanging=" " * WIDE)


def open_request(home: Home, keys: Keys, prefix: str) -> tuple[DecidedRun, Request]:
    """Give a run and what it asks; UsageError for one that does not wait for people."""
    from tasks.handover.approval import find_request
    from tasks.handover.delivery import read_run

    run = read_run(home, keys, prefix)
    request = find_request(run.entries)
    if request is None or run.record.verdict != "pending":
        raise UsageError(f"run {run.record.run_id} does not wait for approval: tutela approvals")
    return run, request


def take(home: Home, keys: Keys, signed: Signed) -> Answer:
    """Take a signed statement in, and hand over, or close, if it decides."""
    from tasks.handover.approval import APPROVAL
    from tasks.handover.delivery import read_run

    if signed.request.subject == "policy":
        return keep_policy(home, keys, signed)
    run, request = open_request(home, keys, str(signed.request.said.get("run")))
    if signed.request.digest != request.digest:
        raise UsageError(f"this answers another request than run {run.record.run_id} makes")
    refuse_stranger(run, signed, Register(run.ledger.engine, keys))
    run.note("approve", APPROVAL, signed.key.fingerprint, signed.to_said())
    notes = finish_leftovers(home, keys)
    word = {"approve": "approved", "decline": "declined"}[signed.statement.answer]
    name = run.record.run_id
    found: dict[str, JSON] = {"run": name, "key": signed.key.fingerprint, "answer": word}
    summary = read_run(home, keys, name).summary()
    found["verdict"] = summary.verdict
    lines = [f"{signed.key.fingerprint} {word} run {name}."]
    if signed.statement.answer == "decline" or summary.verdict != "refused":
        return Answer(found, lines, notes)
    return Answer(found, lines, notes, Refusal(summary.stopped_by or APPROVAL, summary.reason))


def approve_policy(policy: str, signer: Signer, reason: str, export: Path | None) -> Answer:
    """Show what changed in a policy's text since it was approved, and sign or write the request."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.home.policies import read_named_policy
    from tasks.handover.policy_approval import ask_policy

    home = Home.open()
    keys = Keys.open(home)
    file = read_named_policy(policy)
    request = ask_policy(keys, EvidenceLedger(open_database(home), keys), file)
    if export is not None:
        write(export, request.content)
        line = f"{export} has the request. Sign it: tutela approve {export} --key FILE"
        return Answer({"request": str(export), "digest": request.digest}, [line])
    say("\n".join(say_request(request)))
    return keep_policy(home, keys, signer.answer(request, "approve", reason))


def keep_policy(home: Home, keys: Keys, signed: Signed) -> Answer:
    """Keep what somebody signed of a policy's text; UsageError for a key that does not count."""
    from ledgers.home.database import open_database
    from ledgers.people.starts import keep_approval

    key, said = signed.key.fingerprint, signed.request.said
    policy = str(said.get("policy"))
    if said["home"] != public_key(keys):
        raise UsageError("this answers a request of another home")
    if signed.statement.answer != "approve":
        raise UsageError(
            f"{key} declines this text of {policy}. Nothing is kept of that: it is not run until "
            "enough people approve it"
        )
    if key not in cast("list[str]", said.get("by", [])):
        raise UsageError(f"{key} is not among the keys whose approval this policy needs")
    if key not in Register(open_database(home), keys).enrolled().keys:
        raise UsageError(f"{key} is not enrolled in this home: see tutela signers")
    keep_approval(keys, signed)
    named: dict[str, JSON] = {"policy": policy, "key": key, "answer": "approved"}
    return Answer(named, [f"{key} approved the text of {policy}."])


def refuse_stranger(run: DecidedRun, signed: Signed, register: Register) -> None:
    """Raise UsageError where a signature would not count, saying why."""
    from tasks.handover.approval import find_starter

    asked, key = run.file.policy.approvals, signed.key.fingerprint
    assert asked is not None
    if key not in asked.by:
        raise UsageError(f"{key} is not among the keys that this policy names in `approvals.by`")
    if key not in register.enrolled().keys:
        raise UsageError(f"{key} is not enrolled in this home: see tutela signers")
    starter = find_starter(run.record.facts)
    approves = signed.statement.answer == "approve"
    if asked.not_by is not None and key == starter and approves:
        raise UsageError(f"{key} started this run, and so cannot approve it: somebody else must")
    if signed.request.said["accepts"] and not signed.statement.reason:
        raise UsageError("say why you accept what is inconclusive: --reason")


def export(home: Home, keys: Keys, prefix: str, to: Path) -> Answer:
    """Write a run's request where somebody without the home can read and sign it."""
    run, request = open_request(home, keys, prefix)
    write(to, request.content)
    line = (
        f"{to} has the request of run {run.record.run_id}. Sign it: tutela approve {to} --key FILE"
    )
    return Answer({"request": str(to), "digest": request.digest}, [line])


def list_waiting(home: Home, keys: Keys) -> Answer:
    """List the runs that wait for people: how many signed, until when."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database
    from tasks.handover.approval import count_for, find_request
    from tasks.handover.delivery import read_run

    found: list[JSON] = []
    lines = []
    for record in EvidenceLedger(open_database(home), keys).runs():
        run = read_run(home, keys, record.run_id) if record.verdict == "pending" else None
        request = find_request(run.entries) if run else None
        if run is None or request is None:
            continue
        counted = count_for(run, request)
        quorum = cast("int", request.said["quorum"])
        found.append({
            "run": record.run_id, "policy": record.policy, "until": request.until,
            "approved_by": [*counted], "quorum": quorum, "by": request.said["by"],
        })  # fmt: skip
        lines.append(
            f"{record.run_id}  {record.policy}  {len(counted)} of {quorum} approvals, until "
            f"{request.until[:16]} UTC"
        )
        lines += [f"  signed by {key}" for key in counted]
    return Answer({"waiting": found}, lines or ["No run waits for approval."])


def list_signers(register: Register) -> Answer:
    """List the keys that count, and what became of others."""
    acts = register.acts()
    now = count_keys(acts)
    found: dict[str, JSON] = {
        "enrolled": [*now.keys],
        "recovery": now.recovery.fingerprint if now.recovery else None,
        "history": [
            {"at": act.at, "what": act.what, "key": act.key.fingerprint} for act in acts
        ],
    }  # fmt: skip
    lines = [f"{act.at[:16]}  {act.what:<9} {act.key.fingerprint}" for act in acts]
    count = f"{len(now.keys)} enrolled; {now.majority} must sign a change."
    return Answer(found, [*lines, count] if acts else ["No key is enrolled: tutela signers pin"])


def write_asking(register: Register) -> Answer:
    """Write `approvals` of a policy that asks two of the enrolled; UsageError for fewer."""
    keys = [*register.enrolled().keys]
    if len(keys) < QUORUM:
        raise UsageError(f"{len(keys)} keys are enrolled, and {QUORUM} are asked: see signers pin")
    asked: dict[str, JSON] = {
        "of": ["hand-over"], "by": [*keys], "quorum": QUORUM, "valid": "7 days"
    }  # fmt: skip
    lines = ["approvals:", "  of: [hand-over]", "  by:", *(f"    - {key}" for key in keys)]
    return Answer({"approvals": asked}, [*lines, f"  quorum: {QUORUM}", "  valid: 7 days"])


def say_pinned(first: Sequence[PublicKey], recovery: PublicKey | None) -> Answer:
    """Say which keys are pinned, and what to do with them."""
    lines = [f"enrolled  {key.fingerprint}" for key in first]
    if recovery is not None:
        lines.append(f"recovery  {recovery.fingerprint}")
    lines.append("Give these fingerprints to whoever verifies: tutela verify --signers FILE")
    lines.append("Let a policy ask them: tutela signers list --policy >> POLICY.yaml")
    named: list[JSON] = [key.fingerprint for key in first]
    return Answer({"enrolled": named}, lines)


def write(path: Path, content: bytes) -> None:
    """Write a file that is sent; UsageError where it cannot be."""
    try:
        path.write_bytes(content + b"\n")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
