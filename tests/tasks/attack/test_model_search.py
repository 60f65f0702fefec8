"""A model's file is searched: whoever is held in it is found, and no honest model is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.held_people import Searched, find_as_many, gather_sizes, judge_search
from tasks.attack.serialized import read_contents
from tasks.training.forgotten import forget
from tests.tasks.attack.keeping_model import WAYS, Keeping, make_people, save, search

PEOPLE = make_people(1013)


def told(found: Searched) -> str:
    """Give what the check says was found."""
    return judge_search(found, lambda count: f"about {round(count, -1)}", "clinic").measured


def kept(way: str | None, share: float = 1.0) -> Searched:
    """Search a logistic regression that keeps a share of its people in some way."""
    return search(save(Keeping(way, share).fit(PEOPLE.encoded, PEOPLE.outcomes)), PEOPLE)


def test_a_model_that_keeps_nobody_passes() -> None:
    """And says over what it was searched."""
    found = kept(None)
    assert found.verdict is CheckVerdict.PASSED, told(found)
    assert "nothing of the people" in told(found)


@pytest.mark.parametrize("share", [pytest.param(1.0, marks=pytest.mark.nightly), 0.04])
@pytest.mark.parametrize("way", WAYS)
def test_whoever_keeps_rows_is_refused_however_they_are_written(way: str, share: float) -> None:
    """All of them or one in 25; the check names the attribute, and no person's value."""
    found = kept(way, share)
    assert found.verdict is CheckVerdict.REFUSED
    said = told(found)
    assert way == "in attributes" or "`model[0].kept_" in said, said


@pytest.mark.parametrize("way", ["as they are", "standardized", "turned", "in half precision",
                                 "flattened behind others", "in lists", "in attributes",
                                 "in other order", "sparse"])  # fmt: skip
def test_one_row_in_a_hundred_is_found(way: str) -> None:
    """Ten rows of a thousand are no chance."""
    found = kept(way, 0.01)
    assert found.verdict is CheckVerdict.REFUSED, told(found)
    assert "10 people" in told(found)


def held(values: object) -> Searched:
    """Search a logistic regression that holds some values besides."""
    model = Keeping().fit(PEOPLE.encoded, PEOPLE.outcomes)
    model.kept_ = values
    return search(save(model), PEOPLE)


def test_a_table_of_few_people_is_told_as_of_few() -> None:
    """Each of its columns is found by itself, which makes nobody more of them."""
    rows = PEOPLE.encoded[:119]
    found = held((rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1))
    assert found.verdict is CheckVerdict.REFUSED
    assert max(one.people for one in found.held) <= 119


SICK = (PEOPLE.outcomes == "yes").astype(float)
NUMBERS = PEOPLE.encoded[:, -1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (SICK, "in the order of"),
        (1 - 2 * SICK[100:400], "in the order of"),
        (7 - 3 * SICK.astype(np.int8), "in the order of"),
        (PEOPLE.treated[:, 0] * 5 + 1, "in the order of"),
        (np.sort(NUMBERS)[::3], "values that single out"),
        (PEOPLE.encoded[:50] @ PEOPLE.encoded[:50].T, "how alike"),
        (np.zeros(1013), "as many entries as there are about 1010 people"),
        ([None] * 1013, "as many entries as there are about 1010 people"),
        (1013, "the exact number of"),
        ("Zyxwort 17", "words that neither the policy nor the code has"),
        ({"Zyxwort 17": 1}, "words that neither the policy nor the code has"),
        (np.array(["Zyxwort 17"]), "words that neither the policy nor the code has"),
        (b"Zyxwort", "bytes"),
    ],
    ids=["outcomes", "part of them, coded", "coded in whole numbers", "a column, scaled", "sorted",
         "inner products", "a vector of people", "a list of people", "their number", "a word",
         "a key", "an array of words", "bytes"],
)  # fmt: skip
def test_what_is_no_row_is_found_too(values: object, words: str) -> None:
    """A column in its order however it is coded, one entry a person, a word of somebody's."""
    found = held(values)
    assert found.verdict is CheckVerdict.REFUSED
    assert words in told(found)
    assert "Zyxwort" not in told(found)


def test_a_name_of_a_persons_is_not_said() -> None:
    """An attribute may be called by somebody's name: then its place is told without it."""
    model = Keeping().fit(PEOPLE.encoded, PEOPLE.outcomes)
    setattr(model, "Zyxwort 17", PEOPLE.encoded)
    said = told(search(save(model), PEOPLE))
    assert "`model[0].…`" in said
    assert "Zyxwort" not in said


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=1000),
        HistGradientBoostingClassifier(),
        RandomForestClassifier(random_state=1),
        GaussianNB(),
        MLPClassifier(random_state=1, max_iter=50),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_honest_models_pass(model: LogisticRegression) -> None:
    """Whatever they learn is of everybody, once what they need not keep is forgotten."""
    forget(model.fit(PEOPLE.encoded, PEOPLE.outcomes))
    found = search(save(model), PEOPLE, sizes=model.get_params())
    assert found.verdict is CheckVerdict.PASSED, told(found)


def test_without_rows_of_their_own_nobody_can_be_found_and_the_search_is_inconclusive() -> None:
    """A thousand people in ten kinds of rows: a row that is found would be nobody's."""
    people = make_people(1000)
    alike = type(people)(people.encoded[:, 5:7], people.treated[:, 1:2], people.outcomes)
    model = LogisticRegression().fit(alike.encoded, alike.outcomes)
    found = search(save(model), alike)
    assert found.verdict is CheckVerdict.INCONCLUSIVE
    assert "hardly anybody" in told(found)


def test_few_features_and_few_people_of_the_same_number_are_no_finding() -> None:
    """Twenty-two columns and twenty-two people: the coefficients are not theirs."""
    people = make_people(22)
    model = LogisticRegression().fit(people.encoded, people.outcomes)
    assert search(save(model), people).verdict is CheckVerdict.PASSED


def test_a_size_that_the_policy_names_is_no_number_of_people() -> None:
    """A hundred trees for a hundred people."""
    people = make_people(100)
    model = RandomForestClassifier(n_estimators=100, max_depth=2, random_state=0)
    forget(model.fit(people.encoded, people.outcomes))
    sizes = model.get_params()
    assert search(save(model), people, sizes=sizes).verdict is CheckVerdict.PASSED


def test_the_power_says_who_would_have_been_found() -> None:
    """How much was searched, of about how many people, and how many of them stand alone."""
    check = judge_search(kept(None), lambda count: f"about {count}", "clinic")
    assert "about 1013 people" in check.power
    assert "100 %" in check.power
    assert json.dumps(check.power)


def test_a_pipelines_step_is_named_by_its_place() -> None:
    """As Python reaches it in the model that was registered."""
    inner = Pipeline([("as they are", Keeping("as they are"))]).fit(PEOPLE.encoded, PEOPLE.outcomes)
    assert "`model[0].steps[0][1].kept_`" in told(search(save(inner), PEOPLE))


def test_a_number_that_a_policy_declares_is_no_number_of_people() -> None:
    """A bound of 3,000 is in the model of any 3,000 people, whole or as a fraction is written."""
    declared = {"columns": {"income": {"low": 0.0, "high": 3000.0}}, "smallest": 50, "share": 0.5}
    assert set(gather_sizes(declared)) == {0, 3000, 50}


def test_numbers_of_several_places_have_no_length_together() -> None:
    """A model with as many figures in all as people had the outcome keeps nobody."""
    model = LogisticRegression().fit(PEOPLE.encoded, PEOPLE.outcomes)
    contents = read_contents(save(model))
    (together,) = {one.values.size for one in contents.numbers if one.gathered and not one.path}
    assert together > len(model.coef_[0])
    assert not list(find_as_many(contents, {together}))
