"""One FHIR Consent resource, R4 or R5, as one thing: who, when, under which notice, and its rules.

It knows how the two editions differ, and nothing of other resources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from expectations.policy.fhir_consent import FhirNotice
from tasks.consent.fhir.dates import Moment
from tasks.consent.fhir.provisions import (
    MODIFIED,
    MeaninglessError,
    Reading,
    Rule,
    as_object,
    list_objects,
    write_coding,
)

R4_ONLY: Final = {"scope", "patient", "dateTime", "performer", "organization", "policy"}
R5_ONLY: Final = {
    "subject", "date", "grantor", "grantee", "manager", "controller", "decision", "policyBasis",
    "policyText", "regulatoryBasis", "period",
}  # fmt: skip
PROXY: Final = "RelatedPerson"


class Edition(StrEnum):
    """The editions of FHIR whose consents are read; R4B is as R4."""

    R4 = "R4"
    R5 = "R5"


class State(StrEnum):
    """What a resource's status comes to."""

    ASKED = "asked"
    IN_FORCE = "in force"
    REFUSED = "refused"
    OVER = "over"
    NEVER_WAS = "never was"
    UNKNOWN = "unknown"


STATES: Final[Mapping[Edition, Mapping[str, State]]] = {
    Edition.R4: {
        "draft": State.ASKED,
        "proposed": State.ASKED,
        "active": State.IN_FORCE,
        "rejected": State.REFUSED,
        "inactive": State.OVER,
        "entered-in-error": State.NEVER_WAS,
    },
    Edition.R5: {
        "draft": State.ASKED,
        "active": State.IN_FORCE,
        "not-done": State.REFUSED,
        "inactive": State.OVER,
        "entered-in-error": State.NEVER_WAS,
        "unknown": State.UNKNOWN,
    },
}
ABOUT_DATA: Final = {"patient-privacy", "research"}
"""The scopes of R4 that are about data."""
ABOUT_CARE: Final = {"treatment", "adr"}
"""Those that are about being treated."""
SCOPES: Final = "http://terminology.hl7.org/CodeSystem/consentscope"


@dataclass(frozen=True, slots=True)
class Told:
    """What one resource says."""

    person: str
    guardian: str | None
    state: State
    made: Moment
    notice: FhirNotice
    root: Rule | None
    """Its provisions; None unless it is in force."""


def understand(resource: Mapping[str, Any], reading: Reading) -> Told | None:
    """Say what a Consent says; None where it is about something else than our data.

    Raises `MeaninglessError` for what cannot be meant.
    """
    edition = find_edition(resource)
    if "modifierExtension" in resource or "implicitRules" in resource:
        raise MeaninglessError(*MODIFIED)
    if edition is Edition.R4 and not _is_about_data(resource, reading):
        return None
    notice = _find_notice(resource, reading)
    if notice is None:
        return None
    state = STATES[edition].get(str(resource.get("status")))
    if state is None:
        what = f"its `status` is no word of {edition}"
        raise MeaninglessError(what, f"write one of {', '.join(STATES[edition])}")
    r4 = edition is Edition.R4
    written = resource.get("dateTime" if r4 else "date")
    if written is None and state is State.ASKED:
        return None  # nobody was asked yet
    if written is None:
        name = "dateTime" if r4 else "date"
        raise MeaninglessError(f"it has no `{name}`", "say when the person answered")
    person = _name_person(resource.get("patient" if r4 else "subject"), reading)
    gives = state is State.IN_FORCE
    root = _read_rules(resource, edition, reading, notice) if gives else None
    guardian = _find_guardian(resource.get("performer" if r4 else "grantor"), person, gives)
    return Told(person, guardian, state, reading.read_moment(written), notice, root)


def find_edition(resource: Mapping[str, Any]) -> Edition:
    """Tell R4 from R5 by the elements that only one of them has."""
    names = {name.lstrip("_") for name in resource}
    provisions = resource.get("provision")
    r4 = bool(names & R4_ONLY) or isinstance(provisions, dict)
    r5 = bool(names & R5_ONLY) or isinstance(provisions, list)
    if {"consentingParty", "except", "purpose", "actor"} & names or isinstance(
        resource.get("policyRule"), str
    ):
        raise MeaninglessError(
            "it is written as in STU3 of FHIR", "export it as R4 or R5, which have provisions"
        )
    if r4 == r5:
        what = "it has elements of both R4 and R5" if r4 else "it is neither as in R4 nor in R5"
        raise MeaninglessError(what, "export it as one of them")
    return Edition.R4 if r4 else Edition.R5


def _is_about_data(resource: Mapping[str, Any], reading: Reading) -> bool:
    """Whether an R4 consent is about data, by its scope; mapped ones count as they are mapped."""
    codings = _codings(resource.get("scope"))
    for coding in codings:
        key = write_coding(coding)
        if key in reading.mapping.codes:
            return reading.mapping.codes[key] != "none"
        if coding.get("system") == SCOPES and str(coding.get("code")) in ABOUT_DATA | ABOUT_CARE:
            return str(coding.get("code")) in ABOUT_DATA
    raise MeaninglessError(
        "its `scope` is not known", "say under `codes` whether it is about data: `all` or `none`"
    )


def _find_notice(resource: Mapping[str, Any], reading: Reading) -> FhirNotice | None:
    """Give the notice of a consent's policies; None where they are not ours."""
    named = [*_name_policies(resource)]
    found = [reading.mapping.notices[one] for one in named if one in reading.mapping.notices]
    if not found:
        what = "its policy is not mapped" if named else "it names no policy"
        fix = "say under the mapping's `notices` which notice it is, or `none` if it is not yours"
        raise MeaninglessError(what, fix)
    ours = {one for one in found if isinstance(one, FhirNotice)}
    if len({(one.notice, one.version, one.language) for one in ours}) > 1:
        raise MeaninglessError("it names policies of several notices", "map them to one notice")
    decided = [one for one in ours if one.decision is not None]
    if len({one.decision for one in decided}) > 1:
        raise MeaninglessError("its policies decide differently", "map them to one decision")
    return next(iter([*decided, *ours]), None)


def _name_policies(resource: Mapping[str, Any]) -> list[str]:
    """Give the keys by which a mapping can name a consent's policies."""
    named: list[str] = []
    for policy in resource.get("policy") or ():
        if isinstance(policy, dict):
            named += [
                policy[key] for key in ("uri", "authority") if isinstance(policy.get(key), str)
            ]
    basis = resource.get("policyBasis")
    if isinstance(basis, dict):
        reference = basis.get("reference")
        reference = reference.get("reference") if isinstance(reference, dict) else None
        named += [one for one in (basis.get("uri"), basis.get("url"), reference)
                  if isinstance(one, str)]  # fmt: skip
    concepts = [resource.get("policyRule"), *list_objects(resource.get("regulatoryBasis"))]
    return named + [write_coding(one) for concept in concepts for one in _codings(concept)]


def _read_rules(
    resource: Mapping[str, Any], edition: Edition, reading: Reading, notice: FhirNotice
) -> Rule:
    base = None if notice.decision is None else notice.decision == "permit"
    provisions = resource.get("provision")
    if edition is Edition.R4:
        return reading.read_r4(None if provisions is None else as_object(provisions), base)
    root = reading.read_r5(list_objects(provisions), resource.get("decision"), base)
    begin, end = reading.read_period(resource.get("period"))
    # Outside of its period a consent decides nothing, whatever it decides within.
    return Rule(root.permits, begin, end, root.scopes, root.nested)


def _name_person(subject: object, reading: Reading) -> str:
    """Name the person: by the identifier of a system, or by the id in a reference."""
    if isinstance(subject, dict):
        system = reading.mapping.identifier
        if system is None:
            if isinstance(subject.get("reference"), str):
                name = read_reference(subject["reference"], "Patient")
                if name is not None:
                    return name
        else:
            known = subject.get("identifier")
            if isinstance(known, dict) and known.get("system") == system and known.get("value"):
                return str(known["value"])
    what = "it names no patient" if reading.mapping.identifier is None else (
        "its patient has no identifier of the mapping's system"
    )  # fmt: skip
    raise MeaninglessError(what, "add a reference to a Patient, or the identifier")


def read_reference(reference: str, kind: str) -> str | None:
    """Give the id in a reference to a resource of a kind: relative, absolute, or a urn."""
    plain = re.sub(r"/_history/[^/]+$", "", reference)
    if plain.startswith(("urn:uuid:", "urn:oid:")):
        return plain.split(":", 2)[2] or None
    parts = plain.rstrip("/").split("/")
    return parts[-1] if len(parts) >= 2 and parts[-2] == kind and parts[-1] else None


def _find_guardian(named: object, person: str, gives: bool) -> str | None:
    """Give who answered for the person; who gives for them can be nobody else than a relative."""
    references = [one.get("reference") for one in list_objects(named)]
    related = [
        name
        for one in references
        if isinstance(one, str) and (name := read_reference(one, PROXY)) is not None
        and not one.startswith("urn:")
    ]  # fmt: skip
    if related:
        return f"{PROXY}/{related[0]}"
    others = [
        one for one in references
        if not (isinstance(one, str) and read_reference(one, "Patient") == person)
    ]  # fmt: skip
    if gives and others and len(others) == len(references):
        raise MeaninglessError(
            "it was given by neither its patient nor a RelatedPerson",
            "name who gave it, or take who recorded it out",
        )
    return None


def _codings(concept: object) -> list[Mapping[str, Any]]:
    """Give the codings of a concept."""
    coding = concept.get("coding") if isinstance(concept, dict) else None
    return [one for one in coding if isinstance(one, dict)] if isinstance(coding, list) else []
