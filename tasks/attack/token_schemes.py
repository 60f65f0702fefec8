"""Ways to make a token that need no secret, each tried on a person's original and own token.

One table for what leaves as text, one for what leaves as bytes (in hexadecimal, base64, base32,
base58 or as a number, whole or cut), and the row numbers. What stands in front of all tokens of a
column or behind them (`user_…`, `sha256:…`) is taken off first. Nothing is told but which tokens
were made again.

A scheme must make half of the tokens that are tried, so that a token is no match by chance. Not
tried: two schemes one after the other, but for hashes of hashes; tokens of several columns.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import re
import string
import uuid
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final

TRIED: Final = 100
"""Pairs that are tried: one scheme makes all the tokens of a column."""
SHORTEST: Final = 4
"""Characters or bytes under which a token is matched by nothing."""
ORDERED: Final = 10
"""Tokens that rise with the rows from which on it is no chance: one order of 3.6 million."""
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HASHES: Final = (
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha512_224", "sha512_256", "sha3_224",
    "sha3_256", "sha3_384", "sha3_512", "ripemd160", "sm3",
)  # fmt: skip
SPACES: Final = (uuid.NAMESPACE_DNS, uuid.NAMESPACE_URL, uuid.NAMESPACE_OID, uuid.NAMESPACE_X500)
ROT5: Final = str.maketrans(string.digits, string.digits[5:] + string.digits[:5])


def shift(text: str, letters: int, digits: int) -> str:
    """Move letters and digits on by so many places, as Caesar did."""
    lower, upper = string.ascii_lowercase, string.ascii_uppercase
    moved = "".join(one[by:] + one[:by] for one, by in
                    ((lower, letters), (upper, letters), (string.digits, digits)))  # fmt: skip
    return text.translate(str.maketrans(lower + upper + string.digits, moved))


def write_base58(content: bytes) -> str:
    """Write bytes in the alphabet of Bitcoin's addresses."""
    number, written = int.from_bytes(content), ""
    while number:
        number, place = divmod(number, 58)
        written = BASE58[place] + written
    return "1" * (len(content) - len(content.lstrip(b"\0"))) + written


def hash_text(name: str, text: str, _: int) -> bytes:
    """Hash a text."""
    return hashlib.new(name, text.encode()).digest()


def hash_again(name: str, text: str, _: int, *, as_text: bool) -> bytes:
    """Hash a hash, of its bytes or as it is written."""
    first = hashlib.new(name, text.encode())
    return hashlib.new(name, first.hexdigest().encode() if as_text else first.digest()).digest()


def make_uuid(
    make: Callable[[uuid.UUID, str], uuid.UUID], space: uuid.UUID, text: str, _: int
) -> bytes:
    """Make a UUID of a name."""
    return make(space, text).bytes


TEXTS: Final[dict[str, Callable[[str], str]]] = {
    "reversed": lambda text: text[::-1],
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "rot13 and rot5": lambda text: codecs.encode(text, "rot13").translate(ROT5),
    **{f"letters moved by {n}": partial(shift, letters=n, digits=0) for n in range(1, 26)},
    **{f"digits moved by {n}": partial(shift, letters=0, digits=n) for n in range(1, 10)},
    **{f"both moved by {n}": partial(shift, letters=n, digits=n) for n in range(1, 10)},
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base32": lambda text: base64.b32encode(text.encode()).decode(),
    "base58": lambda text: write_base58(text.encode()),
    "hexadecimal": lambda text: text.encode().hex(),
}  # fmt: skip
"""What leaves as text, by the scheme's name."""
DIGESTS: Final[dict[str, Callable[[str, int], bytes]]] = {
    **{name: partial(hash_text, name) for name in HASHES if name in hashlib.algorithms_available},
    **{
        f"{name} of {name}, {'text' if written else 'bytes'}":
            partial(hash_again, name, as_text=written)
        for name in ("md5", "sha1", "sha256", "sha512")
        for written in (True, False)
    },
    "blake2b": lambda text, _: hashlib.blake2b(text.encode()).digest(),
    "blake2s": lambda text, _: hashlib.blake2s(text.encode()).digest(),
    "blake2b of a size": lambda text, n: hashlib.blake2b(text.encode(), digest_size=n).digest(),
    "blake2s of a size": lambda text, n: hashlib.blake2s(text.encode(), digest_size=n).digest(),
    "crc-32": lambda text, _: zlib.crc32(text.encode()).to_bytes(4, "big"),
    "adler-32": lambda text, _: zlib.adler32(text.encode()).to_bytes(4, "big"),
    **{
        f"uuid {version} in {space}": partial(make_uuid, make, space)
        for version, make in ((3, uuid.uuid3), (5, uuid.uuid5))
        for space in SPACES
    },
}  # fmt: skip
"""What leaves as bytes, by the scheme's name, told how many bytes the token has."""


def find_made(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Find the tokens that a scheme makes of an original; `pairs` of both, in the source's order.

    All tokens, where they are numbers that rise or fall with the rows or with the originals.
    """
    tokens = [token for _, token in pairs]
    cores = [bare for bare in strip_affixes(tokens) if len(bare) == len(tokens)]
    if any(_are_numbered([one for one, _ in pairs], bare) for bare in cores):
        return set(tokens)
    step = max(1, len(pairs) // TRIED)
    some = range(0, len(pairs), step)
    found: set[str] = set()
    for bare in cores:
        tried = [(pairs[at][0], bare[at], tokens[at]) for at in some]
        found.update(*_match(tried))
    return found


def strip_affixes(tokens: Sequence[str]) -> Iterator[list[str]]:
    """Give the tokens as they are, and without what stands in front of all of them and behind."""
    whole = [token.strip() for token in tokens]
    yield whole
    front = find_front(whole)
    back = find_front([token[::-1] for token in whole])[::-1]
    # Tokens that begin alike by chance lose less up to the last sign that separates.
    cut = re.sub(r"[0-9A-Za-z]*$", "", front), re.sub(r"^[0-9A-Za-z]*", "", back)
    for before, behind in {cut, (front, back), (front, cut[1]), (cut[0], back)} - {("", "")}:
        bare = [token.removeprefix(before).removesuffix(behind) for token in whole]
        if all(len(one) >= SHORTEST for one in bare) or all(one.isdecimal() for one in bare):
            yield bare


def find_front(texts: Sequence[str]) -> str:
    """Give what all texts begin with."""
    first, last = min(texts, default=""), max(texts, default="")
    alike = (at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other)
    return first[: next(alike, min(len(first), len(last)))]


def _match(tried: Sequence[tuple[str, str, str]]) -> Iterator[set[str]]:
    """Give the tokens that each scheme makes, of those that make half of what is tried."""
    read = [
        (spell(original), bare.rstrip("="), _read(bare), token) for original, bare, token in tried
    ]
    different = len({token for _, _, token in tried})
    for write in TEXTS.values():
        yield _half(different, {
            token for words, bare, _, token in read
            if len(bare) >= SHORTEST and any(_same(write(word), bare) for word in words)
        })  # fmt: skip
    for name, digest in DIGESTS.items():
        yield _half(different, {
            token for words, _, contents, token in read
            if any(digest(word, min(len(one), 32 if "blake2s" in name else 64)).startswith(one)
                   for one in contents for word in words)
        })  # fmt: skip


def _half(tried: int, found: set[str]) -> set[str]:
    """Give what was found, if it is half of what was tried."""
    return found if 2 * len(found) >= tried else set()


def spell(original: str) -> Collection[str]:
    """Give the spellings under which an original may have been used."""
    bare = original.strip()
    return dict.fromkeys([original, bare, bare.lower(), bare.upper()])


def _same(made: str, bare: str) -> bool:
    made = made.rstrip("=")
    return bare in {made, made.lower()}


def _read(bare: str) -> set[bytes]:
    """Read a token as bytes in every way in which they may be written."""
    found: set[bytes] = set()
    plain = bare.replace("-", "")
    if re.fullmatch("[0-9A-Fa-f]+", plain):
        found.add(bytes.fromhex(plain[: len(plain) // 2 * 2]))
    if bare.isdecimal() and int(bare) < 2**32:
        found.add(int(bare).to_bytes(4, "big"))
    if re.fullmatch("[1-9A-HJ-NP-Za-km-z]+", bare) and len(bare) < 100:
        number = sum(BASE58.index(one) * 58**at for at, one in enumerate(reversed(bare)))
        found.add(number.to_bytes((number.bit_length() + 7) // 8, "big"))
    for decode, whole in ((base64.urlsafe_b64decode, 4), (base64.b32decode, 8)):
        text = bare.rstrip("=").replace("+", "-").replace("/", "_")
        try:
            found.add(decode(text[: len(text) // whole * whole] if whole == 4 else
                             text.upper() + "=" * (-len(text) % 8)))  # fmt: skip
        except (binascii.Error, ValueError):
            continue
    return {one for one in found if len(one) >= SHORTEST}


def _are_numbered(originals: Sequence[str], bare: Sequence[str]) -> bool:
    """Tell whether tokens are numbers that rise or fall with the rows, or with the originals."""
    if len(bare) < ORDERED or not all(one.isdecimal() for one in bare):
        return False
    numbers = [int(one) for one in bare]
    by_text = sorted(range(len(bare)), key=lambda at: originals[at])
    by_size = sorted(range(len(bare)), key=lambda at: (len(originals[at]), originals[at]))
    return any(
        _is_steady([numbers[at] for at in order]) for order in (range(len(bare)), by_text, by_size)
    )


def _is_steady(numbers: Sequence[int]) -> bool:
    steps = [after - before for before, after in pairwise(numbers)]
    return all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
