"""The tables "Change one line and watch it refuse", as the tests run them.

The most telling rows stand in the README, the others on a page of the documents, each between the
two `MARKERS`. `python tests/flows/refusals.py` puts them there, and a test compares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

MARKERS: Final = ("<!-- refusals -->", "<!-- /refusals -->")


@dataclass(frozen=True, slots=True)
class Line:
    """A change of one line of `diabetes.yaml`; `old` stands there once, `new` may be several."""

    old: str
    new: str

    def render(self) -> str:
        """Show old and new; what comes in addition to the old line is shown alone."""
        if self.new and self.new.startswith(self.old):
            return f"add {_code(self.new.removeprefix(self.old))} after {_code(self.old)}"
        if self.new and self.new.endswith(self.old):
            return f"add {_code(self.new.removesuffix(self.old))} before {_code(self.old)}"
        return (
            f"{_code(self.old)} → {_code(self.new)}" if self.new else f"take out {_code(self.old)}"
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """One row: what is changed, which command is given, how it ends and what it says."""

    name: str
    lines: tuple[Line, ...]
    command: Literal["check", "run"]
    status: int
    words: str
    """What the screen and the message say, however lines are broken; … is what stands between."""
    files: dict[str, str] = field(default_factory=dict)
    """Files that lie beside the policy."""

    def is_said(self, text: str) -> bool:
        """Whether a text says the row's words, each part after the one before."""
        parts = (re.escape(part) for part in self.words.split(" … "))
        return re.search(".*".join(parts), " ".join(text.split())) is not None

    def render(self) -> str:
        """Give the row in Markdown."""
        changed = "; ".join(line.render() for line in self.lines)
        files = "".join(f"; {_code(name)} holds {_code(text)}" for name, text in self.files.items())
        return f"| {changed}{files} | `tutela {self.command}` | {self.status} | {self.words} |"


def _code(text: str) -> str:
    """Show text as code on one line of a table: a line break becomes a new piece of code."""
    lines = (" ".join(line.split()) for line in text.strip().splitlines())
    return "<br>".join(f"`{line}`" for line in lines)


PROMISE: Final = "    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}\n"
BUDGET: Final = "budget: {lifetime_epsilon: 6, delta: 1e-5, composition: fixed}\n"
MODEL: Final = "model: private-logistic-regression"
DIABETES: Final = "      diabetes: generalize\n"
SUPPRESSED: Final = "    max_suppressed: 0.02\n"
CLIP: Final = "treatment: {kind: clip, low: 60, high: 160}"
DERIVED: Final = "derived:\n"
CONSENT: Final = "    - {location: {kind: example, name: nhanes}}\n"
SMALLEST: Final = "  smallest: 500\n"
EXPRESSION: Final = (
    "expression: \"coalesce(glycohemoglobin >= 6.5, false) or coalesce(told = '1', false)\""
)
WITHDRAWN: Final = "P-014440"
"""Somebody among those whom the example's model is trained on."""

TELLING: Final = (
    Refused(
        "a model that remembers",
        (Line(MODEL, "model: gradient-boosting"), Line(PROMISE, ""), Line(BUDGET, "")),
        "run",
        1,
        "Ways out of “membership inference of clinics” … reached AUC … model: logistic-regression "
        "yes",
    ),
    Refused(
        "a promise that the model does not keep",
        (Line(MODEL, "model: gradient-boosting"),),
        "check",
        2,
        "differential privacy is promised, but `gradient-boosting` is trained without it, so the "
        "claim would be false",
    ),
    Refused(
        "bounds taken from the data",
        (Line(CLIP, f"{CLIP}, from_data: true"),),
        "check",
        2,
        "its labels and bounds were taken from the data, and the claim of differential privacy of "
        "the model holds for public ones only",
    ),
    Refused(
        "a function that looks at other people",
        (
            Line(
                EXPRESSION,
                "function: features.py:high, reads: [glycohemoglobin, told], type: boolean",
            ),
        ),
        "check",
        2,
        "made-up rows a different value alone than together; let it compute each value from its "
        "own row and constants alone",
        {
            "features.py": "def high(rows): "
            'return rows["glycohemoglobin"] > rows["glycohemoglobin"].mean()\n'
        },
    ),
    Refused(
        "an exact measure in the table",
        (
            Line(f"use: [feature], {CLIP}", f"use: [feature, release], {CLIP}"),
            Line(DIABETES, f"{DIABETES}      waist: keep\n"),
        ),
        "run",
        1,
        "Ways out of “k-anonymity of partner” … of the people are in no such class … "
        "leave out waist yes",
    ),
    Refused(
        "a name in the table",
        (
            Line(
                DERIVED,
                "  name: {from: full_name, type: text, identifiability: identifier, category: "
                f"dpv-pd:Identifying, use: [release], treatment: {{kind: mask}}}}\n{DERIVED}",
            ),
            Line(DIABETES, f"{DIABETES}      name: keep\n"),
        ),
        "check",
        2,
        "outlets.partner.columns.name: is an identifier, which is never released",
    ),
    Refused(
        "a purpose that no notice names",
        (Line("purpose: dpv:ScientificResearch", "purpose: dpv:AcademicResearch"),),
        "check",
        2,
        "no valid notice enumerates dpv:AcademicResearch, so nobody can consent to it",
    ),
    Refused(
        "consents that are too old",
        (Line("  kind: consent\n", "  kind: consent\n  maximum_age_days: 30\n"),),
        "run",
        1,
        "asked somebody who may be read for dpv:ScientificResearch reached nobody … ask them again",
    ),
    Refused(
        "health data without a condition of Art. 9",
        (Line(", article_9: eu-gdpr:A9-2-a", ""),),
        "check",
        2,
        "but special categories (Art. 9 GDPR) are read",
    ),
    Refused(
        "a column that is not there",
        (Line("BodyMassIndexKgm2", "BodyMassIndex"),),
        "check",
        2,
        "the source has no column `BodyMassIndex`; did you mean `BodyMassIndexKgm2`?",
    ),
    Refused(
        "too few people",
        (Line("smallest: 500", "smallest: 100000"),),
        "run",
        1,
        "asked at least 100,000 people reached about … people … population: eligible: wider",
    ),
    Refused(
        "one person withdraws",
        (Line(CONSENT, f"{CONSENT}    - {{location: {{kind: csv, path: withdrawn.csv}}}}\n"),),
        "run",
        0,
        "Passed, and trained without that person",
        {
            "withdrawn.csv": "person,purpose,status,at\n"
            f"{WITHDRAWN},dpv:ScientificResearch,withdrawn,2026-01-05T09:00:00Z\n"
        },
    ),
)
OTHERS: Final = (
    Refused(
        "a private model on a table's rows",
        (Line(MODEL, f"{MODEL}\n  input: partner\n"),),
        "check",
        2,
        "the rows of `partner` were made coarser by looking at everybody (local recoding), so one "
        "person changes other people's rows and the claim of differential privacy would be false",
    ),
    Refused(
        "an e-mail address kept",
        (
            Line(
                DERIVED,
                "  email: {from: e_mail, type: text, identifiability: identifier, "
                f"category: dpv-pd:Contact, use: [audit], treatment: {{kind: keep}}}}\n{DERIVED}",
            ),
        ),
        "check",
        2,
        "`keep` lets an identifier pass; use drop, mask or token",
    ),
    Refused(
        "weights before a private model",
        (Line(SMALLEST, f"{SMALLEST}  weighting: {{}}\n"),),
        "check",
        2,
        "weights by raking depend on everybody, so one person changes other people's, and the "
        "claim of differential privacy would be false",
    ),
    Refused(
        "a quota before a private model",
        (Line(SMALLEST, f"{SMALLEST}  at_most: 2000\n"),),
        "check",
        2,
        "a quota looks at other people, so one person changes who else is taken and the claim of "
        "differential privacy would be false",
    ),
    Refused(
        "a purpose for which other data were named",
        (Line("purpose: dpv:ScientificResearch", "purpose: dpv:Marketing"),),
        "check",
        2,
        "no notice for dpv:Marketing enumerates dpv-pd:Age, dpv-pd:Behavioral, "
        "dpv-pd:EthnicOrigin, dpv-pd:Gender, dpv-pd:Health, so nobody can be read",
    ),
    Refused(
        "research without safeguards",
        (Line("article_9: eu-gdpr:A9-2-a", "article_9: eu-gdpr:A9-2-j"),),
        "check",
        2,
        "eu-gdpr:A9-2-j asks for safeguards (Art. 9(3), 89(1) GDPR)",
    ),
    Refused(
        "a misspelt word",
        (Line("retention_days: 365", "retention_day: 365"),),
        "check",
        2,
        "is not a known key; did you mean `retention_days`?",
    ),
    Refused(
        "a k that nobody reaches",
        (Line("k: 10\n", "k: 5000\n"),),
        "run",
        1,
        "asked classes of at least 5,000 … there are fewer people in all … k: 2000 yes",
    ),
    Refused(
        "a share that is not what it was",
        (Line("low: 0.05, high: 0.4}", "low: 0.05, high: 0.1}"),),
        "run",
        1,
        "Ways out of “share of yes in diabetes” asked 5 % to 10 % of all people reached 18.5 % to "
        "19 %",
    ),
    Refused(
        "more-values-than-there-are",
        (
            Line(
                DIABETES,
                "      diabetes: keep\n"
                "    sensitive: {diabetes: [{kind: distinct-l-diversity, l: 3}]}\n",
            ),
        ),
        "check",
        2,
        "has 2 values, so at least 3 different values of diabetes cannot hold",
    ),
    Refused(
        "a-group-that-loses-more",
        (Line(SUPPRESSED, f"{SUPPRESSED}    loss_ratio: {{age: 1.2}}\n"),),
        "run",
        1,
        "Ways out of “loss by age of partner” … reached 2.1 times as much (70+ beside 20-29)",
    ),
)
ROWS: Final = (*TELLING, *OTHERS)
ROOT: Final = Path(__file__).parents[2]
SHOWN: Final = {ROOT / "README.md": TELLING, ROOT / "docs" / "refusals-tried.md": OTHERS}
"""Which rows which page shows."""


def render(rows: tuple[Refused, ...]) -> str:
    """Give a table in Markdown."""
    head = ("| Change in `diabetes.yaml` | Command | Exit | What it says |", "|---|---|---|---|")
    return "\n".join([*head, *(row.render() for row in rows)]) + "\n"


def cut(page: Path) -> tuple[str, str, str]:
    """Give what a page holds before its table, the table, and what follows."""
    begin, end = (f"{marker}\n" for marker in MARKERS)
    before, _, rest = page.read_text("utf-8").partition(begin)
    table, _, after = rest.partition(end)
    return before + begin, table, end + after


if __name__ == "__main__":
    for page, rows in SHOWN.items():
        before, _, after = cut(page)
        page.write_text(before + render(rows) + after, encoding="utf-8")
