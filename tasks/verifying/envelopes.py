"""JSON in the one form that is signed, and envelopes around it: read to the byte.

Whatever a reader would pass over is covered by no signature, so nothing is passed over: what is
read is written anew, and has to be the same bytes (DSSE v1; JSON as `docs/bundle.md` has it). It
shares no code with what writes either, and does not know whose a key is.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from tasks.verifying.public_keys import read_ed25519

LONGEST: Final = 1 << 22
"""Bytes of what is read as JSON, 4 MiB: its values need up to twenty times as much."""
DEEPEST: Final = 64
"""How deep objects and lists lie in each other: no part of ours has more than 10."""
DIGITS: Final = 15
"""Of a whole number: what every reader of JSON takes for the same number has as many."""


class Unsigned(ValueError):
    """An envelope whose signature is not one of the key that it names."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a key signed: its public half in hex, and the payload, read."""

    key: str
    said: dict[str, Any]


def read_json(content: bytes) -> Any:  # noqa: ANN401  # whatever JSON says
    """Read JSON that says the same to everybody; ValueError for any other."""
    return _read(content, parse_float=float, parse_int=float)  # however long a number is


def read_exact(content: bytes) -> Any:  # noqa: ANN401
    """Read JSON in the one form that is signed; ValueError for any other."""
    said = _read(content, parse_float=_refuse, parse_int=_read_whole)
    if write_exact(said) != content:
        raise ValueError("it is not in the one form that is signed")
    return said


def read_line(content: bytes) -> Any:  # noqa: ANN401
    """Read a file of JSON in its one form, which a line feed ends; ValueError for any other."""
    if content[-1:] != b"\n":
        raise ValueError("no line feed ends it")
    return read_exact(content[:-1])


def write_exact(said: object) -> bytes:
    """Write JSON in the one form that is signed."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def open_envelope(content: bytes, kind: str) -> Envelope:
    """Open an envelope of one signature; ValueError where it is in another form, or not signed."""
    from cryptography.exceptions import InvalidSignature

    envelope = read_json(content)
    try:
        payload = b64decode(envelope["payload"], validate=True)
        (one,) = envelope["signatures"]
        raw, signature = bytes.fromhex(one["keyid"]), b64decode(one["sig"], validate=True)
        over = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        read_ed25519(raw).verify(signature, over)
    except InvalidSignature:
        raise Unsigned("the signature is not one of its key, over this payload") from None
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it is no envelope with one signature") from None
    if _seal(payload, kind, raw.hex(), signature) != content:
        raise ValueError("the envelope is not in its one form, or of another type")
    said = read_exact(payload)
    if not isinstance(said, dict):
        raise ValueError("its payload is no object")  # noqa: TRY004  # which is what is off
    return Envelope(raw.hex(), said)


def _seal(payload: bytes, kind: str, key: str, signature: bytes) -> bytes:
    """Write the one envelope that these parts have."""
    text, sig = b64encode(payload), b64encode(signature)
    return b"""{
 "payload": "%s",
 "payloadType": "%s",
 "signatures": [
  {
   "keyid": "%s",
   "sig": "%s"
  }
 ]
}
""" % (text, kind.encode(), key.encode(), sig)


def _read(content: bytes, **how: Any) -> Any:  # noqa: ANN401
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST >> 20} MiB")
    text = content.decode("utf-8")
    try:
        said = json.loads(text, object_pairs_hook=_read_once, parse_constant=_refuse, **how)
    except RecursionError:
        raise ValueError("it is too deep") from None
    _refuse_deep(said)
    write_exact(said)  # in which half of a pair of surrogates has no bytes
    return said


def _read_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("an object has two parts of one name")
    return said


def _read_whole(text: str) -> int:
    if len(text.removeprefix("-")) > DIGITS:
        raise ValueError(f"a number has more than {DIGITS} digits")
    return int(text)


def _refuse(_: str) -> NoReturn:
    raise ValueError("a number is none, or not a whole one")


def _refuse_deep(said: object) -> None:
    level = [said]
    for _ in range(DEEPEST + 1):
        # What is not in a list or object ends here; what is lies one deeper.
        held = [one for one in level if isinstance(one, (dict, list))]
        if not held:
            return
        level = [part for one in held for part in (one.values() if isinstance(one, dict) else one)]
    raise ValueError("it is too deep")
