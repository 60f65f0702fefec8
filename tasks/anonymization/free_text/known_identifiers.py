"""A row's own identifiers, searched for by value in the row's text: no generic tool knows them.

A name is found in any order and by its parts, with initials, in capitals, with or without accents;
a telephone number or record number however it is grouped; a date in any usual order and with the
month's name; an e-mail address also by what stands before the @. Not found: nicknames, misspelled
names, maiden names, and what is said without naming.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from unicodedata import category, normalize

from tasks.anonymization.free_text.places import MONTHS

KNOWN: Final = "IDENTIFIER"  # stands for what was found because it is the row's own

_WORD = re.compile(r"[^\W_]+")
_DIGIT = re.compile(r"\d")
_PLACEHOLDER = re.compile(r"<[A-Z]+(?:_[A-Z]+)*(?:_\d+)?>")
_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ][\d:.Z+-]*)?")
_NUMERIC = re.compile(r"(\d{1,2})[./ -](\d{1,2})[./ -](\d{4})")
_MONTH_NUMBERS: Final = {name[:3].lower(): n + 1 for n, name in enumerate(MONTHS[:12])}
_SPELLED: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae", "œ": "oe"}
_BETWEEN = r"[\W_]{0,3}"


class Writing(NamedTuple):
    """A way to write an identifier: the words it needs, its expression, whether capitals count."""

    words: Sequence[str]
    expression: str
    capitalized: bool = False


def find_known(text: str, values: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Find the row's own identifiers in its text, regardless of case, accents and punctuation."""
    folded, origin = _fold(text) if any(values) else ("", [])
    for value in filter(None, values):
        for words, expression, capitalized in _writings(value):
            # Compiling is dear, most identifiers are absent: look for their words first.
            if all(word in folded for word in words):
                for hit in re.finditer(expression, folded):
                    start = origin[hit.start()]
                    if not capitalized or text[start].isupper():
                        last = origin[hit.end() - 1] + 1
                        yield start, max(last, origin[hit.end()])


def residual_identifiers(texts: Sequence[str | None], known: Sequence[Sequence[str | None]]) -> int:
    """Count the texts in which one of the row's own identifiers still stands.

    The check of `reduce_texts`, computed apart from it: plain search of whole words after case
    folding, all but letters and digits read as space: for each identifier, the longer words of a
    name, a number's last seven digits among the text's, a date's day, month and year side by side.
    It knows no misspelling, no nickname, no initials, and nothing of other people.
    """
    return sum(
        any(_still_stands(value, text) for value in values if value)
        for text, values in zip(texts, known, strict=True)
        if isinstance(text, str)
    )


def _writings(value: str) -> Iterator[Writing]:
    """Give the ways to write an identifier."""
    if dates := list(_read_date(value)):
        yield from (_write_date(*date) for date in dates)
    for spelled in {value, "".join(_SPELLED.get(letter, letter) for letter in value.lower())}:
        folded = _fold(spelled)[0]
        words = _WORD.findall(folded)
        if "@" in folded:
            yield from _whole([words, _WORD.findall(folded.partition("@")[0])])
        elif _DIGIT.search(folded):
            yield from _whole([words])
        else:
            yield from _whole([words])
            yield from (_write_part(word, words) for word in words if len(word) >= 2)
    digits = "".join(filter(str.isdigit, value))
    if len(digits) >= 7 and not re.search(r"[^\W\d_]", value) and not dates:
        tail = _BETWEEN.join(digits[-7:])
        yield Writing(digits[-7:], rf"(?:\+?[(\d][\W_]{{0,3}}){{0,9}}{tail}(?!\d)")


def _whole(writings: Sequence[Sequence[str]]) -> Iterator[Writing]:
    """Write the words of an identifier one after the other."""
    for words in writings:
        if len("".join(words)) >= 2:
            inner = _BETWEEN.join(map(re.escape, words))
            yield Writing(words, rf"(?<![^\W_]){inner}(?![^\W_])")


def _write_part(word: str, words: Sequence[str]) -> Writing:
    """Write one part of a name, with the initials of the others before or after it."""
    initials = "".join({re.escape(other[0]) for other in words if other != word})
    before = rf"(?:[{initials}]\.?[\W_]{{0,2}})*" if initials else ""
    after = rf"(?:,? [{initials}]\b\.?)?" if initials else ""
    expression = rf"(?<![^\W_]){before}(?<![^\W_]){re.escape(word)}{after}(?![^\W_])"
    # "Li" and "Do" are names of two letters, and words unless they are written with a capital.
    return Writing([word], expression, capitalized=len(word) == 2)


def _read_date(value: str) -> Iterator[tuple[int, int, int]]:
    """Read a known date: year, month, day; a date in digits in either order of day and month."""
    if iso := _ISO.fullmatch(value.strip()):
        year, month, day = map(int, iso.groups())
        yield year, month, day
    elif numeric := _NUMERIC.fullmatch(value.strip()):
        first, second, year = map(int, numeric.groups())
        yield from {(year, a, b) for a, b in ((first, second), (second, first)) if a <= 12}


def _write_date(year: int, month: int, day: int) -> Writing:
    """Write a date in any usual order, with the month in digits or letters."""
    name = MONTHS[month - 1].lower() if 1 <= month <= 12 else "-"
    months = rf"(?:0?{month}|{name[:3]}(?:{name[3:]}|t)?)"
    days, years = rf"0?{day}(?:st|nd|rd|th)?", rf"(?:{year}|{year % 100:02})"
    gap = r"[\W_]{1,3}(?:of )?"
    orders = ((days, months, years), (months, days, years), (str(year), months, days))
    spaced = [gap.join(order) for order in orders]
    compact = [f"{year}{month:02}{day:02}", f"{day:02}{month:02}{year}"]
    return Writing([], rf"(?<![^\W_])(?:{'|'.join((*spaced, *compact))})(?![^\W_])")


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """Strip case, accents and invisible characters; give each left character's place in `text`."""
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    kept = [
        (plain, index)
        for index, character in enumerate(text)
        for plain in normalize("NFKD", character.casefold())
        if category(plain) not in {"Mn", "Cf"}
    ]
    return "".join(plain for plain, _ in kept), [*(index for _, index in kept), len(text)]


def _still_stands(value: str, text: str) -> bool:
    """Tell whether an identifier stands in a reduced text, placeholders left aside."""
    rest = _PLACEHOLDER.sub(" | ", text)
    haystack, words = _spaced(rest), _spaced(value).split()
    joined = "".join(words)
    if (len(joined) > 1 and _spaced(value) in haystack) or _holds_date(value, haystack):
        return True
    if joined.isdigit() and not _ISO.fullmatch(value.strip()):
        return len(joined) >= 7 and joined[-7:] in "".join(filter(str.isdigit, rest))
    whole_only = "@" in value or any(map(str.isdigit, value))
    return not whole_only and any(len(word) >= 3 and f" {word} " in haystack for word in words)


def _holds_date(value: str, haystack: str) -> bool:
    """Tell whether three neighbouring words are a known date's day, month and year."""
    iso = _ISO.fullmatch(value.strip())
    if iso is None:
        return False
    sought = sorted(map(int, iso.groups()))
    words = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b| of\b", "", haystack).split()
    numbers = [int(w) if w.isdecimal() else _MONTH_NUMBERS.get(w[:3], -1) for w in words]
    return any(sorted(numbers[at : at + 3]) == sought for at in range(len(numbers) - 2))


def _spaced(text: str) -> str:
    """Casefold, and leave single spaces between (and around) the runs of letters and digits."""
    letters = (each if each.isalnum() else " " for each in text.casefold())
    return f" {' '.join(''.join(letters).split())} "
