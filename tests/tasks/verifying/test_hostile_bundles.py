"""Bundles by somebody who signs them with a key of their own: judged in words, and alike by both.

No run is needed: they are made here, of the fewest parts.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deployments.verify.screen import verify_bundle
from ledgers.people.signature import public_of, sign
from tasks.handover import bundle
from tests.tasks.verifying.test_bundles import judge, judge_again, second, zipped

__all__ = ["second"]
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PERSON, OTHER, STARTER = (
    Ed25519PrivateKey.from_private_bytes(one * 32) for one in (b"p", b"o", b"s")
)
KEY = PRIVATE.public_key().public_bytes_raw().hex()
POLICY = b"name: p\n"
SHA = hashlib.sha256(POLICY).hexdigest()
RECEIPT = "report-clinic-receipt.json"
STRANGE: list[Any] = [
    None, 0, True, 10**30, float("nan"), "", "x", "\ud800", "\x1b[2J", KEY.upper(), [], [1],
    [None], {},
    [{"statement": []}], [{"statement": "x", "key": []}], [{"statement": "x", "key": None}], [[]],
]  # fmt: skip
ABSENT = object()


def seal(kind: str, said: object) -> bytes:
    """Put something into a signed envelope."""
    payload = json.dumps(said).encode()
    signed = PRIVATE.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload))
    signature = {"keyid": KEY, "sig": b64encode(signed).decode()}
    envelope = {"payload": b64encode(payload).decode(), "payloadType": kind}
    return json.dumps({**envelope, "signatures": [signature]}).encode()


def write(said: object) -> bytes:
    """Write JSON in the form that is signed."""
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def digest(said: object) -> str:
    """Digest what is signed."""
    return hashlib.sha256(write(said)).hexdigest()


def answer(
    request: dict[str, Any], person: Ed25519PrivateKey, said: str = "approve"
) -> dict[str, Any]:
    """Let somebody sign what they say of a request, whatever that is."""
    public = public_of(person)
    statement = {
        "type": "tutela.statement", "version": 1, "request": digest(request), "answer": said,
        "key": public.fingerprint, "at": "2026-12-02T00:00:00+00:00", "reason": "",
    }  # fmt: skip
    return {
        "type": "tutela.signed", "version": 1, "request": request, "statement": statement,
        "key": public.line, "signature": sign(write(statement), person),
    }  # fmt: skip


def ask(of: str, **more: Any) -> dict[str, Any]:
    """Make a request of the home."""
    about = {"of": of, "home": KEY, "until": "2026-12-09T00:00:00+00:00", **more}
    return {"type": "tutela.request", "version": 1, **about}


TEXT = {"policy": "p", "policy_sha256": SHA}
ASKED = {"run": "r", "code": "tutela", **TEXT}
CHECKS = [{"name": "k-anonymity", "verdict": "passed"}, {"name": "drift", "verdict": "warned"}]
TOLD = {"kind": "table", "recipient": "A clinic", "claim": "3-anonymous"}


def say() -> dict[str, Any]:
    """Give all that a bundle says, by its parts."""
    told = {"policy": "p", "policy_sha256": SHA, "code": "tutela", "verdict": "passed"}
    request = ask(
        "hand-over", **ASKED, checks=CHECKS, outlets=[{"name": "clinic", **TOLD}], terms="t",
        accepts=[], quorum=1, by=[public_of(PERSON).fingerprint, public_of(OTHER).fingerprint],
        starter=public_of(STARTER).fingerprint,
    )  # fmt: skip
    approval = answer(request, PERSON)
    named = {"key": public_of(PERSON).fingerprint, "statement": digest(approval["statement"])}
    return {
        "evidence": {"run_id": "r", "checks": CHECKS, **told},
        "request": request,
        "start": answer(ask("start", **TEXT), STARTER),
        "approval": approval,
        "text": answer(ask("policy", **TEXT, after=""), OTHER),
        "receipt": {
            "_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:tutela:receipt:1",
            "predicate": {"run": "r", "outlet": "clinic", **told, **TOLD, "approvals": [named]},
        },
        "manifest": {
            "type": "tutela.bundle", "version": 2, "run": "r", "started": "t",
            "policy_files": "", **told,
            "checkpoint": {"chain": "c", "number": 1, "digest": "d"},
        },
    }  # fmt: skip


def make(said: dict[str, Any], **more: bytes) -> bytes:
    """Make a bundle of what it says."""
    members = {
        "policy.yaml": POLICY,
        "evidence.json": json.dumps(said["evidence"]).encode(),
        "request.json": json.dumps(said["request"]).encode(),
        "start.json": json.dumps(said["start"]).encode(),
        "approval-1.json": json.dumps(said["approval"]).encode(),
        "policy-approval-1.json": json.dumps(said["text"]).encode(),
        RECEIPT: seal("application/vnd.in-toto+json", said["receipt"]),
        **more,
    }
    manifest = said["manifest"]
    if isinstance(manifest, dict):
        files = {name: hashlib.sha256(body).hexdigest() for name, body in members.items()}
        manifest = {"files": files, **manifest}
    kind = "application/vnd.tutela.bundle+json"
    return bundle.pack_members({**members, "manifest.json": seal(kind, manifest)})


def places(said: object, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each value."""
    if above:
        yield above
    parts = (
        said.items()
        if isinstance(said, dict)
        else enumerate(said if isinstance(said, list) else ())
    )
    for name, part in parts:
        yield from places(part, (*above, name))


def put(said: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Say something else at a place, or nothing."""
    changed = deepcopy(said)
    part: Any = changed
    for name in place[:-1]:
        part = part[name]
    if value is ABSENT:
        del part[place[-1]]
    else:
        part[place[-1]] = value
    return changed


def sign_anew(said: dict[str, Any]) -> dict[str, Any]:
    """Let people sign the request as it is, so that nothing but what it says is off."""
    try:
        approval = answer(said["request"], PERSON)
        put(said, ("receipt", "predicate", "approvals", 0, "statement"), "")
    except (UnicodeEncodeError, TypeError, KeyError, IndexError):
        return said
    place = ("receipt", "predicate", "approvals", 0, "statement")
    return put({**said, "approval": approval}, place, digest(approval["statement"]))


@pytest.mark.parametrize("place", [*places(say())], ids=str)
def test_whatever_a_signed_part_says_both_judge_it_alike(
    place: tuple[Any, ...], second: ModuleType, tmp_path: Path
) -> None:
    """Another type, nothing, half a character: found or taken, and never a traceback."""
    said, path = say(), tmp_path / "b.zip"
    absent = [] if len(place) == 1 else [ABSENT]
    for value in STRANGE + absent:
        changed = put(said, place, value)
        for one in [changed, sign_anew(changed)] if place[0] == "request" else [changed]:
            content = make(one)
            found = judge(content, path)
            assert found == judge_again(second, content), value
            if found != 2:
                lines = "".join(verify_bundle(path, None).lines)
                assert lines.isprintable(), value


def forge() -> dict[str, tuple[bytes, int]]:
    """Give what is signed and does not fit together, with the exit status."""
    said, deep = say(), b"[" * 200_000
    long = b" " * (4 << 20) + b"{}"
    refused = put(put(said, ("manifest", "verdict"), "refused"), ("evidence", "verdict"), "refused")
    blob = b64encode(b"SSHSIG\0\0\0\1" + b"\0" * (2 << 20)).decode()
    slow = put(said, ("approval", "signature"), f"-----\n{blob}\n-----")["approval"]
    request = json.dumps(slow["request"], sort_keys=True, separators=(",", ":"))
    key = b64encode(hashlib.sha256(b"\0\0\0").digest()).decode().rstrip("=")
    slow["statement"] |= {
        "request": hashlib.sha256(request.encode()).hexdigest(), "key": f"SHA256:{key}"
    }  # fmt: skip
    return {
        "nothing wrong": (make(said), 0),
        "another policy's text": (make(said, **{"policy.yaml": b"name: q\n"}), 1),
        "another outlet's receipt": (
            make(put(said, ("receipt", "predicate", "outlet"), "partner")), 1
        ),
        "a receipt of a refused run": (make(refused), 1),
        "nothing that was signed": (make(said, **{"approval-1.json": b"{}"}), 1),
        "a start without end": (make(said, **{"start.json": deep}), 1),
        "a request without end": (make(said, **{"request.json": deep}), 1),
        "a request that is too long": (make(said, **{"request.json": long}), 2),
        "evidence without end": (make(said, **{"evidence.json": deep}), 1),
        "a receipt without end": (make(said, **{RECEIPT: deep}), 1),
        "an approval without end": (make(said, **{"approval-1.json": deep}), 1),
        "an approval of a million empty parts": (
            make(said, **{"approval-1.json": json.dumps(slow).encode()}), 1
        ),
        "evidence that is too long": (make(said, **{"evidence.json": long}), 2),
        "a receipt that is too long": (make(said, **{RECEIPT: long}), 2),
        "a page as long": (make(said, **{"report.html": long}), 0),
        "a manifest of a million files": (
            make(put(said, ("manifest", "files"), {f"a{n}": "" for n in range(201)})), 2
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", forge())
def test_what_was_signed_must_fit_together(name: str, second: ModuleType, tmp_path: Path) -> None:
    """By the policy's digest, the outlet's name, the verdict; and within bounds."""
    content, status = forge()[name]
    assert (judge(content, tmp_path / "b.zip"), judge_again(second, content)) == (status, status)


OTHERS: list[dict[str, Any]] = [
    {"of": "start"}, {"home": "ab" * 32}, {"policy": "q"}, {"policy_sha256": "0" * 64},
    {"code": "tutela 0"}, {"terms": "u"}, {"outlets": []}, {"run": "s", "checks": []},
]  # fmt: skip


@pytest.mark.parametrize("other", [{}, {"run": "s"}, *OTHERS], ids=str)
def test_what_people_signed_of_an_earlier_run_stands_for_the_same_and_no_more(
    other: dict[str, Any], second: ModuleType, tmp_path: Path
) -> None:
    """Whoever has the home's key cannot sign for people, and so might show what they did sign."""
    said = say()
    approval = answer({**said["request"], **other}, PERSON)
    place = ("receipt", "predicate", "approvals", 0, "statement")
    changed = put({**said, "approval": approval}, place, digest(approval["statement"]))
    content, off = make(changed), int(other in OTHERS)
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == off


def hide_the_end(said: dict[str, Any]) -> dict[str, Any]:
    """Say that more than the policy's text was run: what looks like the digest of its files."""
    more = "approvals: {}"
    sha = hashlib.sha256(POLICY + more.encode()).hexdigest()
    text = json.dumps(said).replace(SHA, sha)
    changed: dict[str, Any] = json.loads(text)
    changed["manifest"]["policy_files"] = more
    changed["start"] = answer(changed["start"]["request"], STARTER)
    changed["text"] = answer(changed["text"]["request"], OTHER)
    return sign_anew(changed)


def people() -> dict[str, dict[str, Any]]:
    """Give what does not fit of people, by what is wrong."""
    said = say()
    by_starter = answer(said["request"], STARTER)
    named = {"key": public_of(STARTER).fingerprint, "statement": digest(by_starter["statement"])}
    approvals = ("receipt", "predicate", "approvals")
    lied = sign_anew(put(said, ("request", "outlets", 0, "recipient"), "Another clinic"))
    return {
        "declined": {**said, "approval": answer(said["request"], PERSON, "decline")},
        "too few": sign_anew(put(said, ("request", "quorum"), 2)),
        "the starter's own": put({**said, "approval": by_starter}, approvals, [named]),
        "a stranger's": {**said, "approval": answer(said["request"], PRIVATE)},
        "another starter than was shown": {**said, "start": answer(ask("start", **TEXT), OTHER)},
        "a start of another text": {
            **said, "start": answer(ask("start", policy="p", policy_sha256="0" * 64), STARTER)
        },
        "a start that declines": {
            **said, "start": answer(ask("start", **TEXT), STARTER, "decline")
        },
        "a text that somebody declines": {
            **said, "text": answer(ask("policy", **TEXT, after=""), OTHER, "decline")
        },
        "a quorum of nobody": sign_anew(put(said, ("request", "quorum"), 0)),
        "the policy's end where nobody reads it": hide_the_end(said),
        "a text of another policy": {
            **said, "text": answer(ask("policy", **{**TEXT, "policy": "q"}), OTHER)
        },
        "another recipient than was shown": lied,
        "a check that was hidden": sign_anew(put(said, ("request", "checks"), CHECKS[:1])),
        "a receipt that names nobody who signed": put(
            said, (*approvals, 0, "key"), public_of(OTHER).fingerprint
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", people())
def test_what_people_signed_is_not_turned_into_another_approval(
    name: str, second: ModuleType, tmp_path: Path
) -> None:
    """By the home's key all else can be signed: both hold it against what people signed."""
    content = make(people()[name])
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 1


def test_what_only_looks_like_a_receipt_is_a_page(second: ModuleType, tmp_path: Path) -> None:
    """Both go by the whole name."""
    content = make(say(), **{"report-receipt.json": b"x"})
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 0


def test_a_long_list_behind_a_small_count_is_not_read(
    second: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`zipfile` would make an object of each of a million members."""
    listed = 46 * 1_000_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, listed, 0, 0)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the list is read"))
    content = b"PK\1\2" * (listed // 4) + end
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 2


def test_nor_one_that_the_end_of_a_larger_archive_names(
    second: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form for more than 4 GiB says the length in a place of its own."""
    listed = b"PK\1\2".ljust(46, b"\0") * 1000
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1000, 1000, len(listed), 0)
    where = struct.pack("<4sLQL", b"PK\6\7", 0, len(listed), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0)
    content = listed + large + where + end
    assert len(zipfile.ZipFile(BytesIO(content)).infolist()) == 1000
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the list is read"))
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 2


def test_members_that_share_their_bytes_are_not_read_one_by_one(
    second: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred members of one place would take a hundred times the file's memory."""
    content = zipped(("a", b"\0" * 1000))
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    body, one = content[:start], content[start:end]
    listed = b"".join(one[:-1] + bytes([letter]) for letter in range(ord("a"), ord("z")))
    overlapping = body + listed + struct.pack(
        "<4s4H2LH", b"PK\5\6", 0, 0, 25, 25, len(listed), len(body), 0
    )  # fmt: skip
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a member is read"))
    assert zipfile.ZipFile(BytesIO(overlapping)).infolist()[24].file_size == 1000
    assert judge(overlapping, tmp_path / "b.zip") == judge_again(second, overlapping) == 2
