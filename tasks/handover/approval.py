"""Approval: what people are asked to sign before a run hands over, and whether enough did.

A request says what would leave, to whom and under which claim, without a person's value. Approvals
count for its *terms* too: the policy, the code and the recipients. So where somebody withdrew
while people looked, and the run is refused, the next run under the same terms need not ask again.
It does not know how a run is handed over, nor who a key's person is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from expectations.changes.policies import compare_policies
from expectations.errors import PolicyError, Refusal, ServiceError, UsageError
from expectations.policy.approvals import Approvals
from expectations.policy.outlets import claim
from expectations.policy.policy import Policy
from expectations.policy.spans import read_span
from expectations.policy.vocabulary import CheckVerdict, Verdict
from ledgers.checkpoints import Said, public_key, write_canonical
from ledgers.evidence import JSON, Entry
from ledgers.people.register import KeyAct, Register, count_keys
from ledgers.people.statement import Request, Signed
from tasks.account.promises import reach_claim
from tasks.account.summary import Summary
from tasks.handover.decided_run import DecidedRun
from tasks.handover.recorded_policy import read_recorded

APPROVAL: Final = "approval"
"""The check that refuses, and the kind of the entry that holds a signed statement."""
REQUESTED: Final = "request"
"""The kind of the entry that holds what people are asked."""


ORDER: Final = (
    CheckVerdict.REFUSED,
    CheckVerdict.WARNED,
    CheckVerdict.INCONCLUSIVE,
    CheckVerdict.PASSED,
)
"""In which checks are shown to whoever approves: what asks for a look comes first."""
COUNTED: Final = "approvals"
"""The kind of the entry that names the keys whose approvals counted at the hand-over."""
CARRIED: Final = "carried"
"""The kind of the entry that holds a statement, signed of an earlier run, that counted for this."""

LEGAL_BASIS: Final = "legal basis"
"""The check that refuses a run whose people withdrew while it waited."""


class AwaitingApproval(ServiceError):
    """A run that passed its checks waits for people; nothing of it has left."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A signed statement, and when it came on record, UTC in ISO 8601."""

    at: str
    signed: Signed

    @property
    def approves(self) -> bool:
        """Whether it approves; else it declines."""
        return self.signed.statement.answer == "approve"


def ask_approval(  # noqa: PLR0913, PLR0917  # all that people are shown
    policy: Policy, home: str, summary: Summary, now: datetime, changes: Sequence[str], starter: str
) -> Request:
    """Make the request of a run that passed its checks; `changes` are since the last approved."""
    asked = policy.approvals
    assert asked is not None
    valid = read_span(asked.valid)
    assert valid is not None, "the grammar asks for hours or days"
    checks = sorted(summary.checks, key=lambda check: ORDER.index(check.verdict))
    more: dict[str, Said] = {
        "run": summary.run_id,
        "policy": summary.policy,
        "policy_sha256": summary.policy_sha256,
        "code": summary.code,
        "terms": name_terms(policy, summary),
        "outlets": [
            {"name": name, "kind": outlet.kind, "recipient": outlet.recipient,
             "claim": reach_claim(name, outlet, summary.checks)}
            for name, outlet in policy.outlets.items()
        ],
        "checks": [
            {"name": check.name, "verdict": str(check.verdict), "asked": check.asked,
             "measured": check.measured}
            for check in checks
        ],
        "people": [[figure.label, figure.text] for figure in summary.people],
        "changes": [*changes],
        "accepts": name_accepted(policy, summary),
        "quorum": asked.quorum,
        "by": [*asked.by],
        "starter": starter,
    }  # fmt: skip
    return Request.about("hand-over", home, (now + valid).isoformat(), **more)


def name_terms(policy: Policy, summary: Summary) -> str:
    """Name what an approval stands for beyond its run: policy, code, recipients and claims."""
    leaving: list[Said] = [
        [name, outlet.recipient, claim(outlet)] for name, outlet in policy.outlets.items()
    ]
    said: Said = [summary.policy, summary.policy_sha256, summary.code, leaving]
    return hashlib.sha256(write_canonical(said)).hexdigest()


def name_accepted(policy: Policy, summary: Summary) -> list[Said]:
    """Name the inconclusive checks that the policy leaves to whoever approves, with a reason."""
    parts = [] if policy.attacks is None else [
        getattr(policy.attacks, name) for name in type(policy.attacks).model_fields
    ]  # fmt: skip
    if not any(getattr(part, "when_inconclusive", None) == "approve" for part in parts):
        return []
    return [c.name for c in summary.checks if c.verdict is CheckVerdict.INCONCLUSIVE]


def find_request(entries: Iterable[Entry]) -> Request | None:
    """Give what people were asked about a run, if they were."""
    bodies = [entry.body for entry in entries if entry.kind == REQUESTED]
    return Request(cast("Mapping[str, Said]", bodies[-1])) if bodies else None


def read_answers(entries: Iterable[Entry]) -> list[Answer]:
    """Give what people signed about a run; UsageError where it proves nothing."""
    return [
        Answer(entry.at, Signed.from_said(cast("Mapping[str, Said]", entry.body)))
        for entry in entries
        if entry.kind == APPROVAL
    ]


def find_starter(facts: Mapping[str, JSON]) -> str:
    """Give the fingerprint of the key that signed a run's start; empty where none did."""
    started = facts.get("start")
    if not isinstance(started, dict):
        return ""
    try:
        signed = Signed.from_said(started)
    except UsageError:
        return ""
    same = signed.request.said.get("policy_sha256") == facts.get("policy_sha256")
    return signed.key.fingerprint if same and signed.request.subject == "start" else ""


def count_answers(
    asked: Approvals, request: Request, answers: Iterable[Answer], acts: Sequence[KeyAct],
    starter: str = "",
) -> dict[str, Answer]:  # fmt: skip
    """Give the answers that count, by key: the last of each.

    A key counts if the policy names it, it was enrolled when its answer came, and was not lost.
    """
    lost = {act.key.fingerprint for act in acts if act.what == "lost"}
    counted: dict[str, Answer] = {}
    for answer in answers:
        key = answer.signed.key.fingerprint
        enrolled = count_keys([act for act in acts if act.at <= answer.at]).keys
        of_it = answer.signed.request
        same = of_it.digest == request.digest or (
            answer.approves and stands_for(of_it.said, request.said)
        )
        reasoned = bool(answer.signed.statement.reason) or not request.said["accepts"]
        if same and reasoned and key in asked.by and key in enrolled and key not in lost:
            counted[key] = answer
    own = counted.get(starter)
    if asked.not_by is not None and own is not None and own.approves:  # to decline, anybody may
        del counted[starter]
    return counted


def stands_for(earlier: Mapping[str, Said], now: Mapping[str, Said]) -> bool:
    """Whether what was signed of an earlier request holds for this one.

    The terms and what was claimed are the same, and no check warns, or is inconclusive, that did
    not do so then.
    """
    same = all(earlier.get(one) == now.get(one) for one in ("terms", "outlets"))
    return same and all(
        known.issuperset(told)
        for known, told in zip(_list_doubts(earlier), _list_doubts(now), strict=True)
    )


def _list_doubts(said: Mapping[str, Said]) -> Iterator[set[tuple[str, str]]]:
    """Name what people had to look at: what they accept with a reason, and what did not pass."""
    yield {(name, "") for name in cast("list[str]", said.get("accepts", []))}
    checks = cast("list[dict[str, str]]", said.get("checks", []))
    told = {(one["name"], one["verdict"]) for one in checks}
    yield {one for one in told if one[1] != CheckVerdict.PASSED}


def refuse_unapproved(
    asked: Approvals, request: Request, counted: Mapping[str, Answer], now: str
) -> None:
    """Raise unless enough people approve: AwaitingApproval while they can, Refusal afterwards."""
    for key, answer in counted.items():
        if not answer.approves:
            raise Refusal(APPROVAL, f"{key} declined: {answer.signed.statement.reason}")
    have = len(counted)
    if request.until < now:
        raise Refusal(
            APPROVAL,
            f"{have} of {asked.quorum} approvals came, and the {asked.valid} in which they count "
            "are over: run it again",
        )
    if have >= asked.quorum:
        return
    raise AwaitingApproval(
        f"it waits for approval: {have} of {asked.quorum}, until {request.until[:16]} UTC. Look "
        f"and sign: tutela approve {request.said['run']} --key FILE"
    )


def refuse_without_approval(run: DecidedRun) -> None:
    """Raise unless enough people approve what is about to leave, where the policy asks for them.

    What began to leave is not asked about again. A run waits until a newer one of its policy does.
    """
    asked = run.file.policy.approvals
    if asked is None or "hand-over" not in asked.of:
        return
    if run.decision != Verdict.PASSED or run.began:
        return
    request = find_request(run.entries)
    if request is None:
        request = ask_approval(
            run.file.policy, public_key(run.keys), run.summary(), run.consent.now(),
            list_changes(run), find_starter(run.record.facts),
        )  # fmt: skip
        run.note("record", REQUESTED, "hand-over", {**request.said})
    for other in run.others_of_policy():
        same = other.facts.get("part") == run.record.facts.get("part")
        newer = other.started_at > run.record.started_at and other.verdict in {"passed", "pending"}
        if same and newer:
            raise Refusal(APPROVAL, f"the newer run {other.run_id} took its place")
    counted = count_for(run, request)
    refuse_unapproved(asked, request, counted, run.consent.now().isoformat())
    note_counted(run, request, counted)


def note_counted(run: DecidedRun, request: Request, counted: Mapping[str, Answer]) -> None:
    """Note once whose approvals counted, and those that were signed of an earlier run."""
    if any(entry.kind == COUNTED for entry in run.entries):
        return
    for key, answer in counted.items():
        if answer.signed.request.digest != request.digest:
            run.note("record", CARRIED, key, answer.signed.to_said())
    run.note("record", COUNTED, "hand-over", [*counted])


def list_changes(run: DecidedRun) -> list[str]:
    """Say what changed in the policy since its last run that was handed over."""
    for other in reversed(run.others_of_policy()):
        if other.verdict == "passed" and other.started_at < run.record.started_at:
            try:
                before = read_recorded(other).policy
            except PolicyError:
                return [f"run {other.run_id}, the last that was handed over, cannot be read"]
            changes = compare_policies(before, run.file.policy)
            code = [f"the code: {other.facts.get('code')} → {run.record.facts.get('code')}"]
            same = other.facts.get("code") == run.record.facts.get("code")
            return [*(f"{one.path}: {one.words} ({one.direction})" for one in changes),
                    *([] if same else code)]  # fmt: skip
    return ["nothing of this policy was handed over before"]


def count_for(run: DecidedRun, request: Request) -> dict[str, Answer]:
    """Give the answers to a run's request that count, by key."""
    asked = run.file.policy.approvals
    assert asked is not None
    answers = [*list_standing(run, request), *read_answers(run.entries)]
    acts = Register(run.ledger.engine, run.keys).acts()
    return count_answers(asked, request, answers, acts, find_starter(run.record.facts))


def list_standing(run: DecidedRun, request: Request) -> list[Answer]:
    """Give the answers of earlier runs that stand for this one.

    Those of a run that somebody's withdrawal ended, under the same terms, until the next one is
    handed over or declined. What was signed of a run that ended otherwise, as by a newer one that
    took its place, stands for none: nobody looked at this one.
    """
    now, spent = run.consent.now().isoformat(), ""
    answers: list[Answer] = []
    for other in run.others_of_policy():
        entries = run.ledger.entries(other.run_id)
        earlier = find_request(entries)
        if earlier is None or earlier.said["terms"] != request.said["terms"]:
            continue
        given = read_answers(entries)
        ends = [answer.at for answer in given if not answer.approves]
        if other.verdict != "refused":
            ends += [entry.at for entry in entries if entry.kind == COUNTED]
        elif lost_people(entries):
            answers += [one for one in given if one.signed.request.until >= now]
        spent = max([spent, *ends])
    return [answer for answer in answers if answer.at > spent]


def lost_people(entries: Iterable[Entry]) -> bool:
    """Whether a run was refused because somebody of its people may not be used any more."""
    decided = [entry.body for entry in entries if entry.kind == "decision"][-1:]
    return any(isinstance(body, dict) and body.get("check") == LEGAL_BASIS for body in decided)
