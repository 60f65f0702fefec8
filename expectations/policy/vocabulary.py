"""The closed lists of words that a policy may use, in the terms of W3C DPV 2 and the GDPR.

A word that is not here is refused, never guessed. The lists are a selection: a purpose or a
category is added here, with its DPV term, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

MISSING: Final = "missing"
"""How a missing value leaves, and is named wherever groups are."""


class Purpose(StrEnum):
    """What the data may be used for, as DPV names it; a consent names the same word."""

    ACADEMIC_RESEARCH = "dpv:AcademicResearch"
    COMMERCIAL_RESEARCH = "dpv:CommercialResearch"
    FRAUD_PREVENTION = "dpv:FraudPreventionAndDetection"
    MARKETING = "dpv:Marketing"
    NON_COMMERCIAL_RESEARCH = "dpv:NonCommercialResearch"
    PERSONALISATION = "dpv:Personalisation"
    PUBLIC_BENEFIT = "dpv:PublicBenefit"
    RESEARCH_AND_DEVELOPMENT = "dpv:ResearchAndDevelopment"
    SCIENTIFIC_RESEARCH = "dpv:ScientificResearch"
    SERVICE_OPTIMISATION = "dpv:ServiceOptimisation"
    SERVICE_PROVISION = "dpv:ServiceProvision"


class Article6(StrEnum):
    """The lawful bases of Art. 6(1) GDPR."""

    CONSENT = "eu-gdpr:A6-1-a"
    CONTRACT = "eu-gdpr:A6-1-b"
    LEGAL_OBLIGATION = "eu-gdpr:A6-1-c"
    VITAL_INTERESTS = "eu-gdpr:A6-1-d"
    PUBLIC_TASK = "eu-gdpr:A6-1-e"
    LEGITIMATE_INTERESTS = "eu-gdpr:A6-1-f"


class Article9(StrEnum):
    """The conditions of Art. 9(2) GDPR under which special categories may be processed."""

    EXPLICIT_CONSENT = "eu-gdpr:A9-2-a"
    EMPLOYMENT = "eu-gdpr:A9-2-b"
    VITAL_INTERESTS = "eu-gdpr:A9-2-c"
    LEGITIMATE_BODY = "eu-gdpr:A9-2-d"
    MADE_PUBLIC = "eu-gdpr:A9-2-e"
    LEGAL_CLAIMS = "eu-gdpr:A9-2-f"
    SUBSTANTIAL_PUBLIC_INTEREST = "eu-gdpr:A9-2-g"
    HEALTH_CARE = "eu-gdpr:A9-2-h"
    PUBLIC_HEALTH = "eu-gdpr:A9-2-i"
    RESEARCH = "eu-gdpr:A9-2-j"


class Category(StrEnum):
    """What kind of personal data a column holds, as DPV's personal data extension names it."""

    AGE = "dpv-pd:Age"
    BEHAVIORAL = "dpv-pd:Behavioral"
    BIOMETRIC = "dpv-pd:Biometric"
    COMMUNICATION = "dpv-pd:Communication"
    CONTACT = "dpv-pd:Contact"
    DEMOGRAPHIC = "dpv-pd:Demographic"
    ETHNIC_ORIGIN = "dpv-pd:EthnicOrigin"
    FINANCIAL = "dpv-pd:Financial"
    GENDER = "dpv-pd:Gender"
    GENETIC = "dpv-pd:Genetic"
    HEALTH = "dpv-pd:Health"
    IDENTIFYING = "dpv-pd:Identifying"
    LOCATION = "dpv-pd:Location"
    MENTAL_HEALTH = "dpv-pd:MentalHealth"
    POLITICAL_OPINION = "dpv-pd:PoliticalOpinion"
    PROFESSIONAL = "dpv-pd:Professional"
    RELIGIOUS_BELIEF = "dpv-pd:ReligiousBelief"
    SEXUAL = "dpv-pd:Sexual"
    TRADE_UNION = "dpv-pd:TradeUnionMembership"

    @property
    def special(self) -> bool:
        """Whether Art. 9(1) GDPR forbids processing it without a condition of Art. 9(2)."""
        return self in SPECIAL


SPECIAL: Final = frozenset(
    {
        Category.BIOMETRIC,
        Category.ETHNIC_ORIGIN,
        Category.GENETIC,
        Category.HEALTH,
        Category.MENTAL_HEALTH,
        Category.POLITICAL_OPINION,
        Category.RELIGIOUS_BELIEF,
        Category.SEXUAL,
        Category.TRADE_UNION,
    }
)


class Identifiability(StrEnum):
    """How far a column alone, or with others, points at one person."""

    IDENTIFIER = "identifier"
    QUASI = "quasi"
    NONE = "none"


class Use(StrEnum):
    """What a column is read for; a column without any use is not read at all."""

    FEATURE = "feature"
    TARGET = "target"
    ELIGIBILITY = "eligibility"
    DERIVATION = "derivation"
    AUDIT = "audit"
    RELEASE = "release"
    REDACTION = "redaction"
    SPLIT = "split"
    STRATUM = "stratum"
    REPRESENTATION = "representation"


BROADER: Final[Mapping[StrEnum, StrEnum]] = {
    Purpose.ACADEMIC_RESEARCH: Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.COMMERCIAL_RESEARCH: Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.NON_COMMERCIAL_RESEARCH: Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.SCIENTIFIC_RESEARCH: Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.SERVICE_OPTIMISATION: Purpose.SERVICE_PROVISION,
    Category.MENTAL_HEALTH: Category.HEALTH,
}
"""The broader word of a purpose or category, where DPV has one among those listed here."""


class ConsentStatus(StrEnum):
    """What a consent event says happened.

    The first ten are the states of ISO/IEC TS 27560 and DPV; the last four are rights that a
    person exercises beside consent (Art. 21 and 18 GDPR), and their end.
    """

    REQUESTED = "requested"
    DEFERRED = "deferred"
    REFUSED = "refused"
    GIVEN = "given"
    RENEWED = "renewed"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    REVOKED = "revoked"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"
    OBJECTED = "objected"
    OBJECTION_ENDED = "objection-ended"
    RESTRICTED = "restricted"
    RESTRICTION_ENDED = "restriction-ended"


class Indication(StrEnum):
    """How a person showed what they want, as DPV tells kinds of consent apart.

    Art. 9(2)(a) GDPR asks for an explicit one; silence and a ticked box are none (recital 32).
    """

    EXPLICIT = "explicit"
    EXPRESSED = "expressed"
    IMPLIED = "implied"


class Verdict(StrEnum):
    """How a run ended; only a passed run registers a model or releases a table."""

    PASSED = "passed"
    REFUSED = "refused"
    FAILED = "failed"


class CheckVerdict(StrEnum):
    """What one check found; a check without the power to fail is inconclusive.

    A warning says that something is not as asked, where the policy lets the run go on.
    """

    PASSED = "passed"
    WARNED = "warned"
    REFUSED = "refused"
    INCONCLUSIVE = "inconclusive"
