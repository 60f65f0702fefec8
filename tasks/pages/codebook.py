"""The codebook of a table that leaves: what each column and each label of it means, as a page.

It goes to the recipient beside the table, and says of it what its policy and the run's report say;
it names the labels that the table has, and no count of people. Like the report it is one HTML file
that loads nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from expectations.policy.formulas import MARK
from expectations.policy.vocabulary import MISSING
from tasks.pages.report import environment

TEMPLATE: Final = "codebook.html.j2"
JOINT: Final = "~"
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the table; `members` are the declared ones that it stands for, if several."""

    name: str
    means: str
    """What it means in words; nothing where the label itself says it."""
    members: tuple[str, ...] = ()
    bounds: tuple[float | None, float | None] | None = None
    """Of an interval, the least number that it holds and the least that is beyond it."""


@dataclass(frozen=True, slots=True)
class CodedColumn:
    """One column of the table as its recipient is told of it."""

    name: str
    type: Literal["string", "number", "integer"]
    note: str | None
    category: str
    special: bool
    treatment: str
    protection: str
    """Whether k covers it, and what covers it where k does not."""
    loss: float | None
    """The share of its detail that the recoding took, 0 to 1."""
    labels: tuple[Label, ...]
    """Those that occur, in their declared order; none of a column without declared labels."""


@dataclass(frozen=True, slots=True)
class Codebook:
    """A table that leaves, as its recipient is told of it."""

    title: str
    controller: str
    contact: str
    policy: str
    policy_sha256: str
    run_id: str
    outlet: str
    recipient: str
    purpose: str
    date: str
    """When the run began, as the record has it."""
    claim: str
    limits: str
    made_up: str | None
    file: str
    """The table's file, beside the page."""
    columns: tuple[CodedColumn, ...]
    marked: bool
    """Whether the mark against formulas stands somewhere in the table."""
    nonce: str

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the package, as their digest lists them."""
        return tuple(sorted(("codebook.html", "datapackage.json", self.file)))


@dataclass(frozen=True, slots=True)
class Example:
    """A label of the table, by which the reader sees what its form means."""

    label: str
    column: str
    means: str


def render_codebook(told: Codebook) -> str:
    """Write the codebook as one self-contained HTML file."""
    page = environment().get_template(TEMPLATE)
    verify = f"sha256sum {' '.join(told.files)} | sha256sum"
    examples = tuple(list_examples(told))
    return page.render(c=told, examples=examples, verify=verify, mark=MARK)


def list_examples(told: Codebook) -> Iterator[Example]:
    """Give the first label of the table of each form that has to be read in a certain way."""
    labels = [(column.name, label) for column in told.columns for label in column.labels]
    joined = [(name, one) for name, one in labels if one.members]
    forms = (
        [(name, one) for name, one in joined if JOINT not in one.name],
        [(name, one) for name, one in joined if JOINT in one.name],
        [(name, one) for name, one in labels if not one.members and "-" in one.name],
        [(name, one) for name, one in labels if one.name == ANY],
        [(name, one) for name, one in labels if one.name == MISSING],
    )
    for form in forms:
        for name, label in form[:1]:
            yield Example(label.name, name, label.means or "one label, as the policy declares it")
