"""Runs as the ledger would record them, for the tests of what is made of a record.

The policy is small and has one of each outlet; the figures are invented.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from expectations.policy.policy import Policy
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
basis:
  kind: consent
  notices: [{id: visits, purposes: [dpv:ScientificResearch],
    categories: [dpv-pd:Age, dpv-pd:Gender, dpv-pd:Health]}]
  events: [{location: {kind: csv, path: consents.csv}, stated: {notice: visits}}]
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
budget: {lifetime_epsilon: 10, delta: 1e-5}
attacks: {membership: {}}
retention_days: 30
"""

REFERENCE = """population:
  eligible: age >= 18
  smallest: 100
  reference:
    source: the register of 2025
    margins:
      age: {shares: {18-39: 0.3, 40-64: 0.5, 65+: 0.2}}
      sex: {shares: {f: 0.5, m: 0.5}}
      ill: {role: hold-out, shares: {"no": 0.8, "yes": 0.2}}
    difference_at_most: 0.1
"""
"""A reference population, to compare the policy's people with."""
PRIVATE = """{kind: model, recipient: Ward 7,
    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}}"""


def make_policy() -> Policy:
    """Give the policy of the runs that compare nobody."""
    return parse_policy(POLICY)


def comparing_policy(*, weighting: bool = False) -> Policy:
    """Give the same policy, whose people are compared, and weighted if that is asked for."""
    text = POLICY.replace("population: {eligible: age >= 18, smallest: 100}\n", REFERENCE)
    text = text.replace(
        "use: [feature, eligibility, release]",
        "use: [feature, eligibility, release, representation]",
    )
    text = text.replace("use: [audit]", "use: [audit, representation]")
    text = text.replace("use: [target, release]", "use: [target, release, representation]")
    if weighting:
        text = text.replace(REFERENCE, f"{REFERENCE}  weighting: {{}}\n")
        text = text.replace(PRIVATE, "{kind: model, recipient: Ward 7}")
        text = text.replace("private-logistic-regression", "logistic-regression")
        text = text.replace("budget: {lifetime_epsilon: 10, delta: 1e-5}\n", "")
    return parse_policy(text)


def make_rates(threshold: float, found: float, alarms: float) -> JSON:
    """Give what is noted of one threshold, with intervals of two points on either side."""
    body: dict[str, JSON] = {"threshold": threshold}
    for name, share in (("true_positive", found), ("false_positive", alarms)):
        body |= {f"{name}_rate": share, f"{name}_low": share - 0.02, f"{name}_high": share + 0.02}
    return body


def make_risk(low: float, high: float, observed: float) -> JSON:
    """Give what is noted of a range of predicted risk, with an interval of five points."""
    ends: dict[str, JSON] = {
        "observed_low": max(observed - 0.05, 0.0),
        "observed_high": observed + 0.05,
    }
    return {"low": low, "high": high, "share": 0.25, "observed": observed, **ends}


def make_row(label: str, share: float | None, reference: float | None, **figures: JSON) -> JSON:
    """Give what is told of one label of 1,000 people; differences are made up where not given."""
    told: dict[str, JSON] = {
        "label": label,
        "people": "fewer than 10" if share is None else f"{1000 * share:,.0f}",
        "role": "rake",
        "share": share,
        "reference": reference,
        **dict.fromkeys(("difference", "ratio", "ratio_low", "ratio_high")),
        **dict.fromkeys(("weighted", "weighted_difference")),
    }
    if share is not None and reference:
        ratio = share / reference
        told |= {"ratio": ratio, "ratio_low": ratio - 0.1, "ratio_high": ratio + 0.1}
        told |= {"difference": round(2 * (share - reference), 2)}
    return told | figures


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
    ("table", "utility.thresholds", [
        make_rates(0.05, 0.9, 0.5), make_rates(0.1, 0.8, 0.3), make_rates(0.5, 0.3, 0.02),
    ]),
    ("table", "utility.calibration", [
        make_risk(0.0, 0.05, 0.03), make_risk(0.05, 0.1, 0.08), make_risk(0.1, 0.5, 0.6),
        make_risk(0.5, 1.0, 0.7),
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
HISTORY: Note = ("snapshot", "history", {
    "valid_at": "2026-01-02T03:04:05+00:00", "known_at": "2026-01-02T03:05:00+00:00",
    "events": 37243, "link": "a" * 64, "digest": "b" * 64,
})  # fmt: skip
COMPARED: tuple[Note, ...] = (
    ("table", "representation.age", [
        make_row("18-39", 0.4, 0.3), make_row("40-64", 0.5, 0.5), make_row("65+", 0.1, 0.2),
    ]),
    ("measure", "representation.drift.age", 0.1),
    ("table", "representation.sex", [make_row("f", 0.52, 0.5), make_row("m", 0.48, 0.5)]),
    ("measure", "representation.drift.sex", 0.02),
    ("table", "representation.ill", [
        make_row("no", 0.9, 0.8), make_row("yes", 0.1, 0.2), make_row("missing", None, None,
        people="30"),
    ]),
    ("measure", "representation.drift.ill", 0.1),
)  # fmt: skip
"""What is told of people of whom the old, and the ill, are too few."""


def weigh_row(row: JSON, ill: float) -> JSON:
    """Give a row of `COMPARED` once weighted: age and sex are met, and so many are ill."""
    assert isinstance(row, dict)
    met = {"yes": ill, "no": 1 - ill}.get(str(row["label"]), row["reference"])
    if not isinstance(met, float):
        return row
    difference = round(2 * (met - float(str(row["reference"]))), 2)
    return row | {"weighted": round(met, 3), "weighted_difference": difference}


def weight_notes(ill: float, verdict: str, weights: str) -> tuple[Note, ...]:
    """Give what is told of the same people once weighted."""
    weighted: list[Note] = [
        (kind, name, [weigh_row(row, ill) for row in body] if isinstance(body, list) else body)
        for kind, name, body in COMPARED
    ]
    return (
        *weighted,
        ("measure", "representation.drift_weighted.age", 0),
        ("measure", "representation.drift_weighted.ill", 0.1),
        ("measure", "representation.effective_sample_share", 0.92),
        note_check("weights", weights),
        note_check("representation after weighting", verdict),
        ("measure", "utility.auc_unweighted", 0.77),
    )


COUNTED: tuple[Note, ...] = (
    ("basis", "excluded people", {
        "article_6": "eu-gdpr:A6-1-f", "assessment": "assessment 7", "columns": ["age"],
        "left_alone": ["withdrawn", "objected"],
    }),
    note_count("absent", 412),
    ("table", "inclusion.age", [
        {"label": "18-39", "included": "390", "absent": "98", "rate": 0.799, "low": 0.76,
         "high": 0.832},
        {"label": "40-64", "included": "501", "absent": "102", "rate": 0.831, "low": 0.8,
         "high": 0.859},
        {"label": "65+", "included": "100", "absent": "212", "rate": 0.321, "low": 0.271,
         "high": 0.375},
        {"label": "missing", "included": "fewer than 10", "absent": "fewer than 10",
         "rate": None, "low": None, "high": None},
    ]),
)  # fmt: skip
BLANKED: tuple[Note, ...] = (
    note_count("blanked.dpv-pd:Gender", None),
    note_count("blanked.dpv-pd:Health", 78),
)
PASSED: Note = ("decision", "passed", {"reason": ""})
SERVED: tuple[Note, ...] = (
    ("mlflow", "run", {
        "run_id": "m1", "experiment_id": "1", "url": "http://me:pw@localhost:5000/#/runs/m1",
        "model_version": "3",
    }),
    ("release", "partner", {"package": "visits/partner", "digest": "e" * 64}),
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


def compared_run(verdict: str = "warned") -> Recorded:
    """A run whose people were compared with those who are meant, and lack the old and the ill."""
    entries = make_entries(
        *GATHERED, note_count("excluded.unknown", None), HISTORY, *BLANKED, *COUNTED, *COMPARED,
        note_check("representation", verdict), *TRAINED, *RELEASED, PASSED, *SERVED,
    )  # fmt: skip
    return make_record("passed"), comparing_policy(), entries


def weighted_run(ill: float = 0.2, verdict: str = "passed", weights: str = "passed") -> Recorded:
    """A run whose people were weighted; so many are ill once they were, of which nobody told."""
    notes = weight_notes(ill, verdict, weights)
    entries = make_entries(*GATHERED, HISTORY, *notes, *TRAINED, *RELEASED, PASSED, *SERVED)
    return make_record("passed"), comparing_policy(weighting=True), entries


def refused_run() -> Recorded:
    """A run that the membership check stopped."""
    return make_record("refused"), make_policy(), make_entries(*GATHERED, *TRAINED, *REFUSED)


def failed_run() -> Recorded:
    """A run that broke while it trained."""
    return make_record("failed"), make_policy(), make_entries(*GATHERED, FAILED)
