"""Runs as the ledger would record them, for the tests of what is made of a record.

The policy is small and has one of each outlet; the figures are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from expectations.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.evidence import JSON, Entry, RunRecord, Verdict

Note: TypeAlias = tuple[str, str, JSON]
Recorded: TypeAlias = tuple[RunRecord, Policy, list[Entry]]
MakeRun: TypeAlias = Callable[[], Recorded]

RUN = "20260102T030405-0a1b2c3d"
POLICY = """
tutela: 1
name: visits
title: Foresee a second visit
controller: {name: Clinic North, contact: privacy@north.example}
purpose: dpv:ScientificResearch
legal_basis: {article_6: eu-gdpr:A6-1-a, article_9: eu-gdpr:A9-2-a}
source: {location: {kind: csv, path: secret-folder/visits.csv}, person: patient}
basis: {kind: consent, events: [{kind: csv, path: consents.csv}]}
population: {eligible: age >= 18, smallest: 100}
columns:
  age: {from: AgeYears, type: number, identifiability: quasi, category: dpv-pd:Age,
    use: [feature, eligibility, release],
    treatment: {kind: bin, edges: [40, 65], labels: [18-39, 40-64, 65+]}}
  sex: {type: text, identifiability: quasi, category: dpv-pd:Gender, use: [audit],
    treatment: {kind: categories, values: [f, m]}}
  lab: {type: number, identifiability: none, category: dpv-pd:Health, use: [derivation],
    treatment: {kind: drop}}
derived:
  ill: {expression: lab > 6, identifiability: none, category: dpv-pd:Health,
    use: [target, release], treatment: {kind: keep}}
outlets:
  ward: {kind: model, recipient: Ward 7,
    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}}
  partner: {kind: table, recipient: Partner, k: 10, max_suppressed: 0.1,
    columns: {age: generalize, ill: generalize}}
training: {model: private-logistic-regression}
attacks: {membership: {}}
retention_days: 30
"""


def make_policy() -> Policy:
    """Give the policy of every run here."""
    return parse_policy(POLICY)


def make_record(verdict: Verdict | None, **facts: JSON) -> RunRecord:
    """Give a run as the ledger lists it."""
    known: dict[str, JSON] = {
        "policy_sha256": "5" * 64,
        "policy_folder": "/home/somebody/secret-folder",
        "source": None,
        "code": "tutela 0.1.0 (c0ffee123456)",
    }
    return RunRecord(RUN, "visits", "2026-01-02T03:04:05.000006+00:00", known | facts, verdict)


def make_entries(*notes: Note) -> list[Entry]:
    """Give notes of (kind, name, body) as entries in that order."""
    at = "2026-01-02T03:04:06.000000+00:00"
    return [
        Entry(RUN, seq, at, "step", kind, name, body, b"exact figures")
        for seq, (kind, name, body) in enumerate(notes, start=1)
    ]


def note_count(name: str, about: int | None) -> Note:
    """Give a published count of people."""
    text = "fewer than 10" if about is None else f"{about:,}"
    return "count", f"people.{name}", {"about": about, "text": text}


def note_check(name: str, verdict: str, outlet: str | None = None) -> Note:
    """Give what a check found; each of its words is its name with a suffix."""
    words: dict[str, JSON] = {
        word: f"{name} {word}" for word in ("asked", "measured", "power", "remedy")
    }
    return "check", name, {"name": name, "verdict": verdict, "outlet": outlet, **words}


GATHERED: tuple[Note, ...] = (
    ("measure", "columns.there", 40),
    ("measure", "columns.named", 3),
    note_count("roster", 4000),
    note_count("excluded.refused", 300),
    note_count("excluded.never asked", 500),
    note_count("excluded.expired", None),
    note_count("permitted", 3197),
    ("snapshot", "consent", "c" * 64),
    ("dataset", "filter_consent", {"stage": "permitted", "digest": "d" * 64, "columns": ["p"]}),
    ("duration", "filter_consent", 0.25),
    note_check("missing values", "passed"),
)
"""What is on record once the values were checked."""
TRAINED: tuple[Note, ...] = (
    *(
        ("measure", f"utility.{name}", value)
        for name, value in {
            "auc": 0.79, "auc_low": 0.75, "auc_high": 0.83,
            "accuracy": 0.857, "brier": 0.11, "base_rate": 0.154,
        }.items()
    ),
    ("measure", "privacy.epsilon", 0.9993),
    ("measure", "privacy.delta", 1e-5),
    ("table", "utility.groups.sex", [
        {"group": "f", "people": "402", "auc": 0.8, "selection_rate": 0.1},
        {"group": "m", "people": "398", "auc": None, "selection_rate": 0.2},
    ]),
)  # fmt: skip
RELEASED: tuple[Note, ...] = (
    note_check("membership", "passed", "ward"),
    ("measure", "privacy.partner.k", 11),
    ("measure", "privacy.partner.suppressed_share", 0.011),
    ("measure", "utility.partner.ncp", 0.2),
    ("measure", "utility.partner.loss.age", 0.31),
    ("measure", "utility.partner.loss.ill", 0),
    ("table", "privacy.partner.classes", [
        {"size": "10-19", "classes": 3, "people": "41"},
        {"size": "20-39", "classes": 0, "people": "fewer than 10"},
    ]),
    note_count("partner.released", 3100),
    note_check("k-anonymity", "passed", "partner"),
)  # fmt: skip
PASSED: Note = ("decision", "passed", {"reason": ""})
SERVED: tuple[Note, ...] = (
    ("mlflow", "run", {
        "run_id": "m1", "experiment_id": "1", "url": "http://me:pw@localhost:5000/#/runs/m1",
        "model_version": "3",
    }),
    ("release", "partner", {"file": "visits-partner.csv", "sha256": "e" * 64}),
)  # fmt: skip
REFUSED: tuple[Note, ...] = (
    note_check("membership", "refused", "ward"),
    ("decision", "refused", {
        "check": "membership",
        "reason": "membership: refused: membership: membership measured, where the policy asks "
        "for membership asked; membership remedy",
    }),
)  # fmt: skip
FAILED: Note = ("decision", "failed", {"reason": "step 'train' failed with MemoryError"})


def passed_run() -> Recorded:
    """A run that passed and served both outlets."""
    entries = make_entries(*GATHERED, *TRAINED, *RELEASED, PASSED, *SERVED)
    return make_record("passed"), make_policy(), entries


def refused_run() -> Recorded:
    """A run that the membership check stopped."""
    return make_record("refused"), make_policy(), make_entries(*GATHERED, *TRAINED, *REFUSED)


def failed_run() -> Recorded:
    """A run that broke while it trained."""
    return make_record("failed"), make_policy(), make_entries(*GATHERED, FAILED)
