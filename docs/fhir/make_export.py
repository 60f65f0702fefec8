"""Makes the hospital of the example `readmission` as a FHIR R4 bulk export: a folder of NDJSON.

    python docs/fhir/make_export.py export

A number of people behind it makes a smaller one, too small for a run to pass. All is made of the
tables that come along, of which nobody is real. Ages and smoking are observations of social
history, a month before the end of each person's first stay, since FHIR's Patient has neither.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tasks.sources.examples.hospital import (  # noqa: E402  # found by the line above
    make_consent,
    open_table,
)

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
ICD: Final = "http://hl7.org/fhir/sid/icd-10"
ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
VERIFIED: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CLASSES: Final = {"emergency": "EMER", "inpatient": "IMP"}
TESTS: Final = {"CRP": "1988-5", "Creatinine": "2160-0", "Hb": "718-7", "Na": "2951-2"}
SMOKING: Final = {"never": "266919005", "former": "8517006", "current": "77176002"}
RESEARCH: Final = "dpv:ScientificResearch"
CONSENT: Final = "urn:example:hospital:consent"
"""Of the policy that patients agree to, and of the codes of what they permit."""
STATUSES: Final = {
    "given": "active", "renewed": "active", "refused": "rejected", "withdrawn": "inactive",
    "revoked": "inactive", "objected": "inactive", "restricted": "inactive",
    "invalidated": "entered-in-error",
}  # fmt: skip
"""How a FHIR server has what was said last; what was only asked is no Consent here."""
AGE, SMOKES, END = "30525-0", "72166-2", "2025-01-01"
Resource = dict[str, Any]


def rows(name: str) -> Iterator[dict[str, Any]]:
    """Give the rows of one table of the hospital."""
    source = open_table(name)
    yield from source.read(source.columns()).to_pylist()


def coded(system: str, code: str) -> Resource:
    """Give a concept with one code."""
    return {"coding": [{"system": system, "code": code}]}


def told(moment: datetime) -> str:
    """Write a moment as FHIR does, with its offset."""
    return moment.isoformat() + "Z"


def observe(number: str, patient: str, code: str, at: datetime, **value: object) -> Resource:
    """Give an observation that was known when it was made."""
    return {
        "resourceType": "Observation", "id": number, "status": "final", "code": coded(LOINC, code),
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": told(at),
        "issued": told(at), **value,
    }  # fmt: skip


def quantity(value: float, unit: str) -> Resource:
    """Give a value in a unit of UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def make(number: int | None) -> dict[str, list[Resource]]:
    """Make all resources of the first people, by their type."""
    people = [*rows("patients")][:number]
    names = {one["patient"] for one in people}
    stays = [one for one in rows("stays") if one["patient"] in names]
    first: dict[str, datetime] = {}
    for one in stays:
        first[one["patient"]] = min(one["discharged"], first.get(one["patient"], one["discharged"]))
    made: dict[str, list[Resource]] = {"Patient": [], "Observation": []}
    for one in people:
        name, until = one["patient"], one["seen_until"].isoformat()
        gender = {"F": "female", "M": "male"}[one["sex"]]
        died = {"deceasedDateTime": until} if until != END else {}
        patient = {"resourceType": "Patient", "id": name, "gender": gender, **died}
        made["Patient"].append(patient)
        at = first[name] - timedelta(days=30)
        smokes = coded("http://snomed.info/sct", SMOKING[one["smoking_status"]])
        made["Observation"] += [
            observe(f"{name}-age", name, AGE, at, valueQuantity=quantity(one["age"], "a")),
            observe(f"{name}-smokes", name, SMOKES, at, valueCodeableConcept=smokes),
        ]
    made["Encounter"] = [
        {"resourceType": "Encounter", "id": f"e{place}", "status": "finished",
         "class": {"system": ACT, "code": CLASSES[one["kind"]]},
         "subject": {"reference": f"Patient/{one['patient']}"},
         "period": {"start": told(one["admitted"]), "end": told(one["discharged"])}}
        for place, one in enumerate(stays)
    ]  # fmt: skip
    made["Condition"] = [
        {"resourceType": "Condition", "id": f"c{place}",
         "verificationStatus": coded(VERIFIED, "confirmed"), "code": coded(ICD, one["code"]),
         "subject": {"reference": f"Patient/{one['patient']}"},
         "onsetDateTime": told(one["admitted"]), "recordedDate": told(one["discharged"])}
        for place, one in enumerate(rows("diagnoses")) if one["patient"] in names
    ]  # fmt: skip
    made["Observation"] += [
        observe(f"o{place}", one["patient"], TESTS[one["test"]], one["known"],
                valueQuantity=quantity(one["value"], one["unit"]))
        for place, one in enumerate(rows("labs")) if one["patient"] in names
    ]  # fmt: skip
    made["Consent"] = make_consents(names)
    return made


def make_consents(names: set[str]) -> list[Resource]:
    """Make each person's last answer about research, as an export has it: without a history.

    As German broad consents do, nothing is permitted but what is nested, by code.
    """
    events = [one for one in make_consent().to_pylist() if one["purpose"] == RESEARCH]
    given = {"given", "renewed"}
    last: dict[str, dict[str, Any]] = {}
    permitted: dict[str, str] = {}
    shown: dict[str, str] = {}
    for one in sorted(events, key=lambda one: datetime.fromisoformat(one["at"])):
        if one["person"] in names and one["status"] in STATUSES:
            last[one["person"]] = one
            shown[one["person"]] = one["notice_version"] or shown.get(one["person"], "1")
            if one["status"] in given:
                permitted[one["person"]] = one["categories"] or permitted.get(one["person"], "")
    return [
        {"resourceType": "Consent", "id": f"{name}-research", "status": STATUSES[one["status"]],
         "scope": coded("http://terminology.hl7.org/CodeSystem/consentscope", "research"),
         "category": [coded(LOINC, "59284-0")],
         "patient": {"reference": f"Patient/{name}"}, "dateTime": one["at"],
         "policy": [{"uri": f"{CONSENT}:{shown[name]}"}],
         "provision": {
             "type": "deny",
             **({"period": {"start": one["at"], "end": one["expires_at"]}}
                if one["expires_at"] and one["status"] in given else {}),
             "provision": [
                 {"type": "permit", "code": [coded(CONSENT, word.removeprefix("dpv-pd:"))]}
                 for word in permitted.get(name, "").split(";") if word
             ]}}
        for name, one in last.items()
    ]  # fmt: skip


def main() -> None:
    """Write them into a folder, with a manifest."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    made = make(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    for name, resources in made.items():
        lines = "".join(json.dumps(one) + "\n" for one in resources)
        (folder / f"{name}.ndjson").write_text(lines, encoding="utf-8")
    output = [{"type": name, "url": f"https://example.org/{name}.ndjson"} for name in made]
    told_of = {"transactionTime": f"{END}T00:00:00Z", "output": output, "error": []}
    (folder / "manifest.json").write_text(json.dumps(told_of, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
