"""Approval of a policy: a change that is not plainly better for people is signed before a run.

What counts as approved is the text of the policy's last run that was handed over; whose signatures
a change needs is what that text says, so that nobody takes four eyes out by editing the file. It
knows a policy by its name: under another name it is another policy, which nobody has approved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from expectations.changes.policies import compare_policies
from expectations.errors import PolicyError, UsageError
from expectations.policy.approvals import Approvals
from expectations.policy.policy import Policy
from expectations.policy.spans import read_span
from expectations.policy_file import PolicyFile
from ledgers.checkpoints import Said, public_key
from ledgers.evidence import JSON, EvidenceLedger
from ledgers.home.keys import Keys
from ledgers.people.register import Register
from ledgers.people.starts import list_kept
from ledgers.people.statement import Request, Signed
from tasks.handover.recorded_policy import read_recorded

BETTER: Final = frozenset({"stronger", "other"})
"""Directions of a change that nobody is asked about: people lose nothing by it."""


def find_approved(ledger: EvidenceLedger, name: str) -> tuple[str, Policy] | None:
    """Give run and policy that were handed over last under a name; None where none was.

    Raises UsageError where this version cannot read that policy.
    """
    for run in reversed(ledger.runs()):
        if run.policy == name and run.verdict == "passed":
            try:
                return run.run_id, read_recorded(run).read_whole()
            except PolicyError:
                raise UsageError(
                    f"the policy of run {run.run_id}, the last that was handed over, cannot be "
                    "read by this version, so that nobody knows what changed since"
                ) from None
    return None


def find_rule(before: Policy | None, now: Policy) -> Approvals | None:
    """Give the rule by which a change is approved: that of the earlier text, if it has one."""
    for policy in (before, now):
        if policy is not None and policy.approvals and "policy" in policy.approvals.of:
            return policy.approvals
    return None


def list_asked(before: Policy | None, now: Policy) -> list[str]:
    """Say which changes people are asked about; all of a policy that was never handed over."""
    if before is None:
        return ["nothing of this policy was handed over before"]
    return [
        f"{one.path}: {one.words} ({one.direction})"
        for one in compare_policies(before, now)
        if one.direction not in BETTER
    ]


def ask_policy(keys: Keys, ledger: EvidenceLedger, file: PolicyFile) -> Request:
    """Give the request to approve a policy as it is written; UsageError where nobody is asked."""
    approved = find_approved(ledger, file.policy.name)
    before = approved[1] if approved else None
    now = file.read_whole()
    rule, changes = find_rule(before, now), list_asked(before, now)
    if rule is None or not changes:
        raise UsageError(f"{file.policy.name} can run as it is: nobody has to approve its text")
    valid = read_span(rule.valid)
    assert valid is not None, "the grammar asks for hours or days"
    more: dict[str, Said] = {
        "policy": file.policy.name, "policy_sha256": file.sha256,
        "after": approved[0] if approved else "", "changes": [*changes],
        "quorum": rule.quorum, "by": [*rule.by],
    }  # fmt: skip
    until = (datetime.now(UTC) + valid).isoformat()
    return Request.about("policy", public_key(keys), until, **more)


def refuse_unapproved_policy(
    keys: Keys, ledger: EvidenceLedger, file: PolicyFile
) -> dict[str, JSON]:
    """Raise UsageError unless enough people signed a policy's changes; give what they signed."""
    approved = find_approved(ledger, file.policy.name)
    before = approved[1] if approved else None
    now = file.read_whole()
    rule, changes = find_rule(before, now), list_asked(before, now)
    if rule is None or not changes:
        return {}
    enrolled = Register(ledger.engine, keys).enrolled().keys
    after = approved[0] if approved else ""
    counted = count_signed(rule, list_kept(keys, file.policy.name), file.sha256, after, enrolled)
    if len(counted) < rule.quorum:
        listed = "\n".join(f"  {change}" for change in changes)
        raise UsageError(
            f"{len(counted)} of {rule.quorum} people approve this text of {file.policy.name}, "
            f"which changes:\n{listed}\nLook and sign: tutela approve {file.path} --key FILE"
        )
    return {"policy_approvals": [cast("JSON", one.to_said()) for one in counted.values()]}


def count_signed(
    rule: Approvals, signed: Sequence[Signed], sha256: str, after: str,
    enrolled: Mapping[str, object],
) -> dict[str, Signed]:  # fmt: skip
    """Give the approvals of one text that count now, by key."""
    now = datetime.now(UTC).isoformat()
    return {
        one.key.fingerprint: one
        for one in signed
        if (one.request.said.get("policy_sha256"), one.request.said.get("after")) == (sha256, after)
        and one.request.until >= now
        and one.statement.answer == "approve"
        and one.key.fingerprint in rule.by
        and one.key.fingerprint in enrolled
    }
