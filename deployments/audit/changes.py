"""What changed from one run to another: of the policy, the code, the consent and the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from deployments.terminal import Answer, wrap
from expectations.changes.policies import compare_policies
from expectations.errors import UsageError

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.account.published import Summary

SHOWN = ("privacy.epsilon", "privacy.lifetime_epsilon", "utility.auc", "privacy.membership_auc")


def describe_between(home: Home, keys: Keys, old: str, new: str) -> Answer:
    """Say what differs between two runs on record; UsageError for a policy that is not read."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database
    from tasks.account.audit import read_policy_text, sum_up

    ledger = EvidenceLedger(open_database(home), keys)
    runs = [ledger.find(prefix) for prefix in (old, new)]
    told = [sum_up(ledger, run) for run in runs]
    texts = [read_policy_text(str(run.facts.get("policy_text")), run.policy) for run in runs]
    if told[0] is None or told[1] is None or texts[0] is None or texts[1] is None:
        raise UsageError("this version of tutela cannot read the policy of both runs")
    before, after = told[0], told[1]
    changes = [] if texts[0] == texts[1] else compare_policies(texts[0], texts[1])
    facts = list_facts(before, after)
    found: dict[str, object] = {
        "from": before.run_id,
        "to": after.run_id,
        "policy": [{"path": one.path, "said": one.words, "for_people": one.direction}
                   for one in changes],
        "facts": [{"what": what, "from": was, "to": now} for what, was, now in facts],
    }  # fmt: skip
    lines = [f"From run {before.run_id} to run {after.run_id}", "", "The policy"]
    for one in changes:
        lines += wrap(f"{one.direction}: {one.path}: {one.words}", "  ", "    ")
    lines += [] if changes else ["  is the same"]
    lines += ["", "Everything else"]
    for what, was, now in facts:
        lines += wrap(f"{what}: {was} → {now}", "  ", "    ")
    lines += [] if facts else ["  is the same"]
    return Answer(cast("dict[str, JSON]", found), lines)


def list_facts(before: Summary, after: Summary) -> list[tuple[str, str, str]]:
    """Give what differs of two runs, each with how it was and is."""
    told = [
        ("code", before.code or "not recorded", after.code or "not recorded"),
        ("verdict", before.verdict, after.verdict),
        ("consent as known at", _known(before), _known(after)),
    ]
    figures = [{one.label: one.text for one in run.people} for run in (before, after)]
    told += [
        (f"people {label}", figures[0].get(label, "not told"), figures[1].get(label, "not told"))
        for label in dict.fromkeys([*figures[0], *figures[1]])
    ]
    told += [(name, _figure(before, name), _figure(after, name)) for name in SHOWN]
    checks = [{one.name: str(one.verdict) for one in run.checks} for run in (before, after)]
    told += [
        (f"check {name}", checks[0].get(name, "not made"), checks[1].get(name, "not made"))
        for name in dict.fromkeys([*checks[0], *checks[1]])
    ]
    return [one for one in told if one[1] != one[2]]


def _known(run: Summary) -> str:
    return run.history.known_at[:19] if run.history else "no ledger"


def _figure(run: Summary, name: str) -> str:
    value = run.measures.get(name)
    return "not measured" if value is None else f"{value:.3g}"
