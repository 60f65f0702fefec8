"""Receipts: for each outlet, what was checked before it left, signed for whoever has it.

A receipt is an in-toto statement (v1) in a DSSE envelope (v1), signed with the key of the home's
checkpoints. Its subject is the package by its digest, over a random number that only the recipient
has: so who holds it can tell whose receipt it is, and nobody else can confirm a guess. Nothing in
it is of one person; counts are as published. A run that was refused has no receipt.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ledgers.checkpoints import Said, public_key, sign_as_home, write_canonical
from ledgers.evidence import JSON, Entry, RunRecord
from ledgers.home.keys import Keys
from tasks.account.published import OutletSummary, Summary
from tasks.handover.approval import APPROVAL, CARRIED, COUNTED

PAYLOAD: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:tutela:receipt:1"
NAME: Final = "receipt.json"


def write_receipts(
    keys: Keys, record: RunRecord, summary: Summary, entries: Sequence[Entry]
) -> dict[str, str]:
    """Give the receipt of each outlet that was handed over, by its name; the same every time."""
    if summary.verdict != "passed":
        return {}
    return {
        outlet.name: seal(
            keys, PAYLOAD, write_canonical(state(record, summary, outlet, digest, entries))
        )
        for outlet, digest in list_packages(summary, entries)
    }


def list_packages(
    summary: Summary, entries: Sequence[Entry]
) -> Iterator[tuple[OutletSummary, str]]:
    """Give each outlet with the digest of what it got; what has none is from an earlier version."""
    shown = [entry.body for entry in entries if (entry.kind, entry.name) == ("mlflow", "run")]
    last = shown[-1] if shown else None
    packages = last.get("packages") if isinstance(last, dict) else None
    models: Mapping[str, JSON] = packages if isinstance(packages, dict) else {}
    for outlet in summary.outlets:
        digest = outlet.release.digest if outlet.release else models.get(outlet.name)
        if outlet.claim and digest:
            yield outlet, str(digest)


def state(
    record: RunRecord, summary: Summary, outlet: OutletSummary, digest: str,
    entries: Sequence[Entry],
) -> dict[str, Said]:  # fmt: skip
    """Give the statement about one outlet's package."""
    checks: list[Said] = [
        {"name": check.name, "asked": check.asked, "reached": check.measured,
         "verdict": str(check.verdict), "power": check.power, "outlet": check.outlet}
        for check in summary.checks
    ]  # fmt: skip
    predicate: dict[str, Said] = {
        "run": summary.run_id, "started": summary.started_at, "code": summary.code,
        "controller": summary.controller, "policy": summary.policy,
        "policy_sha256": summary.policy_sha256, "purpose": summary.purpose,
        "legal_basis": [*summary.legal_basis], "consent": summary.consent_snapshot,
        "outlet": outlet.name, "kind": outlet.kind, "recipient": outlet.recipient,
        "claim": outlet.claim, "limits": outlet.limits, "checks": checks,
        "approvals": list_approvals(entries),
        "checkpoint": record.facts.get("checkpoint"),
    }  # fmt: skip
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{summary.policy}.{outlet.name}", "digest": {"sha256": digest}}],
        "predicateType": PREDICATE,
        "predicate": predicate,
    }


def list_approvals(entries: Sequence[Entry]) -> list[Said]:
    """Name whose approvals counted, each with the digest of what they signed."""
    counted = [entry.body for entry in entries if entry.kind == COUNTED]
    signed = {
        entry.name: hashlib.sha256(write_canonical(entry.body["statement"])).hexdigest()
        for entry in entries
        if entry.kind in {APPROVAL, CARRIED} and isinstance(entry.body, dict)
    }
    keys = counted[-1] if counted and isinstance(counted[-1], list) else []
    return [{"key": str(key), "statement": signed.get(str(key))} for key in keys]


def seal(keys: Keys, kind: str, payload: bytes) -> str:
    """Put what somebody is told into an envelope, and sign it (DSSE v1, Ed25519)."""
    signature = sign_as_home(keys, encode_before(kind.encode(), payload))
    envelope = {
        "payload": b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": public_key(keys), "sig": b64encode(signature).decode()}],
    }
    return json.dumps(envelope, sort_keys=True, indent=1) + "\n"


def encode_before(kind: bytes, payload: bytes) -> bytes:
    """Give what is signed: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
