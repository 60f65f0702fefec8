"""A bundle, read by somebody who has nothing else: every byte of it is accounted for.

It is taken apart by the layout of a zip in its one form and not by a library that is lenient; what
is not in that form is refused before anything of it is believed. Shares no code with what writes
bundles. It does not know whether the key is the one of whom it should be, unless somebody says so.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from expectations.errors import UsageError
from tasks.verifying.bundle_parts import (
    Evidence,
    FoundOutlet,
    HandOver,
    Manifest,
    Predicate,
    Receipt,
    Told,
    say_problem,
)
from tasks.verifying.bundled_people import REQUEST, Counted, check_people, check_request
from tasks.verifying.envelopes import LONGEST as LONGEST_JSON
from tasks.verifying.envelopes import open_envelope, read_json
from tasks.verifying.findings import Findings, quote

LONGEST: Final = 1 << 26
"""Bytes of a bundle, 64 MiB: reports of the largest examples have a few."""
MOST: Final = 200
"""Members of a bundle."""
NAME: Final = re.compile(rb"[a-z][A-Za-z0-9._-]{0,150}")
"""Names of members: in no folder, and nothing that a shell or a system would take otherwise."""
LOCAL: Final = struct.Struct("<4s5H3L2H")
CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
END: Final = struct.Struct("<4s4H2LH")
PRIVATE: Final = 0o600 << 16
"""What the list of members says of each: for its owner alone."""
DATE: Final = 0x21
"""The first of January 1980, in which form zips have it."""
MANIFEST: Final = "manifest.json"
EVIDENCE: Final = "evidence.json"
POLICY: Final = "policy.yaml"
RECEIPT: Final = re.compile(r"report-(.*)-receipt\.json")
READ: Final = re.compile(
    rf"(manifest|evidence|request|start)\.json|(policy-)?approval-.*|{RECEIPT.pattern}"
)
"""What is read, and not only compared by its digest."""
KNOWN: Final = re.compile(r"(evidence|request|start)\.json|policy\.yaml|report[.-].+")
NUMBERED: Final = re.compile(r"(approval|policy-approval)-([1-9][0-9]{0,2})\.json")
LEAVING: Final = ("passed", "warned", "inconclusive")
"""The verdicts of checks with which something may leave."""
VERSION: Final = 2
"""Of the manifest."""
MANIFEST_KIND: Final = "application/vnd.tutela.bundle+json"
RECEIPT_KIND: Final = "application/vnd.in-toto+json"


def read_bundle(path: Path) -> dict[str, bytes]:
    """Give a bundle's members by name; UsageError for a file that is not a bundle in its form."""
    try:
        if not path.is_file():  # nobody waits for the other end of a pipe
            _refuse(path, "it is not a file")
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(content) > LONGEST:
        _refuse(path, f"it has more than {LONGEST >> 20} MiB")
    members: dict[str, bytes] = {}
    try:
        for name, body in _cut(content):
            if name in members:
                _refuse(path, "it has two members of one name")
            members[name] = body
            if len(members) > MOST:
                _refuse(path, f"it has more than {MOST} members")
    except (struct.error, ValueError):
        _refuse(path, "it is not a zip of files that are stored as they are")
    if _build(members) != content:
        _refuse(path, "its members are in another order, or there is more in it than members")
    if MANIFEST not in members:
        _refuse(path, f"it has no {MANIFEST}")
    for name, body in members.items():
        if len(body) > LONGEST_JSON and READ.fullmatch(name):
            _refuse(path, f"{name} has more than {LONGEST_JSON >> 20} MiB")
    return members


def _refuse(path: Path, what: str) -> None:
    raise UsageError(f"{path} is not a bundle: {what}")


def _cut(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Give the members one after the other, as far as their headers say."""
    start = 0
    while content[start : start + 4] == b"PK\3\4":
        *_, packed, size, length, more = LOCAL.unpack_from(content, start)
        name = content[start + LOCAL.size : start + LOCAL.size + length]
        begin = start + LOCAL.size + length + more
        if packed != size or not NAME.fullmatch(name) or begin + size > len(content):
            raise ValueError("not stored as it is, oddly named, or cut off")
        yield name.decode(), content[begin : begin + size]
        start = begin + size


def _build(members: Mapping[str, bytes]) -> bytes:
    """Make the one zip that these members have."""
    listed, place = b"", 0
    parts: list[bytes] = []
    for name in sorted(members):
        body, word = members[name], name.encode()
        sizes = (zlib.crc32(body), len(body), len(body))
        parts += [LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, DATE, *sizes, len(word), 0), word, body]
        listed += CENTRAL.pack(
            b"PK\1\2", 20, 20, 0, 0, 0, DATE, *sizes, len(word), 0, 0, 0, 0, PRIVATE, place
        ) + word  # fmt: skip
        place += LOCAL.size + len(word) + len(body)
    written = b"".join(parts)
    count = len(members)
    return written + listed + END.pack(b"PK\5\6", 0, 0, count, count, len(listed), len(written), 0)


def check_bundle(members: Mapping[str, bytes], key: str | None, found: Findings) -> Manifest:
    """Hold a bundle's parts against its manifest and each other; give the manifest.

    `key` is the home's public key in hex, as somebody outside knows it; else the manifest's own is
    taken, and that is said. UsageError for a manifest that is none.
    """
    told = _open(members)
    found.compare("the manifest", "its key", key.lower() if key else told.home, told.home)
    if key is None:
        found.beside.append(
            "the key is the bundle's own word: compare it with one that you were given, --key HEX"
        )
    _check_files(told, found)
    _check_policy(told, found)
    evidence = _check_evidence(told, found)
    request = check_request(told, evidence, found)
    counted = check_people(told, request, found)
    _check_receipts(told, evidence, request, counted, found)
    return told.manifest


def _open(members: Mapping[str, bytes]) -> Told:
    try:
        envelope = open_envelope(members[MANIFEST], MANIFEST_KIND)
    except ValueError as error:
        raise UsageError(f"the manifest of this bundle proves nothing: {error}") from None
    version = envelope.said.get("version")
    if (envelope.said.get("type"), version) != ("tutela.bundle", VERSION):
        raise UsageError(
            f"this bundle is not of version {VERSION}, which alone is read: have the run bundled "
            "anew, or use another tutela"
        )
    try:
        return Told(members, Manifest.model_validate(envelope.said), envelope.key)
    except ValidationError as error:
        raise UsageError(
            f"the manifest of this bundle is not in its form: {quote(say_problem(error))}"
        ) from None


def _check_files(told: Told, found: Findings) -> None:
    """Hold every member against its digest, and its name against those that a bundle has."""
    files, members = told.manifest.files, told.members
    for name in sorted({*files, *members, POLICY, EVIDENCE} - {MANIFEST}):
        there = hashlib.sha256(members[name]).hexdigest() if name in members else None
        found.compare("files", quote(name), files.get(name, "in the manifest"), there)
    numbers: dict[str, set[int]] = {}
    for name in members.keys() - {MANIFEST}:
        if numbered := NUMBERED.fullmatch(name):
            numbers.setdefault(numbered[1], set()).add(int(numbered[2]))
        elif not KNOWN.fullmatch(name):
            found.differ("files", quote(name), "a name of a bundle's parts", "another")
    for what, seen in numbers.items():
        if seen != {*range(1, len(seen) + 1)}:
            found.differ("files", what, "numbered from 1 on", "one is missing")


def _check_policy(told: Told, found: Findings) -> None:
    policy = told.members.get(POLICY, b"")
    there = hashlib.sha256(policy + told.manifest.policy_files.encode()).hexdigest()
    found.compare(POLICY, "policy_sha256", told.manifest.policy_sha256, there)
    if b"approvals" in policy and REQUEST not in told.members:
        found.beside.append(
            "policy.yaml has the word approvals, and nobody was asked about this run: read there "
            "whether somebody should have been"
        )


def _check_evidence(told: Told, found: Findings) -> Evidence | None:
    try:
        evidence = Evidence.model_validate(read_json(told.members.get(EVIDENCE, b"")))
    except ValueError as error:
        found.differ(EVIDENCE, "its form", "evidence", say_problem(error))
        return None
    manifest = told.manifest
    for part, name in (("run_id", "run"), ("started_at", "started"), ("verdict", "verdict"),
                       ("policy", "policy"), ("policy_sha256", "policy_sha256"),
                       ("code", "code")):  # fmt: skip
        found.compare(EVIDENCE, part, getattr(manifest, name), getattr(evidence, part))
    for check in evidence.checks if manifest.verdict == "passed" else ():
        if check.verdict not in LEAVING:
            where = f"verdict of {quote(check.name)}"
            found.differ(EVIDENCE, where, ", ".join(LEAVING), check.verdict)
    names = [one.name for one in evidence.outlets]
    found.compare(EVIDENCE, "names of outlets", len(names), len({*names}))
    return evidence


def _check_receipts(
    told: Told, evidence: Evidence | None, request: HandOver | None, counted: Counted,
    found: Findings,
) -> None:  # fmt: skip
    """Hold each receipt against all else, and see that each outlet has its own."""
    names = {match[1]: name for name in told.members if (match := RECEIPT.fullmatch(name))}
    leaving = {} if evidence is None or told.manifest.verdict != "passed" else {
        one.name: one for one in evidence.outlets if _has_left(one)
    }  # fmt: skip
    found.compare("receipts", "outlets", sorted(leaving), sorted(names))
    checkpoints = set()
    for outlet, name in sorted(names.items()):
        predicate = _read_receipt(told, name, leaving.get(outlet), found)
        if predicate is None:
            continue
        checkpoints.add(predicate.checkpoint)
        _check_predicate(told, name, predicate, evidence, leaving.get(outlet), found)
        _check_named(name, predicate, request, counted, found)
    if len(checkpoints) > 1:
        found.differ("receipts", "checkpoint", "one of all receipts", "several")


def _has_left(outlet: FoundOutlet) -> bool:
    """Whether something was handed over whose digest may be told."""
    bare = outlet.release is None or outlet.release.digest is None
    return outlet.claim is not None and not (outlet.kind == "table" and bare)


def _read_receipt(
    told: Told, name: str, outlet: FoundOutlet | None, found: Findings
) -> Predicate | None:
    """Read a receipt, and hold its subject against the package of its outlet."""
    try:
        envelope = open_envelope(told.members[name], RECEIPT_KIND)
        receipt = Receipt.model_validate(envelope.said)
    except ValueError as error:
        found.differ("receipts", name, "a receipt", say_problem(error))
        return None
    found.compare("receipts", f"key of {name}", told.home, envelope.key)
    (subject,), predicate = receipt.subject, receipt.predicate
    about = f"{told.manifest.policy}.{predicate.outlet}"
    found.compare("receipts", f"subject of {name}", about, subject.name)
    if outlet is not None and outlet.kind == "table" and outlet.release is not None:
        digest = outlet.release.digest
        found.compare("receipts", f"package of {name}", digest, subject.digest.sha256)
    return predicate


def _check_predicate(  # noqa: PLR0913, PLR0917  # one receipt, and all that it is held against
    told: Told, name: str, predicate: Predicate, evidence: Evidence | None,
    outlet: FoundOutlet | None, found: Findings,
) -> None:  # fmt: skip
    """Hold what a receipt says against manifest and evidence, part by part."""
    match = RECEIPT.fullmatch(name)
    expected: dict[str, object] = {"outlet": match[1] if match else None}
    for part in ("run", "started", "code", "policy", "policy_sha256"):
        expected[part] = getattr(told.manifest, part)
    for part in ("kind", "recipient", "claim", "limits") if outlet is not None else ():
        expected[part] = getattr(outlet, part)
    if evidence is not None:
        for part in ("controller", "purpose", "legal_basis"):
            expected[part] = getattr(evidence, part)
        expected["consent"] = evidence.consent_snapshot
        _check_told(name, predicate, evidence, found)
    for part, value in expected.items():
        found.compare("receipts", f"{part} of {name}", value, getattr(predicate, part))
    last, named = told.manifest.checkpoint, predicate.checkpoint
    if last and named and last.chain == named.chain and (
        named.number > last.number or (named.number == last.number and named != last)
    ):  # fmt: skip
        place = f"checkpoint of {name}"
        found.differ("receipts", place, "at most that of the manifest", named.number)


def _check_told(name: str, predicate: Predicate, evidence: Evidence, found: Findings) -> None:
    """Hold the checks that a recipient is told against those of the evidence, in their order."""
    for there, told in zip_longest([one.to_told() for one in evidence.checks], predicate.checks):
        found.compared["receipts"] += 1
        if there != told:
            expected, said = (one and f"{one.verdict}: {one.reached}" for one in (there, told))
            which = next(quote(one.name) for one in (told, there) if one is not None)
            found.differ("receipts", f"check {which} in {name}", expected, said)


def _check_named(
    name: str, predicate: Predicate, request: HandOver | None, counted: Counted, found: Findings
) -> None:
    """Hold the approvals that a receipt names against those that count."""
    keys = {one.key for one in predicate.approvals}
    for one in predicate.approvals:
        if (one.key, one.statement) not in counted:
            where = f"approval by {one.key} in {name}"
            found.differ("receipts", where, "what this key signed to approve", "nothing")
    found.compare("receipts", f"keys in {name}", len(predicate.approvals), len(keys))
    if request is not None and len(keys) < request.quorum:
        found.differ("receipts", f"keys in {name}", f"{request.quorum} or more", len(keys))
