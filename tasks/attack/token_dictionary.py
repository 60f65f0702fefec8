"""Tokens attacked with a dictionary of originals: plain hashes, and keys that can be guessed.

`expectations.measures.token_reversal` hashes candidates as is done without a key, and counts; what
is added here is what only a run can try: hashes that are salted or keyed with a word that is public
(the purpose, the policy's name, the words that tutorials use), the tokens of other purposes, which
would join their tables, and each person's token beside their own original, by every scheme that is
known (`token_schemes`). The best dictionary there is are the originals
themselves. A token made with a secret key withstands all of it; whoever has the key needs none.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Final

from expectations.checks import Check
from expectations.disclosure import roughly
from expectations.measures.token_reversal import FrequencyAttack, attack_by_dictionary
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.token_schemes import find_made

UNKEYED: Final = ("blake2b", "blake2s", "sha224", "sha384", "sha3_256", "sha3_512")
KEYED: Final = ("md5", "sha1", "sha256", "sha512")
WORDS: Final = ("key", "secret", "salt", "pepper", "password", "changeme", "0")
"""Keys and salts that anybody would try."""
SHORTEST: Final = 8
"""Characters that a token needs, lest a cut hash hits it by chance."""
TRIED: Final = 200
"""How many originals are tried with every word: one scheme makes all the tokens of a column."""
SURE: Final = 0.99
"""How surely a lot holds somebody of a share of the people, where that share is told."""


@dataclass(frozen=True, slots=True)
class TokenAttack:
    """Rows with a token, and how many were turned back or joined in each way."""

    rows: int
    hashed: int
    guessed: int
    joined: int
    candidates: int
    made: int = 0

    @property
    def undone(self) -> bool:
        """Whether any way worked."""
        return bool(self.hashed or self.guessed or self.joined or self.made)


def attack_tokens(
    tokens: Mapping[str, int],
    originals: Collection[str],
    public_words: Iterable[str] = (),
    other_tokens: Collection[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
) -> TokenAttack:
    """Turn tokens, each with its rows, back by every scheme that needs no secret.

    `public_words` are tried as salts and keys beside the usual ones; `other_tokens` are those of
    other purposes; `pairs` are people's originals and own tokens, in the order of the source.
    """
    plain = attack_by_dictionary(tokens, originals)
    words = [*WORDS, *public_words]
    some = sorted(set(originals) - {""})[:TRIED]
    guessed = _find_cuts(tokens, (digest for one in some for digest in _digests(one, words)))
    joined = tokens.keys() & set(other_tokens)
    return TokenAttack(
        rows=plain.rows,
        hashed=plain.reversed_rows,
        guessed=sum(tokens[one] for one in guessed),
        joined=sum(tokens[one] for one in joined),
        candidates=len(set(originals)),
        made=sum(tokens.get(one, 0) for one in find_made(pairs)),
    )


def judge_tokens(
    column: str, outlet: str, found: TokenAttack, control: TokenAttack, drawn: int | None = None
) -> Check:
    """Judge an attack; `control` is the same one on plain hashes of the same originals.

    `drawn` is how many people were drawn by lot to be attacked, None where all were.
    """
    measured = "; ".join(
        f"{roughly(rows)} rows {how}"
        for rows, how in (
            (found.hashed, "are plain hashes of an original"),
            (found.guessed, "are hashes under a word that can be guessed"),
            (found.joined, "carry the token of another purpose"),
            (found.made, "follow from their original, or its place, by a scheme that is known"),
        )
        if rows
    )
    blind = not control.undone or not found.rows
    passed = CheckVerdict.INCONCLUSIVE if blind else CheckVerdict.PASSED
    return Check(
        name=f"tokens of {column} in {outlet} against a dictionary",
        asked="no token can be reversed without the key",
        measured=measured or "none was reversed",
        verdict=CheckVerdict.REFUSED if found.undone else passed,
        power="every plain hash is found, however it is written, whole or cut, with what stands "
        "around it, and so are usual codes and row numbers: the same attack "
        + ("does not even undo" if blind else "undoes")
        + " a plain hash of these originals; with the key every token can be confirmed"
        + (say_drawn(drawn) if drawn else ""),
        remedy="make the tokens with a secret key: treatment `token`",
        outlet=outlet,
    )


def say_drawn(drawn: int) -> str:
    """Say how many people were drawn, and how rarely a token may fail so that one of them shows."""
    rare = int(drawn / -log(1 - SURE))
    return (
        f"; tried on {drawn:,} people drawn by lot: a fault in 1 of {rare // 1000 * 1000:,} tokens "
        f"would show in {SURE:.0%} of cases"
    )


def judge_counting(column: str, outlet: str, found: FrequencyAttack) -> Check:
    """Report whose token follows from how often it stands, beside the shares of the originals."""
    told = found.guessed_rows > 0
    return Check(
        name=f"tokens of {column} in {outlet} by counting",
        asked="no token recognized by its frequency",
        measured="whoever knows how common each value is recognizes the token of "
        f"{roughly(found.guessed_rows)} rows, since it fits only one value"
        if told
        else "none is recognized",
        verdict=CheckVerdict.WARNED if told else CheckVerdict.PASSED,
        power="a single token, counted beside the exact shares of the originals; nothing where "
        "each token occurs once",
        remedy="do not release tokens of few, repeated values: no key protects them",
        outlet=outlet,
    )


def attack_plain_hashes(originals: Collection[str]) -> TokenAttack:
    """Try the attack on the tokens that tutorials make, of some of the originals."""
    some = sorted(set(originals) - {""})[:TRIED]
    plain = {hashlib.sha256(one.encode()).hexdigest()[:32]: 1 for one in some}
    return attack_tokens(plain, some)


def _digests(original: str, words: Iterable[str]) -> Iterator[bytes]:
    """Hash one original in the ways that need no secret."""
    text = original.encode()
    for name in UNKEYED:
        yield hashlib.new(name, text).digest()
    yield hmac.digest(b"", text, "sha256")
    for word in words:
        key = word.encode()
        for name in KEYED:
            yield hmac.digest(key, text, name)
            yield hashlib.new(name, key + text).digest()
            yield hashlib.new(name, text + key).digest()


def _find_cuts(tokens: Mapping[str, int], digests: Iterable[bytes]) -> set[str]:
    """Find the tokens that a digest begins with, in hexadecimal or base64."""
    folded: dict[str, str] = {}
    for token in tokens:
        bare = token.strip().rstrip("=")
        folded[bare.replace("-", "+").replace("_", "/")] = token
        folded[bare.lower()] = token
    lengths = sorted({len(one) for one in folded if len(one) >= SHORTEST})
    found: set[str] = set()
    for digest in digests if lengths else ():
        for text in (digest.hex(), base64.b64encode(digest).decode().rstrip("=")):
            cuts = (text[:length] for length in lengths if length <= len(text))
            found.update(folded[cut] for cut in cuts if cut in folded)
    return found
