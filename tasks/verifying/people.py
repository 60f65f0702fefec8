"""What people signed, checked anew: who may sign, by whose word, and whether enough did.

It reads requests, statements and signatures from the rows as they lie there. It does not know who
a key's person is, nor whether they looked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from expectations.changes.policies import compare_policies
from tasks.verifying.findings import Findings
from tasks.verifying.goods import list_claims
from tasks.verifying.sshsig import fingerprint, read_signed

if TYPE_CHECKING:
    from expectations.policy.policy import Policy
    from ledgers.evidence import Entry

Row = Mapping[str, Any]
SIGNERS: Final = "signers"
APPROVALS: Final = "approvals"
TELLING: Final = frozenset(("approval", "approvals", "decision", "request"))
"""The kinds of entries that tell what people signed of a run, and what became of it."""
CHANGES: Final = {"enrolled": "enrol", "retired": "retire", "lost": "lose"}
UNASKED: Final = ("stronger", "other")
"""Directions of a policy's change about which nobody is asked."""
TERMS: Final = ("of", "home", "policy", "policy_sha256", "code", "outlets", "terms")
"""What two requests have in common where an approval of one stands for the other.

The digest `terms` alone would be the word of whoever wrote it.
"""


@dataclass(slots=True)
class People:
    """The keys that count, as the register is replayed; moments are as on record."""

    home: str = ""
    """The public key of its checkpoints, in hex: what was signed for another home counts not."""
    first: list[str] = field(default_factory=list)
    enrolled: dict[str, str] = field(default_factory=dict)
    """Since when, by fingerprint."""
    ended: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """From when to when a key counted, and how it ended."""
    recovery: str = ""

    def counts(self, key: str, at: str, now: str) -> bool:
        """Whether a key's word of some moment counted at a later one."""
        if key in self.enrolled:
            return self.enrolled[key] <= at
        since, until, how = self.ended.get(key, ("", "", ""))
        return since <= at < until and (how == "retired" or now < until)


def check_register(
    rows: Sequence[Row], pinned: Collection[str], home: str, found: Findings
) -> People:
    """Replay a home's register of keys; `pinned` are those that whoever verifies expects first."""
    people, changed = People(home), False
    for row in rows:
        key, what, name = fingerprint(str(row["key"])), str(row["what"]), f"act {row['seq']}"
        found.compared[f"{SIGNERS} acts"] += 1
        if what in CHANGES:
            changed = True
            if not _is_signed(people, row):
                found.differ(SIGNERS, name, "signed by a majority of the enrolled", "it is not")
        elif changed or (what == "pinned" and key in people.first):
            found.differ(SIGNERS, name, "an act that others signed", "a key pinned later on")
        if what == "recovery":
            people.recovery = key
        elif what in {"pinned", "enrolled"}:
            people.enrolled[key] = str(row["at"])
            if what == "pinned":
                people.first.append(key)
        elif key in people.enrolled:
            people.ended[key] = (people.enrolled.pop(key), str(row["at"]), what)
    if pinned:
        told = " ".join(sorted(pinned))
        found.compare(SIGNERS, "first keys", told, " ".join(sorted(people.first)))
    elif rows:
        found.beside.append(
            "the first keys of people are the home's own word: compare them by --signers FILE"
        )
    return people


def _is_signed(people: People, row: Row) -> bool:
    approve = set()
    for said in json.loads(str(row["signed"])):
        key = read_signed(said)
        request = said.get("request") if isinstance(said, dict) else None
        if key is None or not isinstance(request, dict):
            return False
        same = request.get("of") == "keys" and request.get("change") == CHANGES[str(row["what"])]
        same &= request.get("key") == row["key"] and request.get("after") == row["seq"] - 1
        same &= request.get("home") == people.home
        if same and said["statement"].get("answer") == "approve" and request["until"] >= row["at"]:
            approve.add(key)
    counted = approve & people.enrolled.keys()
    return people.recovery in approve or len(counted) > len(people.enrolled) // 2


def check_approvals(  # noqa: PLR0913, PLR0917  # the record of one run, and of people
    policy: Policy | None, run_id: str, facts: Row, entries: Sequence[Entry],
    earlier: Sequence[Entry], people: People, found: Findings,
) -> None:  # fmt: skip
    """Hold a run that handed over against its policy; `earlier` are its policy's other entries."""
    asked = policy.approvals if policy else None
    for entry in entries:
        if entry.kind in {"approval", "carried"}:
            found.compared["signatures of people"] += 1
            if read_signed(entry.body) != entry.name:
                found.differ(APPROVALS, entry.name, "a signature of this key", "none", run_id)
    began = [entry.at for entry in entries if entry.kind == "intent"]
    if policy is None or asked is None or "hand-over" not in asked.of or not began:
        return
    found.compared["runs that needed approval"] += 1
    requests = [e.body for e in entries if e.kind == "request" and isinstance(e.body, dict)]
    counted = [e.body for e in entries if e.kind == "approvals" and isinstance(e.body, list)]
    if not requests or not counted:
        found.differ(APPROVALS, run_id, f"{asked.quorum} approvals", "none", run_id)
        return
    request: Row = requests[-1]
    own = [] if any(map(_declines, entries)) else entries
    approve = {
        str(entry.name)
        for entry in (*_standing(earlier, request, began[0]), *own)
        if entry.kind == "approval" and _approves(entry, request, people, began[0])
    }
    counts = approve & set(asked.by) & set(map(str, counted[-1]))
    here = {str(entry.name) for entry in entries if entry.kind in {"approval", "carried"}}
    for key in sorted(counts - here):
        found.differ(APPROVALS, key, "a copy of what it signed", "none", run_id)
    _check_shown(policy, run_id, facts, entries, request, people, found)
    if asked.not_by is not None:
        starter = _find_starter(facts, people)
        if not starter:
            found.differ(APPROVALS, run_id, "a signed start", "none that counts", run_id)
        counts.discard(starter)
    if len(counts) < asked.quorum:
        have = f"{len(counts)} that count"
        found.differ(APPROVALS, run_id, f"{asked.quorum} approvals", have, run_id)


def _check_shown(  # noqa: PLR0913, PLR0917  # the record of one run, and what people were told
    policy: Policy, run_id: str, facts: Row, entries: Sequence[Entry], request: Row,
    people: People, found: Findings,
) -> None:  # fmt: skip
    """Hold what people were asked against what left: else they signed for something else."""
    asked = policy.approvals
    assert asked is not None, "only such a policy asks"
    claims = list_claims(policy, entries)
    outlets = [
        {"name": name, "kind": one.kind, "recipient": one.recipient, "claim": claims[name]}
        for name, one in policy.outlets.items()
    ]
    there = {
        "of": "hand-over", "home": people.home, "run": run_id, "policy": policy.name,
        "policy_sha256": facts.get("policy_sha256"), "code": facts.get("code"),
        "outlets": outlets, "quorum": asked.quorum, "by": [*asked.by],
        "starter": _find_starter(facts, people),
    }  # fmt: skip
    for name, value in there.items():
        found.compare(APPROVALS, f"the request's {name}", value, request.get(name), run_id)
    bodies: list[Any] = [entry.body for entry in entries if entry.kind == "check"]
    checks, told = (
        sorted((str(one.get("name")), str(one.get("verdict"))) for one in some)
        for some in (bodies, request.get("checks") or [])
    )
    found.compare(APPROVALS, "the request's checks", checks, told, run_id)


def _find_starter(facts: Row, people: People) -> str:
    """Give the key that signed the start of a run; empty where none did that counts."""
    said: Any = facts.get("start")
    key, about = read_signed(said), said["request"] if isinstance(said, dict) else {}
    here = ("start", people.home, facts.get("policy_sha256"))
    same = (about.get("of"), about.get("home"), about.get("policy_sha256")) == here
    return key if key and same and said["statement"].get("answer") == "approve" else ""


def _standing(earlier: Sequence[Entry], request: Row, now: str) -> Iterator[Entry]:
    """Give the entries of runs that withdrawals ended, since these terms last left, or could not.

    What people signed of a run stands for another in no other case.
    """
    said: dict[str, list[Entry]] = {}
    for entry in earlier:
        said.setdefault(entry.run_id, []).append(entry)
    withdrawn: list[Entry] = []
    ends = [""]
    for entries in said.values():
        about: Any = next((e.body for e in entries if e.kind == "request"), {})
        if about.get("terms") != request.get("terms"):
            continue
        ended: Any = next((e for e in reversed(entries) if e.kind == "decision"), None)
        if ended is None or ended.name != "refused":
            ends += [e.at for e in entries if e.kind == "approvals"]
        elif isinstance(ended.body, dict) and ended.body.get("check") == "legal basis":
            withdrawn += entries
        ends += [e.at for e in entries if _declines(e)]
    last = max(at for at in ends if at <= now)
    yield from (entry for entry in withdrawn if entry.at > last)


def _declines(entry: Entry) -> bool:
    body: Any = entry.body
    return entry.kind == "approval" and (
        read_signed(body) is not None and body["statement"].get("answer") == "decline"
    )


def _approves(entry: Entry, request: Row, people: People, now: str) -> bool:
    body: Any = entry.body
    key = read_signed(body)
    if key is None or key != entry.name or body["statement"].get("answer") != "approve":
        return False
    about, accepts = body["request"], set(request.get("accepts") or [])
    same = about == request or (
        all(about.get(name) == request.get(name) for name in TERMS)
        and accepts <= set(about.get("accepts") or [])
        and _list_doubts(request) <= _list_doubts(about)
    )
    same &= bool(body["statement"].get("reason")) or not accepts
    in_time = entry.at <= now <= str(about.get("until"))
    return same and in_time and people.counts(key, entry.at, now)


def _list_doubts(request: Row) -> set[tuple[str, str]]:
    """Name the checks of a request that did not pass: who saw them signed for no others."""
    checks = [one for one in request.get("checks") or [] if isinstance(one, dict)]
    told = {(str(one.get("name")), str(one.get("verdict"))) for one in checks}
    return {one for one in told if one[1] != "passed"}


def check_policy(  # noqa: PLR0913, PLR0917  # two texts, and the record of one run
    before: tuple[str, Policy] | None, policy: Policy, run_id: str, facts: Row, started: str,
    people: People, found: Findings,
) -> None:  # fmt: skip
    """Hold a policy against that of the run that was handed over before: changes are signed."""
    after, earlier = before or ("", None)
    rules = [p.approvals for p in (earlier, policy) if p is not None and p.approvals]
    rule = next((rule for rule in rules if "policy" in rule.of), None)
    if rule is None:
        return
    changes = [] if earlier is None else compare_policies(earlier, policy)
    if earlier is not None and all(one.direction in UNASKED for one in changes):
        return
    found.compared["policies that needed approval"] += 1
    here = {
        "of": "policy", "home": people.home, "policy": policy.name, "after": after,
        "policy_sha256": facts.get("policy_sha256"),
    }  # fmt: skip
    approve = {
        key
        for said in facts.get("policy_approvals") or []
        if (key := read_signed(said)) and said["statement"].get("answer") == "approve"
        and here.items() <= {name: said["request"].get(name) for name in here}.items()
        and str(said["request"].get("until")) >= started
        and key in rule.by and people.counts(key, started, started)
    }  # fmt: skip
    if len(approve) < rule.quorum:
        have = f"{len(approve)} that count"
        found.differ(APPROVALS, "the policy's text", f"{rule.quorum} approvals", have, run_id)


def read_pinned(text: str) -> list[str]:
    """Name the keys of a file in OpenSSH's form, of public keys or of allowed signers."""
    found = []
    for line in text.splitlines():
        words = line.split()
        for place, word in enumerate(words[:-1]):
            if word.startswith(("ssh-", "sk-", "ecdsa-")):
                found.append(fingerprint(f"{word} {words[place + 1]}"))
                break
    return found
