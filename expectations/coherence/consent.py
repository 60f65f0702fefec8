"""Whether what a policy says of consent fits together: one plain function per rule.

Like `rules`, it looks at a well-formed policy and knows neither the sources nor the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Final

from expectations.errors import Problem, suggest
from expectations.policy.consent_terms import NoticeTerms
from expectations.policy.event_words import (
    LONGEST_EVIDENCE,
    WORDED,
    is_local,
    is_time,
    suggest_words,
    translate,
)
from expectations.policy.legal_basis import ConsentLedger, EventField, EventSource, Notice
from expectations.policy.locations import CsvFile, JsonLines, ParquetFiles
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import BROADER, Article6, Article9, Purpose

NAMES: Final = (EventField.PERSON, EventField.GUARDIAN)
"""The fields that name people."""
FILES: Final = (CsvFile, JsonLines, ParquetFiles)
"""What has a time of change."""
TIMES: Final = (EventField.AT, EventField.RECORDED_AT, EventField.EXPIRES_AT)
BESIDE_FHIR: Final = (
    EventField.ARTICLE_6,
    EventField.ARTICLE_9,
    EventField.INDICATION,
    EventField.METHOD,
    EventField.JURISDICTION,
)
"""The fields that FHIR resources do not hold."""
SAFEGUARDED: Final = (Article9.HEALTH_CARE, Article9.PUBLIC_HEALTH, Article9.RESEARCH)


def enumerates(notice: NoticeTerms, purpose: Purpose) -> bool:
    """Whether a notice names a purpose, or a broader one and that it covers those below."""
    named: StrEnum | None = purpose
    while named is not None:
        if named in notice.purposes:
            return True
        named = BROADER.get(named) if notice.covers_narrower else None
    return False


def people_stand_in_columns(policy: Policy) -> Iterator[Problem]:
    """People and their guardians are named by a source's column, not by a policy."""
    for path, source in _sources(policy):
        for field in NAMES:
            if field in source.stated:
                what = "one person cannot be behind every event"
                fix = f"name the column that names the {field}, under `columns.{field}`"
                yield Problem(f"{path}.stated.{field}", what, fix)


def a_field_is_said_once(policy: Policy) -> Iterator[Problem]:
    """A field is either stated for every event or read from a column with its words."""
    for path, source in _sources(policy):
        for field in source.stated:
            for part, known in (("columns", source.columns), ("words", source.words)):
                if field in known:
                    what = f"`{field}` is also stated for every event"
                    yield Problem(f"{path}.{part}.{field}", what, "remove one of them")


def mapped_words_are_known(policy: Policy) -> Iterator[Problem]:
    """A source's word maps to a word that its field can have."""
    for path, source in _sources(policy):
        for field, words in source.words.items():
            place = f"{path}.words.{field}"
            if field not in WORDED:
                fix = f"remove it; only these have words: {', '.join(WORDED)}"
                yield Problem(place, f"`{field}` holds no words", fix)
                continue
            for theirs, ours in words.items():
                if translate(field, theirs, {theirs: ours}) is None:
                    what = f"`{ours}` is not a value of `{field}`"
                    yield Problem(place, what, suggest_words(field, [ours]))


def stated_words_are_known(policy: Policy) -> Iterator[Problem]:
    """What is stated for every event is a word, number or time that its field can hold."""
    for path, source in _sources(policy):
        for field, said in source.stated.items():
            place = f"{path}.stated.{field}"
            if field in WORDED and translate(field, said, {}) in {None, ""}:
                what = f"`{said}` is not a value of `{field}`"
                yield Problem(place, what, suggest_words(field, [said]))
            if field in TIMES and not is_time(said):
                yield Problem(place, "is not a time", "write it like 2026-01-31T12:00:00+01:00")
            if field in TIMES and is_local(said) and source.zone is None:
                fix = "name the source's `zone`, or write it like 2026-01-31T12:00:00+01:00"
                yield Problem(place, "the time has no zone", fix)
            if field is EventField.EVIDENCE and len(said) > LONGEST_EVIDENCE:
                what = f"it is longer than {LONGEST_EVIDENCE} characters"
                yield Problem(place, what, "say where the evidence is, not what it says")


def stated_notices_are_declared(policy: Policy) -> Iterator[Problem]:
    """The policy declares the notice that is stated for every event."""
    for path, source in _sources(policy):
        named = source.stated.get(EventField.NOTICE)
        version = source.stated.get(EventField.NOTICE_VERSION)
        language = source.stated.get(EventField.LANGUAGE)
        found = any(
            notice.id == named
            and version in {None, str(notice.version)}
            and language in {None, notice.language}
            for _, notice in _notices(policy)
        )
        if named is not None and not found:
            declared = ", ".join(f"{n.id} {n.version} ({n.language})" for _, n in _notices(policy))
            fix = f"declare it under `basis.notices`; declared are {declared or 'none'}"
            yield Problem(f"{path}.stated.notice", "no such notice is declared", fix)


def fhir_resources_are_mapped(policy: Policy) -> Iterator[Problem]:
    """FHIR resources come in a file, say themselves who and when, and name declared notices."""
    declared = {notice.id for _, notice in _notices(policy)}
    name_them = f"declare it under `basis.notices`; declared are {', '.join(declared) or 'none'}"
    for path, source in _sources(policy):
        if source.fhir is None:
            continue
        if not isinstance(source.location, JsonLines):
            fix = "name a file of kind `json-lines`, or take `fhir` out"
            yield Problem(f"{path}.location.kind", "FHIR resources are read from a file", fix)
        for part, known in (("columns", source.columns), ("words", source.words)):
            if known:
                fix = "take it out; the mapping under `fhir` says what its codes mean"
                yield Problem(f"{path}.{part}", "FHIR resources have no columns", fix)
        for part in ("time_format", "missing", "skip_where_missing", "purpose_separator"):
            if getattr(source, part):
                what = "it says how a table's cells are written, and FHIR resources have none"
                yield Problem(f"{path}.{part}", what, "take it out")
        for field in {*source.stated} - {*BESIDE_FHIR}:
            fix = f"state only {', '.join(BESIDE_FHIR)}"
            yield Problem(f"{path}.stated.{field}", "FHIR resources say it themselves", fix)
        for one in source.fhir.notices.values():
            if not isinstance(one, str) and one.notice not in declared:
                yield Problem(f"{path}.fhir.notices", "no such notice is declared", name_them)


def time_formats_can_be_read(policy: Policy) -> Iterator[Problem]:
    """What a source's times are written as says a whole day, and can be read again."""
    for path, source in _sources(policy):
        form, like = source.time_format, datetime(2026, 1, 31, 21, 5, 7)  # noqa: DTZ001  # a clock
        if form is None:
            continue
        try:
            read = datetime.strptime(like.strftime(form), form)  # noqa: DTZ007  # a clock
        except ValueError:
            read = None
        if read is None or read.date() != like.date():
            fix = "write it like `%m/%d/%Y %I:%M:%S %p` for 01/31/2026 09:05:07 PM"
            yield Problem(f"{path}.time_format", "it does not say a day, month and year", fix)


def zones_are_known(policy: Policy) -> Iterator[Problem]:
    """A source's time zone is in the IANA database."""
    from zoneinfo import ZoneInfo, available_timezones

    zones = {path: source.zone for path, source in _sources(policy)} | {
        "source": policy.source.zone
    }
    for path, zone in zones.items():
        try:
            ZoneInfo(zone or "UTC")
        except (LookupError, ValueError, OSError):
            hint = suggest(zone or "", available_timezones(), "write one like Europe/Vienna")
            yield Problem(f"{path}.zone", "there is no such time zone", hint)


def deliveries_are_dated(policy: Policy) -> Iterator[Problem]:
    """A source that must be fresh says when it was delivered, and not by what people said."""
    for path, source in _sources(policy):
        if source.delivery is None:
            if source.not_older_than and not isinstance(source.location, FILES):
                what = "this source does not record when it was last delivered"
                fix = "name where that is recorded, under `delivery`"
                yield Problem(f"{path}.not_older_than", what, fix)
            continue
        if source.not_older_than is None:
            fix = "add `not_older_than: 24 hours`, or remove it"
            yield Problem(f"{path}.delivery", "nothing asks when it was delivered", fix)
        said = {*source.columns.values(), *EventField}
        if source.delivery.location == source.location and source.delivery.column in said:
            what = "this column says when people answered, not when the source was delivered"
            yield Problem(f"{path}.delivery.column", what, "name where deliveries are recorded")


def notices_are_declared_once(policy: Policy) -> Iterator[Problem]:
    """A notice is declared once per version and language; its languages say the same."""
    seen: dict[tuple[str, int], Notice] = {}
    languages: set[tuple[str, int, str]] = set()
    for path, notice in _notices(policy):
        first = seen.setdefault((notice.id, notice.version), notice)
        known = (notice.id, notice.version, notice.language)
        if known in languages:
            fix = "give it another version or language, or remove it"
            yield Problem(path, "this version of the notice is already declared", fix)
        elif _content(first) != _content(notice):
            what = f"in `{first.language}` the same version enumerates something else"
            yield Problem(path, what, "let both say the same, or give one another version")
        languages.add(known)


def minimum_versions_are_declared(policy: Policy) -> Iterator[Problem]:
    """A minimum version is of a declared notice, and some declared version reaches it."""
    basis = policy.basis
    if not isinstance(basis, ConsentLedger):
        return
    for name, lowest in basis.minimum_versions.items():
        versions = [notice.version for notice in basis.notices if notice.id == name]
        path = f"basis.minimum_versions.{name}"
        if not versions:
            declared = ", ".join(dict.fromkeys(n.id for n in basis.notices))
            yield Problem(path, "no such notice is declared", f"declared are {declared or 'none'}")
        elif max(versions) < lowest:
            what = f"no version from {lowest} on is declared, so no consent would count"
            yield Problem(path, what, f"the highest declared is {max(versions)}")


def consent_can_be_given(policy: Policy) -> Iterator[Problem]:
    """Some notice enumerates the policy's purpose, and each category that it needs."""
    basis = policy.basis
    if not isinstance(basis, ConsentLedger):
        return
    asking = [
        notice
        for notice in basis.notices
        if enumerates(notice.terms, policy.purpose)
        and notice.version >= basis.minimum_versions.get(notice.id, 1)
    ]
    if not asking:
        what = f"no valid notice enumerates {policy.purpose}, so nobody can consent to it"
        yield Problem("basis.notices", what, "declare the notice under which people were asked")
        return
    asked = {category for notice in asking for category in notice.categories}
    lacking = sorted({column.category for column in policy.columns.values()} - asked)
    if lacking and basis.on_partial == "exclude":
        what = f"no notice for {policy.purpose} enumerates {', '.join(lacking)}"
        fix = (
            "do not read those columns; or set `on_partial: blank`, which leaves them empty for "
            "everybody; or, if people were told about them, add them to the notice's categories"
        )
        yield Problem("basis.notices", f"{what}, so nobody can be read", fix)


def safeguards_are_laid_down(policy: Policy) -> Iterator[Problem]:
    """Art. 9(2)(h), (i) and (j) require written safeguards and an assessment of them."""
    basis = policy.legal_basis
    if basis.article_9 not in SAFEGUARDED:
        return
    if basis.safeguards is None:
        what = f"{basis.article_9} asks for safeguards (Art. 9(3), 89(1) GDPR)"
        yield Problem("legal_basis.safeguards", what, "add `safeguards:` with their reference")
    # For every other basis a rule of its own asks for the assessment.
    if basis.assessment is None and basis.article_6 is Article6.CONSENT:
        what = f"{basis.article_9} needs an assessment on file"
        yield Problem("legal_basis.assessment", what, "add `assessment:` with its reference")


def _sources(policy: Policy) -> Iterator[tuple[str, EventSource]]:
    """Give each source of events with its path."""
    if isinstance(policy.basis, ConsentLedger):
        for number, source in enumerate(policy.basis.events):
            yield f"basis.events.{number}", source


def _notices(policy: Policy) -> Iterator[tuple[str, Notice]]:
    """Give each declared notice with its path."""
    if isinstance(policy.basis, ConsentLedger):
        for number, notice in enumerate(policy.basis.notices):
            yield f"basis.notices.{number}", notice


def _content(notice: Notice) -> tuple[object, ...]:
    return notice.terms.purposes, notice.terms.categories, notice.covers_narrower


def people_are_read_by_columns(policy: Policy) -> Iterator[Problem]:
    """People are read from a source that gives single columns; JSON lines cannot."""
    if isinstance(policy.source.location, JsonLines):
        yield Problem(
            "source.location.kind",
            "JSON lines can only be read whole, with every column of everybody",
            "use csv, parquet or sql for people, and json-lines for consent events",
        )


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    people_are_read_by_columns,
    safeguards_are_laid_down,
    consent_can_be_given,
    notices_are_declared_once,
    minimum_versions_are_declared,
    people_stand_in_columns,
    a_field_is_said_once,
    mapped_words_are_known,
    stated_words_are_known,
    stated_notices_are_declared,
    fhir_resources_are_mapped,
    time_formats_can_be_read,
    zones_are_known,
    deliveries_are_dated,
)
