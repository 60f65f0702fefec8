"""FHIRPath as views use it: the part that SQL on FHIR asks every runner to know, as a tree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

Value: TypeAlias = "str | float | bool"
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[%$]?[A-Za-z_]\w*|`[^`]+`)|(?P<mark><=|>=|!=|[-+*/().,\[\]=<>|]))"
)
_LEVELS: Final = (
    ("or",), ("and",), ("=", "!="), ("<", "<=", ">", ">="), ("|",), ("+", "-"), ("*", "/"),
)  # fmt: skip
"""Operators from the one that binds least; each goes from the left."""


class PathError(ValueError):
    """A path that cannot be used; its text says what is wrong with it."""


class UnknownElementError(PathError):
    """A path that names an element which R4 does not know of its type."""


@dataclass(frozen=True)
class Literal:
    """A value that stands in the path itself."""

    value: Value


@dataclass(frozen=True)
class Named:
    """A `%constant`, or `$this`."""

    name: str


@dataclass(frozen=True)
class Step:
    """An element of what stands before the point; of the context, if nothing does."""

    of: Path | None
    name: str


@dataclass(frozen=True)
class Call:
    """A function of what stands before the point."""

    of: Path | None
    name: str
    given: tuple[Path, ...]


@dataclass(frozen=True)
class Place:
    """One of several, by its number from 0."""

    of: Path
    number: Path


@dataclass(frozen=True)
class Operation:
    """Two values and what is between them."""

    left: Path
    mark: str
    right: Path


Path: TypeAlias = "Literal | Named | Step | Call | Place | Operation"


def parse_path(text: str) -> Path:
    """Read a path; raise `PathError` for what is none, or is not known here."""
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found or found.lastgroup is None:
            raise PathError(f"cannot be read from `{text[at:].strip()[:20]}` on")
        tokens.append((found.lastgroup, found.group(found.lastgroup)))
        at = found.end()
    reader = _Reader(tokens)
    path = reader.read()
    if reader.tokens:
        raise PathError(f"cannot be read from `{reader.tokens[0][1]}` on")
    return path


@dataclass
class _Reader:
    """Takes tokens from the front."""

    tokens: list[tuple[str, str]]

    def read(self, level: int = 0) -> Path:
        if level == len(_LEVELS):
            return self._read_steps()
        left = self.read(level + 1)
        while self.tokens and self.tokens[0][1] in _LEVELS[level]:
            mark = self._take()[1]
            left = Operation(left, mark, self.read(level + 1))
        return left

    def _take(self, wanted: str | None = None) -> tuple[str, str]:
        if not self.tokens:
            raise PathError("ends too early")
        kind, text = self.tokens.pop(0)
        if wanted is not None and text != wanted:
            raise PathError(f"has `{text}` where `{wanted}` should be")
        return kind, text

    def _meets(self, mark: str) -> bool:
        return bool(self.tokens) and self.tokens[0] == ("mark", mark)

    def _read_steps(self) -> Path:
        path = self._read_first()
        while self._meets(".") or self._meets("["):
            if self._take()[1] == "[":
                path = Place(path, self.read())
                self._take("]")
            else:
                path = self._read_name(path, *self._take())
        return path

    def _read_first(self) -> Path:
        kind, text = self._take()
        if kind == "text":
            return Literal(re.sub(r"\\(.)", r"\1", text[1:-1]))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if text == "(":
            path = self.read()
            self._take(")")
            return path
        if text == "-":
            return Operation(Literal(0), "-", self._read_steps())
        if text in {"true", "false"}:
            return Literal(text == "true")
        return self._read_name(None, kind, text)

    def _read_name(self, of: Path | None, kind: str, text: str) -> Path:
        if kind != "name":
            raise PathError(f"has `{text}` where a name should be")
        if text[0] in "%$":
            if of is not None:
                raise PathError(f"has `{text}` behind a point")
            return Named(text)
        if not self._meets("("):
            return Step(of, text.strip("`"))
        self._take("(")
        given: list[Path] = []
        while not self._meets(")"):
            given.append(self.read())
            if not self._meets(")"):
                self._take(",")
        self._take(")")
        return Call(of, text, tuple(given))
