"""How many rows of a column of tokens somebody without any key can turn back.

Two attacks. By dictionary: candidates (a list of names, numbers, addresses) are hashed plainly, as
is done without a key, and looked for among the tokens. By frequency: the counts of the tokens are
laid beside the public shares of the values (Naveed, Kamara and Wright, "Inference attacks on
property-preserving encrypted databases", 2015, section 4); no hash, salt or key helps against it.

The results are counts and never a token or a candidate. Tokens that were made with a secret key or
salt, by another hash, of a value that is not among the candidates, or cut from their end, are not
turned back here, and nothing is said about those.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from expectations.measures.class_counts import Floats, Integers

ALGORITHMS: Final = ("md5", "sha1", "sha256", "sha512")
DIGEST_BYTES: Final = 64
"""The longest digest of them."""
CHANCE: Final = 0.01
"""How many tokens a dictionary may hit by chance before a cut is too short to tell."""
STANDARD_ERRORS: Final = 3.0
"""How far a count may be from what its value's share predicts."""
HEX: Final = re.compile(r"[0-9a-fA-F]+")
BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]+")


@dataclass(frozen=True, slots=True)
class DictionaryAttack:
    """How many of the rows with a token were turned back, by how many candidates.

    Tokens are compared from their beginning; those of fewer than `shortest` bytes only whole, since
    cut hashes so short would be hit by chance.
    """

    rows: int
    reversed_rows: int
    candidates: int
    shortest: int


@dataclass(frozen=True, slots=True)
class FrequencyAttack:
    """How many of the rows with a token can be only one of the public values."""

    rows: int
    guessed_rows: int


def attack_by_dictionary(tokens: Mapping[str, int], candidates: Iterable[str]) -> DictionaryAttack:
    """Hash candidates by md5, sha1, sha256 and sha512 and find them among tokens and their rows.

    Tokens may be hexadecimal or base64, cut to any length that is long enough to tell; candidates
    are tried as they are, stripped, in lower and in upper case, in Unicode's normal form C, and
    unhashed. The time is some 20 microseconds per candidate.
    """
    known = set(candidates)
    words = {spelling for candidate in known for spelling in _spell(candidate)}
    shortest = _shortest_prefix(len(tokens), len(words))
    places = _decode(tokens, shortest)
    lengths = sorted({len(prefix) for prefix in places})
    found = set(words & tokens.keys())
    for word in words:
        plain = word.encode()
        for digest in (plain, *(hashlib.new(name, plain).digest() for name in ALGORITHMS)):
            for length in lengths:
                if length <= len(digest):
                    found.update(places.get(digest[:length], ()))
    rows = sum(tokens.values())
    return DictionaryAttack(rows, sum(tokens[token] for token in found), len(known), shortest)


def attack_by_frequency(counts: Integers, shares: Sequence[float]) -> FrequencyAttack:
    """Guess the tokens whose count fits one public value, which in turn fits no other token.

    `counts` are the rows of each token, `shares` the share of people with each value, as published
    elsewhere. A count fits a share that is within three standard errors of it (Wilson's interval).
    """
    count = np.asarray(counts, dtype=np.float64)
    public = np.sort(np.asarray(shares, dtype=np.float64))
    rows = int(count.sum())
    low, high = _interval(count, rows)
    first = np.searchsorted(public, low, side="left")
    fitting = np.searchsorted(public, high, side="right") - first
    # How many tokens fit each value: those whose interval has begun, less those that have ended.
    begun = np.searchsorted(np.sort(low), public, side="right")
    ended = np.searchsorted(np.sort(high), public, side="left")
    alone = np.append(begun - ended == 1, [False])
    certain = (fitting == 1) & alone[first]
    return FrequencyAttack(rows, int(count[certain].sum()))


def count_tokens(tokens: pd.Series, weights: Integers) -> dict[str, int]:
    """Sum the weights of each token, as text; missing ones are no tokens."""
    code, distinct = pd.factorize(tokens)
    rows = np.bincount(code[code >= 0], weights[code >= 0], len(distinct)).astype(np.int64)
    counted: dict[str, int] = {}
    for token, count in zip(map(str, distinct), rows.tolist(), strict=True):
        counted[token] = counted.get(token, 0) + count
    return counted


def _spell(candidate: str) -> set[str]:
    """Give the spellings under which a candidate may have been hashed."""
    word = unicodedata.normalize("NFC", candidate)
    bare = word.strip()
    return {candidate, word, bare, bare.lower(), bare.upper()} - {""}


def _shortest_prefix(tokens: int, words: int) -> int:
    """How many bytes of a digest are needed so that no token is hit by chance."""
    pairs = max(tokens, 1) * max(words, 1) * (len(ALGORITHMS) + 1)
    return int(np.ceil(np.log2(pairs / CHANCE) / 8))


def _decode(tokens: Iterable[str], shortest: int) -> dict[bytes, list[str]]:
    """Read tokens as hexadecimal and base64; give the tokens behind each string of bytes."""
    found: dict[bytes, list[str]] = {}
    for token in tokens:
        bare = token.strip().rstrip("=")
        for pattern, read in ((HEX, _read_hex), (BASE64, _read_base64)):
            if pattern.fullmatch(bare) and shortest <= len(prefix := read(bare)) <= DIGEST_BYTES:
                found.setdefault(prefix, []).append(token)
    return found


def _read_hex(token: str) -> bytes:
    """Read whole bytes; half a byte at the end is left out."""
    return bytes.fromhex(token[: len(token) // 2 * 2])


def _read_base64(token: str) -> bytes:
    """Read whole bytes of either alphabet; bits at the end that make none are left out."""
    whole = len(token) * 6 // 8
    padded = token + "A" * (-len(token) % 4)
    return base64.b64decode(padded, altchars=b"-_" if re.search("[-_]", token) else None)[:whole]


def _interval(count: Floats, rows: int) -> tuple[Floats, Floats]:
    """Wilson's interval for the share behind each count of so many rows."""
    z = STANDARD_ERRORS
    middle = (count + z * z / 2) / (rows + z * z)
    half = z * np.sqrt(count * (1 - count / max(rows, 1)) + z * z / 4) / (rows + z * z)
    return middle - half, middle + half
