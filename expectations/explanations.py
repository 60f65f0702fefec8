"""What every refusal means, in plain words: read from `explanations.yaml`, found by its name.

The texts are written by hand and stand beside the code that they tell of; a test collects every
name that a check or a refusal can have and fails where one is not explained. What a text says of a
run's own figures is nothing: those stand in its report.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

TEXTS: Final = Path(__file__).with_name("explanations.yaml")
RULES_OF_CHECK: Final = "rules of check"
LEAST_WORDS: Final = 12
"""Letters that words of a message have at least, to tell it from others."""
_PLACE: Final = re.compile(r"\b[A-Z]{4,}\b")
"""Where the policy's own words stand in a printed name: `k-anonymity of OUTLET`."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One check or rule in plain words; `printed` are the forms in which a message names it."""

    name: str
    group: str
    means: str
    matters: str
    measured: str
    blind: str
    """What it cannot tell."""
    helps: str
    source: str
    printed: tuple[str, ...] = ()

    def matches(self, text: str) -> bool:
        """Whether a text is this name, one of its printed forms, or a message that holds one."""
        if text.casefold() == self.name.casefold():
            return True
        if self.group == RULES_OF_CHECK:
            return any(form in text for form in self.printed)
        return any(_pattern(form).fullmatch(text) for form in self.printed)


def _pattern(form: str) -> re.Pattern[str]:
    """Turn a printed form into a pattern; a word in capitals stands for any words."""
    pieces = map(re.escape, _PLACE.split(form))
    return re.compile(".+".join(pieces), re.IGNORECASE)


@cache
def read_explanations() -> Mapping[str, Explanation]:
    """Give every explanation by its name, in the order of the file."""
    texts = yaml.load(TEXTS.read_text(encoding="utf-8"), Loader=_loader())  # noqa: S506  # a safe one
    return {
        name: Explanation(name, **{**parts, "printed": tuple(parts.get("printed") or ())})
        for name, parts in texts.items()
    }


def _loader() -> type[yaml.SafeLoader]:
    """Give the quickest loader of plain values that is here."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def find_explanation(name: str) -> Explanation | None:
    """Give what explains a check as a refusal prints its name; None where nothing does.

    Where several forms fit, as `tokens of COLUMN` does every longer one, the most exact is meant.
    """
    fitting = [one for one in read_explanations().values() if one.matches(name.strip())]
    return max(fitting, key=lambda one: _exactness(one, name), default=None)


def _exactness(one: Explanation, name: str) -> tuple[bool, int]:
    """Say how closely a form fits a name: word for word, or by how many letters it fixes."""
    fixed = [
        len(_PLACE.sub("", form))
        for form in one.printed
        if form in name or _pattern(form).fullmatch(name)
    ]
    return one.name.casefold() == name.casefold(), max(fixed, default=0)


def find_alike(name: str) -> list[str]:
    """Give the names that begin like this one, or else those that are spelt alike."""
    typed = name.strip().casefold()
    if not typed:
        return []
    begun = [known for known in read_explanations() if known.casefold().startswith(typed)]
    if begun:
        return begun
    known = {each.casefold(): each for each in read_explanations()}
    alike = difflib.get_close_matches(typed, known, n=3, cutoff=0.6)
    return [known[each] for each in alike] or [known[each] for each in known if typed in each]


def say_how_to_explain(check: str) -> str:
    """Give the command that explains a check, as it can be typed."""
    found = find_explanation(check)
    return f'tutela explain "{found.name if found else check}"'


def rules_that_say(words: str) -> set[str]:
    """Give the rules of `tutela check` in one of whose messages these words stand, by name.

    Or, of a whole message, those a piece of which stands in it.
    """
    from expectations.coherence.rules import RULES

    asked = words.strip().casefold()
    return {
        rule.__name__.replace("_", " ")
        for rule in RULES
        for piece in _said(rule)
        if len(asked) >= LEAST_WORDS <= len(piece) and (asked in piece or piece in asked)
    }


def _said(rule: Callable[..., object]) -> list[str]:
    """Give the pieces of text in a rule's code, without its docstring."""
    tree = ast.parse(inspect.getsource(rule))
    return [
        node.value.strip().casefold()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value != rule.__doc__
    ]


def rule_sentences() -> dict[str, str]:
    """Give each rule of `tutela check` by its name in words, with the sentence that states it."""
    from expectations.coherence.rules import RULES

    return {
        rule.__name__.replace("_", " "): (inspect.getdoc(rule) or "").partition("\n")[0]
        for rule in RULES
    }
