"""What the name of a column says: its words are looked up in lists (`name_words.yaml`).

The lists are for recall: a word that means two things counts as the more delicate one. They do not
know other languages than five, nor what a codebook says of `q17`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml

from expectations.policy.vocabulary import Category, Identifiability

WORDS: Final = Path(__file__).with_name("name_words.yaml")
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LEADS = re.compile(r"^(log|ln|hus|wif|mom|dad|num|tot|avg|has|is|no|ever|[lhwmfsnrd])(?=[a-z]{3})")
"""What stands before a word in survey data: its logarithm, husband's, mother's, a number of …"""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that a name can say, and the words by which it says it."""

    says: str
    identifiability: Identifiability
    category: Category | None
    words: frozenset[str]
    parts: re.Pattern[str]
    unless: frozenset[str]
    consent: bool
    target: bool
    person: bool
    doubtful: bool


@cache
def signs() -> tuple[Sign, ...]:
    """Read the lists."""
    return tuple(_make_sign(entry) for entry in yaml.safe_load(WORDS.read_text("utf-8")))


def _make_sign(entry: dict[str, str]) -> Sign:
    return Sign(
        says=entry["says"],
        identifiability=Identifiability(entry["identifiability"]),
        category=Category(entry["category"]) if entry["category"] else None,
        words=frozenset(fold(entry["words"]).split()),
        parts=re.compile("|".join(entry["parts"].split())),
        unless=frozenset(entry.get("unless", "").split()),
        consent=bool(entry.get("consent")),
        target=bool(entry.get("target")),
        person=bool(entry.get("person")),
        doubtful=bool(entry.get("doubtful")),
    )


def read_name(name: str) -> tuple[Sign, ...]:
    """Give what the name says, in the order of the lists: by its words, or else by part of it."""
    words, joined = split_name(name)
    found = [sign for sign in signs() if not words & sign.unless and _says(sign, words, joined)]
    if not found:
        bare = {_LEADS.sub("", word) for word in words if len(word) > 4}
        found = [sign for sign in signs() if bare & sign.words and not words & sign.unless]
    return tuple(found)


def _says(sign: Sign, words: frozenset[str], joined: str) -> bool:
    return bool(words & sign.words) or sign.parts.search(joined) is not None


def split_name(name: str) -> tuple[frozenset[str], str]:
    """Give a name's words in lower case, also without plural, square and number, and all joined."""
    name = fold(name)
    pieces = [piece.lower() for piece in _PIECES.findall(name)]
    joined = "".join(pieces)
    chunks = [chunk.lower() for chunk in re.split(r"[\W_]+", name) if chunk]
    words = {*pieces, *chunks, joined, "".join(p for p in pieces if not p.isdigit())}
    words |= {f"{one}{next_one}" for one, next_one in pairwise(pieces)}
    words |= {re.sub(r"(sq|sqr|s|\d+)$", "", word) for word in words if len(word) > 4}
    return frozenset(words - {""}), joined


def fold(text: str) -> str:
    """Give a text without accents, and with ss for ß."""
    apart = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(sign for sign in apart if not unicodedata.combining(sign))
