"""Each part of a bundle has one form: what no signature covers is nowhere, and both see to that."""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from expectations.errors import UsageError
from ledgers.people.signature import Invalid, read_public
from tasks.handover import bundle
from tasks.verifying.envelopes import open_envelope, read_exact, read_json, write_exact
from tasks.verifying.public_keys import read_ed25519
from tasks.verifying.receipts import read_receipt
from tests.tasks.verifying.forger import (
    IN_TOTO,
    KEY,
    MANIFEST,
    RECEIPT,
    arm,
    make,
    say,
    seal_bytes,
)
from tests.tasks.verifying.test_bundles import judge, judge_again, second, unpack

__all__ = ["second"]
VECTORS = sorted((Path(__file__).parent / "bundles").glob("*.zip"))
Change = Callable[[bytes], bytes]


def reseal(change: Change) -> Change:
    """Change what is in an envelope, and sign that."""

    def changed(content: bytes) -> bytes:
        said = json.loads(content)
        return seal_bytes(said["payloadType"], change(payload(content)))

    return changed


def payload(content: bytes) -> bytes:
    """Give what is in an envelope."""
    return b64decode(json.loads(content)["payload"])


def relay(**more: object) -> Change:
    """Write an envelope with other parts."""
    return lambda content: (
        json.dumps({**json.loads(content), **more}, sort_keys=True, indent=1).encode() + b"\n"
    )


def double(content: bytes) -> bytes:
    """Name two signatures."""
    (one,) = json.loads(content)["signatures"]
    return relay(signatures=[one, one])(content)


ENVELOPES: dict[str, Change] = {
    "blanks behind it": lambda content: content + b" " * 2000,
    "blanks in front": lambda content: b" " * 2000 + content,
    "no line feed": bytes.strip,
    "line ends of another system": lambda content: content.replace(b"\n", b"\r\n"),
    "in one line": lambda content: json.dumps(json.loads(content)).encode() + b"\n",
    "a part more": relay(more="x"),
    "two signatures": double,
    "another order": lambda content: (
        json.dumps(dict(reversed(json.loads(content).items())), indent=1).encode() + b"\n"
    ),
    "the key in upper case": lambda content: content.replace(KEY.encode(), KEY.upper().encode()),
    "blanks in the key": lambda content: content.replace(
        KEY.encode(), f"{KEY[:2]} {KEY[2:]}".encode()
    ),
    "base64 without its end": lambda content: content.replace(b'=="\n', b'"\n'),
    "base64 in lines": lambda content: content.replace(b'"payload": "', b'"payload": "\\n'),
    "a mark of byte order": lambda content: b"\xef\xbb\xbf" + content,
    "a payload with a blank": reseal(lambda said: said + b" "),
    "a payload with a line feed": reseal(lambda said: said + b"\n"),
    "a payload with blanks between": reseal(lambda said: json.dumps(json.loads(said)).encode()),
    "a payload with a name twice": reseal(lambda said: said.replace(b"{", b'{"code":"",', 1)),
    "a payload that is a list": reseal(lambda said: b"[" + said + b"]"),
    "a payload with an escape": reseal(
        lambda said: said.replace(b'"code":"tu', b'"code":"\\u0074u')
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_has_one_form(name: str, second: ModuleType, tmp_path: Path) -> None:
    """Around the manifest, it is no bundle; a receipt differs, and is refused alone."""
    content = make(say())
    members, path = unpack(content), tmp_path / "b.zip"
    assert judge(content, path) == judge_again(second, content) == 0
    changed = ENVELOPES[name](members["manifest.json"])
    assert changed != members["manifest.json"]
    around = bundle.pack_members({**members, "manifest.json": changed})
    assert judge(around, path) == judge_again(second, around) == 2
    receipt = ENVELOPES[name](members[RECEIPT])
    within = make(say(), **{RECEIPT: receipt})
    assert judge(within, path) == judge_again(second, within) == 1
    (path := tmp_path / "receipt.json").write_bytes(receipt)
    with pytest.raises(UsageError, match="no receipt"):
        read_receipt(path, KEY)


FILES: dict[str, Change] = {
    "no line feed": bytes.strip,
    "two line feeds": lambda content: content + b"\n",
    "a line end of another system": lambda content: content.strip() + b"\r\n",
    "a blank": lambda content: b" " + content,
    "a mark of byte order": lambda content: b"\xef\xbb\xbf" + content,
    "another encoding": lambda content: content.decode().encode("utf-16"),
    "an escape": lambda content: content.replace(b'"tutela.', b'"\\u0074utela.'),
    "a whole number with a point": lambda content: content.replace(
        b'"version":1', b'"version":1.0'
    ),
    "a name twice": lambda content: content.replace(b'"type"', b'"type":"x","type"', 1),
    "a part more": lambda content: content.replace(b"{", b'{"a":1,', 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "member", ["request.json", "start.json", "approval-1.json", "policy-approval-1.json"]
)
def test_what_people_are_asked_and_sign_has_one_form(
    member: str, name: str, second: ModuleType, tmp_path: Path
) -> None:
    """Else who signs one text could be shown with another beside it."""
    members = unpack(make(say()))
    changed = FILES[name](members[member])
    assert changed != members[member]
    content = make(say(), **{member: changed})
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 1


def nest(depth: int) -> bytes:
    """Write lists in each other."""
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(("more", "status"), [
    (b'"more":1e3', 0), (b'"more":' + nest(63), 0), (b'"more":' + nest(64), 1),
    (b'"more":' + nest(900), 1), (b'"more":NaN', 1), (b'"more":-Infinity', 1),
    (b'"code":"x"', 1), (b'"more":"\\ud800"', 1), (b'"more":' + b"1" * 5000, 0),
    (b'"more":"\xff"', 1), (b'"\\ud800":1', 1),
])  # fmt: skip
def test_evidence_says_the_same_to_every_reader(
    more: bytes, status: int, second: ModuleType, tmp_path: Path
) -> None:
    """No name twice, no numbers that are none, no half of a character, and no depth without end."""
    members = unpack(make(say()))
    evidence = members["evidence.json"].replace(b"{", b"{" + more + b",", 1)
    content = make(say(), **{"evidence.json": evidence})
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == status


def test_json_in_its_one_form_is_read_and_no_other() -> None:
    """As it is written, of at most 15 digits a number, 64 levels, and no fraction."""
    said = {"ü": [1, -999_999_999_999_999, "\n", None, True, {}]}
    assert read_exact(write_exact(said)) == said
    assert read_json(b" 1.5") == 1.5
    assert read_exact(nest(64))
    for content in (b"1.5", b"1e3", b" 1", b"1" * 16, b"-0", nest(65), b'"\\u00fc"', b"NaN", b""):
        with pytest.raises(ValueError, match=r"."):
            read_exact(content)


# --- keys of small order, found by the curve's own law: RFC 8032, 5.1

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """Add two points."""
    (a, b), (c, d) = one, other
    k = D * a * b * c * d % P
    x = (a * d + b * c) * pow(1 + k, P - 2, P) % P
    return x, (b * d + a * c) * pow(1 - k, P - 2, P) % P


def times(number: int, point: Point) -> Point:
    """Add a point to itself so many times."""
    found = (0, 1)
    while number:
        found = add(found, point) if number & 1 else found
        point, number = add(point, point), number >> 1
    return found


def find_x(y: int) -> int | None:
    """Give the first number of a point."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if (x * x - square) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    return x if (x * x - square) % P == 0 else None


def list_small() -> set[bytes]:
    """List the keys of small order, with each sign and each second name that 255 bits have."""
    found = {times(ORDER, (x, y))[1] for y in range(2, 40) if (x := find_x(y)) is not None}
    names = [y + more for y in {*found, *(P - y for y in found)} for more in (0, P)]
    return {
        (y % 2**255 | sign << 255).to_bytes(32, "little")
        for y in names if y < 2**255 for sign in (0, 1)
    }  # fmt: skip


def line(kind: bytes, *parts: bytes) -> str:
    """Write a public key as OpenSSH does."""
    blob = b"".join(len(one).to_bytes(4, "big") + one for one in (kind, *parts))
    return f"{kind.decode()} {b64encode(blob).decode()}"


def test_keys_of_small_order_are_taken_in_nowhere() -> None:
    """Neither as a person's, also in a security key, nor as a home's."""
    small = list_small()
    assert len(small) >= 10
    for raw in small:
        for text in (
            line(b"ssh-ed25519", raw),
            line(b"sk-ssh-ed25519@openssh.com", raw, b"ssh:"),
        ):
            with pytest.raises(Invalid):
                read_public(text)
        with pytest.raises(ValueError, match=r"."):
            read_ed25519(raw)
    good = bytes.fromhex(KEY)
    assert read_ed25519(good).public_bytes_raw() == good
    assert read_public(line(b"ssh-ed25519", good))


def holds(raw: bytes, signature: bytes) -> bool:
    """Whether the library takes a signature of a text that nobody signed."""
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, b"anything at all")
    except InvalidSignature:
        return False
    return True


def test_a_bundle_that_anything_signs_is_none(second: ModuleType, tmp_path: Path) -> None:
    """Its home's key is one under which a signature of any text holds."""
    raw, signature = (1).to_bytes(32, "little"), (1).to_bytes(64, "little")
    assert holds(raw, signature)
    members = unpack(make(say()))
    said = payload(members["manifest.json"])
    forged = {**members, "manifest.json": arm(MANIFEST, said, raw.hex(), signature)}
    content = bundle.pack_members(forged)
    assert judge(content, tmp_path / "b.zip") == judge_again(second, content) == 2
    receipt = arm(IN_TOTO, payload(members[RECEIPT]), raw.hex(), signature)
    with pytest.raises(ValueError, match="any text holds"):
        open_envelope(receipt, IN_TOTO)
    (path := tmp_path / "receipt.json").write_bytes(receipt)
    with pytest.raises(UsageError, match="any signature holds"):
        read_receipt(path, raw.hex())


@pytest.mark.parametrize("file", VECTORS, ids=lambda file: file.stem)
def test_a_changed_byte_of_any_member_is_found_behind_the_zips_own_sums(
    file: Path, second: ModuleType, tmp_path: Path
) -> None:
    """The zip is written anew, so that no check of its form finds it."""
    members, draw = unpack(file.read_bytes()), random.Random(20261202)
    for name, body in members.items():
        for _ in range(8):
            changed = bytearray(body)
            changed[draw.randrange(len(body))] ^= draw.randrange(1, 256)
            content = bundle.pack_members({**members, name: bytes(changed)})
            found = judge(content, tmp_path / "b.zip")
            assert found == judge_again(second, content) == (2 if name == "manifest.json" else 1)
