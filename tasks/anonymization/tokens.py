"""Keyed pseudonyms: what stands for an identifier in rows that leave.

A token is the HMAC-SHA-256 (RFC 2104) of the identifier's text in Unicode normal form NFC: whoever
holds the key can repeat it, nobody else can tell from a token who it is. A reversible one is the
text itself under AES-SIV (RFC 5297), which whoever holds the key reads back, and which shows its
length in steps of 16 bytes. Nothing but NFC is done to a text: "Ada" and "Ada " or "ada" are three
identifiers; the source says how they are spelled. Equal identifiers give equal tokens, so a token
hides nothing about how often a value occurs (see `tasks.anonymization.token_counts`).
"""

from __future__ import annotations

import unicodedata
from binascii import hexlify
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ledgers.home.keys import derive_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

TOKEN_BYTES: Final = 16
_BLOCK: Final = 16
_PADS: Final = [bytes([_BLOCK - n]) * (_BLOCK - n) for n in range(_BLOCK)]
"""What fills a text up to whole blocks, as in PKCS #7 (RFC 5652, 6.3), so that its length is less
telling."""


def tokenize(values: pa.ChunkedArray, key: bytes) -> pa.Array:
    """Replace each value by a token of 32 hex digits (128 bits); missing stays missing."""
    codes = digest_each(known_texts(values), key)
    return spread(write_hex([code[:TOKEN_BYTES] for code in codes]), values)


def digest_each(texts: Iterable[bytes], key: bytes) -> list[bytes]:
    """Give the HMAC-SHA-256 of each text.

    By `cryptography`, whose begun code is copied in a third of the time that Python's needs.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC

    begin, codes = HMAC(key, SHA256()).copy, list[bytes]()
    for text in texts:
        code = begin()
        code.update(text)
        codes.append(code.finalize())
    return codes


def encrypt_identifiers(values: pa.ChunkedArray, key: bytes) -> pa.Array:
    """Replace each value by its text under AES-256-SIV in hex digits; missing stays missing.

    Deterministic, so that the same value has the same token: 64 digits up to 15 bytes of text, 32
    more for every 16 bytes beyond.
    """
    encrypt = _cipher(key).encrypt
    return spread(write_hex([encrypt(text + _PADS[len(text) % _BLOCK], None)
                             for text in known_texts(values)]), values)  # fmt: skip


def decrypt_identifiers(tokens: Iterable[str], key: bytes) -> list[str | None]:
    """Give the text of each token that was made of `key`; None for every other."""
    from cryptography.exceptions import InvalidTag

    decrypt, found = _cipher(key).decrypt, list[str | None]()
    for token in tokens:
        try:
            padded = decrypt(bytes.fromhex(token), None)
            found.append(padded[: -padded[-1]].decode())
        except (InvalidTag, ValueError):
            found.append(None)
    return found


def known_texts(values: pa.ChunkedArray) -> list[bytes]:
    """Give the texts that are not missing in normal form NFC, in UTF-8."""
    known = values.drop_null()
    if pc.all(pc.string_is_ascii(known)).as_py() in {True, None}:
        texts: list[bytes] = known.cast(pa.large_binary()).to_pylist()
        return texts
    return [unicodedata.normalize("NFC", text).encode() for text in known.to_pylist()]


def write_hex(codes: list[bytes]) -> pa.Array:
    """Write bytes as hex digits."""
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    ends = np.concatenate([[0], np.cumsum(2 * lengths)])
    text = pa.py_buffer(hexlify(b"".join(codes)))
    return pa.LargeStringArray.from_buffers(len(codes), pa.py_buffer(ends), text)


def spread(made: pa.Array, values: pa.ChunkedArray) -> pa.Array:
    """Put what was made of the known values where they stand, and leave the others missing."""
    if values.null_count == 0:
        return made
    there = values.is_valid().to_numpy()
    return made.take(pa.array(np.cumsum(there) - 1, mask=~there))


def _cipher(key: bytes) -> AESSIV:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return AESSIV(derive_key(key, "reversible-token", 64))
