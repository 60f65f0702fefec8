"""Whole runs over planted data, and all that they wrote, for the tests of the leak promise.

Each case has made-up people of its own, in whose identifiers, free text and rare values stand
canaries that occur nowhere else: whatever is found afterwards names the case that wrote it. The
cases run in a process of their own (`python leaks.py ROOT [nightly]`), whose homes, temporary
folder, user folder and console lie under one root, beside the source; that root is searched.
"""

from __future__ import annotations

import asyncio
import csv
import functools
import hashlib
import json
import logging
import os
import pkgutil
import random
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

if TYPE_CHECKING:
    from deployments.run.launch import Outcome as LaunchOutcome
    from ledgers.evidence import EvidenceLedger

HERE: Final = Path(__file__).parent
PEOPLE: Final = 400
PLANTED: Final = 7
"""Every so many people have a rare value and a text of their own."""

Row = dict[str, str]
Tree = dict[str, object]


# --- People --------------------------------------------------------------------------------------


def tag_of(case: str) -> str:
    """Give six letters that stand for a case, and for nothing in any language."""
    letters = "bcdfghjklmnpqrstvwxz"
    return "".join(letters[byte % 20] for byte in hashlib.sha256(case.encode()).digest()[:6])


def number_of(case: str) -> str:
    """Give ten digits that stand for a case."""
    return str(10**9 + int.from_bytes(hashlib.sha256(case.encode()).digest()[:4]))


def canaries_of(case: str) -> list[str]:
    """Give what must not be found: stems that are in everybody's values, and some whole values."""
    tag, rows = tag_of(case), make_people(case)
    stems = [
        f"ID{tag}",
        f"Vq{tag}",
        f"@{tag}.example",
        number_of(case),
        f"Rare{tag}",
        f"Unread{tag}",
    ]
    whole = [rows[0][name] for name in ("person", "full_name", "phone", "e_mail", "pay", "remark")]
    return [*stems, *whole]


def make_people(case: str) -> list[Row]:
    """Make up the people of a case; the illness depends on age and score, with chance."""
    tag, digits, draw = tag_of(case), number_of(case), random.Random(7)
    rows = []
    for n in range(PEOPLE):
        age, score = draw.randint(20, 79), draw.random() * 10
        name = f"Vq{tag}{chr(97 + n % 26)}{chr(97 + n // 26)} Orwen"
        phone, mail = f"+{digits}{n:03}", f"w{n}@{tag}.example.net"
        rare = n % PLANTED == 0
        rows.append(
            {
                "person": f"ID{tag}{n:04}",
                "full_name": name,
                "phone": phone,
                "e_mail": mail,
                "age": str(age),
                "city": draw.choice(["north", "south", "east", "west"]),
                "pay": f"{digits}.25" if rare else f"{draw.uniform(0, 5000):.2f}",
                "score": f"{score:.3f}",
                "remark": f"Rare{tag} story of somebody {n}" if rare else "nothing",
                "note": f"We called {name} at {phone} and wrote to {mail}." if rare else "No call.",
                "unread": f"Unread{tag}{n}",
                "ill": "yes" if draw.random() < age / 200 + score / 20 else "no",
            }
        )
    return rows


def make_visits(case: str) -> list[Row]:
    """Make up rows about the people, a stranger and somebody's earlier identifier among them."""
    tag, draw = tag_of(case), random.Random(8)
    named = [*(f"ID{tag}{n:04}" for n in range(PEOPLE)), f"ID{tag}stranger", f"ID{tag}before"]
    return [
        {
            "who": person,
            "began": f"2025-0{month}-{draw.randint(1, 27):02}",
            "left": f"2025-0{month}-28",
            "code": f"Rare{tag} code {n}" if n % PLANTED == 0 else draw.choice(["A1", "B2"]),
            "size": f"{draw.uniform(0, 9):.2f}",
            "unit": draw.choice(["mg", "g"]),
        }
        for n, person in enumerate(named)
        for month in (range(4, 7) if person.endswith("before") else range(1, 4))
    ]


def make_merged(case: str) -> list[Row]:
    """Say of one identifier by which its person goes now."""
    return [{"old": f"ID{tag_of(case)}before", "new": f"ID{tag_of(case)}0001"}]


def policy_name(case: str) -> str:
    """Give the name of a case's policy, in which its canaries do not stand."""
    return f"case-{tag_of(case)[::-1]}"


def make_consents(rows: list[Row]) -> list[Row]:
    """Make up the consents, with guardians and evidence: some never asked, some withdrawn."""
    given = "2026-01-05T10:00:00+01:00"
    event = {"purpose": "dpv:ScientificResearch", "status": "given", "at": given, "expires_at": ""}
    events = [
        {
            "person": row["person"],
            **event,
            "guardian": rows[-n]["full_name"] if n % PLANTED == 0 else "",
            "evidence": f"letter of {row['full_name']}" if n % PLANTED == 0 else "",
        }
        for n, row in enumerate(rows[: PEOPLE - 8])
    ]
    withdrawn = {"status": "withdrawn", "at": "2026-02-01T10:00:00+01:00"}
    return events + [{**given_once, **withdrawn} for given_once in events[8:16]]


def column(kind: str, use: str, treatment: Mapping[str, object], **more: object) -> Tree:
    """Declare a column."""
    axes = {"identifiability": "none", "category": "dpv-pd:Behavioral"}
    return {"type": kind, **axes, "use": use.split(), "treatment": treatment, **more}


def make_policy(name: str) -> Tree:
    """Declare the policy: a table with reduced text and a model, of the people who consented."""
    drop, named = {"kind": "drop"}, {"identifiability": "identifier", "category": "dpv-pd:Contact"}
    quasi = {"identifiability": "quasi", "category": "dpv-pd:Demographic"}
    columns = {
        "full_name": column("text", "redaction", drop, **named),
        "phone": column("text", "redaction", drop, **named),
        "e_mail": column("text", "redaction", drop, **named),
        "age": column(
            "integer", "feature release",
            {"kind": "bin", "edges": [40, 60], "labels": ["20-39", "40-59", "60+"]}, **quasi,
        ),
        "city": column(
            "text", "release representation",
            {"kind": "categories", "values": ["north", "south", "east", "west"]}, **quasi,
        ),
        "pay": column("number", "feature", {"kind": "clip", "low": 0, "high": 5000}),
        "score": column("number", "feature", {"kind": "clip", "low": 0, "high": 10}),
        "remark": column("text", "eligibility", drop),
        "note": column(
            "text", "release",
            {"kind": "redact", "known": ["full_name", "phone", "e_mail"]}, **quasi,
        ),
        "ill": column("boolean", "target release", {"kind": "keep"}),
    }  # fmt: skip
    release = {"age": "generalize", "city": "generalize", "ill": "generalize", "note": "keep"}
    table = {
        "kind": "table", "recipient": "Partner", "k": 5, "max_suppressed": 0.1, "columns": release,
        "not_linkable": {"note": "the recipient is bound not to link it"},
    }  # fmt: skip
    return {
        "tutela": 1,
        "name": name,
        "title": "Runs over made-up people",
        "controller": {"name": "Clinic", "contact": "privacy@clinic.example"},
        "purpose": "dpv:ScientificResearch",
        "legal_basis": {"article_6": "eu-gdpr:A6-1-a"},
        "source": {"location": {"kind": "csv", "path": "people.csv"}, "person": "person"},
        "basis": {
            "kind": "consent",
            "notices": [
                {
                    "id": "study",
                    "purposes": ["dpv:ScientificResearch", "dpv:Marketing"],
                    "categories": sorted({str(one["category"]) for one in columns.values()}),
                }
            ],
            "events": [
                {"location": {"kind": "csv", "path": "consents.csv"}, "stated": {"notice": "study"}}
            ],
        },
        "population": {
            "eligible": "remark is not missing",
            "smallest": 100,
            "test_share": 0.4,
            "reference": {
                "source": "made up",
                "margins": {
                    "city": {"shares": dict.fromkeys(["north", "south", "east", "west"], 0.25)}
                },
            },
        },
        "columns": columns,
        "outlets": {"ward": {"kind": "model", "recipient": "Ward"}, "partner": table},
        "expectations": [{"rule": "missing-at-most", "column": "age", "share": 0.5}],
        "training": {"model": "logistic-regression"},
        # Attacks can tell little of so few people.
        "attacks": {
            "membership": {"auc_at_most": 0.85, "when_inconclusive": "report"},
            **{one: {"when_inconclusive": "report"} for one in ("memorization", "audit", "search")},
        },
        "retention_days": 30,
    }


# --- Cases ---------------------------------------------------------------------------------------

Change = Callable[[Tree, list[Row], list[Row]], None]
"""Changes a policy, its people and their consents before they are written."""


def put(path: str, value: object) -> Change:
    """Change one entry of the policy, named by keys with dots between."""

    def change(policy: Tree, _people: list[Row], _consents: list[Row]) -> None:
        *parents, last = path.split(".")
        tree: Any = policy
        for key in parents:
            tree = tree[key]
        tree[last] = value

    return change


def both(*changes: Change) -> Change:
    """Make several changes."""

    def change(policy: Tree, people: list[Row], consents: list[Row]) -> None:
        for one in changes:
            one(policy, people, consents)

    return change


def spoil(column_name: str, *, consent: bool = False) -> Change:
    """Put somebody's remark where another kind of value belongs."""

    def change(_policy: Tree, people: list[Row], consents: list[Row]) -> None:
        (consents if consent else people)[PLANTED][column_name] = people[0]["remark"]

    return change


def add_visits(policy: Tree, _people: list[Row], _consents: list[Row]) -> None:
    """Add a table with many rows a person, columns that are made of it, and a merged identifier."""
    tree: Any = policy
    text = {"type": "text"}
    unit = {"from": "unit", "factors": {"mg": 1, "g": 1000}}
    tree["source"] |= {
        "index": {"date": "2026-01-01"},
        "codes": {"known": {"codes": ["A1", "B2"]}},
        "same_person": {
            "location": {"kind": "csv", "path": "merged.csv"}, "other": "old", "kept": "new",
        },
        "tables": {
            "visits": {
                "location": {"kind": "csv", "path": "visits.csv"}, "person": "who", "at": "began",
                "until": "left", "most": 2,
                "fields": {"code": text, "size": {"type": "number", "unit": unit}},
            }
        },
    }  # fmt: skip
    quasi = {"identifiability": "quasi", "category": "dpv-pd:Demographic"}
    tree["columns"] |= {
        "visits": column(
            "integer", "feature release",
            {"kind": "bin", "edges": [1], "labels": ["none", "some"]}, **quasi,
            rows={"take": "count", "of": "visits", "where": "code in @known and size > 1"},
        ),
        "largest": column("number", "feature", {"kind": "clip", "low": 0, "high": 9000},
                          rows={"take": "largest", "of": "visits", "field": "size"}),
        "last_code": column(
            "text", "feature", {"kind": "categories", "values": ["A1", "B2"], "other": "another"},
            rows={"take": "last", "of": "visits", "field": "code"},
        ),
    }  # fmt: skip
    tree["outlets"]["partner"]["columns"]["visits"] = "generalize"


def spoil_visit(name: str) -> Callable[[list[Row]], None]:
    """Put a rare code where another kind of value belongs."""

    def change(visits: list[Row]) -> None:
        visits[3 * PLANTED + 1][name] = visits[0]["code"]

    return change


def lose_visits_header(visits: list[Row]) -> None:
    """Leave the header of the rows out."""
    visits[0] = {value: value for value in visits[0].values()}


def overlap(visits: list[Row]) -> None:
    """Let somebody's stay begin before the one before it ended."""
    visits[0]["left"] = "2025-03-30"


def repeat_somebody(_policy: Tree, people: list[Row], _consents: list[Row]) -> None:
    """Name one person twice."""
    people[PLANTED]["person"] = people[0]["person"]


def lose_header(*, consent: bool = False) -> Change:
    """Leave a file's header out, so that somebody's values stand in its place."""

    def change(_policy: Tree, people: list[Row], consents: list[Row]) -> None:
        rows = consents if consent else people
        rows[0] = {value: value for value in rows[0].values()}

    return change


def keep_as_it_is(_policy: Tree, _people: list[Row], _consents: list[Row]) -> None:
    """Change nothing."""


@dataclass(frozen=True)
class Case:
    """One run: what is changed beforehand, what breaks on the way, and how it must end."""

    change: Change = keep_as_it_is
    error: str | None = None
    """The class of the error that ends it; None for a run that passes."""
    words: str = ""
    """Part of that error's text."""
    breaks: tuple[str, ...] = ()
    """Pure functions of steps that print, log, warn and raise what one person's row holds."""
    raises: type[BaseException] | None = ValueError
    """What they raise once they have said all; None where they then do their work."""
    environment: Mapping[str, str] = field(default_factory=dict)
    advised: bool = False
    """Whether advice is asked for, and no model or table made."""
    spent: bool = False
    """Whether advice took most of the lifetime budget before."""
    in_python: bool = False
    """Whether `tutela.run` is given the people as a frame, and its result is shown."""
    own_code: str = ""
    """What stands in `own.py` beside the policy."""
    visits: Callable[[list[Row]], None] | None = None
    """Changes the rows of a second table, where there is one."""


OWN_CODE: Final = """
import logging, os, warnings
import numpy as np
from sklearn.linear_model import LogisticRegression

def say(text, who):
    print(text, flush=True)
    os.write(2, text.encode())
    logging.getLogger("prefect.own").error("%s", text, extra={"row": text})
    warnings.warn(text, stacklevel=1)
    if who == RAISES:
        raise ValueError(text) from KeyError(text)

def told(rows):
    for name, remark in zip(rows["full_name"], rows["remark"]):
        if str(remark).startswith("Rare"):
            say(f"cannot use {name}: {remark}", "function")
    return rows["remark"].fillna("").str.startswith("Rare")

class Model(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        for value in np.asarray(X).ravel() * 1e10:
            if 1e9 < value < 9e9:
                say(f"cannot use {value:.2f}", "model")
        return super().fit(X, y, sample_weight)
"""
"""A function and an estimator that print, log, warn and raise what one person's row holds."""
OWN: Final = both(
    put("training.model", "own.py:Model"),
    put("columns.full_name.use", ["redaction", "derivation"]),
    put("columns.remark.use", ["eligibility", "derivation"]),
    put("columns.pay.treatment", {"kind": "clip", "low": 0, "high": 1e10}),
    put("derived", {"told": {
        "function": "own.py:told", "reads": ["full_name", "remark"],
        **column("boolean", "feature", {"kind": "keep"}),
    }}),
)  # fmt: skip
PRIVATE: Final = both(
    put("training", {"model": "private-logistic-regression", "parameters": {"steps": 5}}),
    put("outlets.ward.promise", {"kind": "differential-privacy", "epsilon": 5, "delta": 1e-5}),
    put("budget", {"lifetime_epsilon": 6, "delta": 1e-5}),
)
BROKEN_STEPS: Final = {
    "read_roster": "tasks.people.ingestion.make_roster",
    "filter_consent": "tasks.consent.permission.decide",
    "collect": "tasks.people.ingestion.attach_keys",
    "select_population": "tasks.people.population.keep_eligible",
    "deidentify": "tasks.anonymization.deidentify.deidentify_table",
    "validate": "tasks.validation.validation.check_values",
    "compare": "tasks.representation.compare.note_comparison",
    "generalize": "tasks.anonymization.generalize.generalize_table",
    "check_table": "tasks.validation.validation.judge_table",
    "train": "tasks.training.train.fit_model",
    "attack": "tasks.attack.model.attack_membership",
    "make_ready": "tasks.handover.readiness.table_content",
    "confirm_consent": "tasks.handover.readiness.refuse_withdrawn",
    "record": "tasks.handover.delivery.record_run",
    "report": "tasks.handover.delivery.render_report",
}
AWAY: Final = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
CASES: Final[dict[str, Case]] = {
    "passed": Case(),
    "passed again": Case(put("name", policy_name("passed"))),
    "passed, private": Case(PRIVATE),
    "speaking": Case(breaks=tuple(BROKEN_STEPS.values()), raises=None),
    "weighted": Case(put("population.weighting", {})),
    "advised": Case(advised=True),
    "advised, private": Case(PRIVATE, advised=True),
    "broken, reserve_budget": Case(
        PRIVATE, "StepFailed", "step 'reserve_budget' failed",
        ("tasks.training.charge.refuse_large_delta",),
    ),
    "broken, weigh_columns": Case(
        error="StepFailed", words="step 'weigh_columns' failed",
        breaks=("tasks.advice.weigh.see_people",), advised=True,
    ),
    "refused, legal basis": Case(put("purpose", "dpv:Marketing"), "Refusal", "legal basis"),
    "refused, cohort": Case(put("population.smallest", 5000), "Refusal", "smallest cohort"),
    "refused, value rule": Case(
        put("expectations", [{"rule": "share-between", "column": "ill", "value": "yes",
                              "low": 0.98, "high": 1}]),
        "Refusal", "share of yes",
    ),
    "refused, k": Case(
        both(put("outlets.partner.k", 390), put("outlets.partner.max_suppressed", 0),
             put("outlets.partner.columns", {"age": "keep", "city": "keep", "ill": "keep",
                                             "note": "keep"})),
        "Unreachable", "k-anonym",
    ),
    "refused, membership": Case(
        both(put("training.model", "sklearn.tree.DecisionTreeClassifier"),
             put("attacks.membership.auc_at_most", 0.6)),
        "Refusal", "membership",
    ),
    "refused, budget": Case(PRIVATE, "Refusal", "privacy budget", spent=True),
    "own code, speaking": Case(OWN, own_code=f"RAISES = None\n{OWN_CODE}"),
    "own function, broken": Case(
        OWN, "StepFailed", "step 'select_population' failed",
        own_code=f"RAISES = 'function'\n{OWN_CODE}",
    ),
    "own model, broken": Case(
        OWN, "StepFailed", "step 'train' failed", own_code=f"RAISES = 'model'\n{OWN_CODE}"
    ),
    "in Python": Case(in_python=True),
    "in Python, broken": Case(
        breaks=(BROKEN_STEPS["train"],), error="StepFailed", words="step 'train' failed",
        in_python=True,
    ),
    "repeated person": Case(repeat_somebody, "SourceError", "repeats another row's"),
    "malformed row": Case(spoil("extra"), "SourceError", "another number of fields"),
    "malformed number": Case(spoil("age"), "SourceError", "values are not whole numbers"),
    "undeclared category": Case(spoil("city"), "SourceError", "are not among those declared"),
    "malformed time": Case(spoil("at", consent=True), "SourceError", "not a time with a zone"),
    "malformed status": Case(spoil("status", consent=True), "SourceError", "an unknown word"),
    "headerless people": Case(lose_header(), "PolicyError", "has no column `person`"),
    "headerless consents": Case(
        lose_header(consent=True), "PolicyError", "the source has no column `person`"
    ),
    "several tables": Case(add_visits, visits=lambda _: None),
    "several tables, broken": Case(
        add_visits, "StepFailed", "step 'collect' failed", visits=lambda _: None,
        breaks=("tasks.sources.people_tables.take_together",),
    ),
    **{
        f"several tables, {what}": Case(add_visits, kind, words, visits=change)
        for what, kind, words, change in (
            ("unit", "SourceError", "in a unit that has no factor", spoil_visit("unit")),
            ("moment", "SourceError", "are no dates such as", spoil_visit("began")),
            ("number", "SourceError", "values are not finite numbers", spoil_visit("size")),
            ("overlap", "SourceError", "overlap another", overlap),
            ("no header", "PolicyError", "the table has no column", lose_visits_header),
        )
    },
    "interrupted": Case(
        breaks=(BROKEN_STEPS["train"],), raises=KeyboardInterrupt, error="ServiceError",
        words="stopped; nothing was handed over",
    ),
    "exited": Case(
        breaks=(BROKEN_STEPS["train"],), raises=SystemExit, error="ServiceError",
        words="ended the process",
    ),
    **{
        f"broken, {name}": Case(
            breaks=(target,), error="StepFailed", words=f"step '{name}' failed"
        )
        for name, target in BROKEN_STEPS.items()
    },
    "MLflow away": Case(
        environment=AWAY, error="ServiceError", words="did not take the run"
    ),
    "without airlock": Case(breaks=(BROKEN_STEPS["train"],), error="ValueError"),
}  # fmt: skip
EPHEMERAL: Final = {
    "ephemeral, passed": Case(),
    "ephemeral, broken": Case(
        breaks=(BROKEN_STEPS["train"],), error="StepFailed", words="step 'train' failed"
    ),
}
NIGHTLY: Final = frozenset({
    "ephemeral, passed",
    *(f"broken, {name}" for name in BROKEN_STEPS.keys() - {"read_roster", "validate", "train",
                                                            "record", "report"}),
})  # fmt: skip
"""Left to the night: the airlock is one for all steps, and each day the first and the last of them,
those between that another library carries out and every kind of error in training are tried, and
all speak. Of the servers that Prefect starts by itself, the one whose run breaks late is tried.
"""
KILLED: Final = {
    "killed": Case(put("training.model", "ending.Ending")),
    "bad parameter": Case(error="PolicyError"),
}
ALL: Final = {**CASES, **EPHEMERAL, **KILLED}


def source_of(root: Path, case: str) -> Path:
    """Name the policy of a case, beside its people and consents."""
    return root / "source" / tag_of(case) / "policy.yaml"


def write_source(root: Path, case: str) -> None:
    """Write a case's policy, people and consents."""
    policy, people = make_policy(policy_name(case)), make_people(case)
    consents = make_consents(people)
    ALL[case].change(policy, people, consents)
    path = source_of(root, case)
    folder = path.parent
    folder.mkdir(parents=True)
    files = {"people": people, "consents": consents}
    if (change := ALL[case].visits) is not None:
        files |= {"visits": make_visits(case), "merged": make_merged(case)}
        change(files["visits"])
    for name, rows in files.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(rows[0])
            writer.writerows(row.values() for row in rows)
    if ALL[case].own_code:
        (folder / "own.py").write_text(ALL[case].own_code)
    path.write_text(json.dumps(policy, indent=1))


# --- The process that runs cases -----------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How one run ended."""

    error: str | None
    message: str
    run: str | None
    """The run's id on the evidence ledger."""


def break_by(case: Case, row: Row) -> AbstractContextManager[object]:
    """Break a case's functions while it runs: they say and raise what one row holds."""
    text = f"cannot use {row}"

    def break_one(target: str) -> AbstractContextManager[object]:
        whole: Callable[..., object] = pkgutil.resolve_name(target)

        def broken(*given: object, **named: object) -> object:
            print(text)  # noqa: T201 - that is what is tried
            os.write(2, text.encode())
            logging.getLogger("prefect.library").error("%s", text, extra={"row": row})
            warnings.warn(text, stacklevel=1)
            if case.raises is not None:
                raise case.raises(text) from KeyError(text)
            return whole(*given, **named)

        return mock.patch(target, broken)

    with ExitStack() as stack:
        for target in case.breaks:
            stack.enter_context(break_one(target))
        return stack.pop_all()


def run_case(name: str, policy: Path, launch: Callable[[Path], object]) -> Outcome:
    """Run one case in this process, and say how it ended."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    case, home, ended = ALL[name], Home.open(), None
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, case.environment))
        stack.enter_context(break_by(case, make_people(name)[0]))
        if name == "without airlock":
            stack.enter_context(
                mock.patch("tasks.airlock.step.run_inside", lambda _step, work, _: work())
            )
        try:
            if case.spent:
                advise_as_command(policy, 4)
            (way_of(case) or launch)(policy)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C is among what is tried
            ended = error
    runs = EvidenceLedger(open_database(home), Keys.open(home)).runs()
    message = "" if ended is None else f"{ended!s} {ended.__cause__!r} {ended.__context__!r}"
    return Outcome(type(ended).__name__ if ended else None, message, runs[-1].run_id)


def launch_as_command(policy: Path) -> None:
    """Do what `tutela run` does."""
    from deployments.request import checked_request
    from deployments.run.launch import launch
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    file, _ = checked_request(str(policy), None)
    home = Home.open()
    tell(launch(home, Keys.open(home), file, None, "all"))


def way_of(case: Case) -> Callable[[Path], object] | None:
    """Say how a case is run, if not as all others are."""
    if case.in_python:
        return run_in_python
    return advise_as_command if case.advised else None


def run_in_python(policy: Path) -> None:
    """Do what a notebook does: run the policy on a frame under a loop, and show the result."""
    import pandas as pd

    import tutela

    async def cell() -> tutela.Result:
        return tutela.run(policy, pd.read_csv(policy.parent / "people.csv", dtype=str))

    result = asyncio.run(cell())
    print(repr(result), result._repr_html_())  # noqa: T201 - that is what is tried


def advise_as_command(policy: Path, price: float = 2) -> None:
    """Do what `tutela advise` does."""
    from deployments.request import checked_advice
    from deployments.run.launch import launch
    from expectations.policy_file import read_policy
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    epsilon = price if read_policy(str(policy)).policy.private else None
    file, home = checked_advice(str(policy), None, epsilon), Home.open()
    tell(launch(home, Keys.open(home), file, None, "advice", epsilon))


def tell(outcome: LaunchOutcome) -> None:
    """Print what the command line prints, and end as it ends."""
    print(outcome.screen)  # noqa: T201 - that is what is tried
    if outcome.error is not None:
        raise outcome.error


def launch_ephemeral(policy: Path) -> None:
    """Call the flow with no server but the one that Prefect starts for it."""
    from deployments.servers.prefect_server import set_environment
    from flows.opening import Request, request
    from ledgers.home.home import Home

    set_environment(Home.open())
    from prefect.context import refresh_global_settings_context
    from prefect.server.api.server import SubprocessASGIServer

    from flows.training import train_and_release

    refresh_global_settings_context()
    try:
        train_and_release(request(Request(str(policy))))
    finally:
        # Prefect ends it with the process, which is killed at last.
        SubprocessASGIServer().stop()


def complete_away(row: Row) -> list[str]:
    """Complete the run that MLflow did not take: first its sources break, then they are there."""
    from deployments.run.leftovers import finish_leftovers
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    try:
        with break_by(Case(breaks=("tasks.handover.readiness.read_people",)), row):
            broken = finish_leftovers(home, Keys.open(home))
    except ValueError as error:
        broken = [f"nothing caught this: {error}"]
    return broken + finish_leftovers(home, Keys.open(home))


def main(root: Path, *, nightly: bool) -> None:
    """Run the cases one after the other, write down how they ended, and be killed in the last."""
    outcomes: dict[str, object] = {}

    def run_all(names: Iterable[str], launch: Callable[[Path], object]) -> None:
        for name in names:
            print(f"--- {name}", flush=True)  # noqa: T201 - for whoever reads the console
            outcomes[name] = vars(run_case(name, source_of(root, name), launch))
            if name == "MLflow away":
                outcomes["completed"] = complete_away(make_people(name)[0])

    run_all([name for name in CASES if (name in NIGHTLY) == nightly], launch_as_command)
    with mock.patch.dict(os.environ, TUTELA_HOME=str(root / "ephemeral")):
        run_all([name for name in EPHEMERAL if (name in NIGHTLY) == nightly], launch_ephemeral)
    (root / "outcomes" / "cases.json").write_text(json.dumps(outcomes))
    launch_as_command(source_of(root, "killed"))


# --- What the tests see --------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """The folder under which all cases ran, and how they ended."""

    root: Path
    api: str

    @property
    def home(self) -> Path:
        """The home of all cases but the ephemeral ones."""
        return self.root / "home"

    def environment(self) -> dict[str, str]:
        """Give the variables of a process whose every folder lies under the root."""
        kept = {name: value for name, value in os.environ.items() if not _is_ours(name)}
        return {
            **kept,
            "TUTELA_HOME": str(self.home),
            "TMPDIR": str(self.root / "temporary"),
            "HOME": str(self.root / "user"),
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PREFECT_LOGGING_LEVEL": "DEBUG",
        }

    def run(self, name: str, *command: str) -> int:
        """Run Python to its end, its console kept in a file under the root; give its status."""
        with (self.root / "console" / name).open("wb") as console:
            return subprocess.run(
                [sys.executable, *command], cwd=self.root / "cwd", env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, check=False,
            ).returncode  # fmt: skip

    def tell(self, name: str, *words: str) -> int:
        """Run the real command line to its end; give its exit status."""
        return self.run(name, "-m", "deployments.cli", *words)

    def console(self, name: str) -> str:
        """Give what a process said."""
        return (self.root / "console" / name).read_text()

    @property
    def ledger(self) -> EvidenceLedger:
        """The evidence of all cases but the ephemeral ones."""
        from ledgers.evidence import EvidenceLedger
        from ledgers.home.database import open_database
        from ledgers.home.home import Home
        from ledgers.home.keys import Keys

        home = Home.open(self.home)
        return EvidenceLedger(open_database(home), Keys.open(home))

    def evidence(self, run: str | None, kind: str) -> dict[str, Any]:
        """Give what a run's ledger holds of one kind, the last of it."""
        found = [entry.body for entry in self.ledger.entries(run or "") if entry.kind == kind]
        assert isinstance(found[-1], dict)
        return found[-1]

    def ask_prefect(self, path: str) -> Any:
        """Read from the API of the server under which the cases ran."""
        with urllib.request.urlopen(f"{self.api}/{path}") as answer:  # noqa: S310 - our own server
            return json.load(answer)

    @functools.cached_property
    def outcomes(self) -> dict[str, Outcome]:
        """How each case ended."""
        return {name: Outcome(**self._noted[name]) for name in self._noted if name != "completed"}

    @functools.cached_property
    def completed(self) -> list[str]:
        """What was said of the run that MLflow did not take at first, when it was completed."""
        said: list[str] = self._noted["completed"]
        return said

    @functools.cached_property
    def _noted(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "outcomes" / "cases.json").read_text())
        return found


def _is_ours(name: str) -> bool:
    return name.startswith(("PREFECT", "MLFLOW", "TUTELA", "PYTEST", "XDG"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), nightly="nightly" in sys.argv)
