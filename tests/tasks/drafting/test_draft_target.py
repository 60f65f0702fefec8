"""`--target`: what a person wants predicted is read, and what cannot be says how it can."""

from __future__ import annotations

import re
from typing import Any

import pytest

from expectations.coherence.treatments import taken_from_data
from expectations.errors import UsageError
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Article6, Article9, Category, Identifiability, Use
from expectations.policy_file import parse_policy
from tasks.drafting.signs import Found
from tests.tasks.drafting.drafted_columns import (
    AGE,
    ANSWER,
    BORN,
    DISTRICT,
    FAITH,
    LEFT,
    PERSON,
    column,
    draft_of,
    text_of,
)

STATUS = column("Loan status", words=("Paid", "Late", "It's open"), category=Category.FINANCIAL)
VISITS = column("visits", "integer", low=0.0, high=90.0, edges=(10.0, 30.0, 50.0), distinct=60)
GONE = column("gone", "boolean", category=None, doubtful=True)
TABLE = (PERSON, AGE, DISTRICT, STATUS, VISITS, GONE, BORN, FAITH)


def drafted(*columns: Found, **given: Any) -> Policy:
    """Parse the drafted policy, which checks that its parts fit together."""
    return parse_policy(text_of(*columns, **given))


@pytest.mark.parametrize(
    "target",
    ["gone", "visits >= 30", "loan_status = 'Late'", "loan_status in ('Late', 'It''s open')",
     "age >= 65", "years_since(born) >= 65", "visits > 3 and gone"],
)  # fmt: skip
@pytest.mark.parametrize("six", [Article6.CONSENT, Article6.CONTRACT])
def test_a_draft_with_a_target_passes_check_and_predicts_it(target: str, six: Article6) -> None:
    """What it is computed from is read for that alone, and dropped."""
    policy = drafted(*TABLE, target=target, six=six)
    assert list(policy.model_outlets) == ["planning-team"]
    assert policy.target == ("gone" if target == "gone" else "outcome")
    for name in policy.read_for(["outcome"])[Use.DERIVATION] if target != "gone" else ():
        assert not {Use.FEATURE, Use.TARGET} & {*policy.columns[name].use}
        assert policy.columns[name].treatment.kind == "drop"


def test_what_is_compared_has_the_type_of_its_values() -> None:
    """A few whole numbers are words where they are read as they stand, and numbers here."""
    jobs = column("job", "integer", words=("1", "2", "3"), edges=(2.0,), distinct=3)
    assert drafted(PERSON, AGE, jobs, target="job >= 2").columns["job"].type == "integer"


def test_without_a_target_nothing_is_predicted_that_is_in_doubt() -> None:
    """An outcome by name alone is offered, and not taken."""
    left = column("left", "boolean", category=None, target=True, doubtful=True)
    text = text_of(PERSON, AGE, DISTRICT, left)
    assert not parse_policy(text).model_outlets
    assert "yes/no column (left)" in " ".join(text.replace("#", "").split())
    assert drafted(PERSON, AGE, left, target="left").target == "left"


def test_a_target_of_unknown_kind_is_read_and_asked_about() -> None:
    """Who names it decided that the purpose needs it, and not what kind of data it is."""
    text = text_of(*TABLE, target="gone")
    assert "DECIDE: it is unclear what kind of data it is" in text
    assert parse_policy(text).columns["gone"].category is Category.BEHAVIORAL


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("Loan status", r"loan_status = 'Paid'"),
        ("visits", "visits >= 30"),
        ("Born", r"days_since\(born\) <= 365"),
        ("gnoe", "did you mean `gone`"),
        ("visits +", "no column is named|no expression"),
        ("visits = ", "not an expression over the columns"),
        ("visits + 1", "does not make a yes or no"),
        ("loan_status = 'late'", "nobody has `late` in `Loan status`; did you mean `Late`"),
        ("faith = 'a'", "a word of Art. 9"),
        ("Member No", "names the person"),
        ("name = 'x'", "is never read: it names people; name another column"),
    ],
)
def test_what_cannot_be_predicted_says_how_it_can(target: str, told: str) -> None:
    """With words that many people share, and no other value."""
    name = column("name", identifiability=Identifiability.IDENTIFIER, words=("a", "x"))
    with pytest.raises(UsageError, match=told):
        text_of(*TABLE, name, target=target)


def test_a_hint_compares_only_numbers_that_measure() -> None:
    """A postcode is a number that names a place: none is more than another."""
    code = column("postcode", "integer", category=Category.LOCATION,
                  identifiability=Identifiability.QUASI, low=10000.0, high=99999.0,
                  edges=(40000.0, 60000.0, 80000.0), distinct=300)  # fmt: skip
    said = re.sub(r"[\s#]+", " ", text_of(PERSON, code, VISITS))
    assert '--target "visits >= 30"' in said
    with pytest.raises(UsageError, match="Its numbers name something") as refused:
        draft_of(PERSON, code, VISITS, target="postcode")
    assert ">=" not in str(refused.value)


def test_who_consented_is_not_predicted() -> None:
    """The answers say who may be read at all."""
    with pytest.raises(UsageError, match="says who consented"):
        text_of(PERSON, AGE, ANSWER, target="may we?", six=Article6.CONSENT)


def test_a_rare_word_may_be_predicted_unseen() -> None:
    """Whether somebody has it is not said."""
    rare = column("kind", words=("a", "b"), rare=2, category=Category.FINANCIAL)
    assert drafted(PERSON, AGE, rare, target="kind = 'zzz'").target == "outcome"


def test_a_special_category_is_predicted_under_its_condition() -> None:
    """The outcome is of its category, and as close to the person."""
    policy = drafted(*TABLE, target="faith = 'a' or visits > 3", nine=Article9.MADE_PUBLIC)
    assert policy.derived["outcome"].category is Category.RELIGIOUS_BELIEF


def test_nothing_to_predict_by_is_said() -> None:
    """A model of no feature is none."""
    with pytest.raises(UsageError, match="no other column is certain enough"):
        text_of(PERSON, GONE, target="gone")


def test_an_age_that_is_predicted_by_is_not_made_of_the_outcome() -> None:
    """A birth date that tells the outcome would tell it again as an age."""
    assert "age" not in drafted(PERSON, BORN, DISTRICT, target="years_since(born) > 65").derived
    assert "age" in drafted(PERSON, BORN, DISTRICT, LEFT, target="left").derived


def test_what_a_person_wrote_is_not_marked_as_taken_from_the_data() -> None:
    """Neither the outcome's words nor the edges of an age; so a private model may be promised."""
    text = text_of(PERSON, BORN, STATUS, VISITS, target="loan_status = 'Late'")
    assert taken_from_data(parse_policy(text)) == ("visits",)
    private = re.sub(r"(?m)^( *)# (promise|budget):", r"\1\2:", text)
    private = private.replace("model: logistic", "model: private-logistic")
    confirmed = parse_policy(private.replace("    from_data: true\n", ""))
    assert confirmed.private
    assert "from_data" in text
    with pytest.raises(Exception, match="from_data"):
        parse_policy(private)


def test_the_outcome_is_told_in_a_persons_words() -> None:
    """On the screen and in the title."""
    draft = draft_of(*TABLE, target="visits >= 30")
    assert draft.decided.said == "whether visits >= 30"
    assert "Predict whether visits >= 30" in text_of(*TABLE, target="visits >= 30")
