"""What the values of a column look like: forms of identifiers and codes, and telling words.

A sample of different values is matched, and only the share that matches leaves, in words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

import yaml

from expectations.policy.vocabulary import Category, Identifiability

WORDS: Final = Path(__file__).with_name("value_words.yaml")
MOST: Final = 0.5
"""The share of sampled values that must look alike."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a whole value can have."""

    says: str
    matches: Callable[[str], bool]
    identifiability: Identifiability
    category: Category
    numeric: bool = False
    """Also looked for where the column holds numbers."""


def is_card(text: str) -> bool:
    """Tell whether digits are a card's number, by length and the Luhn sum (ISO/IEC 7812-1)."""
    if not re.fullmatch(r"[0-9 -]+", text.strip()):
        return False
    digits = [int(sign) for sign in text if sign not in " -"]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether a text is an IBAN, by form and remainder (ISO 13616)."""
    plain = text.replace(" ", "").upper()
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", plain):
        return False
    return int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def is_internet_address(text: str) -> bool:
    """Tell whether a text is an address of IPv4 or IPv6."""
    try:
        ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    return True


def is_phone(text: str) -> bool:
    """Tell whether a text has the form of a telephone number, and is no date."""
    plain = text.strip()
    digits = sum(sign.isdigit() for sign in plain)
    if not 9 <= digits <= 17 or WRITTEN_DATE(plain):
        return False
    form = re.fullmatch(r"\+?[\d\s().\-/]{9,24}(\s?(ext|x)\.?\s?\d{1,6})?", plain)
    return form is not None and re.search(r"^[+0(]|\d[ ()./-]+\d+[ ()./-]+\d", plain) is not None


def is_personal_name(text: str) -> bool:
    """Tell whether a text is one to five words, one of which is a common given name."""
    from tasks.anonymization.free_text.places import GIVEN_NAMES

    words = re.findall(r"[^\W\d_]+", text.lower())
    return 1 <= len(words) <= 5 and not GIVEN_NAMES.isdisjoint(words)


def _whole(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.fullmatch(text.strip()) is not None


WRITTEN_DATE: Final = _whole(
    r"(\d{1,2}[-./ ]\d{1,2}[-./ ](19|20)?\d{2}|\d{4}[-./]\d{1,2}[-./]\d{1,2})([ t]\d\d?:\d\d.*)?"
    r"|\d{1,2}[ -]?[a-z]{3,9}\.?[ -,]{1,2}\d{2,4}|[a-z]{3,9}\.? \d{1,2},? \d{4}"
)
"""A date, or a moment, in another form than 2024-01-31."""
_STREETS = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|way|boulevard|blvd|place|pl|close"
    "|crescent"
)
FORMS: Final = (
    Form("e-mail addresses", _whole(r"[\w.+%'-]+@[\w-]+(\.[\w-]+)+"),
         Identifiability.IDENTIFIER, Category.CONTACT),
    Form("IBANs", is_iban, Identifiability.IDENTIFIER, Category.FINANCIAL),
    Form("card numbers", is_card, Identifiability.IDENTIFIER, Category.FINANCIAL, numeric=True),
    Form("internet addresses", is_internet_address,
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("device addresses", _whole(r"([0-9a-f]{2}[:-]){5}[0-9a-f]{2}"),
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("UUIDs or long keys", _whole(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|[0-9a-f]{24,}"),
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("official numbers of persons", _whole(
         r"\d{3}-\d{2}-\d{4}|[a-ceghj-pr-tw-z]{2} ?\d\d ?\d\d ?\d\d ?[a-d]|\d{8}-?[a-z]"
         r"|[xyz]\d{7}[a-z]|[a-z]{6}\d\d[a-z]\d\d[a-z]\d{3}[a-z]"
         r"|[12] ?\d\d ?[01]\d ?\d\d ?\d{3} ?\d{3} ?\d\d"),
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("vehicle numbers", _whole(r"(?=.*\d)(?=.*[a-z])[a-hj-npr-z0-9]{17}"),
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("telephone numbers", is_phone, Identifiability.IDENTIFIER, Category.CONTACT),
    Form("web addresses or user names", _whole(r"(https?://|www\.)\S+|@\w{3,}"),
         Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("street addresses", _whole(
         rf"\d+\w? .*\b({_STREETS})\b.*|.*(stra(ss|ß)e|str\.|weg|gasse|platz|allee) \d+\w?.*"
         r"|(rue|via|viale|piazza|calle|avenida|plaza|av\.) .*"),
         Identifiability.IDENTIFIER, Category.LOCATION),
    Form("names of people", is_personal_name, Identifiability.IDENTIFIER, Category.IDENTIFYING),
    Form("postcodes", _whole(
         r"[a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|\d{5}-\d{4}|[a-z]\d[a-z] ?\d[a-z]\d"),
         Identifiability.QUASI, Category.LOCATION),
    Form("codes of diagnoses (ICD-10)", _whole(r"[a-tv-z]\d[0-9ab]\.[0-9a-z]{1,4}|[a-tv-z]\d\d"),
         Identifiability.NONE, Category.HEALTH),
    Form("places on a map", _whole(r"\(?-?\d{1,2}\.\d{3,}, ?-?\d{1,3}\.\d{3,}\)?"),
         Identifiability.QUASI, Category.LOCATION),
)  # fmt: skip


def count_matches(sample: Sequence[str], matches: Callable[[str], bool]) -> int:
    """Count the values that have a form."""
    return sum(matches(text) for text in sample)


def word_share(some: int, of: int) -> str:
    """Word a share of sampled values."""
    return "all" if some == of else "nearly all" if some > 0.9 * of else "most"


def is_written_date(sample: Sequence[str]) -> bool:
    """Tell whether most values are dates or moments in another form than 2024-01-31."""
    return count_matches(sample, WRITTEN_DATE) > len(sample) / 2


def find_forms(sample: Sequence[str], *, numeric: bool) -> list[Form]:
    """Give the forms that most of the sampled values have; of numbers only forms of numbers."""
    forms = [form for form in FORMS if form.numeric or not numeric]
    return [
        form
        for form in forms
        if sample and count_matches(sample, form.matches) >= MOST * len(sample)
    ]


@cache
def category_words() -> dict[Category, frozenset[str]]:
    """Read the lists of words that values are made of."""
    read = yaml.safe_load(WORDS.read_text("utf-8"))
    return {Category(name): frozenset(words.split()) for name, words in read.items()}


def find_categories(sample: Sequence[str], *, least: int = 0) -> list[Category]:
    """Give the categories of which the different values speak: some share, or `least` of them."""
    values = [_words_of(text) for text in sample]
    found = []
    for category, words in category_words().items():
        speaking = sum(not words.isdisjoint(value) for value in values)
        if (
            (least and speaking >= least)
            or (speaking >= 2 and speaking >= 0.3 * len(values))
            or (speaking >= 5 and speaking >= 0.1 * len(values))
        ):
            found.append(category)
    return found


def _words_of(text: str) -> set[str]:
    pieces = re.findall(r"[^\W\d_]+", text.lower())
    return {*pieces, "-".join(pieces), *map("-".join, pairwise(pieces))}
