"""600 made-up patients with a short clinical note; nobody in it is real.

The notes name the patient, telephone numbers, e-mail addresses and medical record numbers, in
sentences as wards write them, so that redaction has something to miss. The columns of identity hold
what the note may quote, so a test can search for exactly that. Whether a patient was readmitted
(`outcome`) depends on age and ward. `consent` is a word as forms hold it: yes, no, others, or none.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa

from tasks.sources.examples.identities import Identity, make_identities, pick, shuffle

PEOPLE = 600
PATIENT = (
    *("patient_id", "full_name", "phone", "e_mail", "mrn"),
    *("age", "ward", "note", "outcome", "consent"),
)
"""The table's columns."""
_WARDS = ("cardiology", "geriatrics", "oncology", "surgery", "orthopaedics")
_RISK = {
    "cardiology": 0.5,
    "geriatrics": 0.6,
    "oncology": 0.8,
    "surgery": 0.0,
    "orthopaedics": -0.6,
}
_OPENINGS = (
    "{title} {last} was admitted overnight with {complaint}.",
    "Pt {full_name} (MRN {mrn}) presented with {complaint}.",
    "{first} reports {complaint} since Tuesday.",
    "Reviewed {last}, {first}: {complaint}, otherwise well.",
    "MRN {mrn}. Known to the ward. Now {complaint}.",
    "Called to see {first} {last} for {complaint}.",
)
_CONTACTS = (
    "Daughter can be reached on {phone}.",
    "Please ring {phone} before discharge.",
    "Wants the letter by e-mail to {e_mail}.",
    "Contact: {phone} or {e_mail}.",
    "No contact details given.",
    "Results to {e_mail}, cc the family doctor.",
)
_PLANS = (
    "Plan: bloods, chest film, review in the morning.",
    "Started on antibiotics; {first} tolerates them well.",
    "Discharged home with follow-up in two weeks.",
    "Discussed with {title} {last}, who agrees.",
    "To be seen by physiotherapy. Chart {mrn} updated.",
    "Blood pressure 128/76, pulse 72, no fever.",
)
_COMPLAINTS = ("chest pain", "shortness of breath", "a fall at home", "fever", "abdominal pain")
_ANSWERS = ("yes",) * 12 + ("no",) * 4 + ("Yes", "pending", None, None)


@cache
def make_notes() -> pa.Table:
    """Make the table of patients."""
    rng = np.random.Generator(np.random.PCG64(600))
    female = [draw < 0.5 for draw in rng.random(PEOPLE)]
    people = make_identities(rng, female)
    records = [f"{number:07d}" for number in shuffle(rng, 9_000_000 // 90, PEOPLE)]
    ages = [int(age) for age in rng.integers(18, 96, PEOPLE)]
    wards = pick(rng, _WARDS, PEOPLE)
    titles = ["Mrs." if sex else "Mr." for sex in female]
    written = _write(rng, people, records, titles)
    return pa.table(
        {
            "patient_id": [f"N-{number:04d}" for number in shuffle(rng, 5_000, PEOPLE)],
            "full_name": [person.full_name for person in people],
            "phone": [person.phone for person in people],
            "e_mail": [person.e_mail for person in people],
            "mrn": records,
            "age": [str(age) for age in ages],
            "ward": wards,
            "note": written,
            "outcome": _readmit(rng, ages, wards),
            "consent": pick(rng, _ANSWERS, PEOPLE),
        }
    )


def _write(
    rng: np.random.Generator, people: list[Identity], records: list[str], titles: list[str]
) -> list[str]:
    """Write one note for each person, of an opening, a contact and a plan."""
    parts = zip(*(pick(rng, part, PEOPLE) for part in (_OPENINGS, _CONTACTS, _PLANS)), strict=True)
    return [
        " ".join(sentences).format(**vars(person), mrn=record, title=title, complaint=complaint)
        for sentences, person, record, title, complaint in zip(
            parts, people, records, titles, pick(rng, _COMPLAINTS, PEOPLE), strict=True
        )
    ]


def _readmit(rng: np.random.Generator, ages: list[int], wards: list[str]) -> list[str]:
    """Draw readmission with log-odds -1.2 + (age - 60) / 25 + the ward's risk."""
    odds = [-1.2 + (age - 60) / 25 + _RISK[ward] for age, ward in zip(ages, wards, strict=True)]
    chances = 1 / (1 + np.exp(-np.array(odds)))
    return ["yes" if hit else "no" for hit in rng.random(PEOPLE) < chances]
