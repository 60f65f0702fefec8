"""Whom a charge was for: sets of keyed record numbers, sealed, each stored once.

A set is named by a keyed digest of its sorted numbers, and stored in full or as the difference to
a full one, whichever is shorter: weekly runs of the same policy use nearly the same people. What
is sealed is filled up to whole pages of 4 KiB, so that its length tells no exact count.

The numbers are pseudonyms: whoever holds the home's keys and knows an identifier can tell whether
that person was charged. They stay as long as the home, since what was spent never renews.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from ledgers.budget.tables import PEOPLE, refuse
from ledgers.home.keys import Keys

Records = NDArray[np.uint64]

PAGE: Final = 4096


def sort_people(people: Records) -> Records:
    """Give record numbers sorted, each once."""
    # Ten times as fast as numpy's own `unique` of a million (2.4).
    ordered = np.sort(people.astype(np.uint64, copy=False))
    first = np.ones(len(ordered), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    once: Records = ordered[first]
    return once


def digest_set(keys: Keys, people: Records) -> str:
    """Give the keyed digest of sorted record numbers; 64 hex digits."""
    key = keys.derive("budget-people")
    return hmac.digest(key, people.astype("<u8").tobytes(), "sha256").hex()


def store_set(connection: sa.Connection, keys: Keys, people: Records, near: str | None) -> str:
    """Store sorted numbers, unless they are there; give their digest.

    `near` is the digest of a stored set that they may differ from but little.
    """
    digest = digest_set(keys, people)
    known = sa.select(PEOPLE.c.digest).where(PEOPLE.c.digest == digest)
    if connection.execute(known).first():
        return digest
    base, content = "", people
    if near is not None:
        full = _base_of(connection, near)
        changed = np.setxor1d(people, _open(connection, keys, full, ""), assume_unique=True)
        if 2 * len(changed) < len(people):
            base, content = full, changed
    sealed = keys.seal(_pack(content), _label(digest, base))
    connection.execute(sa.insert(PEOPLE), {"digest": digest, "base": base, "sealed": sealed})
    return digest


def read_set(connection: sa.Connection, keys: Keys, digest: str) -> Records:
    """Give the sorted numbers of a stored set."""
    base = _base_of(connection, digest)
    if base == digest:
        return _open(connection, keys, digest, "")
    full = _open(connection, keys, base, "")
    return np.setxor1d(full, _open(connection, keys, digest, base), assume_unique=True)


def find_members(
    connection: sa.Connection, keys: Keys, people: Records, digests: Collection[str]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Tell for each set which of some people (sorted numbers) are in it.

    One full set is in memory at a time; sets that differ from it little cost little more.
    """
    bases = sorted((_base_of(connection, digest), digest) for digest in set(digests))
    for base, group in groupby(bases, key=lambda pair: pair[0]):
        of_base = _is_in(people, _open(connection, keys, base, ""))
        for _, digest in group:
            there = of_base
            if digest != base:
                changed = _open(connection, keys, digest, base)
                moved = np.searchsorted(people, changed[_is_in(changed, people)])
                there = of_base.copy()
                there[moved] ^= True
            yield digest, there


def check_sets(connection: sa.Connection, keys: Keys, digests: Collection[str]) -> None:
    """Open every set and compare it with its digest; Refusal for the first that differs."""
    for digest in sorted(set(digests)):
        if digest_set(keys, read_set(connection, keys, digest)) != digest:
            refuse("a set of people is another than was charged")


def _base_of(connection: sa.Connection, digest: str) -> str:
    """Give the digest of the full set on which a set rests; itself where it is full."""
    query = sa.select(PEOPLE.c.base).where(PEOPLE.c.digest == digest)
    row = connection.execute(query).first()
    if row is None:
        refuse("the people of a charge are missing")
    return row.base or digest


def _open(connection: sa.Connection, keys: Keys, digest: str, base: str) -> Records:
    query = sa.select(PEOPLE.c.sealed).where(PEOPLE.c.digest == digest, PEOPLE.c.base == base)
    sealed = connection.scalar(query)
    if sealed is None:
        refuse("the people of a charge are missing")
    return _unpack(keys.unseal(bytes(sealed), _label(digest, base)))


def _label(digest: str, base: str) -> str:
    return f"budget people:{digest}:{base}"


def _is_in(people: Records, others: Records) -> NDArray[np.bool_]:
    """Tell which numbers are among others; both sorted."""
    if not len(others):
        return np.zeros(len(people), np.bool_)
    place = np.searchsorted(others, people).clip(max=len(others) - 1)
    found: NDArray[np.bool_] = others[place] == people
    return found


def _pack(people: Records) -> bytes:
    """Write steps between sorted numbers, their high bytes first, since most of these are 0."""
    steps = np.diff(people, prepend=np.uint64(0)).astype(">u8")
    planes = steps.view(np.uint8).reshape(-1, 8).T
    packed = zlib.compress(planes.tobytes(), 1)
    return packed + bytes(-len(packed) % PAGE)


def _unpack(packed: bytes) -> Records:
    planes = np.frombuffer(zlib.decompressobj().decompress(packed), np.uint8).reshape(8, -1)
    steps = np.ascontiguousarray(planes.T).view(">u8").ravel()
    return np.cumsum(steps.astype(np.uint64), dtype=np.uint64)
