"""A bundle, read by somebody who has nothing else: all but the manifest's envelope to the byte.

It is taken apart by the layout of a zip in its one form and not by a library that is lenient; what
is not in that form is refused before anything of it is believed. Shares no code with what writes
bundles. It does not know whether the key is the one of whom it should be, unless somebody says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from expectations.errors import UsageError
from tasks.verifying.findings import Findings, quote
from tasks.verifying.people import read_signed
from tasks.verifying.receipts import PREDICATE, STATEMENT

LONGEST: Final = 1 << 26
"""Bytes of a bundle, 64 MiB: reports of the largest examples have a few."""
MOST: Final = 200
"""Members of a bundle."""
LONGEST_JSON: Final = 1 << 22
"""Bytes of a member that is read as JSON, 4 MiB: its values need up to twenty times as much."""
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
REQUEST: Final = "request.json"
START: Final = "start.json"
APPROVAL: Final = "approval-"
OF_TEXT: Final = "policy-approval-"
RECEIPT: Final = re.compile(r"report-(.*)-receipt\.json")
ABOUT: Final = ("home", "policy", "policy_sha256")
"""What all that people sign of a run names."""
TERMS: Final = ("terms", "outlets")
"""What else is the same where an approval of an earlier run counts."""
SHA256: Final = re.compile("([0-9a-f]{64})?")
TOLD: Final = ("run", "policy", "policy_sha256", "policy_files", "code", "started", "verdict")
"""What the manifest says of its run, each in words."""
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
        if len(body) > LONGEST_JSON and _is_read(name):
            _refuse(path, f"{name} has more than {LONGEST_JSON >> 20} MiB")
    return members


def _is_read(name: str) -> bool:
    """Whether a member is read, and not only compared by its digest."""
    parts = {MANIFEST, EVIDENCE, REQUEST, START}
    return name in parts or name.startswith((APPROVAL, OF_TEXT)) or _is_receipt(name)


def _is_receipt(name: str) -> bool:
    return RECEIPT.fullmatch(name) is not None


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


def check_bundle(members: Mapping[str, bytes], key: str | None, found: Findings) -> dict[str, Any]:
    """Hold a bundle's parts against its manifest and each other; give the manifest.

    `key` is the home's public key in hex, as somebody outside knows it; else the manifest's own is
    taken, and that is said. UsageError for a manifest that is none.
    """
    own, manifest = _open(members[MANIFEST], MANIFEST_KIND)
    if own is None:
        raise UsageError("the manifest of this bundle cannot be read, or was not signed")
    if (manifest.get("type"), manifest.get("version")) != ("tutela.bundle", VERSION):
        raise UsageError(
            f"this bundle is not of version {VERSION}, which alone is read: have the run bundled "
            "anew, or use another tutela"
        )
    files = manifest.get("files")
    if not isinstance(files, dict) or not all(isinstance(manifest.get(one), str) for one in TOLD):
        raise UsageError("the manifest of this bundle lacks something that every manifest has")
    if len(files) > MOST:
        raise UsageError(f"the manifest of this bundle names more than {MOST} files")
    found.compare("the manifest", "its key", key.lower() if key else own, own)
    if key is None:
        found.beside.append(
            "the key is the bundle's own word: compare it with one that you were given, --key HEX"
        )
    for name in sorted({*files, *members} - {MANIFEST}):
        there = hashlib.sha256(members[name]).hexdigest() if name in members else None
        found.compare("files", quote(name), files.get(name), there)
    request = _check_request(members, manifest, own, found)
    counted = _check_approvals(members, manifest, own, request, found)
    _check_receipts(members, manifest, own, (request, counted), found)
    _check_rest(members, manifest, found)
    return manifest


def _open(content: bytes, kind: str) -> tuple[str | None, dict[str, Any]]:
    """Give the key that signed an envelope, and what it says; no key where none did."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        envelope = json.loads(content)
        payload = b64decode(envelope["payload"], validate=True)
        (one,) = envelope["signatures"]
        key = str(one["keyid"])
        if envelope["payloadType"] != kind:
            return None, {}
        over = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(b64decode(one["sig"], validate=True), over)
        said = json.loads(payload)
    except (InvalidSignature, ValueError, TypeError, KeyError, RecursionError):
        return None, {}
    # One spelling of a key: `fromhex` is more lenient than who compares keys.
    plain = isinstance(said, dict) and key == public.public_bytes_raw().hex()
    return (key, said) if plain else (None, {})


def _check_request(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str, found: Findings
) -> Mapping[str, Any]:
    """Hold what people were asked against the run; give it, empty where nobody was asked."""
    if REQUEST not in members:
        return {}
    request = _load(members[REQUEST])
    if not isinstance(request, dict):
        found.differ("approvals", REQUEST, "a request", "something else")
        return {}
    expected = {**manifest, "home": own, "of": "hand-over", "type": "tutela.request", "version": 1}
    _compare(REQUEST, ("type", "version", "of", *ABOUT, "run", "code"), expected, request, found)
    evidence = _load(members.get(EVIDENCE, b""))
    told = evidence.get("checks") if isinstance(evidence, dict) else None
    asked = _list_verdicts(request.get("checks"))
    found.compare("approvals", f"checks of {REQUEST}", _list_verdicts(told), asked)
    return request


def _list_verdicts(checks: object) -> list[str]:
    """Give the checks with their verdicts, in one order; nothing for what lists none."""
    if not isinstance(checks, list) or not all(isinstance(one, dict) for one in checks):
        return []
    return sorted(f"{one.get('name')}: {one.get('verdict')}" for one in checks)


def _check_approvals(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str,
    request: Mapping[str, Any], found: Findings,
) -> set[tuple[str, str]]:  # fmt: skip
    """Hold what people signed against what they were asked; give key and statement of what counts.

    The home's keys sign all else: what people were asked is all that it cannot make up.
    """
    expected = {**manifest, "home": own}
    approved: set[tuple[str, str]] = set()
    starter = _check_start(members, expected, request, found)
    for name in (name for name in members if name.startswith((APPROVAL, OF_TEXT))):
        said = _load(members[name])
        key = read_signed(said)
        if key is None:
            found.differ("approvals", name, "a signature of its key", "none")
            continue
        about, statement = said["request"], said["statement"]
        if name.startswith(OF_TEXT):
            _compare(name, ("of", *ABOUT), {**expected, "of": "policy"}, about, found)
            found.compare("approvals", f"answer in {name}", "approve", statement.get("answer"))
            continue
        _compare(name, ("of", *ABOUT, "code"), {**expected, "of": "hand-over"}, about, found)
        if about != request:
            _check_carried(name, request, about, found)
        if statement.get("answer") == "approve":
            approved.add((key, hashlib.sha256(_write(statement).encode()).hexdigest()))
        elif manifest["verdict"] == "passed":
            found.differ("approvals", name, "nobody who declines", "somebody who does")
    return _check_quorum(manifest, request, starter, approved, found)


def _compare(
    name: str, parts: Iterable[str], expected: Mapping[str, Any], told: Mapping[str, Any],
    found: Findings,
) -> None:  # fmt: skip
    for part in parts:
        found.compare("approvals", f"{part} of {name}", expected[part], told.get(part))


def _check_carried(
    name: str, request: Mapping[str, Any], about: Mapping[str, Any], found: Findings
) -> None:
    """Hold what was signed of an earlier run against what is asked now: no more stands for it."""
    _compare(name, TERMS, {part: request.get(part) for part in TERMS}, about, found)
    for now in sorted(_list_doubts(request) - _list_doubts(about)):
        found.differ("approvals", f"checks of {name}", quote(now), "not shown to this key")


def _list_doubts(request: Mapping[str, Any]) -> set[str]:
    """Name the checks that were shown as not passed."""
    checks = request.get("checks")
    listed = checks if isinstance(checks, list) else []
    doubts = [one for one in listed if isinstance(one, dict) and one.get("verdict") != "passed"]
    return {str(one.get("name")) for one in doubts}


def _check_start(
    members: Mapping[str, bytes], expected: Mapping[str, Any], request: Mapping[str, Any],
    found: Findings,
) -> str:  # fmt: skip
    """Hold the signed start against what people were told of it; give its key, empty for none."""
    key = ""
    if START in members:
        said = _load(members[START])
        key = read_signed(said) or ""
        if not key:
            found.differ("approvals", START, "a signature of its key", "none")
            return key
        _compare(START, ("of", *ABOUT), {**expected, "of": "start"}, said["request"], found)
        found.compare("approvals", f"answer in {START}", "approve", said["statement"].get("answer"))
    if request:
        found.compare("approvals", f"starter of {REQUEST}", key, request.get("starter"))
    return key


def _check_quorum(
    manifest: Mapping[str, Any], request: Mapping[str, Any], starter: str,
    approved: set[tuple[str, str]], found: Findings,
) -> set[tuple[str, str]]:  # fmt: skip
    """Give the approvals that count: of keys that were asked, and not the starter's."""
    by, quorum = request.get("by"), request.get("quorum")
    named = [one for one in by if isinstance(one, str)] if isinstance(by, list) else []
    counted = {one for one in approved if one[0] in named and one[0] != starter}
    keys = {key for key, _ in counted}
    enough = isinstance(quorum, int) and 1 <= quorum <= len(keys)
    if request and manifest["verdict"] == "passed" and not enough:
        found.differ("approvals", "quorum", quorum, f"{len(keys)} that count")
    return counted


def _check_receipts(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str,
    people: tuple[Mapping[str, Any], set[tuple[str, str]]], found: Findings,
) -> None:  # fmt: skip
    request, counted = people
    names = [name for name in members if _is_receipt(name)]
    if names and manifest.get("verdict") != "passed":
        found.differ("receipts", names[0], "none, since the run did not pass", "one")
    for name in names:
        key, said = _open(members[name], RECEIPT_KIND)
        found.compare("receipts", name, own, key)
        predicate = said.get("predicate")
        told = predicate if isinstance(predicate, dict) else {}
        approvals = told.get("approvals")
        if (said.get("_type"), said.get("predicateType")) != (STATEMENT, PREDICATE) or not (
            isinstance(approvals, list) and all(map(_is_named, approvals))
        ):
            found.differ("receipts", name, "a receipt", "something else")
            continue
        outlet = name.removeprefix("report-").removesuffix("-receipt.json")
        expected = {**manifest, "outlet": outlet}
        for part in ("run", "policy", "policy_sha256", "code", "outlet"):
            found.compare("receipts", f"{part} of {name}", expected[part], told.get(part))
        if request:
            _check_asked(request, name, outlet, told, found)
        for one in approvals:
            if (one["key"], one["statement"]) not in counted:
                where = f"approval by {quote(one['key'])} in {name}"
                found.differ("receipts", where, "what this key signed to approve", "nothing")


def _check_asked(
    request: Mapping[str, Any], name: str, outlet: str, told: Mapping[str, Any], found: Findings
) -> None:
    """Hold what a receipt says to whom something went against what people were asked."""
    outlets = request.get("outlets")
    listed = outlets if isinstance(outlets, list) else []
    asked: Any = next(
        (one for one in listed if isinstance(one, dict) and one.get("name") == outlet), {}
    )
    for part in ("kind", "recipient", "claim"):
        where = f"{part} of {name}, as people were asked"
        found.compare("receipts", where, asked.get(part), told.get(part))


def _is_named(one: object) -> bool:
    """Whether it names a key, and the digest of what that signed."""
    if not isinstance(one, dict):
        return False
    return isinstance(one.get("key"), str) and isinstance(one.get("statement"), str)


def _write(said: object) -> str:
    """Write JSON in the one form that is signed (RFC 8785, for what these files say)."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_rest(members: Mapping[str, bytes], manifest: Mapping[str, Any], found: Findings) -> None:
    policy = members.get("policy.yaml", b"") + manifest["policy_files"].encode(errors="replace")
    there = hashlib.sha256(policy).hexdigest()
    found.compare("policy.yaml", "policy_sha256", manifest["policy_sha256"], there)
    # Any other text would let the end of the policy's own lie in it, where nobody reads it.
    if not SHA256.fullmatch(manifest["policy_files"]):
        found.differ("policy.yaml", "policy_files", "a SHA-256, or nothing", "something else")
    evidence = _load(members.get(EVIDENCE, b""))
    told = evidence if isinstance(evidence, dict) else {}
    for part, name in (("run", "run_id"), ("policy", "policy"), ("verdict", "verdict"),
                       ("policy_sha256", "policy_sha256"), ("code", "code")):  # fmt: skip
        found.compare(EVIDENCE, name, manifest[part], told.get(name))


def _load(content: bytes) -> Any:  # noqa: ANN401  # whatever JSON says
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
