"""Policies that between them say everything the grammar has a word for; they need not fit together.

They are trees as JSON has them, so that a test can change one leaf and read the policy again.
"""

from __future__ import annotations

import json
from typing import Any

from expectations.policy.policy import Policy

Tree = dict[str, Any]
AXES = {"identifiability": "quasi", "category": "dpv-pd:Age", "use": ["feature", "release"]}
LOCATIONS: tuple[Tree, ...] = (
    {"kind": "csv", "path": "people.csv", "separator": ";", "encoding": "latin-1"},
    {"kind": "example", "name": "nhanes"},
    {"kind": "parquet", "path": "people.parquet"},
    {"kind": "json-lines", "path": "people.jsonl"},
    {"kind": "fhir", "path": "export", "view": "patient", "zone": "UTC", "definition": "{}"},
    {"kind": "sql", "url": "sqlite:///people.db", "table": "people"},
    {"kind": "sql-query", "url": "sqlite:///people.db", "query": "select 1 as one"},
)
TREATMENTS: dict[str, tuple[str, Tree]] = {
    "dropped": ("text", {"kind": "drop"}),
    "kept": ("boolean", {"kind": "keep"}),
    "masked": ("text", {"kind": "mask", "show_last": 2}),
    "token": ("text", {"kind": "token", "reversible": True}),
    "binned": ("number", {"kind": "bin", "edges": [10, 20], "labels": ["a", "b", "c"]}),
    "levelled": ("date", {"kind": "hierarchy", "of": "dates", "level": 2}),
    "filed": (
        "text",
        {"kind": "hierarchy", "file": "h.csv", "rows": [["a", "b", "c", "*"]], "level": 1},
    ),
    "clipped": ("number", {"kind": "clip", "low": 10, "high": 20}),
    "rounded": ("number", {"kind": "round", "to": 5}),
    "noisy": ("number", {"kind": "noise", "low": 1, "high": 10, "epsilon": 1}),
    "worded": (
        "text",
        {
            "kind": "categories",
            "values": ["a", "b"],
            "rename": {"x": "a"},
            "ordered": False,
            "other": "rest",
        },
    ),
    "dated": ("date", {"kind": "date-parts", "precision": "quarter"}),
    "shifted": ("date", {"kind": "shift", "days": 30}),
    "redacted": ("text", {"kind": "redact", "known": ["masked"], "languages": ["en", "de"]}),
}
NOTICE: Tree = {
    "id": "research",
    "version": 2,
    "language": "en",
    "purposes": ["dpv:ScientificResearch"],
    "categories": ["dpv-pd:Age"],
    "covers_narrower": True,
}
EVENTS: Tree = {
    "location": LOCATIONS[0],
    "columns": {"person": "pid"},
    "words": {"status": {"yes": "given"}},
    "stated": {"language": "en"},
    "zone": "Europe/Vienna",
    "time_format": "%d.%m.%Y %H:%M",
    "missing": ["[not completed]"],
    "skip_where_missing": "at",
    "purpose_separator": ";",
    "not_older_than": "24 hours",
    "delivery": {"location": LOCATIONS[0], "column": "sent_at"},
}
FHIR: Tree = {
    "location": {"kind": "json-lines", "path": "Consent.ndjson"},
    "fhir": {
        "file": "consent-codes.yaml",
        "identifier": "urn:oid:1.2.3",
        "notices": {
            "urn:oid:2.16": {
                "notice": "research",
                "version": 2,
                "language": "en",
                "decision": "permit",
            }
        },
        "codes": {
            "urn:codes|A": {"purposes": ["dpv:Marketing"], "categories": ["dpv-pd:Age"]},
        },
    },
}
CONSENT: Tree = {
    "kind": "consent",
    "events": [EVENTS, FHIR],
    "notices": [NOTICE],
    "on_partial": "blank",
    "maximum_age_days": 700,
    "minimum_versions": {"research": 2},
    "minors": {"own_consent_from": 16, "born": "born_on", "unknown_age": "adult"},
}
MODELS: list[Tree] = [
    {"kind": "distinct-l-diversity", "l": 3},
    {"kind": "entropy-l-diversity", "l": 2.5},
    {"kind": "recursive-l-diversity", "c": 2, "l": 3},
    {"kind": "t-closeness", "t": 0.2, "distance": "ordered"},
    {"kind": "beta-likeness", "beta": 2, "enhanced": True},
    {"kind": "delta-disclosure", "delta": 2},
    {"kind": "alpha-k", "alpha": 0.5},
]
TABLE: Tree = {
    "kind": "table",
    "recipient": "Partner",
    "k": 10,
    "max_suppressed": 0.1,
    "columns": {
        "binned": {"kind": "generalize", "levels": [{"ab": ["a", "b"]}], "weight": 2},
        "worded": {"kind": "rare", "at_least": 5, "label": "rest"},
        "clipped": "keep",
    },
    "output": "sets",
    "format": "parquet",
    "period": "quarter",
    "sensitive": {"kept": MODELS},
    "loss_ratio": {"binned": 2},
    "not_linkable": {"clipped": "measured once"},
}
POPULATION: Tree = {
    "eligible": "binned > 3",
    "smallest": 100,
    "at_most": 1000,
    "sample": 0.5,
    "strata": {"by": ["kept"], "smallest": 20, "at_most": 200, "sample": {"yes": 0.5}},
    "test_share": 0.3,
    "split_by": "masked",
    "reference": {
        "source": "census",
        "margins": {"kept": {"shares": {"yes": 0.4, "no": 0.6}, "role": "hold-out"}},
        "difference_at_most": 0.2,
        "when_exceeded": "refuse",
    },
    "excluded_people": {
        "article_6": "eu-gdpr:A6-1-e",
        "assessment": "file 7",
        "by": ["kept", "binned"],
    },
    "weighting": {"largest": 4, "smallest_effective_share": 0.5},
}
COUNTED: Tree = {
    **AXES,
    "type": "number",
    "treatment": {"kind": "round", "to": 1},
    "rows": {
        "take": "sum",
        "of": "visits",
        "field": "days",
        "where": "days > 1",
        "days_before": 30,
        "days_after": 30,
    },
}
RICH: Tree = {
    "tutela": 1,
    "name": "rich",
    "title": "Everything",
    "controller": {"name": "Clinic", "contact": "privacy@example.org"},
    "purpose": "dpv:ScientificResearch",
    "legal_basis": {
        "article_6": "eu-gdpr:A6-1-a",
        "article_9": "eu-gdpr:A9-2-a",
        "assessment": "file 1",
        "safeguards": "file 2",
    },
    "source": {
        "location": LOCATIONS[0],
        "person": "pid",
        "key": "row_id",
        "normalize": ["strip", "casefold"],
        "same_person": {"location": LOCATIONS[0], "other": "old_id", "kept": "new_id"},
        "index": {"date": "2025-01-31", "column": "came", "first": "visits", "where": "days > 1"},
        "dates": {"from": "2020-01-01", "until": "2025-01-31", "undated": "covered"},
        "followed_until": {
            "date": "2025-06-30",
            "column": "left",
            "periods": "visits",
            "closed_by": "visits",
        },
        "zone": "Europe/Berlin",
        "tables": {
            "visits": {
                "location": LOCATIONS[0],
                "person": "patient",
                "at": "start",
                "known_at": "told",
                "until": "ended",
                "where": "days > 1",
                "most": 50,
                "fields": {
                    "days": {
                        "from": "Days",
                        "type": "number",
                        "unit": {
                            "from": "Unit",
                            "file": "days.csv",
                            "factors": {"d": 1.0},
                            "undeclared": "leave-out",
                        },
                    }
                },
            }
        },
        "codes": {
            "falls": {
                "file": "falls.txt",
                "codes": ["W19"],
                "concept_set": "falls.json",
                "concepts": [{"id": 436583, "excluded": True, "descendants": True, "mapped": True}],
            }
        },
        "vocabulary": {"ancestors": LOCATIONS[0], "relationships": LOCATIONS[0]},
    },
    "basis": CONSENT,
    "population": POPULATION,
    "columns": {
        name: {
            **AXES,
            "from": f"{name} there",
            "type": kind,
            "treatment": treatment,
            "note": "so",
            "from_data": True,
        }
        for name, (kind, treatment) in TREATMENTS.items()
    }
    | {"counted": COUNTED},
    "derived": {
        "grown": {**AXES, "expression": "binned > 18", "treatment": {"kind": "keep"}, "note": "so"},
        "scored": {
            **AXES,
            "function": "own.py:score",
            "reads": ["binned", "clipped"],
            "type": "number",
            "treatment": {"kind": "round", "to": 1},
        },
    },
    "outlets": {
        "clinic": {
            "kind": "model",
            "recipient": "Clinic",
            "promise": {"kind": "differential-privacy", "epsilon": 1, "delta": 1e-5},
        },
        "partner": TABLE,
    },
    "combine": ["Clinic", "Partner"],
    "expectations": [
        {"rule": "between", "column": "clipped", "low": 10, "high": 20},
        {"rule": "one-of", "column": "worded", "values": ["a", "b"]},
        {"rule": "missing-at-most", "column": "clipped", "share": 0.1},
        {"rule": "share-between", "column": "kept", "value": "yes", "low": 0.1, "high": 0.5},
    ],
    "training": {
        "model": "private-boosting",
        "parameters": {"rounds": 10},
        "input": "record-wise",
        "crosses": [["kept", "worded"]],
    },
    "budget": {"lifetime_epsilon": 6, "delta": 1e-5, "composition": "fixed"},
    "attacks": {
        "membership": {
            "auc_at_most": 0.6,
            "found_at_most": 4,
            "references": 16,
            "when_inconclusive": "report",
        },
        "audit": {"when_inconclusive": "report"},
        "memorization": {"gap_at_most": 0.2, "when_inconclusive": "report"},
        "attribute_inference": {"advantage_at_most": 0.2, "when_inconclusive": "report"},
        "search": {"when_inconclusive": "report"},
    },
    "approvals": {
        "of": ["hand-over", "policy"],
        "by": ["SHA256:" + "A" * 43, "SHA256:" + "B" * 43],
        "quorum": 2,
        "valid": "7 days",
        "not_by": "starter",
    },
    "retention_days": 365,
}
BASES: tuple[Tree, ...] = (
    {**CONSENT, "minors": {"own_consent_from": 16, "age": "years", "unknown_age": "minor"}},
    {"kind": "consent-column", "column": "agreed", "granted": ["yes", "y"]},
    {"kind": "opt-out", "objections": LOCATIONS[0], "person": "pid"},
    {"kind": "other-basis"},
)
RETENTION: Tree = {"goods": "180 days", "evidence": "10 years", "because": "limitation periods"}
TREES: tuple[Tree, ...] = (
    RICH,
    {name: part for name, part in RICH.items() if name != "retention_days"}
    | {"retention": RETENTION},
    *({**RICH, "basis": basis} for basis in BASES),
    *({**RICH, "source": {"location": place, "person": "pid"}} for place in LOCATIONS[1:]),
)


def read(tree: Tree) -> Policy:
    """Read a tree as a policy; pydantic's ValidationError for one that is not well formed."""
    return Policy.model_validate_json(json.dumps(tree))
