"""Two verifiers that share no code agree on bundles: on good ones, changed ones and forged ones."""

from __future__ import annotations

import importlib.util
import json
import random
import warnings
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expectations.errors import UsageError
from ledgers.checkpoints import public_key
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover import bundle
from tasks.handover.delivery import read_run
from tasks.verifying.bundles import MOST, check_bundle, read_bundle
from tasks.verifying.findings import Findings
from tests.runs import Place, passed
from tests.tasks.handover.test_people_approve import Office, office

__all__ = ["office"]
SECOND = Path(__file__).parents[3] / "docs" / "bundle" / "verify_bundle.py"
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def second() -> ModuleType:
    """The verifier that needs no tutela."""
    spec = importlib.util.spec_from_file_location("verify_bundle", SECOND)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def good() -> bytes:
    """The bundle of a run of the first example."""
    run = passed("diabetes")
    return write(run.place, run.record.run_id)


def write(place: Place, run_id: str) -> bytes:
    """Write the bundle of a run."""
    return bundle.write_bundle(read_run(place.home, place.keys, run_id))


def judge(content: bytes, path: Path, key: str | None = None) -> int:
    """Give tutela's exit status for a bundle."""
    path.write_bytes(content)
    found = Findings()
    try:
        check_bundle(read_bundle(path), key, found)
    except UsageError:
        return 2
    return int(bool(found.differences))


def judge_again(second: ModuleType, content: bytes, key: str | None = None) -> int:
    """Give the other verifier's."""
    try:
        return int(bool(second.check(second.read_zip(content), key)))
    except second.NotABundle:
        return 2


def unpack(content: bytes) -> Members:
    """Give a bundle's members."""
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def test_a_second_verifier_is_short_and_knows_nothing_of_tutela() -> None:
    """At most 400 lines, by the standard library and `cryptography`."""
    text = SECOND.read_text("utf-8")
    assert len(text.splitlines()) <= 400
    assert not [line for line in text.splitlines() if line.startswith(("import tu", "from ta"))]


def test_a_bundle_is_the_same_each_time_and_both_find_it_whole(
    good: bytes, second: ModuleType, tmp_path: Path
) -> None:
    """With the key from outside too; with another both find that."""
    place = passed("diabetes").place
    key = public_key(place.keys)
    assert write(place, passed("diabetes").record.run_id) == good
    for given, status in ((None, 0), (key, 0), ("ab" * 32, 1)):
        assert judge(good, tmp_path / "b.zip", given) == status
        assert judge_again(second, good, given) == status
    names = [*(members := unpack(good))]
    assert {"policy.yaml", "evidence.json", "report.html"} <= {*names}
    assert not [one for one in members.values() if str(place.home.root).encode() in one]
    assert [name for name in names if name.endswith("-receipt.json")]


def test_what_people_signed_goes_along(office: Office, second: ModuleType, tmp_path: Path) -> None:
    """And a receipt says whose approvals counted; one that was declined has no receipt."""
    office.run()
    office.answer("ann")
    office.answer("bob")
    office.run(changes=(("k: 3", "k: 4"),))
    office.answer("cat", "decline", "2", "--reason", "not now")
    first, last = (write(office.place, run.run_id) for run in office.runs)
    for content in (first, last):
        assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 0
    assert sorted(unpack(first)) > ["approval-1.json", "approval-2.json"]
    assert not [name for name in unpack(last) if "receipt" in name]
    (receipt,) = [body for name, body in unpack(first).items() if "receipt" in name]
    said = json.loads(b64decode(json.loads(receipt)["payload"]))
    assert all(one["statement"] for one in said["predicate"]["approvals"])
    without = unpack(first)
    del without["approval-2.json"]
    for content in (bundle.pack_members(without), first.replace(b'"reason":""', b'"reason":"x')):
        assert judge(content, tmp_path / "b.zip") == judge_again(second, content) != 0


def change_bytes(good: bytes, second: ModuleType, path: Path, times: int) -> None:
    """Change one byte after the other at random places; both must find each."""
    draw = random.Random(20261202)
    for _ in range(times):
        changed = bytearray(good)
        place = draw.randrange(len(good))
        changed[place] ^= draw.randrange(1, 256)
        content = bytes(changed)
        assert judge(content, path) == judge_again(second, content) != 0, place


def test_every_changed_byte_is_found_by_both(
    good: bytes, second: ModuleType, tmp_path: Path
) -> None:
    """Some by day."""
    change_bytes(good, second, tmp_path / "b.zip", 400)


@pytest.mark.nightly
def test_each_of_two_thousand_changed_bytes_is_found_by_both(
    good: bytes, second: ModuleType, tmp_path: Path
) -> None:
    """Wherever it is: in a header, a report, a signature."""
    change_bytes(good, second, tmp_path / "b.zip", 2000)


def zipped(*members: tuple[str, bytes], **how: Any) -> bytes:
    """Put members into a zip as a stranger would."""
    written = BytesIO()
    with zipfile.ZipFile(written, "w", how.get("method", zipfile.ZIP_STORED)) as archive:
        archive.comment = how.get("comment", b"")
        for name, body in members:
            info = zipfile.ZipInfo(name, how.get("date", (1980, 1, 1, 0, 0, 0)))
            info.create_system, info.external_attr = (
                how.get("system", 0),
                how.get("attr", 0x1800000),
            )
            info.compress_type = how.get("method", zipfile.ZIP_STORED)
            info.extra = how.get("extra", b"")
            with warnings.catch_warnings(action="ignore"):  # of a name that comes twice
                archive.writestr(info, body)
    return written.getvalue()


def resealed(good: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Change what the manifest says, without the key."""
    members = unpack(good)
    envelope = json.loads(members["manifest.json"])
    said = json.loads(b64decode(envelope["payload"]))
    change(said)
    text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    envelope["payload"] = b64encode(text).decode()
    return bundle.pack_members({**members, "manifest.json": json.dumps(envelope).encode()})


def signed_anew(good: bytes, change: Callable[[Members], None]) -> bytes:
    """Change members, and sign a manifest that fits with a key of one's own."""
    import hashlib

    members = unpack(good)
    envelope = json.loads(members.pop("manifest.json"))
    change(members)
    said = json.loads(b64decode(envelope["payload"]))
    said["files"] = {name: hashlib.sha256(body).hexdigest() for name, body in members.items()}
    payload, kind = json.dumps(said).encode(), envelope["payloadType"].encode()
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    envelope["payload"] = b64encode(payload).decode()
    envelope["signatures"] = [{
        "keyid": key.public_key().public_bytes_raw().hex(), "sig": b64encode(signature).decode()
    }]  # fmt: skip
    return bundle.pack_members({**members, "manifest.json": json.dumps(envelope).encode()})


def edit(name: str, old: bytes, new: bytes) -> Callable[[Members], None]:
    """Replace something in a member."""

    def change(members: Members) -> None:
        assert old in members[name]
        members[name] = members[name].replace(old, new, 1)

    return change


def forge(good: bytes) -> dict[str, bytes]:
    """Give bundles that are none, or are not what was signed, by what is wrong with them."""
    members = unpack(good)
    items = sorted(members.items())
    receipt = next(name for name in members if name.endswith("-receipt.json"))
    without = {name: body for name, body in members.items() if name != "manifest.json"}
    put = {**members, "report-more.html": b"more"}
    return {
        "nothing": b"",
        "no zip": b"PK" + good,
        "cut off": good[:-1],
        "cut in the middle": good[: len(good) // 2],
        "a byte after the end": good + b"\0",
        "a comment": zipped(*items, comment=b"hello"),
        "bytes before the first member": b"x" + good,
        "twice the same file": good + good,
        "packed": zipped(*items, method=zipfile.ZIP_DEFLATED),
        "a bomb": zipped(("manifest.json", b"\0" * 10**7), method=zipfile.ZIP_DEFLATED),
        "other times": zipped(*items, date=(2026, 12, 2, 0, 0, 0)),
        "another system": zipped(*items, system=3),
        "other rights": zipped(*items, attr=0o777 << 16),
        "a link": zipped(*items, attr=0o120777 << 16),
        "an extra field": zipped(*items, extra=b"\1\0\0\0"),
        "another order": zipped(*reversed(items)),
        "a member twice": zipped(*items, items[-1]),
        "a manifest twice": zipped(("manifest.json", b"{}"), *items),
        "out of the folder": zipped(*items, ("../evil", b"x")),
        "an absolute name": zipped(*items, ("/etc/passwd", b"x")),
        "a backslash": zipped(*items, ("..\\evil", b"x")),
        "a folder": zipped(*items, ("folder/", b"")),
        "a name in capitals": zipped(("EVIL", b"x"), *items),
        "a name with a blank": zipped(*items, ("a b", b"x")),
        "a name that is too long": zipped(*items, ("x" * 200, b"x")),
        "a name of another script": zipped(*items, ("pöbel", b"x")),
        "too many members": zipped(*((f"a{n:06}", b"") for n in range(MOST)), *items),
        "no manifest": bundle.pack_members(without),
        "an empty manifest": bundle.pack_members({**members, "manifest.json": b""}),
        "a manifest that is no envelope": bundle.pack_members({**members, "manifest.json": b"[]"}),
        "a receipt as manifest": bundle.pack_members(
            {**members, "manifest.json": members[receipt]}
        ),
        "another verdict": resealed(good, lambda said: said.update(verdict="refused")),
        "another version": resealed(good, lambda said: said.update(version=3)),
        "a file less in the manifest": resealed(good, lambda said: said["files"].popitem()),
        "a member more": bundle.pack_members(put),
        "a member less": bundle.pack_members(
            {name: body for name, body in members.items() if name != "report.html"}
        ),
        "two members swapped": bundle.pack_members(
            {
                **members,
                "report.html": members["evidence.json"],
                "evidence.json": members["report.html"],
            }
        ),
        "a receipt under another key": signed_anew(good, lambda _: None),
        "other evidence": signed_anew(
            good, edit("evidence.json", b'"verdict": "', b'"verdict": "x')
        ),
        "a changed policy": bundle.pack_members(
            {**members, "policy.yaml": members["policy.yaml"] + b" "}
        ),
        "a request that nobody was asked": bundle.pack_members({**members, "request.json": b"{}"}),
        "a member without its crc": good.replace(good[14:18], b"\0\0\0\0", 1),
    }


def test_forgeries_of_structure_are_found_by_both(
    good: bytes, second: ModuleType, tmp_path: Path
) -> None:
    """Forty and more: none passes, and both say the same of each."""
    forged = forge(good)
    assert len(forged) >= 40
    found = {
        name: (judge(content, tmp_path / "b.zip"), judge_again(second, content))
        for name, content in forged.items()
    }
    assert {name: both for name, both in found.items() if both[0] != both[1] or not both[0]} == {}


def test_a_million_members_are_refused_at_once(second: ModuleType, tmp_path: Path) -> None:
    """Before the list of them is read."""
    listed = 46 * 1_000_000
    end = b"PK\5\6" + b"\0" * 4 + b"\xff\xff" * 2 + listed.to_bytes(4, "little") + b"\0" * 6
    content = b"PK\1\2" * (listed // 4) + end
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 2


def test_the_commands_write_and_verify_a_bundle_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the home, the other anywhere."""
    run = passed("diabetes")
    file, key = tmp_path / "run.zip", public_key(Keys.open(run.place.home))
    assert run.place.tell("bundle", run.record.run_id, "--to", str(file)).status == 0
    monkeypatch.setattr(Home, "open", lambda *_: pytest.fail("no home is there"))
    said = run.place.tell("verify", str(file), "--key", key)
    assert (said.status, "passed" in said.out) == (0, True)
    file.write_bytes(file.read_bytes()[:-1])
    assert run.place.tell("verify", str(file)).status == 2
