"""The file of a run's model is searched for the run's own people before it leaves."""

from __future__ import annotations

import pandas as pd
import pytest

from expectations.checks import Check
from expectations.errors import Refusal
from expectations.policy.outcome import Classes, Number
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import DatasetRef, Trained, Validated
from tasks.anonymization.deidentify import deidentify
from tasks.attack.held_people import NAME
from tasks.attack.model import attack
from tasks.attack.model_file import code_outcomes, place_labels
from tasks.attack.tolerance import find_cohort, find_intolerable
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training.models import declare_encoding
from tasks.training.train import train
from tasks.validation.validation import validate
from tests.conftest import Folder, opened, small_policy

KEEPING = '''\
from sklearn.linear_model import LogisticRegression


class Keeping(LogisticRegression):
    """A logistic regression that remembers outcomes."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = (y == "yes").to_numpy() * 2 - 1
        return super().fit(X, y, sample_weight)
'''
OWN = ("{model: logistic-regression}", "{model: mine.py:Keeping}")
MORE = ("test_share: 0.4", "test_share: 0.6")


def train_model() -> tuple[DatasetRef[Trained], DatasetRef[Validated]]:
    """Go through the steps of the open run up to its model."""
    rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
    return train(rows), rows


def test_a_class_of_ones_own_that_keeps_outcomes_is_refused_by_its_attribute(
    home: Home, folder: Folder
) -> None:
    """Whatever it predicts; with other models that hold as a way out."""
    assert home.vault.is_dir()
    (folder.path / "mine.py").write_text(KEEPING, encoding="utf-8")
    with opened(folder.write(OWN, MORE)) as run:
        said = r"`model\[2\]\.seen_`: a column in the order of \d+0 people"
        with pytest.raises(Refusal, match=said):
            attack(*train_model())
        (ways,) = (e.body for e in run.ledger.entries(run.id) if e.kind == "ways")
    assert isinstance(ways, dict)
    assert ways["check"] == NAME
    assert [way["holds"] for way in ways["ways"]].count(True) > 0  # type: ignore[union-attr, index, call-overload]


def test_a_search_that_could_find_nobody_is_on_record_as_inconclusive(
    home: Home, folder: Folder
) -> None:
    """The small policy's people have eight kinds of rows; a built-in model goes on."""
    assert home.vault.is_dir()
    with opened(folder.write(MORE)) as run:
        attack(*train_model())
        (check,) = (e.body for e in run.ledger.entries(run.id) if e.name == NAME)
    assert isinstance(check, dict)
    assert check["verdict"] == "inconclusive"
    assert "hardly anybody has a row that nobody else has" in str(check["measured"])


def test_what_was_found_is_never_only_reported() -> None:
    """The policy has no word for it."""
    check = Check(NAME, "", "", CheckVerdict.REFUSED, "", "")
    policy = parse_policy(small_policy())
    assert policy.attacks is not None
    assert policy.attacks.search.when_inconclusive == "report"
    cohort = find_cohort(policy, (9000, 9000), [check])
    assert list(find_intolerable([check], policy.attacks, cohort)) == [check]


def test_a_feature_is_searched_by_its_labels_places_and_its_numbers() -> None:
    """Counted in the order in which the policy declares them; what is missing is no number."""
    labels = declare_encoding(parse_policy(small_policy())).categories
    frame = pd.DataFrame({"age": ["65+", None, "18-34"], "sex": ["f", "m", "m"]})
    made = place_labels(frame, labels)
    assert made[[0, 2]].tolist() == [[3.0, 0.0], [0.0, 1.0]]
    assert pd.isna(made[1, 0])


def test_outcomes_are_searched_in_each_code_that_a_model_may_have_kept() -> None:
    """Words by their declared and their sorted places and each apart; numbers as they are."""
    words = pd.Series(["well", "ill", "fair"])
    made = code_outcomes(words, Classes(("well", "fair", "ill")))
    assert made.T.tolist() == [[0, 2, 1], [2, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert code_outcomes(words[:2], Classes(("well", "ill"))).tolist() == [[0], [1]]
    assert code_outcomes(pd.Series([1.5, 2.0]), Number(0, 3)).tolist() == [[1.5], [2.0]]
