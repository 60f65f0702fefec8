"""Paths and views as SQL of DuckDB, typed by what FHIR R4 knows.

What may be there several times is a list in SQL, what may be there once a value, and what is not
there is NULL. So a path that names single elements is plain SQL, without any list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from tasks.sources.aggregates import quote
from tasks.sources.fhir.elements import IN_SQL, NUMBER, TEXT, TRUTH, elements_of
from tasks.sources.fhir.paths import (
    Call,
    Literal,
    Named,
    Operation,
    Path,
    PathError,
    Place,
    Step,
    UnknownElementError,
    parse_path,
)
from tasks.sources.scan import write_text

ROOT: Final = "held"
"""The resource, as a row of what is read."""
CHOICE: Final = "choice of "
MARK: Final = "view: "
"""Begins what SQL says where a view does not fit a resource."""
_KEY: Final = r"^(?:urn:uuid:|(?:[^?#]*/)?{}/)([A-Za-z0-9.\-]{{1,64}})(?:/_history/.+)?$"


@dataclass
class Need:
    """Which elements of a type are read: what the parser of JSON is told to keep."""

    type: str
    many: bool = False
    parts: dict[str, Need] = field(default_factory=dict)

    def write(self) -> str:
        """Write it as a type of SQL."""
        written = IN_SQL.get(self.type) or self._write_struct()
        return f"{written}[]" if self.many else written

    def _write_struct(self) -> str:
        if not self.parts:
            return "JSON"
        return f"STRUCT({', '.join(f'{quote(n)} {one.write()}' for n, one in self.parts.items())})"

    def part(self, name: str) -> Need:
        """Give the need of one element, which is read from now on."""
        kind, many = elements_of(self.type)[name]
        return self.parts.setdefault(name, Need(kind, many))


@dataclass(frozen=True)
class Found:
    """What a path finds: an expression of SQL, its type, and whether it is a list."""

    sql: str
    type: str
    many: bool = False
    need: Need | None = None

    def one(self) -> str:
        """Write it as one value; SQL ends with an error where there are several."""
        if not self.many:
            return self.sql
        fault = f"error({write_text(MARK + 'several values where one is meant')})"
        kind = IN_SQL.get(self.type)
        if kind is None:
            return f"({self.sql})[1]"
        return f"CASE WHEN len({self.sql}) > 1 THEN {fault}::{kind} ELSE ({self.sql})[1] END"

    def as_list(self) -> str:
        """Write it as a list, empty or NULL where nothing is there."""
        return self.sql if self.many else f"list_filter([{self.sql}], lambda z: z IS NOT NULL)"

    def exists(self) -> str:
        """Write whether anything is there."""
        return f"(coalesce(len({self.sql}), 0) > 0)" if self.many else f"({self.sql} IS NOT NULL)"


@dataclass(frozen=True)
class Compiler:
    """Writes paths over resources of one type, with a view's constants."""

    root: Found
    constants: Mapping[str, Found]
    row: str = "0"
    """What `%rowIndex` is."""
    names: count[int] = field(default_factory=count)

    def name(self) -> str:
        """Give a name for a value that no other has."""
        return f"x{next(self.names)}"

    def write(self, text: object, context: Found) -> Found:
        """Write a path as it stands in a view."""
        if not isinstance(text, str):
            raise PathError("is no text")
        return self.find(parse_path(text), context)

    def find(self, path: Path, context: Found) -> Found:
        """Write a path in the context of what it is said of."""
        match path:
            case Literal(value):
                return write_literal(value)
            case Named("$this"):
                return context
            case Named("%rowIndex"):
                return Found(self.row, NUMBER)
            case Named("%resource" | "%context"):
                return self.root
            case Named(name):
                if name[1:] not in self.constants:
                    raise PathError(f"names `{name}`, which is no constant of the view")
                return self.constants[name[1:]]
            case Step(of, name):
                return self._step(context if of is None else self.find(of, context), name)
            case Place(of, number):
                place = self.find(number, context)
                if place.type != NUMBER or place.many:
                    raise PathError("has something in brackets that is no number")
                found = _decided(self.find(of, context))
                return self._pick(found, f"({place.sql})::INTEGER + 1")
            case Call(of, name, given):
                found = context if of is None else self.find(of, context)
                return self._call(found if name == "ofType" else _decided(found), name, given)
            case Operation(left, mark, right):
                return self._operate(self.find(left, context), mark, self.find(right, context))

    def _step(self, of: Found, name: str) -> Found:
        known = elements_of(of.type)
        if name not in known:
            if of is self.root and name == of.type:
                return of
            if any(one.startswith(name) and one[len(name)].isupper() for one in known
                   if len(one) > len(name)):  # fmt: skip
                return replace(of, type=f"{CHOICE}{of.type}.{name}")
            raise UnknownElementError(f"names `{name}`, which R4 does not know of {_say(of.type)}")
        assert of.need is not None, "what has elements was read"
        return self._take(of, name, of.need.part(name))

    def _take(self, of: Found, name: str, need: Need) -> Found:
        kind, many = need.type, need.many
        if not of.many:
            dot = of.sql if of.sql.isidentifier() else f"({of.sql})"
            sql = f"{dot}.{quote(name)}"
            if many and kind in IN_SQL:  # what is null there has an extension instead
                sql = f"list_filter({sql}, lambda z: z IS NOT NULL)"
            return Found(sql, kind, many, need)
        each = self.name()
        taken = f"list_transform({of.sql}, lambda {each}: {each}.{quote(name)})"
        if many:
            taken = f"flatten({taken})"
        return Found(f"list_filter({taken}, lambda z: z IS NOT NULL)", kind, True, need)

    def _pick(self, of: Found, place: str) -> Found:
        if of.many:
            return replace(of, sql=f"({of.sql})[{place}]", many=False)
        return replace(of, sql=f"CASE WHEN {place} = 1 THEN {of.sql} END")

    def map(self, of: Found, write: Callable[[Found], str]) -> str:
        """Write something of each of what is there."""
        if not of.many:
            return write(of)
        each = self.name()
        return (
            f"list_transform({of.sql}, lambda {each}: {write(replace(of, sql=each, many=False))})"
        )

    def _call(self, of: Found, name: str, given: Sequence[Path]) -> Found:
        match name, len(given):
            case "exists", 0:
                return Found(of.exists(), TRUTH)
            case "exists", 1:
                return Found(self._where(of, given[0]).exists(), TRUTH)
            case "empty", 0:
                return Found(f"(NOT {of.exists()})", TRUTH)
            case "not", 0:
                return Found(f"(NOT {_truth(of)})", TRUTH)
            case "first", 0:
                return self._pick(of, "1")
            case "where", 1:
                return self._where(of, given[0])
            case "ofType", 1:
                return self._of_type(of, given[0])
            case "extension", 1:
                url = Operation(Step(None, "url"), "=", given[0])
                return self._where(self._step(of, "extension"), url)
            case "join", 0 | 1:
                by = _text(self.find(given[0], of)) if given else "''"
                joined = f"coalesce(array_to_string({of.as_list()}, {by}), '')"
                return Found(joined, TEXT)
            case "getResourceKey", 0 if of is self.root:
                return self._step(of, "id")
            case "getReferenceKey", 0 | 1:
                return self._key(of, given)
        raise PathError(f"uses `{name}()` in a way that is not known here")

    def _where(self, of: Found, test: Path) -> Found:
        each = self.name() if of.many else of.sql
        met = _truth(self.find(test, of if not of.many else replace(of, sql=each, many=False)))
        if of.many:
            kept = f"list_filter({of.sql}, lambda {each}: coalesce({met}, false))"
            return replace(of, sql=kept)
        return replace(of, sql=f"CASE WHEN {met} THEN {of.sql} END")

    def _of_type(self, of: Found, given: Path) -> Found:
        name = given.name if isinstance(given, Step) else ""
        if not of.type.startswith(CHOICE) or of.need is None:
            raise PathError("uses `ofType()` of something that has one type")
        kind, _, element = of.type.removeprefix(CHOICE).partition(".")
        full = element + name[:1].upper() + name[1:]
        if full not in elements_of(kind):
            # A choice that R4 does not give here is never there.
            return Found("NULL::VARCHAR", TEXT)
        return self._take(replace(of, type=kind), full, of.need.part(full))

    def _key(self, of: Found, given: Sequence[Path]) -> Found:
        if of.type != "Reference":
            raise PathError("uses `getReferenceKey()` of something that is no reference")
        kind = given[0].name if given and isinstance(given[0], Step) else "[A-Za-z]+"
        told, pattern = self._step(of, "reference"), write_text(_KEY.format(kind))
        key = self.map(told, lambda one: f"nullif(regexp_extract({one.sql}, {pattern}, 1), '')")
        if told.many:
            key = f"list_filter({key}, lambda z: z IS NOT NULL)"
        return Found(key, TEXT, told.many)

    def _operate(self, left: Found, mark: str, right: Found) -> Found:
        match mark:
            case "and" | "or":
                return Found(f"({_truth(left)} {mark} {_truth(right)})", TRUTH)
            case "|":
                return _unite(left, right)
        if left.type != right.type or left.type not in IN_SQL:
            raise PathError(f"has {_say(left.type)} and {_say(right.type)} around `{mark}`")
        match mark:
            case "=" | "!=":
                return Found(_compare(left, mark, right), TRUTH)
            case "<" | "<=" | ">" | ">=":
                return Found(f"({left.one()} {mark} {right.one()})", TRUTH)
        if left.type == TEXT and mark == "+":
            return Found(f"({left.one()} || {right.one()})", TEXT)
        if left.type != NUMBER:
            raise PathError(f"has {_say(left.type)} around `{mark}`")
        under = f"nullif({right.one()}, 0)" if mark == "/" else right.one()
        return Found(f"({left.one()} {mark} {under})", NUMBER)


def write_literal(value: object) -> Found:
    """Write a value that stands in a view."""
    match value:
        case bool():
            return Found(str(value).lower(), TRUTH)
        case int() | float():
            return Found(f"{value!r}::DOUBLE", NUMBER)
        case str():
            return Found(write_text(value), TEXT)
    raise PathError("has a constant that is no text, number or truth value")


def _decided(found: Found) -> Found:
    if found.type.startswith(CHOICE):
        raise PathError(f"has {_say(found.type)}")
    return found


def _compare(left: Found, mark: str, right: Found) -> str:
    if not left.many and not right.many:
        return f"({left.sql} {'<>' if mark == '!=' else '='} {right.sql})"
    told = [f"nullif({one.as_list()}, [])" for one in (left, right)]
    return f"({told[0]} {'<>' if mark == '!=' else '='} {told[1]})"


def _unite(left: Found, right: Found) -> Found:
    if left.type != right.type or left.type not in IN_SQL:
        raise PathError(f"has {_say(left.type)} and {_say(right.type)} around `|`")
    sql = f"list_concat({left.as_list()}, {right.as_list()})"
    return Found(sql, left.type, True)


def _truth(found: Found) -> str:
    if found.type != TRUTH:
        raise PathError(f"has {_say(found.type)} where yes or no is asked")
    return found.one()


def _text(found: Found) -> str:
    if found.type != TEXT:
        raise PathError(f"has {_say(found.type)} where a text is asked")
    return found.one()


def _say(kind: str) -> str:
    words = {TEXT: "a text", NUMBER: "a number", TRUTH: "a truth value"}
    if kind.startswith(CHOICE):
        return f"a choice of types (`{kind.rpartition('.')[2]}`; say `ofType()`)"
    return words.get(kind, f"`{kind}`")
