"""Columns as the examination of a table might find them, made by hand for tests of the draft."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from expectations.expressions.expressions import ColumnType
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.locations import CsvFile
from expectations.policy.policy import Controller
from expectations.policy.vocabulary import Article6, Article9, Category, Identifiability, Purpose
from tasks.drafting.deciding import decide
from tasks.drafting.decisions import Answers, Wishes
from tasks.drafting.examination import Examined
from tasks.drafting.profile import Profile
from tasks.drafting.signs import Found
from tasks.drafting.writing import Draft, write_policy

PROFILE = Profile(
    name="x", type=ColumnType.TEXT, rows=400, missing=0.0, distinct=3, alone=0.0, words=(), rare=0,
    low=None, high=None, edges=(),
)  # fmt: skip
FOUND = Found(
    profile=PROFILE, identifiability=Identifiability.NONE, category=Category.BEHAVIORAL,
    free_text=False, person=False, consent=(), target=False, seen=("a sign",), doubtful=False,
)  # fmt: skip


def column(name: str, kind: str = "text", *, seen: str = "a sign", **signs: Any) -> Found:
    """Give a column of some type; parts of the profile and of what was found by their names."""
    parts = {part: signs.pop(part) for part in list(signs) if part in Profile.__slots__}
    profile = replace(PROFILE, name=name, type=ColumnType(kind), **parts)
    return replace(FOUND, profile=profile, seen=(seen,), **signs)


PERSON = column(
    "Member No",
    person=True,
    category=Category.IDENTIFYING,
    identifiability=Identifiability.IDENTIFIER,
    distinct=400,
)
AGE = column(
    "age", "integer", category=Category.AGE, identifiability=Identifiability.QUASI,
    low=15.0, high=90.0, edges=(30.0, 45.0, 60.0), distinct=70,
)  # fmt: skip
BORN = column(
    "Born", "date", category=Category.AGE, identifiability=Identifiability.QUASI, distinct=390
)
DISTRICT = column(
    "district", category=Category.LOCATION, identifiability=Identifiability.QUASI,
    words=("West", "East"), rare=4,
)  # fmt: skip
LEFT = column("left", "boolean", target=True, words=("no", "yes"), distinct=2)
ANSWER = column("may we?", "boolean", consent=("yes", "ok"), distinct=2)
FAITH = column("faith", category=Category.RELIGIOUS_BELIEF, words=("a", "b"))
UNKNOWN = column("q17", "integer", category=None, edges=(2.0, 3.0), doubtful=True)


def draft_of(
    *columns: Found,
    six: Article6 = Article6.PUBLIC_TASK,
    nine: Article9 | None = None,
    rows: int = 400,
    **wished: Any,
) -> Draft:
    """Give what is decided of a table of these columns."""
    assessed = None if six is Article6.CONSENT else "DPIA 3"
    basis = LegalBasis(article_6=six, article_9=nine, assessment=assessed)
    answers = Answers(
        purpose=Purpose.SERVICE_OPTIMISATION,
        legal_basis=basis,
        controller=Controller(name="Example, Inc.", contact="privacy@example.org"),
        recipient="Planning team",
    )
    examined = Examined(rows, columns, (("age", "district"), 0.23))
    location = CsvFile(kind="csv", path="members.csv")
    return Draft("members", location, answers, decide(examined, basis, Wishes(**wished)))


def text_of(*columns: Found, **given: Any) -> str:
    """Give the text of the policy that is drafted for these columns."""
    return write_policy(draft_of(*columns, **given))
