"""Why people may be read, and how it is known of each of them: the grammar of both.

What the words mean for one person at one moment is said in `tasks/consent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from expectations.policy.consent_terms import NoticeTerms
from expectations.policy.declaration import Declaration, Term
from expectations.policy.fhir_consent import FhirMapping
from expectations.policy.locations import Location
from expectations.policy.spans import Span
from expectations.policy.vocabulary import Article6, Article9, Category, Purpose


class LegalBasis(Declaration):
    """Why the data may be processed at all."""

    article_6: Article6
    article_9: Article9 | None = None
    """Needed if a column is of a special category."""
    assessment: Term | None = None
    """A reference to the balancing or impact assessment; needed for any basis but consent."""
    safeguards: Term | None = None
    """A reference to the safeguards that Art. 9(2)(h), (i), (j) and Art. 89 ask for."""


class Notice(Declaration):
    """One version of a notice that people were shown before they answered."""

    id: Term
    version: int = Field(default=1, ge=1)
    language: Term = "en"
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    """The purposes that it enumerates; a consent covers no other."""
    categories: tuple[Category, ...] = Field(min_length=1)
    """The categories of data that it enumerates; a consent covers no other."""
    covers_narrower: bool = False
    """Whether it says that a purpose also covers narrower ones."""

    @property
    def terms(self) -> NoticeTerms:
        """Give the notice as events name it."""
        return NoticeTerms(**self.model_dump())


class EventField(StrEnum):
    """What is known about a consent event, in the words of ISO/IEC TS 27560 if it has them."""

    PERSON = "person"
    STATUS = "status"
    AT = "at"
    RECORDED_AT = "recorded_at"
    EXPIRES_AT = "expires_at"
    DURATION_DAYS = "duration_days"
    PURPOSE = "purpose"
    CATEGORIES = "categories"
    NOTICE = "notice"
    NOTICE_VERSION = "notice_version"
    LANGUAGE = "language"
    ARTICLE_6 = "article_6"
    ARTICLE_9 = "article_9"
    INDICATION = "indication"
    METHOD = "method"
    JURISDICTION = "jurisdiction"
    GUARDIAN = "guardian"
    EVIDENCE = "evidence"
    DATA_FROM = "data_from"
    DATA_UNTIL = "data_until"


class Delivery(Declaration):
    """Where it is recorded when a source of events was last delivered whole."""

    location: Location
    column: Term
    """Its column of the moments at which deliveries were complete; the latest counts."""


class EventSource(Declaration):
    """Where consent events are kept, and how to read their columns and words."""

    location: Location
    columns: Mapping[EventField, Term] = Field(default_factory=dict)
    """The source's own name of a field, if it differs."""
    words: Mapping[EventField, Mapping[str, str]] = Field(default_factory=dict)
    """The source's own words of a field, each with its meaning."""
    stated: Mapping[EventField, str] = Field(default_factory=dict)
    """What is true of every row but in no column, such as its notice."""
    zone: Term | None = None
    """The IANA time zone of times written without one, such as `Europe/Vienna`."""
    time_format: Term | None = None
    """How its times are written, in the codes of Python's strptime, such as `%d.%m.%Y %H:%M`."""
    missing: tuple[Term, ...] = ()
    """The words of its cells that say nothing, such as `[not completed]`."""
    skip_where_missing: EventField | None = None
    """The field without which a row is no event yet, such as `at`; what takes back still is one."""
    purpose_separator: Term | None = None
    """What stands between several purposes of one cell; each is an event of its own."""
    fhir: FhirMapping | None = None
    """What FHIR Consent resources mean; then the location is a file of them, one on a line."""
    not_older_than: Span | None = None
    """How long ago its last complete delivery may be, such as `24 hours`; older refuses a run."""
    delivery: Delivery | None = None
    """Where that moment is recorded; without it, a file's own time of change counts."""


class Minors(Declaration):
    """From which age a person consents for themselves, and how their age is known.

    Art. 8 GDPR sets ages for online services only; local law sets the others.
    """

    own_consent_from: int = Field(ge=1, le=25)
    """The age in years."""
    born: Term | None = None
    """The source's column of birth dates; it is read for everybody, to decide this."""
    age: Term | None = None
    """Or its column of ages in whole years, as of the run; for a year then nobody can consent."""
    unknown_age: Literal["minor", "adult"] = "minor"
    """What a person without a known age counts as."""

    @model_validator(mode="after")
    def _one_column(self) -> Self:
        if (self.born is None) == (self.age is None):
            raise ValueError("name one of `born` and `age`")
        return self

    @property
    def column(self) -> str:
        """The source's column from which age is known."""
        return str(self.born or self.age)


class ConsentLedger(Declaration):
    """Each person's history of consent, in the home's ledger."""

    kind: Literal["consent"]
    by_consent: ClassVar = True
    """Whether people are permitted by their consent, and nobody without it."""
    events: tuple[EventSource, ...] = ()
    """Where events are kept; each run first imports them into the ledger, and all count."""
    notices: tuple[Notice, ...] = ()
    """The notices that the events name."""
    on_partial: Literal["exclude", "blank"] = "exclude"
    """Whether people who consented only in part are left out, or read without the rest."""
    maximum_age_days: int | None = Field(default=None, ge=1)
    """After how many days a consent counts as expired, whatever its own end."""
    minimum_versions: Mapping[str, int] = Field(default_factory=dict)
    """The lowest version of a notice under which a consent still counts."""
    minors: Minors | None = None


class ConsentColumn(Declaration):
    """A column of the source that holds each person's answer to this purpose."""

    kind: Literal["consent-column"]
    by_consent: ClassVar = True
    column: Term
    granted: tuple[str, ...] = Field(min_length=1)
    """The words that mean yes; every other value, or none, means no."""


class OptOutList(Declaration):
    """A legal basis other than consent, with a list of the people who objected."""

    kind: Literal["opt-out"]
    by_consent: ClassVar = False
    objections: Location
    person: Term
    """The list's column that names the person."""


class OtherBasis(Declaration):
    """A legal basis other than consent that covers everybody in the source."""

    kind: Literal["other-basis"]
    by_consent: ClassVar = False


Basis = Annotated[
    ConsentLedger | ConsentColumn | OptOutList | OtherBasis, Field(discriminator="kind")
]
