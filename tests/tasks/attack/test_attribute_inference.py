"""What a model gives away of its own people shows; what it tells of everybody does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.attribute_inference import attack_attributes, guess, judge_attributes
from tasks.attack.contrast import Contrast, place_labels
from tests.tasks.attack.memorizing_model import Holding, People, draw_people


def attack(model: object, members: People, others: People, *features: str) -> list[Contrast]:
    """Attack it, whatever its type says."""
    return list(attack_attributes(model, members, others, features))  # type: ignore[arg-type]


def draw_informed(count: int, seed: int) -> People:
    """People whose label is nearly their feature `d`: everybody's can be guessed from it."""
    people, _ = draw_people(count, seed)
    d = people["d"] // 2
    return people.assign(d=d), d.map({0: "no", 1: "yes"})


def test_a_model_that_holds_rows_gives_their_features_away() -> None:
    """The one label of `d` at which the model is sure is the member's own."""
    members, others = draw_people(1500, 1), draw_people(600, 2)
    (found,) = attack(Holding(members, lambda rows: rows["a"] > -9), members, others, "d")
    assert found.low > 0.5
    assert judge_attributes([found], 0.1, "clinics").verdict is CheckVerdict.REFUSED


def test_a_feature_that_anybody_could_impute_is_no_alarm() -> None:
    """The guess is nearly always right, of members and of others alike."""
    members, others = draw_informed(1500, 1), draw_informed(900, 2)
    model = LogisticRegression().fit(*members)
    shares = members[0]["d"].value_counts(normalize=True)
    assert abs(guess(model, others, "d", shares)).mean() > 0.3
    (found,) = attack(model, members, others, "d")
    assert abs(found.gap) < 0.05
    assert judge_attributes([found], 0.1, "clinics").verdict is CheckVerdict.PASSED


def test_the_guess_is_the_label_that_fits_best_by_what_is_common() -> None:
    """Worked out by hand for one person of each kind, against guessing "x" for everybody."""

    class Table:
        """Says "yes" with a probability that hangs on `f` alone."""

        classes_ = np.array(["no", "yes"])

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
            """Give 0.2 for x, 0.9 for z and 0.95 for w."""
            yes = X["f"].map({"x": 0.2, "z": 0.9, "w": 0.95}).to_numpy(float)
            return np.column_stack([1 - yes, yes])

    X = pd.DataFrame({"f": ["x", "z", "x", "z", None]})  # noqa: N806  # sklearn's
    y = pd.Series(["yes", "yes", "no", "no", "yes"])
    shares = pd.Series({"x": 0.5, "z": 0.4, "w": 0.1})
    # yes: z, as 0.4 * 0.9 is more than 0.5 * 0.2, and than 0.1 * 0.95 though w fits better; no: x.
    assert guess(Table(), (X, y), "f", shares).tolist() == [-1, 1, 0, 0]


def test_many_features_of_an_honest_model_pass_together() -> None:
    """Twelve of them are asked, so each has a wider interval than one alone would have."""
    members, others = draw_people(2500, 1), draw_people(2500, 2)
    names = [f"d{n}" for n in range(12)]

    def spread(people: People, seed: int) -> People:
        generator = np.random.default_rng(seed)
        made = {name: generator.integers(0, 3, len(people[0])) for name in names}
        return people[0].assign(**made), people[1]

    members, others = spread(members, 3), spread(others, 4)
    found = attack(LogisticRegression().fit(*members), members, others, *names)
    assert judge_attributes(found, 0.1, "clinics").verdict is CheckVerdict.PASSED
    assert {round(one.critical, 2) for one in found} == {2.87}
    widest = max(found, key=lambda one: one.high)
    measured = judge_attributes(found, 0.1, "clinics").measured
    assert [name for name in names if measured.startswith(f"{name} is ")] == [widest.name]


def test_the_feature_that_is_refused_is_named_though_another_may_be_worse() -> None:
    """Not the one of a few people whose interval only reaches further."""
    few, many = Contrast("few", -0.1, 0.3), Contrast("many", 0.2, 0.01)
    measured = judge_attributes([few, many], 0.1, "clinics").measured
    assert measured == (
        "many is guessed right 20 percentage points more often for people it was trained on "
        "(up to 22 more)"
    )
    assert "few is guessed right 10 percentage points less often" in (
        judge_attributes([few], 0.1, "clinics").measured
    )


@pytest.mark.parametrize(("inside", "outside"), [(1500, 25), (25, 600)])
def test_too_few_people_are_inconclusive(inside: int, outside: int) -> None:
    """Even where the rows are held and guessed without a fault."""
    members, others = draw_people(inside, 1), draw_people(outside, 2)
    found = attack(Holding(members, lambda rows: rows["a"] > -9), members, others, "d")
    check = judge_attributes(found, 0.1, "clinics")
    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert "fewer than 30" in check.power


def test_without_labelled_features_nothing_was_tried() -> None:
    """So nothing passed."""
    assert judge_attributes([], 0.1, "clinics").verdict is CheckVerdict.INCONCLUSIVE


def test_a_feature_that_nobody_has_is_inconclusive() -> None:
    """There is nothing to guess, of members or of others; the other features are judged."""
    members, others = draw_people(1500, 1), draw_people(600, 2)
    empty = pd.Series([None], dtype=object)
    sides = [(rows.assign(w=empty), labels) for rows, labels in (members, others)]

    class Unaware(Holding):
        """Reads all but the feature that nobody has."""

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
            """Answer by the other columns."""
            return super().predict_proba(X[["a", "b", "c", "d"]])

    model = Unaware(members, lambda rows: rows["a"] > -9)
    nobody, held = attack(model, sides[0], sides[1], "w", "d")
    assert judge_attributes([nobody], 0.1, "clinics").verdict is CheckVerdict.INCONCLUSIVE
    assert held.low > 0.5


def test_features_of_too_many_labels_are_named_as_not_tried() -> None:
    """What was not tried is not counted as passed."""
    check = judge_attributes([Contrast("d", 0.0, 0.01)], 0.1, "clinics", untried=2)
    assert check.power.endswith("; not tried: 2 features of over 100 labels")
    assert "not tried" not in judge_attributes([Contrast("d", 0.0, 0.01)], 0.1, "clinics").power


def test_people_whose_labels_the_model_does_not_know_are_told_roughly() -> None:
    """In the message they are counted to two digits, or hidden where they are few."""
    members = draw_people(1500, 1)
    model = LogisticRegression().fit(*members)
    for strangers, told in ((3, "fewer than 10 people"), (1234, "about 1,200 people")):
        labels = pd.Series(["other"] * strangers)
        with pytest.raises(UsageError, match=f"attack: {told}"):
            place_labels(model, labels)


def test_a_number_is_refused_as_a_feature_with_labels() -> None:
    """It would take thousands of questions a person, and a guess of it means nothing."""
    members = draw_people(300, 1)
    frame = members[0].assign(a=np.arange(300.0))
    model = LogisticRegression().fit(frame, members[1])
    with pytest.raises(UsageError, match="a has 300 values"):
        attack(model, (frame, members[1]), (frame, members[1]), "a")


def test_words_and_categories_are_asked_in_their_own_type() -> None:
    """A model over a categorical column gets a categorical column, with all its labels."""
    members = draw_people(200, 1)
    seen = []

    class Looking(Holding):
        """Notes the types that it is asked with."""

        def predict_proba(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
            """Answer by one column only."""
            seen.append((X["w"].dtype, len(X["w"].cat.categories)))
            return super().predict_proba(X[["a", "b", "c", "d"]])

    frame = members[0].assign(w=pd.Categorical(["u", "v"] * 100))
    attack(Looking(members, lambda rows: rows["a"] > 0), (frame, members[1]),
           (frame, members[1]), "w")  # fmt: skip
    assert seen == [(frame["w"].dtype, 2)] * 4
