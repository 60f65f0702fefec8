"""What a tree of provisions permits, of what and when.

A provision decides where all that it names is met, and what is nested in it goes before it; of
several nested in one, a deny goes before a permit. R4 writes at each what it does; R5 writes a
decision at the root, and each level takes back what the one above says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from enum import StrEnum
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from expectations.policy.fhir_consent import FhirMapping, FhirScope
from expectations.policy.vocabulary import BROADER, Category, Purpose
from ledgers.consent.events import from_micros
from tasks.consent.event_terms import DAY
from tasks.consent.fhir.dates import Moment, UnclearError, read_date

Cell: TypeAlias = tuple[Purpose, Category]
Days: TypeAlias = tuple[str, str]
"""The first day and the last, as ISO 8601 writes them."""
EVER: Final = 1 << 62
"""After every moment; before every moment is its negative."""
CODINGS: Final = (
    "code", "purpose", "class", "action", "securityLabel", "documentType", "resourceType",
)  # fmt: skip
"""What narrows a provision by codes."""
KNOWN: Final = {
    *CODINGS, "id", "extension", "type", "period", "actor", "provision", "dataPeriod",
}  # fmt: skip


class MeaninglessError(ValueError):
    """A resource that cannot be meant: what is wrong, and how to mend it; neither quotes it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what, self.fix = what, fix


@dataclass(frozen=True, slots=True)
class Rule:
    """A provision: what it decides, about what, in which time, and what is nested in it.

    `scopes` are all to be met, each by one of its alternatives.
    """

    permits: bool
    begin: Moment | None = None
    end: Moment | None = None
    scopes: tuple[tuple[FhirScope, ...], ...] = ()
    nested: tuple[Rule, ...] = ()
    days: Days | None = None
    """The days of the data that it permits; all without any."""

    def holds(self, moment: int, *, widely: bool) -> bool:
        """Whether it is in force, in the widest reading of its dates or in the narrowest."""
        begin, end = -EVER, EVER
        if self.begin is not None:
            begin = self.begin.first if widely else self.begin.last
        if self.end is not None:
            end = self.end.last + 1 if widely else self.end.first
        return begin <= moment < end

    def is_about(self, cell: Cell) -> bool:
        """Whether it is about a purpose and category: a deny also about those below its own."""
        return all(any(_reaches(one, cell, self.permits) for one in some) for some in self.scopes)

    def decide(self, cell: Cell, moment: int, days: Days | None = None) -> bool | None:
        """Say whether it permits data of some days, or of all; None where it decides nothing.

        Where its dates leave open whether it is in force, what denies is, and what permits is not.
        """
        if not (self.holds(moment, widely=True) and self.is_about(cell)):
            return None
        answers = (rule.decide(cell, moment, days) for rule in self.nested)
        said = [one for one in answers if one is not None]
        if not self._covers(days):
            return None if all(said) else False
        if not self.holds(moment, widely=False):
            return False if not self.permits or not all(said) else None
        return all(said) if said else self.permits

    def _covers(self, days: Days | None) -> bool:
        """Whether it is about all of some days."""
        if self.days is None:
            return True
        return days is not None and self.days[0] <= days[0] and days[1] <= self.days[1]

    def walk(self) -> Iterator[Rule]:
        """Give it and all below it."""
        yield self
        for rule in self.nested:
            yield from rule.walk()


def _reaches(scope: FhirScope, cell: Cell, exact: bool) -> bool:
    """Whether a scope is about a cell; a permit not about what is below its words."""
    purpose, category = cell
    purposes = {purpose} if exact else {*with_broader(purpose)}
    categories = {category} if exact else {*with_broader(category)}
    return (not scope.purposes or bool(purposes & {*scope.purposes})) and (
        not scope.categories or bool(categories & {*scope.categories})
    )


def with_broader(word: StrEnum) -> Iterator[StrEnum]:
    """Give a word and those above it."""
    yield word
    if (broader := BROADER.get(word)) is not None:
        yield from with_broader(broader)


def find_boundaries(root: Rule) -> set[int]:
    """Give every moment at which something may begin or end to hold."""
    found: set[int] = set()
    for rule in root.walk():
        if rule.begin is not None:
            found |= {rule.begin.first, rule.begin.last}
        if rule.end is not None:
            found |= {rule.end.first, rule.end.last + 1}
    return found


@dataclass(frozen=True, slots=True)
class Reading:
    """With what provisions are read."""

    mapping: FhirMapping
    zone: ZoneInfo | None = field(default=None)

    def read_r4(self, provision: Mapping[str, Any] | None, base: bool | None) -> Rule:
        """Read the root of R4: it may say nothing itself, and then `base` does, if anything."""
        if provision is None:
            if base is None:
                raise MeaninglessError(*NEITHER)
            return Rule(base)
        kind = provision.get("type")
        if kind is None:
            nested = list_objects(provision.get("provision"))
            if base is None and not any(one.get("type") == "permit" for one in nested):
                raise MeaninglessError(*NEITHER)
            return self._read(provision, base or False, typed=True)
        return self._read(provision, _permits(kind), typed=True)

    def read_r5(
        self, provisions: Iterable[Mapping[str, Any]], decision: object, base: bool | None
    ) -> Rule:
        """Read the root of R5: a decision, and exceptions from it."""
        if decision is None and base is None:
            raise MeaninglessError(*NEITHER)
        permits = base if decision is None else _permits(decision)
        assert permits is not None
        return Rule(
            permits, nested=tuple(self._read(one, not permits, typed=False) for one in provisions)
        )

    def _read(self, provision: Mapping[str, Any], permits: bool, *, typed: bool) -> Rule:
        """Read one provision and those nested in it."""
        if "modifierExtension" in provision:
            raise MeaninglessError(*MODIFIED)
        if odd := sorted({*provision} - KNOWN - {f"_{name}" for name in KNOWN}):
            raise MeaninglessError(
                f"a provision has `{odd[0]}`"
                if odd[0] in NAMED
                else "a provision has an element that is not known",
                "take it out before the export, since it narrows whom or what it is about",
            )
        period = self.read_period(provision.get("period"))
        scopes = [
            tuple(self._look_up(one, name) for one in list_or_one(provision[name]))
            for name in CODINGS
            if provision.get(name)
        ]
        if provision.get("actor"):
            scopes.append(tuple(map(self._read_actor, list_objects(provision["actor"]))))
        # What is denied of some data is denied of all.
        dated = permits and provision.get("dataPeriod") is not None
        days = self._read_days(provision["dataPeriod"]) if dated else None
        nested = tuple(
            self._read(one, _permits(one.get("type")) if typed else not permits, typed=typed)
            for one in list_objects(provision.get("provision"))
        )
        met = tuple(tuple(one for one in some if one is not None) for some in scopes)
        return Rule(permits, *period, met, nested, days)

    def read_period(self, period: object) -> tuple[Moment | None, Moment | None]:
        """Read when something begins and ends to hold."""
        if period is None:
            return None, None
        if not isinstance(period, dict):
            raise MeaninglessError("a period is no object", "write it with `start` and `end`")
        begin, end = (
            None if period.get(name) is None else self.read_moment(period[name])
            for name in ("start", "end")
        )
        if begin is not None and end is not None and end.last < begin.first:
            raise MeaninglessError("a period ends before it begins", "correct its `start` or `end`")
        return begin, end

    def _read_days(self, period: object) -> Days:
        """Read the days of the data that are permitted: those that surely are."""
        begin, end = self.read_period(period)
        assert isinstance(period, dict), "or it could not be read"
        first, last = "0001-01-01", "9999-12-31"
        if begin is not None:
            first = _name_day(begin.last + (begin.first == begin.last) * DAY, self.zone)
        if end is not None:
            last = _name_day(end.first - (end.first == end.last) * DAY, self.zone)
        return first, last

    def read_moment(self, text: object) -> Moment:
        """Read a date."""
        try:
            return read_date(text, self.zone)
        except UnclearError as error:
            raise MeaninglessError(
                str(error), "write it like 2026-01-31T12:00:00+01:00, or name the source's `zone`"
            ) from None

    def _look_up(self, element: Mapping[str, Any], name: str) -> FhirScope | None:
        """Give what a coding, or a concept of several codings of one meaning, is about."""
        codings = list_objects(element.get("coding")) if "coding" in element else [element]
        known = [key for one in codings if (key := write_coding(one)) in self.mapping.codes]
        if not known:
            raise MeaninglessError(
                f"a provision's `{name}` has a code that is not mapped",
                "say under `codes` what it is about, as SYSTEM|CODE: purposes and categories, "
                "`all` or `none`",
            )
        scopes = {self._scope(key) for key in known}
        if len(scopes) > 1:
            raise MeaninglessError(
                f"a provision's `{name}` has codes that are mapped to different things",
                "map the codes of one concept alike",
            )
        return scopes.pop()

    def _read_actor(self, actor: Mapping[str, Any]) -> FhirScope | None:
        """Give what an actor makes of a provision: who is not known is not us."""
        reference = actor.get("reference")
        named = reference.get("reference") if isinstance(reference, dict) else None
        if reference is None and isinstance(actor.get("role"), dict):
            return self._look_up(actor["role"], "actor.role")
        if isinstance(named, str) and named in self.mapping.codes:
            return self._scope(named)
        raise MeaninglessError(
            "a provision's `actor` is not mapped",
            "say under `codes` by its reference whether that is you: `all` or `none`",
        )

    def _scope(self, key: str) -> FhirScope | None:
        found = self.mapping.codes[key]
        if isinstance(found, FhirScope):
            return found
        return FhirScope() if found == "all" else None


NEITHER: Final = (
    "it neither permits nor denies",
    "give its `provision` (R4) or `decision` (R5), or say `decision` under the mapping's `notices`",
)
MODIFIED: Final = (
    "it has a `modifierExtension`, which changes what it means",
    "take it out before the export, if it changes nothing",
)
NAMED: Final = {"data", "expression", "documentReference", "except"}
"""Elements that are named in an error; other names might hold anything."""


def _name_day(moment: int, zone: ZoneInfo | None) -> str:
    """Name the day of a moment in a zone."""
    return str(from_micros(moment).astimezone(zone or UTC).date())


def write_coding(coding: Mapping[str, Any]) -> str:
    """Write a coding as a mapping names it."""
    return f"{coding.get('system') or ''}|{coding.get('code') or ''}"


def _permits(kind: object) -> bool:
    if kind not in ("permit", "deny"):  # it may be a list, which no set takes
        raise MeaninglessError(
            "a provision says neither `permit` nor `deny`", "give each nested provision its `type`"
        )
    return kind == "permit"


def list_objects(found: object) -> Sequence[Mapping[str, Any]]:
    """Give the objects of a list; what is no list of objects cannot be meant."""
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise MeaninglessError("an element is no list of objects", "write it as FHIR does")
    return found


def as_object(found: object) -> Mapping[str, Any]:
    """Give an object; what is none cannot be meant."""
    if not isinstance(found, dict):
        raise MeaninglessError("an element is no object", "write it as FHIR does")
    return found


def list_or_one(found: object) -> Sequence[Mapping[str, Any]]:
    """Give the objects of a list, or one object as a list of its own."""
    return [found] if isinstance(found, dict) else list_objects(found)
