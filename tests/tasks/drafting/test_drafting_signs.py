"""What a column looks like is seen by its name, its values and how far they single out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting.examination import read_samples
from tasks.drafting.profile import LEAST, count_values
from tasks.drafting.signs import NOTHING, Found, choose_category, judge, read_name, sample_texts
from tasks.drafting.value_signs import is_card, is_iban

ID, QUASI, NONE = Identifiability.IDENTIFIER, Identifiability.QUASI, Identifiability.NONE


def look(name: str, cells: Sequence[str | None]) -> Found:
    """Judge one column."""
    return judge(count_values(name, pa.chunked_array([pa.array([*cells], pa.string())])))


def category_of(name: str) -> Category | None:
    """Tell a category by a name alone."""
    return choose_category([sign.category for sign in read_name(name) if sign.category])


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("HbA1c", Category.HEALTH),
        ("bmi", Category.HEALTH),
        ("hasDiabetes", Category.HEALTH),
        ("Schwangerschaft", Category.HEALTH),
        ("phq9_score", Category.MENTAL_HEALTH),
        ("brca1", Category.GENETIC),
        ("relig", Category.RELIGIOUS_BELIEF),
        ("Konfession", Category.RELIGIOUS_BELIEF),
        ("vote_2024", Category.POLITICAL_OPINION),
        ("opinion_politique", Category.POLITICAL_OPINION),
        ("union", Category.TRADE_UNION),
        ("Gewerkschaft", Category.TRADE_UNION),
        ("race", Category.ETHNIC_ORIGIN),
        ("black", Category.ETHNIC_ORIGIN),
        ("origine_ethnique", Category.ETHNIC_ORIGIN),
        ("naffairs", Category.SEXUAL),
        ("orientamento_sessuale", Category.SEXUAL),
        ("faceEmbedding", Category.BIOMETRIC),
    ],
)
def test_a_special_category_is_told_by_its_name(name: str, category: Category) -> None:
    """In five languages, in camels and snakes, and as the sciences abbreviate."""
    assert category_of(name) is category


@pytest.mark.parametrize("name", ["race_time", "eye_color", "car_colour", "credit_union_code"])
def test_a_word_beside_another_that_explains_it_is_no_special_category(name: str) -> None:
    """A race that has a time is run."""
    category = category_of(name)
    assert category is None or not category.special


@pytest.mark.parametrize(
    "name",
    ["Vorname", "last_name", "eMail", "numéro_sécurité_sociale", "IBAN", "DNI", "licensePlate"],
)
def test_an_identifier_is_told_by_its_name(name: str) -> None:
    """Accents and case are no matter."""
    assert max(sign.identifiability is ID for sign in read_name(name))


@pytest.mark.parametrize("name", ["PLZ", "birthDate", "sexo", "estado_civil", "occupation", "educ"])
def test_a_quasi_identifier_is_told_by_its_name(name: str) -> None:
    """What neighbours know."""
    assert QUASI in {sign.identifiability for sign in read_name(name)}


@pytest.mark.parametrize("name", ["V1", "q17", "x", "item"])
def test_a_column_of_which_nothing_is_known_is_doubtful(name: str) -> None:
    """A person must say what it is."""
    found = look(name, ["1", "2", "3"] * LEAST)
    assert (found.category, found.doubtful, found.seen) == (None, True, (NOTHING,))


NUMBERED = [str(n) for n in range(10, 60)]


@pytest.mark.parametrize(
    ("cells", "identifiability", "category"),
    [
        ([f"p{n}@example.org" for n in NUMBERED], ID, Category.CONTACT),
        ([f"+49 30 1234{n}" for n in NUMBERED], ID, Category.CONTACT),
        ([f"10.0.0.{n}" for n in NUMBERED], ID, Category.IDENTIFYING),
        ([f"123-{n}-6789" for n in NUMBERED], ID, Category.IDENTIFYING),
        ([f"{n} High Street" for n in NUMBERED], ID, Category.LOCATION),
        (["Ann Smith", "Peter Wu", "Maria Lopez"] * LEAST, ID, Category.IDENTIFYING),
        (["SW1A 1AA", "EC1V 9BD"] * LEAST, QUASI, Category.LOCATION),
        (["E11.9", "I10", "J45.0"] * LEAST, NONE, Category.HEALTH),
        (["Catholic", "Muslim", "none"] * LEAST, NONE, Category.RELIGIOUS_BELIEF),
        (["Democrat", "Republican", "other"] * LEAST, NONE, Category.POLITICAL_OPINION),
        (["male", "female"] * LEAST, QUASI, Category.GENDER),
    ],
)
def test_values_tell_what_a_meaningless_name_hides(
    cells: list[str | None], identifiability: Identifiability, category: Category
) -> None:
    """A column `v1` of addresses is one of addresses."""
    found = look("v1", cells)
    assert (found.identifiability, found.category) == (identifiability, category)


def test_sums_of_digits_tell_cards_and_accounts_from_other_numbers() -> None:
    """Published test numbers, each with one digit changed too."""
    assert [is_card(n) for n in ("4111 1111 1111 1111", "4111 1111 1111 1112")] == [True, False]
    accounts = ("DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01")
    assert [is_iban(account) for account in accounts] == [True, False]


def test_a_key_is_complete_and_has_a_value_for_each_row() -> None:
    """A name that says so is not enough."""
    assert look("v1", NUMBERED).person
    assert look("id", NUMBERED).person
    assert not look("id", [*NUMBERED[1:], None]).person
    assert not look("id", [*NUMBERED[1:], NUMBERED[1]]).person


def test_texts_that_all_differ_name_people_in_doubt() -> None:
    """No sign but uniqueness: a person decides."""
    found = look("reference", [f"{n}/x-{n}" for n in NUMBERED])
    assert (found.identifiability, found.doubtful) == (ID, True)


def test_measurements_that_all_differ_name_nobody() -> None:
    """A number with a fraction is measured, not given."""
    assert look("v1", [f"{n}.37" for n in NUMBERED]).identifiability is NONE


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("member_since", [f"2019-01-{n:02d}" for n in range(1, 29)]),
        ("patient_seen", [f"{n}.01.2019" for n in range(10, 31)]),
        ("customer_score", [f"{n}.37" for n in range(10, 60)]),
        ("income", [str(20_011 + 97 * n) for n in range(50)]),
        ("weight", [str(60_013 + 97 * n) for n in range(50)]),
        ("age", [str(n) for n in range(18, 68)]),
    ],
)
def test_dates_decimals_and_measured_things_are_no_keys(name: str, cells: list[str]) -> None:
    """However unique, and whatever the name says beside; so they can be read."""
    found = look(name, cells)
    assert found.identifiability is not ID
    assert not found.person
    assert found.doubtful or not {ID} & {sign.identifiability for sign in read_name(name)}


def test_a_household_of_each_row_may_be_its_person() -> None:
    """Numbers that run on are given."""
    assert look("household", NUMBERED).person
    assert look("household", [f"u{n}" for n in range(20)] * LEAST).identifiability is ID
    assert look("household", ["single", "couple"] * LEAST).identifiability is QUASI


def test_two_values_name_nobody() -> None:
    """Whether there is a telephone is not its number; two numbers are."""
    assert look("phone", ["yes", "no"] * LEAST).identifiability is NONE
    assert look("phone", ["+49 30 123410", "+49 30 123411"] * LEAST).identifiability is ID
    assert look("email", ["anna@x.org", "bob@x.org"] * LEAST).profile.words == ()
    assert look("manager", ["Anna Smith", "Peter Parker"] * LEAST).identifiability is ID


@pytest.mark.parametrize(
    "cells",
    [["cancer", "holiday", "training"], ["couple", "same-sex couple", "single"],
     ["imam", "teacher", "nurse"], ["disability pension", "salary", "rent"]],
)  # fmt: skip
def test_one_word_of_a_special_category_leaves_a_list_to_a_person(cells: list[str | None]) -> None:
    """It may be of its category for those who have it; a word that few have is not told of."""
    found = look("kind", cells * LEAST)
    assert found.doubtful
    assert any("may point to" in sentence for sentence in found.seen)
    rare = look("kind", [*(["rent", "salary", "gift"] * LEAST), cells[0]])
    assert not any("may point to" in sentence for sentence in rare.seen)


def test_free_text_is_doubtful_and_its_words_are_not_listed() -> None:
    """Anything can stand in it."""
    often = ["seen on the ward and sent home"] * LEAST
    found = look("note", [*often, *(f"seen on day {n} and sent home" for n in NUMBERED)])
    assert (found.free_text, found.doubtful, found.profile.words) == (True, True, ())


def test_a_column_that_names_people_shows_no_value() -> None:
    """Neither words nor range."""
    found = look("surname", ["Smith", "Wu", "Lopez"] * LEAST)
    assert (found.identifiability, found.profile.words) == (ID, ())
    assert look("patient_id", NUMBERED).profile.low is None


def test_a_few_misfits_among_numbers_are_told() -> None:
    """It is read as text, and the sentence says how to have numbers."""
    found = look("bmi", [*NUMBERED, "n/a"])
    assert found.doubtful
    assert any("some are not" in sentence for sentence in found.seen)


def test_codes_with_leading_zeros_are_no_misfits() -> None:
    """A postcode is text, and nothing is wrong with it."""
    assert not look("postcode", ["01067", "10115"] * LEAST).doubtful


def test_dates_in_another_form_are_told_and_doubtful() -> None:
    """They are read as text, so no date treatment fits."""
    found = look("visited", ["31.01.2024", "01.02.2024"] * LEAST)
    assert (found.identifiability, found.doubtful) == (QUASI, True)


def test_a_consent_column_tells_the_words_that_mean_yes() -> None:
    """As the source spells them."""
    assert look("consent_given", ["Yes", "No"] * LEAST).consent == ("Yes",)
    assert look("statistics_ok", ["yes", "no"] * LEAST).consent == ("yes",)
    assert look("colour", ["Yes", "No"] * LEAST).consent == ()


def test_an_outcome_is_a_column_of_yes_and_no() -> None:
    """A date of churn is none."""
    assert look("churned", ["yes", "no"] * LEAST).target
    assert not look("churned", ["2024-01-31"] * LEAST).target


@given(st.lists(st.text(min_size=3, max_size=8), min_size=1, max_size=30))
def test_no_sentence_holds_a_value(cells: list[str]) -> None:
    """What was seen is told by kind and rough share."""
    marked = [f"§{cell}§" for cell in cells]
    found = look("v1", marked * 3)
    assert not any("§" in sentence or re.search(r"\d", sentence.replace("fewer than 5 rows", "")
                   .replace("2024-01-31", "").replace("ICD-10", ""))
                   for sentence in found.seen)  # fmt: skip


def test_names_without_a_common_given_name_are_read() -> None:
    """Presidio's model knows them; a person decides."""
    cells = [
        f"{given} {family}"
        for given in ("Okwudili", "Thulani", "Xiulan", "Bjarte", "Sigrún", "Mbali")
        for family in ("Nwosu", "Dlamini", "Zhang", "Haugen", "Jónsdóttir", "Khumalo")
    ]
    values = count_values("v1", pa.chunked_array([pa.array(cells * LEAST)]))
    (found,) = read_samples([judge(values)], {"v1": sample_texts(values, 40)})
    assert (found.identifiability, found.category) == (ID, Category.IDENTIFYING)
    assert found.doubtful
