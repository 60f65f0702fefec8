"""A ViewDefinition (SQL on FHIR 2.0) as one query over the resources of a file.

A view of one row a resource becomes plain columns. Where it has several (`forEach`, `unionAll`,
`repeat`) each resource's rows are one list, so that rows of a resource stay in its own order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from tasks.sources.aggregates import quote
from tasks.sources.fhir.compilation import MARK, ROOT, Compiler, Found, Need, write_literal
from tasks.sources.fhir.elements import IN_SQL, NUMBER, TEXT, is_resource
from tasks.sources.fhir.paths import (
    Call,
    Operation,
    Path,
    PathError,
    Place,
    Step,
    UnknownElementError,
    parse_path,
)
from tasks.sources.scan import write_text

DEEP: Final = 8
"""So many levels of `repeat` are followed; a resource with more ends the query."""
WAYS: Final = frozenset(("forEach", "forEachOrNull", "repeat", "unionAll"))
"""What makes several rows of a resource."""
WHOLE: Final = frozenset(("integer", "integer64", "positiveInt", "unsignedInt"))
MEASURED: Final = {
    **dict.fromkeys(("Age", "Distance", "Duration", "Quantity", "SimpleQuantity"), "code"),
    "Money": "currency",
}
"""Types whose `value` means nothing without a unit, and the element that says which."""
Json: TypeAlias = "Mapping[str, Any]"


class ViewError(ValueError):
    """A view that cannot be used; its text says where and why."""


@dataclass(frozen=True)
class Rows:
    """What a part of a view makes of a resource: one row of values, or a list of rows."""

    columns: tuple[str, ...]
    values: tuple[str, ...] = ()
    listed: str | None = None
    numbered: frozenset[str] = frozenset()
    """Columns that are `%rowIndex`, which a `repeat` knows only afterwards."""

    def as_list(self) -> str:
        """Write them as a list of rows."""
        return self.listed if self.listed is not None else f"[{self.pack()}]"

    def pack(self) -> str:
        """Write the one row."""
        pairs = zip(self.columns, self.values, strict=True)
        return f"struct_pack({', '.join(f'{quote(name)} := {value}' for name, value in pairs)})"


@dataclass(frozen=True)
class View:
    """A view as SQL: which elements it reads, and its columns with their types."""

    resource: str
    need: Need
    columns: Mapping[str, str]
    """The FHIR type of each, as the view says it; else what JSON holds."""
    rows: Rows
    tests: tuple[str, ...]
    measured: Mapping[str, str]
    """Columns that are a number in a unit or the unit's code, as `Quantity.value`."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Name the elements that are read, as paths from the resource."""
        return tuple(_name_parts(self.need, self.resource))

    def write(self, held: str) -> str:
        """Write the query over a table of resources."""
        where = " AND ".join(f"coalesce({test}, false)" for test in self.tests) or "true"
        if self.rows.listed is None:
            pairs = zip(self.rows.columns, self.rows.values, strict=True)
            made = ", ".join(f"{value} AS {quote(name)}" for name, value in pairs)
            return f"SELECT {made} FROM {held} {ROOT} WHERE {where}"  # noqa: S608  # quoted
        return (
            f"SELECT unnest(made, max_depth := 2) FROM (SELECT {self.rows.listed} AS made "  # noqa: S608  # quoted
            f"FROM {held} {ROOT} WHERE {where})"
        )


def keep_columns(said: Json, names: Collection[str]) -> Json:
    """Give a view without plain columns that are not among some names.

    What makes several rows of a resource stays whole, since its columns may decide how many.
    """

    def keep(one: Json) -> Json:
        if WAYS & one.keys():
            return one
        column = [column for column in one.get("column") or () if column["name"] in names]
        return {**one, "column": column, "select": [keep(x) for x in one.get("select") or ()]}

    return {**said, "select": [keep(one) for one in said["select"]]}


def read_view(said: Json) -> View:
    """Read a view; raise `ViewError` for what is none or cannot be carried out."""
    resource = said.get("resource")
    if not isinstance(resource, str) or not is_resource(resource):
        raise ViewError("resource: names no resource of FHIR R4")
    need = Need(resource)
    for name in ("resourceType", "id"):
        need.part(name)
    root = Found(ROOT, resource, need=need)
    builder = _Builder(Compiler(root, dict(_read_constants(said))), {}, {})
    rows = builder.select({"select": said.get("select")}, root, "")
    if not rows.columns:
        raise ViewError("select: has no column")
    tests = []
    for place, test in enumerate(_objects(said, "where", "")):
        found = builder.find(test.get("path"), root, f"where.{place}.path")
        if found.type != "b":
            raise ViewError(f"where.{place}.path: gives no yes or no")
        tests.append(found.one())
    return View(resource, need, builder.types, rows, tuple(tests), builder.measured)


def _read_constants(said: Json) -> Iterator[tuple[str, Found]]:
    for place, one in enumerate(_objects(said, "constant", "")):
        values = [value for key, value in one.items() if key.startswith("value")]
        try:
            (value,) = values
            yield str(one["name"]), write_literal(value)
        except (ValueError, KeyError):
            raise ViewError(f"constant.{place}: needs a name and one value") from None


def _objects(said: Json, key: str, where: str) -> Sequence[Json]:
    listed = said.get(key) or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ViewError(f"{where}{key}: is no list of objects")
    return listed


@dataclass(frozen=True)
class _Builder:
    """Builds rows, and notes the type of each column."""

    compiler: Compiler
    types: dict[str, str]
    measured: dict[str, str]

    def find(self, path: object, context: Found, where: str) -> Found:
        try:
            return self.compiler.write(path, context)
        except PathError as error:
            shown = f"`{path}` " if isinstance(path, str) else "the path "
            raise ViewError(f"{where}: {shown}{error}") from None

    def select(self, said: Json, context: Found, where: str) -> Rows:
        """Build one `select`: its own iteration, if it has one, around everything within."""
        ways = [way for way in ("forEach", "forEachOrNull", "repeat") if way in said]
        if len(ways) > 1:
            raise ViewError(f"{where}{ways[1]}: stands beside `{ways[0]}`")
        if not ways:
            return self.within(said, context, where)
        if ways == ["repeat"]:
            return self._repeat(said, context, where)
        over = self.find(said[ways[0]], context, f"{where}{ways[0]}")
        each = self.compiler.name()
        row = f"({each}_i - 1)"
        inner = self._numbered(row).within(said, replace(over, sql=each, many=False), where)
        listed = f"flatten(list_transform({over.as_list()}, lambda {each}, {each}_i: "
        listed += f"{inner.as_list()}))"
        if ways == ["forEachOrNull"]:
            empty = replace(over, sql=self._nothing(over), many=False)
            none = self._numbered("0").within(said, empty, where)
            listed = f"CASE WHEN {over.exists()} THEN {listed} ELSE {none.as_list()} END"
        return Rows(inner.columns, listed=listed)

    def _nothing(self, over: Found) -> str:
        """Write the value of an element that is not there, in its type."""
        one = f"({over.sql})[1]" if over.many else over.sql
        return f"(CASE WHEN false THEN {one} END)"

    def _numbered(self, row: str) -> _Builder:
        return replace(self, compiler=replace(self.compiler, row=row))

    def within(self, said: Json, context: Found, where: str) -> Rows:
        """Build everything that a `select` holds, side by side."""
        rows = self._columns(said, context, where)
        for place, inner in enumerate(_objects(said, "select", where)):
            rows = self._beside(rows, self.select(inner, context, f"{where}select.{place}."), where)
        if branches := _objects(said, "unionAll", where):
            built = [
                self.select(one, context, f"{where}unionAll.{place}.")
                for place, one in enumerate(branches)
            ]
            if any(one.columns != built[0].columns for one in built):
                raise ViewError(f"{where}unionAll: its branches have different columns")
            listed = built[0].as_list()
            for one in built[1:]:
                listed = f"list_concat({listed}, {one.as_list()})"
            rows = self._beside(rows, Rows(built[0].columns, listed=listed), where)
        return rows

    def _columns(self, said: Json, context: Found, where: str) -> Rows:
        names, values, numbered = [], [], set()
        for place, column in enumerate(_objects(said, "column", where)):
            name, here = column.get("name"), f"{where}column.{place}"
            if not isinstance(name, str) or not name.isidentifier():
                raise ViewError(f"{here}.name: is no name")
            found = self.find(column.get("path"), context, f"{here}.path")
            if found.type not in IN_SQL:
                raise ViewError(f"{here}.path: gives `{found.type}`, which is no single value")
            if step := _last_step(parse_path(column["path"])):
                kind = (self.compiler.find(step.of, context) if step.of else context).type
                if kind in MEASURED and step.name in {"value", MEASURED[kind]}:
                    self.measured[name] = f"{kind}.{step.name}"
            names.append(name)
            whole = column.get("collection") is True
            values.append(found.as_list() if whole else found.one())
            if column.get("path") == "%rowIndex":
                numbered.add(name)
            kind = str(column.get("type") or found.type)
            told = "collection" if whole else kind.rpartition("/")[2]
            if whole or (found.type == TEXT) == (told in {NUMBER, "b", "boolean", "decimal"}):
                told = "collection" if whole else found.type
            self.types[name] = told
            if told in WHOLE and found.type == NUMBER and not whole:
                values[-1] = f"({values[-1]})::BIGINT"
        return Rows(tuple(names), tuple(values), numbered=frozenset(numbered))

    def _beside(self, left: Rows, right: Rows, where: str) -> Rows:
        if twice := {*left.columns} & {*right.columns}:
            raise ViewError(f"{where}select: the column `{min(twice)}` is there twice")
        if not left.columns:
            return right
        columns = (*left.columns, *right.columns)
        numbered = left.numbered | right.numbered
        if left.listed is None and right.listed is None:
            return Rows(columns, (*left.values, *right.values), numbered=numbered)
        sides = []
        for side in (left, right):
            name = self.compiler.name() if side.listed is not None else None
            values = tuple(f"{name}.{quote(one)}" for one in side.columns) if name else side.values
            sides.append((side, name, values))
        listed = Rows(columns, (*sides[0][2], *sides[1][2])).pack()
        for number, (side, name, _) in enumerate(reversed(sides)):
            if name:
                listed = f"list_transform({side.listed}, lambda {name}: {listed})"
                if number and sides[1][1]:
                    listed = f"flatten({listed})"
        return Rows(columns, listed=listed, numbered=numbered)

    def _repeat(self, said: Json, context: Found, where: str) -> Rows:
        """Build rows of what is nested in itself, each before what is within it."""
        paths = said["repeat"]
        if not isinstance(paths, list) or not paths:
            raise ViewError(f"{where}repeat: is no list of paths")
        if not [*self._known(paths, context, f"{where}repeat")]:
            return self._none(said, where)
        columns: tuple[str, ...] = ()
        numbered: frozenset[str] = frozenset()

        def build(of: Found, left: int) -> str:
            """Write a list with the list of rows of each that is nested in something."""
            nonlocal columns, numbered
            found = [*self._known(paths, of, f"{where}repeat")]
            if len({one.type for one in found}) != 1:
                raise ViewError(f"{where}repeat: its paths lead to different types")
            for one in found[1:]:  # of one type in SQL too
                assert one.need is not None, "elements are read"
                assert found[0].need is not None, "elements are read"
                one.need.parts = found[0].need.parts
            lists = [one.as_list() for one in found]
            every = lists[0]
            for more in lists[1:]:
                every = f"list_concat({every}, {more})"
            if not left:
                return every
            each = self.compiler.name()
            node = replace(found[0], sql=each, many=False)
            rows = self.within(said, node, where)
            columns, numbered = rows.columns, rows.numbered
            deeper = build(node, left - 1)
            if left == 1:
                fault = f"error({write_text(f'{MARK}nested in itself more than {DEEP} times')})"
                own = f"CASE WHEN len({deeper}) > 0 THEN {fault}::INTEGER[] END"
                nested = f"list_transform({own}, lambda z: {rows.as_list()})"
            else:
                nested = deeper
            whole = f"list_concat([{rows.as_list()}], {nested})"
            return f"flatten(list_transform({every}, lambda {each}: {whole}))"

        # Elements that a level needs are those of its own copy of the type.
        nodes = build(context, DEEP)
        if numbered:
            told = ", ".join(
                f"{quote(name)} := {'(i - 1)::BIGINT' if name in numbered else f'r.{quote(name)}'}"
                for name in columns
            )
            nodes = (
                f"list_transform({nodes}, lambda rs, i: "
                f"list_transform(rs, lambda r: struct_pack({told})))"
            )
        return Rows(columns, listed=f"flatten({nodes})")

    def _known(self, paths: Sequence[object], of: Found, where: str) -> Iterator[Found]:
        """Give what paths lead to; what R4 does not know at this level is not there."""
        for path in paths:
            try:
                yield self.compiler.write(path, of)
            except UnknownElementError:
                continue
            except PathError as error:
                raise ViewError(f"{where}: {error}") from None

    def _none(self, said: Json, where: str) -> Rows:
        """Give the columns of what is never there."""
        names = tuple(str(one.get("name")) for one in _objects(said, "column", where))
        self.types.update(dict.fromkeys(names, TEXT))
        row = Rows(names, ("NULL::VARCHAR",) * len(names))
        return Rows(names, listed=f"list_filter({row.as_list()}, lambda z: false)")


def _last_step(path: Path) -> Step | None:
    """Give the step to the element that a path takes, whichever of several it picks."""
    match path:
        case Step():
            return path
        case Call(of, "first" | "where", _) | Place(of, _) | Operation(of, "|", _):
            return None if of is None else _last_step(of)
    return None


def _name_parts(need: Need, above: str) -> Iterator[str]:
    for name, one in need.parts.items():
        if one.parts:
            yield from _name_parts(one, f"{above}.{name}")
        else:
            yield f"{above}.{name}"
