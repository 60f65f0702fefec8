"""The labelled texts that `text.py` measures on, and the split by which they were looked at.

Split: a text, medicine or term belongs to the part that was *looked at* while rules were formed if
the SHA-256 of it, read as a number, is even; to the part that is *scored* if it is odd. Of
`open.jsonl` all was looked at. The sentences and notes in `text_sets.yaml` were written by the
authors of the rules: scored there are names, medicines and terms that no rule was formed on.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import yaml

Pair = tuple[int, int]
WORDS: Final = Path(__file__).with_name("text_sets.yaml")
COPIES: Final = 24  # of each note, with other names
MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August")


class Labelled(NamedTuple):
    """A text and the stretches of it that are labelled."""

    text: str
    spans: list[Pair]


def is_scored(text: str) -> bool:
    """Tell whether a text belongs to the part that no rule was formed on."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 == 1


def read_open(folder: Path) -> list[Labelled]:
    """Read made-up texts of microsoft/presidio-research (`synth_dataset_v2`, MIT licence)."""
    with (folder / "text" / "open.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Labelled(row["text"], [(span["start"], span["end"]) for span in row["spans"]])
        for row in rows
    ]


def read_noisy(folder: Path) -> list[Labelled]:
    """Read made-up reports of Nannigalaxy/PII-synthetic_dataset (MIT licence), if they are there.

    The file names what identifies as strings: each place where one stands is labelled. Titles,
    systems and passwords are labelled in some of the reports only, which costs precision.
    """
    path = folder / "text" / "pii_syn_nano_en.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [Labelled(row["text"], find_strings(row["text"], row.get("NER") or [])) for row in rows]


def find_strings(text: str, entities: Sequence[dict[str, str]]) -> list[Pair]:
    """Give every place at which a labelled string stands."""
    strings = dict.fromkeys(entity.get("entity", "") for entity in entities)
    return [
        found.span()
        for string in filter(None, strings)
        for found in re.finditer(re.escape(string), text)
    ]


def make_notes(seed: int = 5) -> list[Labelled]:
    """Make notes about health with made-up people, everything that identifies them labelled."""
    draw = random.Random(seed)
    lists = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    return [fill(note, draw, lists) for note in lists["notes"] for _ in range(COPIES)]


def fill(note: str, draw: random.Random, lists: dict[str, str]) -> Labelled:
    """Put made-up values into a note's braces."""
    text, spans = "", []
    for plain, kind in re.findall(r"([^{]*)(?:\{(\w+)\})?", note):
        text += plain
        if kind:
            value = make_value(kind, draw, lists)
            spans.append((len(text), len(text) + len(value)))
            text += value
    return Labelled(text, spans)


def make_value(kind: str, draw: random.Random, lists: dict[str, str]) -> str:
    """Make a value of a kind."""

    def digits(form: str) -> str:
        return "".join(str(draw.randrange(1, 10)) if sign == "#" else sign for sign in form)

    given, surname = draw.choice(lists["given"].split()), draw.choice(lists["surnames"].split())
    town, hospital, street = (
        draw.choice([each.strip() for each in lists[name].split(";")])
        for name in ("towns", "hospitals", "streets")
    )
    day, month, year = draw.randrange(1, 29), draw.randrange(8), draw.randrange(2019, 2026)
    dates = (f"{month + 1:02}/{day:02}/{year}", f"{day} {MONTHS[month]} {year}")
    forms = {
        "record": ("#######", "A-#####", "PX-###-##", "S##-#####"),
        "phone": ("(###) 555-01##", "07### ######", "+49 89 ######", "### 555 01##"),
    }
    values = {
        "given": given,
        "surname": surname,
        "person": f"{given} {surname}",
        "small": f"{given} {surname}".lower(),
        "town": town,
        "hospital": hospital,
        "street": street,
        "date": draw.choice(dates),
        "birth": f"{day:02}/{month + 1:02}/{year - 60}",
        "age": digits("9#"),
        "nhs": digits("### ### ####"),
        "social": digits("###-##-####"),
        "email": f"{surname.lower()}{day}@example.org",
        **{name: digits(draw.choice(choice)) for name, choice in forms.items()},
    }
    return values[kind]


def make_sentences(words: str) -> Iterator[Labelled]:
    """Put scored medicines (`listed`, `unlisted`) or `terms` into sentences; they are labelled."""
    lists = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    separator, sentences = (
        (";", "term_sentences") if words == "terms" else (None, "medicine_sentences")
    )
    scored = [each.strip() for each in lists[words].split(separator) if is_scored(each.strip())]
    for sentence in lists[sentences]:
        size = sentence.count("{")
        for start in range(0, len(scored) - size + 1, size):
            chosen = scored[start : start + size]
            text = sentence.format(*chosen)
            yield Labelled(text, find_strings(text, [{"entity": each} for each in chosen]))
