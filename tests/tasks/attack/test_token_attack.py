"""Tokens without a secret key are turned back; keyed ones are not."""

from __future__ import annotations

import base64
import codecs
import hashlib
import hmac
import uuid
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from expectations.measures.token_reversal import attack_by_frequency
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.token_dictionary import (
    attack_plain_hashes,
    attack_tokens,
    judge_counting,
    judge_tokens,
)
from tasks.attack.token_schemes import find_made, write_base58

NAMES = [f"Person {number}" for number in range(50)]
KEY = bytes(range(32))


def sha(text: str, name: str = "sha256") -> bytes:
    """Hash a text."""
    return hashlib.new(name, text.encode()).digest()


PLAIN: dict[str, Callable[[str], str]] = {
    "md5": lambda name: sha(name, "md5").hex(),
    "sha256-cut": lambda name: sha(name).hex()[:32],
    "sha1-lower": lambda name: sha(name.lower(), "sha1").hex(),
    "sha512-base64": lambda name: base64.b64encode(sha(name, "sha512")).decode(),
    "itself": lambda name: name,
    "blake2b": lambda name: sha(name, "blake2b").hex()[:32].upper(),
    "sha3-urlsafe": lambda name: base64.urlsafe_b64encode(sha(name, "sha3_256")).decode(),
    "salted-in-front": lambda name: sha("secret" + name).hex(),
    "salted-behind": lambda name: sha(name + "research", "sha1").hex()[:20],
    "guessable-key": lambda name: hmac.digest(b"research", name.encode(), "sha256").hex()[:32],
    "empty-key": lambda name: hmac.digest(b"", name.encode(), "sha256").hex(),
}


@pytest.mark.parametrize("make", PLAIN.values(), ids=PLAIN.keys())
def test_a_token_without_a_secret_is_turned_back(make: Callable[[str], str]) -> None:
    """In hexadecimal or base64, whole or cut, and under a word that is public."""
    found = attack_tokens({make(name): 2 for name in NAMES}, NAMES, ["research"])
    assert found.undone
    assert max(found.hashed, found.guessed) == found.rows == 100


def number_of(name: str) -> int:
    """Give the person's place."""
    return NAMES.index(name)


MADE: dict[str, Callable[[str], str]] = {
    "prefixed": lambda name: f"sha256:{sha(name).hex()}",
    "prefixed-without-a-sign": lambda name: f"ID{sha(name).hex()[:16]}",
    "suffixed": lambda name: f"{sha(name, 'sha1').hex()}@example.org",
    "both": lambda name: f"user_{sha(name, 'md5').hex()}-x",
    "sha512-256": lambda name: sha(name, "sha512_256").hex(),
    "sha512-224": lambda name: sha(name, "sha512_224").hex(),
    "hash-of-hash": lambda name: sha(sha(name).hex()).hex(),
    "hash-of-bytes": lambda name: hashlib.sha256(sha(name)).hexdigest(),
    "crc32": lambda name: f"{zlib.crc32(name.encode()):08x}",
    "crc32-as-a-number": lambda name: f"{zlib.crc32(name.encode())}",
    "adler32": lambda name: f"{zlib.adler32(name.encode()):08X}",
    "reversed": lambda name: name[::-1],
    "rot13": lambda name: codecs.encode(name, "rot13"),
    "caesar": lambda name: name.translate(str.maketrans("ersonp", "huvrqs")),
    "digits-moved": lambda name: name.translate(str.maketrans("0123456789", "3456789012")),
    "row-number": lambda name: f"{number_of(name):06d}",
    "row-number-moved-and-named": lambda name: f"P-{1000 + 3 * number_of(name)}",
    "uuid5": lambda name: str(uuid.uuid5(uuid.NAMESPACE_URL, name)),
    "uuid3": lambda name: uuid.uuid3(uuid.NAMESPACE_X500, name).hex,
    "base64-itself": lambda name: base64.b64encode(name.encode()).decode(),
    "base32-itself": lambda name: base64.b32encode(name.encode()).decode(),
    "hexadecimal-itself": lambda name: name.encode().hex(),
    "base58-itself": lambda name: write_base58(name.encode()),
    "base58-digest": lambda name: write_base58(sha(name)),
    "base32-digest": lambda name: base64.b32encode(sha(name)).decode().lower().rstrip("="),
    **{
        f"blake2{kind}-{size}": lambda name, make=make, size=size: make(
            name.encode(), digest_size=size
        ).hexdigest()
        for kind, make, sizes in (
            ("b", hashlib.blake2b, (4, 16, 63)), ("s", hashlib.blake2s, (4, 16, 31)))
        for size in sizes
    },
}  # fmt: skip


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
def test_a_token_that_a_known_scheme_makes_is_found_beside_its_original(
    make: Callable[[str], str],
) -> None:
    """By people's originals and own tokens, in the order of the source's rows."""
    pairs = [(name, make(name)) for name in NAMES]
    found = attack_tokens({token: 2 for _, token in pairs}, NAMES, pairs=pairs)
    assert found.made == found.rows == 100


def test_secret_tokens_follow_from_nothing() -> None:
    """In ten thousand draws, long and short ones, as numbers, and numbers dealt out at random."""
    draw = np.random.default_rng(5)
    for _ in range(10):
        tokens = [bytes(one).hex() for one in draw.integers(0, 256, (1000, 16), dtype=np.uint8)]
        dealt = map(str, draw.permutation(1000))
        for made in (tokens, [one[:8] for one in tokens], dealt):
            assert not find_made([(f"{n:04d}", one) for n, one in enumerate(made)])


def test_a_keyed_token_is_not_turned_back() -> None:
    """Nor is one of another purpose joined with it, whose key is another."""
    tokens = {hmac.digest(KEY, name.encode(), "sha256").hex()[:32]: 1 for name in NAMES}
    others = [hmac.digest(KEY[::-1], name.encode(), "sha256").hex()[:32] for name in NAMES]
    found = attack_tokens(tokens, NAMES, ["research"], others)
    assert (found.hashed, found.guessed, found.joined) == (0, 0, 0)
    assert attack_tokens(tokens, NAMES, [], list(tokens)).joined == 50


def test_a_short_token_is_not_hit_by_chance() -> None:
    """Two characters of a hash stand in every table."""
    assert not attack_tokens({"ab": 1, "0f": 1}, NAMES).undone


def test_tokens_that_counting_tells_are_reported() -> None:
    """Nine of ten rows have one value, and its token is told by that alone; unique ones are not."""
    shares = [0.9, 0.1]
    told = judge_counting("id", "partner", attack_by_frequency(np.array([900, 100]), shares))
    assert told.verdict is CheckVerdict.WARNED
    assert told.measured == (
        "whoever knows how common each value is recognizes the token of about 1,000 rows, since it "
        "fits only one value"
    )
    unique = attack_by_frequency(np.ones(50, dtype=np.int64), [1 / 50] * 50)
    assert judge_counting("id", "partner", unique).verdict is CheckVerdict.PASSED


def test_the_verdict_needs_an_attack_that_undoes_a_plain_hash() -> None:
    """Counts are hidden when few, and no name or token is told."""
    control = attack_plain_hashes(NAMES)
    assert control.hashed == len(NAMES)
    kept = attack_tokens({hmac.digest(KEY, b"x", "sha256").hex(): 1}, NAMES)
    lost = attack_tokens({sha(NAMES[0]).hex(): 1}, NAMES)
    blind = attack_plain_hashes([])
    judged = [judge_tokens("id", "partner", *pair) for pair in (
        (kept, control), (lost, control), (kept, blind), (blind, control))]  # fmt: skip
    assert [check.verdict for check in judged] == [
        CheckVerdict.PASSED,
        CheckVerdict.REFUSED,
        CheckVerdict.INCONCLUSIVE,
        CheckVerdict.INCONCLUSIVE,
    ]
    assert judged[1].measured == "fewer than 10 rows are plain hashes of an original"
