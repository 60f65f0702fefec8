"""Bundles by somebody who signs them with a key of their own: judged in words, and alike by both.

No run is needed: they are made by the forger, of the fewest parts.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deployments.verify.screen import verify_bundle
from tests.tasks.verifying import forger
from tests.tasks.verifying.forger import (
    ABSENT,
    CHECKS,
    IN_TOTO,
    KEY,
    LATER,
    NOW,
    OTHER,
    PERSON,
    POINT,
    POLICY,
    PRIVATE,
    RECEIPT,
    RULE,
    SHA,
    STARTER,
    TEXT,
    Parts,
    answer,
    approve,
    ask,
    make,
    of_text,
    places,
    put,
    say,
    seal,
    sign_anew,
)  # fmt: skip
from tests.tasks.verifying.test_bundles import judge, judge_again, second, zipped

__all__ = ["second"]
STRANGE: list[Any] = [
    None, 0, True, 1.0, 10**30, float("nan"), "", "x", "\ud800", "\x1b[2J", "a\n", KEY.upper(),
    [], [1], [None], {}, [[]],
    [{"statement": []}], [{"statement": "x", "key": []}], [{"statement": "x", "key": None}],
]  # fmt: skip


PARTS = [0, *(pytest.param(part, marks=pytest.mark.nightly) for part in (1, 2))]
"""Each place meets a third of the strange values by day, and all of them at night."""


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("place", [*places(say())], ids=str)
def test_whatever_a_signed_part_says_both_judge_it_alike(
    place: tuple[Any, ...], part: int, second: ModuleType, tmp_path: Path
) -> None:
    """Another type, nothing, half a character: found or taken, and never a traceback."""
    said, path = say(), tmp_path / "b.zip"
    values = [*STRANGE, *([] if len(place) == 1 else [ABSENT])]
    for value in values[(part + len(str(place))) % len(PARTS) :: len(PARTS)]:
        changed = put(said, place, value)
        for one in [changed, _sign_anew(changed)] if place[0] == "request" else [changed]:
            content = make(one)
            found = judge(content, path)
            assert found == judge_again(second, content), ascii(value)
            if found != 2:
                lines = "".join(verify_bundle(path, None).lines)
                assert lines.isprintable(), ascii(value)


def _sign_anew(said: Parts) -> Parts:
    return sign_anew(said) if isinstance(said["request"], dict) else said


# What may be another in one part alone: nothing else in a bundle says it too.
FREE = {
    ("evidence", "title"), ("request", "until"), ("request", "terms"), ("request", "people"),
    ("request", "changes"), ("request", "by"), ("receipt", "predicate", "checkpoint"),
    ("manifest", "checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("place", [*places(say())], ids=str)
def test_nothing_that_two_parts_say_can_be_another_in_one(
    place: tuple[Any, ...], second: ModuleType, tmp_path: Path
) -> None:
    """A text with a letter more, a number that is one more: found wherever it stands."""
    said, free = say(), any(place[: len(one)] == one for one in FREE)
    value: Any = said
    for part in place:
        value = value[part]
    if isinstance(value, (dict, list)) or free:
        return
    changed = put(said, place, f"{value}x" if isinstance(value, str) else (value or 0) + 1)
    content = make(_sign_anew(changed) if place[0] == "request" else changed)
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) != 0


def forge() -> dict[str, tuple[bytes, int]]:
    """Give what is signed and does not fit together, with the exit status."""
    said, deep = say(), b"[" * 200_000
    long = b" " * (4 << 20) + b"{}"
    refused = put(put(said, ("manifest", "verdict"), "refused"), ("evidence", "verdict"), "refused")
    blob = b64encode(b"SSHSIG\0\0\0\1" + b"\0" * (2 << 20)).decode()
    armour = "\n".join(blob[at : at + 70] for at in range(0, len(blob), 70))
    begin, end = (f"-----{one} SSH SIGNATURE-----" for one in ("BEGIN", "END"))
    slow = put(said, ("approval", "signature"), f"{begin}\n{armour}\n{end}\n")["approval"]
    leaves = put(said, ("evidence", "outlets", 0, "release"), None)
    model = put(leaves, ("evidence", "outlets", 0, "kind"), "model")
    return {
        "nothing wrong": (make(said), 0),
        "nobody was asked": (make(_ask_nobody(said), **UNASKED), 0),
        "another policy's text": (make(said, **{"policy.yaml": b"name: q\n"}), 1),
        "no policy": (make(said, **{"policy.yaml": None}), 1),
        "no evidence": (make(said, **{"evidence.json": None}), 1),
        "no request": (make(said, **{"request.json": None}), 1),
        "no receipt": (make(said, **{RECEIPT: None}), 1),
        "no receipt of a model": (make(model, **{RECEIPT: None}), 1),
        "a table of before there were digests": (make(leaves, **{RECEIPT: None}), 0),
        "a check that refused what left": (
            make(put(leaves, ("evidence", "checks", 0, "verdict"), "refused"),
                 **{RECEIPT: None}, **UNASKED), 1
        ),
        "a part of another name": (make(said, **{"notes.txt": b"x"}), 1),
        "a gap in the numbers": (
            make(said, **{"policy-approval-1.json": None,
                          "policy-approval-2.json": forger.write(said["text"]) + b"\n"}), 1
        ),
        "another outlet's receipt": (
            make(put(said, ("receipt", "predicate", "outlet"), "partner")), 1
        ),
        "a receipt of a refused run": (make(refused), 1),
        "two receipts whose names make up that of one outlet": (_split(said), 1),
        "a receipt by another key": (
            make(said, **{RECEIPT: seal(IN_TOTO, said["receipt"], OTHER)}), 1
        ),
        "nothing that was signed": (make(said, **{"approval-1.json": b"{}\n"}), 1),
        "a start without end": (make(said, **{"start.json": deep}), 1),
        "a request without end": (make(said, **{"request.json": deep}), 1),
        "a request that is too long": (make(said, **{"request.json": long}), 2),
        "evidence without end": (make(said, **{"evidence.json": deep}), 1),
        "a receipt without end": (make(said, **{RECEIPT: deep}), 1),
        "an approval without end": (make(said, **{"approval-1.json": deep}), 1),
        "an approval of a million empty parts": (
            make(said, **{"approval-1.json": forger.write(slow) + b"\n"}), 1
        ),
        "evidence that is too long": (make(said, **{"evidence.json": long}), 2),
        "a receipt that is too long": (make(said, **{RECEIPT: long}), 2),
        "a page as long": (make(said, **{"report.html": long}), 0),
        "a manifest of a million files": (
            make(put(said, ("manifest", "files"), {f"a{n}": SHA for n in range(201)})), 2
        ),
        "a policy's end that is no digest": (make(hide_the_end(said)), 2),
        "a checkpoint newer than the manifest's": (
            make(put(said, ("receipt", "predicate", "checkpoint", "number"), 5)), 1
        ),
        "the manifest's checkpoint with another digest": (
            make(put(said, ("receipt", "predicate", "checkpoint", "number"), 4)), 0
        ),
        "the checkpoint of another chain": (
            make(put(said, ("receipt", "predicate", "checkpoint"),
                     {**POINT, "chain": "e" * 32, "number": 9})), 0
        ),
    }  # fmt: skip


def _split(said: Parts) -> bytes:
    """Show one outlet, and receipts of two others, whose names beside each other are its name."""
    for place in (("evidence", "outlets", 0, "name"), ("request", "outlets", 0, "name")):
        said = put(said, place, "a b")
    said = sign_anew(said)
    receipts = {}
    for outlet in ("a", "b"):
        receipt = put(said, ("receipt", "predicate", "outlet"), outlet)["receipt"]
        receipt["subject"][0]["name"] = f"p.{outlet}"
        receipts[f"report-{outlet}-receipt.json"] = seal(IN_TOTO, receipt)
    return make(said, **{RECEIPT: None}, **receipts)


UNASKED = {
    "request.json": None, "start.json": None, "approval-1.json": None,
    "policy-approval-1.json": None,
}  # fmt: skip


def _ask_nobody(said: Parts) -> Parts:
    """Say that nobody approved."""
    return put(said, ("receipt", "predicate", "approvals"), [])


def hide_the_end(said: Parts) -> Parts:
    """Say that more than the policy's text was run: what looks like the digest of its files."""
    more = "approvals: {}"
    sha = hashlib.sha256(POLICY + more.encode()).hexdigest()
    changed: Parts = json.loads(json.dumps(said).replace(SHA, sha))
    changed["manifest"]["policy_files"] = more
    changed["start"] = answer(changed["start"]["request"], STARTER)
    changed["text"] = answer(changed["text"]["request"], OTHER)
    return sign_anew(changed)


@pytest.mark.parametrize("name", forge())
def test_what_was_signed_must_fit_together(name: str, second: ModuleType, tmp_path: Path) -> None:
    """By the policy's digest, the outlet's name, the verdict; and within bounds."""
    content, status = forge()[name]
    assert (judge(content, tmp_path / "b.zip"), judge_again(second, content)) == (status, status)


DRIFTED = [CHECKS[0], {**CHECKS[1], "verdict": "inconclusive"}]
SAME: list[Parts] = [{}, {"run": "s"}, {"run": "s", "until": NOW, "changes": ["much"]}]
OTHERS: list[Parts] = [
    {"of": "start"}, {"home": "ab" * 32}, {"policy": "q"}, {"policy_sha256": "0" * 64},
    {"code": "tutela 0"}, {"until": LATER.replace("09", "10")}, *(
        {"run": "s", **one} for one in (
            {"terms": "1" * 64}, {"outlets": []}, {"checks": []}, {"checks": DRIFTED},
            {"quorum": 2}, {"by": RULE["by"][:1]},
            {"until": "2026-12-01T23:59:59.999999+00:00"},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("other", [*SAME, *OTHERS], ids=str)
def test_what_people_signed_of_an_earlier_run_stands_for_the_same_and_no_more(
    other: Parts, second: ModuleType, tmp_path: Path
) -> None:
    """Whoever has the home's key cannot sign for people, and so might show what they did sign."""
    said = say()
    content = make(approve(said, answer({**said["request"], **other}, PERSON)))
    off = int(other in OTHERS)
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == off


@pytest.mark.parametrize(("then", "reason", "status"), [
    (["drift"], "it is the season", 0), (["drift"], "", 1), ([], "it is the season", 1),
])  # fmt: skip
def test_an_open_check_is_accepted_by_who_saw_it_and_gave_a_reason(
    then: list[str], reason: str, status: int, second: ModuleType, tmp_path: Path
) -> None:
    """Of this run, and of the earlier one that it was signed of."""
    said = put(say(), ("request", "accepts"), ["drift"])
    earlier = {**said["request"], "run": "s", "accepts": then}
    content = make(approve(said, answer(earlier, PERSON, reason=reason)))
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == status


def people() -> dict[str, bytes]:
    """Give what does not fit of people, by what is wrong."""
    said = say()
    approvals = ("receipt", "predicate", "approvals")
    open_to_all = put(said, ("request", "by"), [*RULE["by"], forger.name(STARTER)])
    by_starter = answer(open_to_all["request"], STARTER)
    named = {"key": forger.name(STARTER), "statement": forger.digest(by_starter["statement"])}
    start = ask("start", **TEXT)
    more = forger.write(of_text(PERSON)) + b"\n"
    asked = {"policy-approval-2.json": more}
    whole = {
        "declined": {**said, "approval": answer(said["request"], PERSON, "decline")},
        "too few": sign_anew(put(said, ("request", "quorum"), 2)),
        "the starter's own": put({**open_to_all, "approval": by_starter}, approvals, [named]),
        "a stranger's": {**said, "approval": answer(said["request"], PRIVATE)},
        "another starter than was shown": {**said, "start": answer(start, OTHER)},
        "a start of another text": {
            **said, "start": answer({**start, "policy_sha256": "0" * 64}, STARTER)
        },
        "a start that lapsed": {
            **said, "start": answer({**start, "until": "2026-12-01T00:00:00+00:00"}, STARTER)
        },
        "a start that declines": {**said, "start": answer(start, STARTER, "decline")},
        "what lapsed before the run began": sign_anew(
            put(said, ("request", "until"), "2026-12-01T23:59:59+00:00")
        ),
        "a quorum of nobody": sign_anew(put(said, ("request", "quorum"), 0)),
        "a text that somebody declines": {
            **said, "text": answer(said["text"]["request"], OTHER, "decline")
        },
        "a text of another policy": {**said, "text": of_text(policy="q")},
        "a text approved by who was not asked": {**said, "text": of_text(STARTER)},
        "a text that too few approve": {**said, "text": of_text(quorum=2)},
        "a text whose approval lapsed": {
            **said, "text": of_text(until="2026-12-01T00:00:00+00:00")
        },
        "another recipient than was shown": sign_anew(
            put(said, ("request", "outlets", 0, "recipient"), "Another clinic")
        ),
        "a check that was hidden": sign_anew(put(said, ("request", "checks"), CHECKS[:1])),
        "a receipt that names nobody who signed": put(
            said, (*approvals, 0, "key"), forger.name(OTHER)
        ),
        "a receipt that names nobody": put(said, approvals, []),
        "a receipt that names one twice": put(
            said, approvals, said["receipt"]["predicate"]["approvals"] * 2
        ),
    }  # fmt: skip
    bare = put(whole["too few"], ("evidence", "outlets", 0, "release"), None)
    return {what: make(one) for what, one in whole.items()} | {
        "too few, and no receipt that could say so": make(bare, **{RECEIPT: None}),
        "a text approved under two rules": make(
            {**said, "text": of_text(after="an older run")}, **asked
        ),
        "a text approved twice by one": make({**said, "text": of_text(PERSON, quorum=2)}, **{
            "policy-approval-2.json": forger.write(of_text(PERSON, quorum=2)) + b"\n"
        }),
    }  # fmt: skip


@pytest.mark.parametrize("name", people())
def test_what_people_signed_is_not_turned_into_another_approval(
    name: str, second: ModuleType, tmp_path: Path
) -> None:
    """By the home's key all else can be signed: both hold it against what people signed."""
    content = people()[name]
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
