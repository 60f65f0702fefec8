"""Bundles by somebody who signs them with keys of their own: no run is needed.

They have the fewest parts, each in its form; what is off is put in by who uses them.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledgers.people.signature import public_of, sign
from tasks.handover import bundle

PRIVATE, PERSON, OTHER, STARTER = (
    Ed25519PrivateKey.from_private_bytes(one * 32) for one in (b"k", b"p", b"o", b"s")
)
KEY = PRIVATE.public_key().public_bytes_raw().hex()
POLICY = b"name: p\n"
SHA = hashlib.sha256(POLICY).hexdigest()
MANIFEST, IN_TOTO = "application/vnd.tutela.bundle+json", "application/vnd.in-toto+json"
RECEIPT = "report-clinic-receipt.json"
NOW, LATER = "2026-12-02T00:00:00+00:00", "2026-12-09T00:00:00+00:00"
ABSENT = object()
Parts = dict[str, Any]


def write(said: object) -> bytes:
    """Write JSON in the form that is signed."""
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def seal(kind: str, said: object, private: Ed25519PrivateKey = PRIVATE) -> bytes:
    """Put something into a signed envelope."""
    return seal_bytes(kind, write(said), private)


def seal_bytes(kind: str, payload: bytes, private: Ed25519PrivateKey = PRIVATE) -> bytes:
    """Put bytes into a signed envelope."""
    over = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    key, signature = private.public_key().public_bytes_raw().hex(), private.sign(over)
    return arm(kind, payload, key, signature)


def arm(kind: str, payload: bytes, key: str, signature: bytes) -> bytes:
    """Write an envelope in its one form."""
    signatures = [{"keyid": key, "sig": b64encode(signature).decode()}]
    said = {"payload": b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}
    return json.dumps(said, sort_keys=True, indent=1).encode() + b"\n"


def digest(said: object) -> str:
    """Digest what is signed."""
    return hashlib.sha256(write(said)).hexdigest()


def name(person: Ed25519PrivateKey) -> str:
    """Give the fingerprint of somebody's key."""
    return public_of(person).fingerprint


def answer(request: Parts, person: Ed25519PrivateKey, said: str = "approve", **more: Any) -> Parts:
    """Let somebody sign what they say of a request, whatever that is."""
    statement = {
        "type": "tutela.statement", "version": 1, "request": digest(request), "answer": said,
        "key": name(person), "at": NOW, "reason": "", **more,
    }  # fmt: skip
    return {
        "type": "tutela.signed", "version": 1, "request": request, "statement": statement,
        "key": public_of(person).line, "signature": sign(write(statement), person),
    }  # fmt: skip


def ask(of: str, **more: Any) -> Parts:
    """Make a request of the home."""
    asked = {"type": "tutela.request", "version": 1, "of": of, "home": KEY, "until": LATER}
    return {**asked, **more}


TEXT = {"policy": "p", "policy_sha256": SHA}
RULE = {"quorum": 1, "by": [name(PERSON), name(OTHER)]}
CHECKS: list[Parts] = [
    {"name": "k-anonymity", "verdict": "passed", "asked": "3", "measured": "4"},
    {"name": "drift", "verdict": "warned", "asked": "none", "measured": "some"},
]
TOLD = {"kind": "table", "recipient": "A clinic", "claim": "3-anonymous"}
BASIS = {"controller": "A hospital", "purpose": "research", "legal_basis": ["consent"]}
POINT = {"chain": "c" * 32, "number": 4, "digest": "d" * 64}


def of_text(person: Ed25519PrivateKey = OTHER, **more: Any) -> Parts:
    """Let somebody approve the policy's text."""
    asked = {**TEXT, **RULE, "after": "", "changes": ["all"], **more}
    return answer(ask("policy", **asked), person)


def say() -> Parts:
    """Give all that a bundle says, by its parts, of which no two share a list."""
    run = {**TEXT, "code": "tutela"}
    request = ask(
        "hand-over", **run, run="r", **RULE, checks=CHECKS, outlets=[{"name": "clinic", **TOLD}],
        terms="0" * 64, accepts=[], people=[["used", "480"]], changes=[], starter=name(STARTER),
    )  # fmt: skip
    approval = answer(request, PERSON)
    found = [{**one, "power": "every row", "outlet": None} for one in CHECKS]
    told = [{**one, "reached": one["measured"]} for one in found]
    for one in told:
        del one["measured"]
    parts = {
        "evidence": {
            **run, **BASIS, "run_id": "r", "started_at": NOW, "verdict": "passed",
            "consent_snapshot": "e" * 64, "checks": found, "title": "beside",
            "outlets": [
                {"name": "clinic", **TOLD, "limits": "not more", "release": {"digest": "f" * 64}}
            ],
        },
        "request": request,
        "start": answer(ask("start", **TEXT), STARTER),
        "approval": approval,
        "text": of_text(),
        "receipt": {
            "_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:tutela:receipt:1",
            "subject": [{"name": "p.clinic", "digest": {"sha256": "f" * 64}}],
            "predicate": {
                **run, **BASIS, **TOLD, "run": "r", "started": NOW, "outlet": "clinic",
                "limits": "not more", "consent": "e" * 64, "checks": told,
                "approvals": [{"key": name(PERSON), "statement": digest(approval["statement"])}],
                "checkpoint": {**POINT, "number": 2},
            },
        },
        "manifest": {
            **run, "type": "tutela.bundle", "version": 2, "run": "r", "started": NOW,
            "policy_files": "", "verdict": "passed", "checkpoint": POINT,
        },
    }  # fmt: skip
    return {one: deepcopy(part) for one, part in parts.items()}


def lay_out(said: Parts) -> dict[str, bytes]:
    """Give the members beside the manifest."""
    return {
        "policy.yaml": POLICY,
        "evidence.json": json.dumps(said["evidence"]).encode(),
        "request.json": write(said["request"]) + b"\n",
        "start.json": write(said["start"]) + b"\n",
        "approval-1.json": write(said["approval"]) + b"\n",
        "policy-approval-1.json": write(said["text"]) + b"\n",
        RECEIPT: seal(IN_TOTO, said["receipt"]),
    }


def make(said: Parts, **more: bytes | None) -> bytes:
    """Make a bundle of what it says, with other members, or without those that are None."""
    members = {one: body for one, body in {**lay_out(said), **more}.items() if body is not None}
    return bind(said["manifest"], members)


def bind(manifest: Any, members: dict[str, bytes]) -> bytes:
    """Make a bundle of members, whose digests go into the manifest."""
    if isinstance(manifest, dict):
        files = {one: hashlib.sha256(body).hexdigest() for one, body in members.items()}
        manifest = {"files": files, **manifest}
    return bundle.pack_members({**members, "manifest.json": seal(MANIFEST, manifest)})


def places(said: object, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each value."""
    if above:
        yield above
    listed = enumerate(said) if isinstance(said, list) else ()
    for part, value in said.items() if isinstance(said, dict) else listed:
        yield from places(value, (*above, part))


def put(said: Parts, place: tuple[Any, ...], value: Any) -> Parts:
    """Say something else at a place, or nothing."""
    changed = deepcopy(said)
    part: Any = changed
    for one in place[:-1]:
        part = part[one]
    if value is ABSENT:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return changed


def approve(said: Parts, approval: Parts) -> Parts:
    """Let the receipt name what somebody signed, as who has the home's key can."""
    place = ("receipt", "predicate", "approvals", 0, "statement")
    return put({**said, "approval": approval}, place, digest(approval["statement"]))


def sign_anew(said: Parts) -> Parts:
    """Let people sign the request as it is, so that nothing but what it says is off."""
    return approve(said, answer(said["request"], PERSON))
