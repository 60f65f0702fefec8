"""A bundle, read by somebody who has nothing else: each byte of it is accounted for.

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
from collections.abc import Iterator, Mapping
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
CHECKPOINT: Final = "checkpoint.json"
APPROVAL: Final = "approval-"
RECEIPT: Final = re.compile(r"report-(.*)-receipt\.json")
TOLD: Final = ("run", "policy", "policy_sha256", "policy_files", "code", "started", "verdict")
"""What the manifest says of its run, each in words."""
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
    parts = {MANIFEST, EVIDENCE, CHECKPOINT}
    return name in parts or name.startswith(APPROVAL) or _is_receipt(name)


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
    if (manifest.get("type"), manifest.get("version")) != ("tutela.bundle", 1):
        raise UsageError("this bundle is of another version: use a newer tutela")
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
    _check_receipts(members, manifest, own, found)
    _check_approvals(members, manifest, own, found)
    _check_rest(members, manifest, own, found)
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


def _check_receipts(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str, found: Findings
) -> None:
    approved = _list_approved(members)
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
        for one in approvals:
            where = f"approval by {quote(one['key'])} in {name}"
            if one["statement"] is None:
                found.beside.append(f"{where}: given to an earlier run, and not in this bundle")
            elif (one["key"], one["statement"]) not in approved:
                found.differ("receipts", where, "what this key signed to approve", "nothing")


def _is_named(one: object) -> bool:
    """Whether it names a key, and the digest of what that signed, or nothing."""
    if not isinstance(one, dict):
        return False
    return isinstance(one.get("key"), str) and isinstance(one.get("statement", 0), str | None)


def _list_approved(members: Mapping[str, bytes]) -> set[tuple[str, str]]:
    """Give who signed to approve: the key, and the digest of the statement."""
    found: set[tuple[str, str]] = set()
    for name in (name for name in members if name.startswith(APPROVAL)):
        said = _load(members[name])
        key = read_signed(said)
        if key is not None and said["statement"].get("answer") == "approve":
            text = _write(said["statement"])
            found.add((key, hashlib.sha256(text.encode()).hexdigest()))
    return found


def _write(said: object) -> str:
    """Write JSON in the one form that is signed (RFC 8785, for what these files say)."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_approvals(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str, found: Findings
) -> None:
    # The home's keys sign all else: what people were asked is all that it cannot make up.
    expected = {**manifest, "home": own, "of": "hand-over"}
    for name in members:
        if name.startswith(APPROVAL):
            said = _load(members[name])
            if read_signed(said) is None:
                found.differ("approvals", name, "a signature of its key", "none")
                continue
            for part in ("of", "home", "run", "policy", "policy_sha256", "code"):
                about = said["request"].get(part)
                found.compare("approvals", f"{part} of {name}", expected[part], about)


def _check_rest(
    members: Mapping[str, bytes], manifest: Mapping[str, Any], own: str, found: Findings
) -> None:
    policy = members.get("policy.yaml", b"") + manifest["policy_files"].encode(errors="replace")
    there = hashlib.sha256(policy).hexdigest()
    found.compare("policy.yaml", "policy_sha256", manifest["policy_sha256"], there)
    evidence = _load(members.get(EVIDENCE, b""))
    told = evidence if isinstance(evidence, dict) else {}
    for part, name in (("run", "run_id"), ("policy", "policy"), ("verdict", "verdict"),
                       ("policy_sha256", "policy_sha256"), ("code", "code")):  # fmt: skip
        found.compare(EVIDENCE, name, manifest[part], told.get(name))
    if CHECKPOINT in members:
        found.compare("checkpoint", "its key", own, _read_checkpoint(members[CHECKPOINT]))


def _read_checkpoint(content: bytes) -> str | None:
    """Give the key that signed a checkpoint; None where none did."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    said = _load(content)
    try:
        signature = bytes.fromhex(said.pop("signature"))
        key = str(said["key"])
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(signature, _write(said).encode())
    except (
        InvalidSignature, ValueError, TypeError, KeyError, AttributeError, RecursionError,
    ):  # fmt: skip
        return None
    return key


def _load(content: bytes) -> Any:  # noqa: ANN401  # whatever JSON says
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
