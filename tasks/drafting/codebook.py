"""A codebook: the words and the bounds of columns, written by somebody and not from these people.

Two forms are read: Frictionless Table Schema, alone or in a Data Package (`categories`, or the
constraints `enum`, `minimum` and `maximum`: specs.frictionlessdata.io), and REDCap's data
dictionary (its choices and its validation bounds). That a codebook is right, and of this table, is
for a person to see.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final, TypeAlias

from expectations.errors import UsageError
from expectations.policy.treatments import Categories
from tasks.drafting.profile import MOST_LISTED, list_multiples

VARIABLE: Final = "Variable / Field Name"
CHOICES: Final = "Choices, Calculations, OR Slider Labels"
LEAST_WORD, MOST_WORD = "Text Validation Min", "Text Validation Max"
LISTED: Final = frozenset({"radio", "dropdown"})
"""REDCap's kinds of fields that hold one of their choices."""
FORMS: Final = (
    "a codebook is a Frictionless Table Schema or Data Package (.json), or REDCap's data "
    "dictionary (.csv)"
)
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a codebook says of one column: its words, each with what it means, and its bounds."""

    words: Mapping[str, str]
    ordered: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def meanings(self) -> str:
        """Say what words stand for, where they are codes."""
        told = [f"{word} {label}" for word, label in self.words.items() if label not in {"", word}]
        return ", ".join(told)

    def list_words(self) -> Categories | None:
        """Give its words as a treatment: what is none of them is another word, whatever there is.

        None where it lists one, or more than a person reads.
        """
        if not 1 < len(self.words) <= MOST_LISTED:
            return None
        own = next((word for word in self.words if word.casefold() == OTHER), OTHER)
        return Categories(
            kind="categories", values=tuple(self.words), ordered=self.ordered, other=own
        )

    def part_bounds(self, *, whole: bool) -> tuple[float, ...]:
        """Give round numbers between its bounds; none where it has not both."""
        if self.low is None or self.high is None:
            return ()
        return tuple(list_multiples(self.low, self.high, 1.0 if whole else 0.0))


Codebook: TypeAlias = Mapping[str, Declared]
"""What is declared of each column, by the name that the source has for it."""


def read_codebook(path: Path) -> Codebook:
    """Read a codebook; `UsageError` for a file that is none, or says nothing of any column."""
    read = _read_dictionary if path.suffix == ".csv" else _read_schema
    try:
        found = dict(read(path.read_text("utf-8-sig")))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); name a codebook") from None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise UsageError(f"{path} is not a codebook that can be read: {FORMS}") from error
    if not found:
        raise UsageError(f"{path} describes no column: {FORMS}")
    return found


def _read_schema(text: str) -> Iterator[tuple[str, Declared]]:
    """Read the fields of a Table Schema, or of all resources of a Data Package."""
    content = json.loads(text)
    packed = [one["schema"] for one in content.get("resources", ())]
    for schema in packed or [content]:
        for field in schema["fields"]:
            bounds = field.get("constraints", {})
            listed = field.get("categories") or bounds.get("enum") or ()
            words = dict(_read_word(word) for word in listed)
            low, high = _number(bounds.get("minimum")), _number(bounds.get("maximum"))
            ordered = bool(field.get("categoriesOrdered"))
            yield str(field["name"]), Declared(words, ordered, low, high)


def _read_word(word: Any) -> tuple[str, str]:  # noqa: ANN401  # whatever JSON has there
    """Give a word as the source spells it, and what it means."""
    if isinstance(word, dict):
        return str(word["value"]), str(word.get("label", ""))
    return str(word), ""


def _read_dictionary(text: str) -> Iterator[tuple[str, Declared]]:
    """Read the lines of REDCap's data dictionary."""
    for line in csv.DictReader(StringIO(text, newline="")):
        words = dict(_read_choices(line[CHOICES])) if line["Field Type"] in LISTED else {}
        low, high = _number(line.get(LEAST_WORD)), _number(line.get(MOST_WORD))
        yield line[VARIABLE], Declared(words, low=low, high=high)


def _read_choices(choices: str) -> Iterator[tuple[str, str]]:
    """Read choices such as `1, male | 2, female`."""
    for choice in choices.split("|"):
        word, _, label = choice.partition(",")
        yield word.strip(), label.strip()


def _number(bound: object) -> float | None:
    """Read a bound; one that is a date, or another field's name, is none."""
    try:
        return float(str(bound))
    except ValueError:
        return None
