"""What a column looks like, and by which signs: its name, its values, how far they single out.

A name's words are looked up in lists (`name_words.yaml`), where a word that means two things counts
as the more delicate one. The signs are for recall: a column that is missed is used as if it were
harmless, a false alarm costs a look. They do not know other languages than five, nor what a
codebook says of `q17`, nor what a column means that has a name of one letter and numbers for
values.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from expectations.expressions.expressions import ColumnType
from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting.column_types import is_text, share_that_fits
from tasks.drafting.profile import (
    MOST_WORDS,
    NUMERIC,
    Profile,
    Values,
    hide_values,
    list_words,
    make_profile,
)
from tasks.drafting.singling_out import FEW
from tasks.drafting.value_signs import (
    count_matches,
    find_categories,
    find_forms,
    is_written_date,
    word_share,
)

WORDS: Final = Path(__file__).with_name("name_words.yaml")
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LEADS = re.compile(r"^(log|ln|hus|wif|mom|dad|num|tot|avg|has|is|no|ever|[lhwmfsnrd])(?=[a-z]{3})")
"""What stands before a word in survey data: its logarithm, husband's, mother's, a number of …"""
SAMPLE: Final = 200
"""Different values that are looked at."""
ENOUGH: Final = 20
"""Rows below which uniqueness says nothing."""
FAMILY: Final = "family or household"
CODES: Final = 12
"""More different codes than this are given to people, and not to kinds of them."""
ANSWERS: Final = 6
"""More words than this are no answers to a question for consent."""
# fmt: off
YES: Final = {
    "yes", "y", "true", "t", "1", "1.0", "agreed", "agree", "accepted", "given", "granted",
    "consented", "optin", "opt-in", "ja", "oui", "si", "sí",
}
# fmt: on
# fmt: on
KEYS: Final = (Category.IDENTIFYING, Category.CONTACT, Category.DEMOGRAPHIC)
"""What a column may be called and yet number the rows: an income is no key, though each differs."""
OTHER_DATES: Final = "most values are dates or times that are not written as 2024-01-31"
NOTHING: Final = "neither name nor values say what it holds"
_NONE, _QUASI, _ID = Identifiability.NONE, Identifiability.QUASI, Identifiability.IDENTIFIER
_STRENGTH: Final = (_NONE, _QUASI, _ID)


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


@dataclass(frozen=True, slots=True)
class Found:
    """What a column looks like; its sentences say what was seen, never a value."""

    profile: Profile
    identifiability: Identifiability
    category: Category | None
    """None: cannot be told."""
    free_text: bool
    person: bool
    """Whether it could name each row: complete, unique, and like a key."""
    consent: tuple[str, ...]
    """The words that mean yes, where it looks like an answer to a question for consent."""
    target: bool
    """Whether it is a yes/no column that looks like an outcome."""
    seen: tuple[str, ...]
    doubtful: bool
    """Whether a person must decide."""


@dataclass(frozen=True, slots=True)
class Clue:
    """One thing that was seen, and what it makes of the column."""

    says: str
    identifiability: Identifiability = _NONE
    category: Category | None = None
    doubtful: bool = False


def judge(values: Values) -> Found:
    """Say what a column looks like by itself."""
    sample = sample_texts(values, SAMPLE)
    called = read_name(values.name)
    measured = measures(values, sample)
    named = [sign for sign in called if not (measured and sign.identifiability is _ID)]
    free_text = is_free_text(values, sample)
    clues = [*_from_names(named), *_from_values(values, named, sample, free_text=free_text)]
    strength = max((clue.identifiability for clue in clues), key=_STRENGTH.index, default=_NONE)
    if strength is _ID and values.type is ColumnType.BOOLEAN:
        strength = _NONE  # yes and no name nobody: whether there is a telephone, not its number
    category = choose_category([clue.category for clue in clues if clue.category])
    profile = make_profile(values)
    consent = _yes_words(profile) if any(sign.consent for sign in named) else ()
    return Found(
        profile=hide_values(profile) if strength is _ID or free_text else profile,
        identifiability=strength,
        category=category,
        free_text=free_text,
        person=strength is _ID and is_key(values, sample),
        consent=consent,
        target=profile.type is ColumnType.BOOLEAN and any(sign.target for sign in named),
        seen=tuple(dict.fromkeys(clue.says for clue in clues)) or (NOTHING,),
        doubtful=not consent and (_is_doubtful(clues) or len(named) < len(called)),
    )


def measures(values: Values, sample: Sequence[str]) -> bool:
    """Tell whether the values are dates, moments or decimals, which name nobody whatever the name.

    A member is named by a number or a text; `member_since` is a day on which many may have come.
    """
    dated = values.type is ColumnType.TEXT and is_written_date(sample)
    return dated or values.type in (ColumnType.DATE, ColumnType.NUMBER)


def choose_category(told: Sequence[Category]) -> Category | None:
    """Give the first special category that was told, or else the first of all."""
    return next((category for category in told if category.special), next(iter(told), None))


def sample_texts(values: Values, size: int) -> list[str]:
    """Give up to `size` different values as text, spread over the column."""
    if not len(values.counts):
        return []
    picked = np.unique(np.linspace(0, len(values.counts) - 1, size).astype(np.int64))
    return [text for text in values.texts.take(picked).to_pylist() if text]


def is_free_text(values: Values, sample: Sequence[str]) -> bool:
    """Tell whether people wrote sentences: many different texts of several words."""
    if values.type is not ColumnType.TEXT or len(values.counts) <= MOST_WORDS or not sample:
        return False
    words = float(np.mean([len(text.split()) for text in sample]))
    return words >= 5 or (words >= 3 and float(np.mean([len(text) for text in sample])) >= 40)


def is_key(values: Values, sample: Sequence[str]) -> bool:
    """Tell whether the column is complete, unique, and of numbers or single words."""
    unique = len(values.counts) == values.rows == values.counts.sum()
    short = all(len(text) <= 64 and len(text.split()) == 1 for text in sample)
    return bool(unique and short and values.type in (ColumnType.INTEGER, ColumnType.TEXT))


def _is_doubtful(clues: Sequence[Clue]) -> bool:
    """Tell whether nothing says what it is about, or what does is in doubt."""
    return not any(clue.category for clue in clues) or any(clue.doubtful for clue in clues)


def _yes_words(profile: Profile) -> tuple[str, ...]:
    """Give the words that mean yes, if there are no more words than answers."""
    yes = tuple(word for word in profile.words if word.strip().lower() in YES)
    return yes if len(profile.words) <= ANSWERS else ()


def _from_names(named: Sequence[Sign]) -> list[Clue]:
    """Say what the name says; that it is an outcome or a consent is no category."""
    return [
        Clue(f"its name says {sign.says}", sign.identifiability, sign.category, sign.doubtful)
        for sign in named
    ]


def _from_values(
    values: Values, named: Sequence[Sign], sample: Sequence[str], *, free_text: bool
) -> list[Clue]:
    if free_text:
        says = "it holds free text, which can contain anything"
        return [Clue(says, _QUASI, doubtful=True), *_from_words(sample)]
    if values.type is ColumnType.DATE:
        return [Clue("it holds dates", _QUASI)]
    if values.type is ColumnType.TEXT and is_written_date(sample):
        return [Clue(OTHER_DATES, _QUASI, doubtful=True)]
    text = values.type is ColumnType.TEXT
    return [
        *_from_forms(values, sample),
        *(_from_words(sample) if text else ()),
        *(_from_a_word(values, sample) if text else ()),
        *(_from_codes(named, sample) if text else ()),
        *(_from_misfits(values) if text else ()),
        *_from_uniqueness(values, named),
    ]


def _from_forms(values: Values, sample: Sequence[str]) -> list[Clue]:
    forms = find_forms(sample, numeric=values.type in (*NUMERIC, ColumnType.BOOLEAN))
    return [
        Clue(
            f"{word_share(count_matches(sample, form.matches), len(sample))} of its sampled values"
            f" look like {form.says}",
            form.identifiability,
            form.category,
        )
        for form in forms
    ]


def _from_words(sample: Sequence[str]) -> list[Clue]:
    return [
        Clue(
            f"words among its values point to {say_category(category)}",
            _QUASI if category is Category.GENDER else _NONE,
            category,
        )
        for category in find_categories(sample)
    ]


def _from_a_word(values: Values, sample: Sequence[str]) -> list[Clue]:
    """Leave a list to a person where one word of it speaks of a special category."""
    told = set(find_categories(sample))
    speaking = [one for one in find_categories(list_words(values), least=1) if one not in told]
    return [
        Clue(f"a word among its values may point to {say_category(category)}", doubtful=True)
        for category in speaking
        if category.special
    ]


def _from_codes(named: Sequence[Sign], sample: Sequence[str]) -> list[Clue]:
    """Tell numbered households from kinds of household."""
    family = any(sign.says == FAMILY for sign in named)
    codes = all(re.search(r"\d", text) and " " not in text for text in sample)
    if family and codes and len(sample) > CODES:
        return [Clue("its values look like numbers of people or households", _ID)]
    return []


def say_category(category: Category) -> str:
    """Say a category in small words."""
    return category.name.lower().replace("_", " ")


def _from_misfits(values: Values) -> list[Clue]:
    """Say why a column of numbers is read as text, and that there is nothing to read."""
    if not len(values.counts):
        return [Clue("it holds no value that can be read", doubtful=True)]
    share = share_that_fits(values.distinct, ColumnType.NUMBER) if is_text(values.distinct) else 0
    if share == 1:
        return [Clue("its numbers begin with a zero or are very long: codes, so read as text")]
    if share > 0.5:
        says = "most values are numbers and some are not, so it is read as text"
        return [Clue(f"{says}; leave those empty to have numbers", doubtful=True)]
    return []


def _from_uniqueness(values: Values, named: Sequence[Sign]) -> list[Clue]:
    """Say how far the values alone single people out; measurements that differ do not count."""
    rows, counts = values.rows, values.counts
    key = any(sign.identifiability is _ID for sign in named)
    if rows < ENOUGH or values.type not in (ColumnType.INTEGER, ColumnType.TEXT):
        return []
    if values.type is ColumnType.INTEGER:
        otherwise = any(sign.category and sign.category not in KEYS for sign in named)
        if len(counts) == rows and (key or (is_numbering(values) and not otherwise)):
            return [Clue("each row has its own number", _ID, Category.IDENTIFYING)]
        return []
    if len(counts) > 0.9 * counts.sum():
        category = None if named else Category.IDENTIFYING
        return [Clue("nearly every row has its own value", _ID, category, doubtful=not key)]
    if float(counts[counts < FEW].sum()) > 0.01 * rows:
        says = "some of its values occur in fewer than 5 rows each"
        return [Clue(says, _QUASI, doubtful=not named)]
    return []


def is_numbering(values: Values) -> bool:
    """Tell whether different whole numbers run on nearly without gaps, or have one long length."""
    low, high = values.numbers.min(), values.numbers.max()
    length = len(str(int(low)))
    return bool(high - low < 1.1 * len(values.counts)) or 5 <= length == len(str(int(high)))
