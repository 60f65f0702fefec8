"""All gates of a model together: what they let through, and how often an honest model is refused.

    python benchmarks/gates.py --data DIR [--draws N] [--honest N] [--json]

DIR holds `adult/uci_train.csv` (UCI Adult, the official training part, with a header).

In each draw people are drawn anew from UCI Adult, from the example's adults (NHANES 2017-2018) or
made up; a model is trained, and goes through every gate of a run at its usual limits, with 16
references, and its file through the search. A row gives the share of draws in which each gate
refused, and in which any did; `open` the share in which any of membership inference, of few, and
memorization could not tell. `times` is what is certain of those whom an attack is surest of, in the
mean and at most; the limit is 3.

Honest models, `--honest` draws each: that any gate refuses one is a false alarm. Leaky ones,
`--draws` each: a logistic regression that also keeps some rows, of which it is certain (`sure`) in
every training or `once`, in the first alone; boosting with default parameters and overfitted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from attacks import BOOSTING, CLASSES, ENCODING, OVERFITTED, PLAIN, PRIVATE, TARGET, lay_out, part
from attacks import share as share_of
from example import read_everybody
from keeping import Keeping
from model_files import search
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline

from expectations.checks import Check
from expectations.policy.training import AttributeCheck, MembershipCheck, MemorizationCheck
from expectations.policy_file import read_policy
from tasks.attack.attribute_inference import MOST_LABELS, attack_attributes, judge_attributes
from tasks.attack.held_people import judge_search
from tasks.attack.membership import (
    Audited,
    attack_membership,
    judge_groups,
    judge_membership,
)
from tasks.attack.memorization import attack_memorization, judge_memorization
from tasks.attack.reference_models import limit_threads
from tasks.attack.surest import judge_surest
from tasks.training.models import Encoding, ModelDeclaration, build_estimator, declare_encoding
from tasks.training.train import save_model

Row = dict[str, float | str]

OUTLET, REFERENCES, SMALLEST = "clinic", 16, 20
BOOSTED = ModelDeclaration("private-boosting", {"classes": list(CLASSES)}, 1.0, 1e-5)
OPEN = ("membership inference", "membership inference of few", "memorization")


@dataclass(frozen=True)
class People:
    """People to draw from: rows with a target, how a model reads them, and the audit columns."""

    rows: pd.DataFrame
    encoding: Encoding
    audit: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A model, the people that it is trained on and tried on, and whether it is honest."""

    data: str
    model: str
    members: int
    others: int
    honest: bool = True


HONEST = (
    Case("adult", "logistic", 3000, 900),
    Case("adult", "logistic", 2000, 2000),
    Case("adult", "logistic", 600, 200),
    Case("nhanes", "logistic", 2400, 800),
    Case("nhanes", "logistic", 300, 100),
    Case("made up", "logistic", 1500, 500),
    Case("made up", "logistic", 150, 50),
    Case("made up", "private boosting, ε = 1", 1500, 500),
    Case("nhanes", "private logistic, ε = 1", 2400, 800),
)
LEAKY = (
    Case("adult", "119 of 3,000 rows kept", 3000, 900, honest=False),
    Case("adult", "119 of 3,000 rows kept, .99 sure", 3000, 900, honest=False),
    Case("adult", "119 of 3,000 rows kept once, .99 sure", 3000, 900, honest=False),
    Case("nhanes", "4 % of rows kept", 2400, 800, honest=False),
    Case("adult", "4 % of rows kept", 600, 200, honest=False),
    Case("adult", "1 % of rows kept", 3000, 900, honest=False),
    Case("adult", "1 % of rows kept", 10_000, 3000, honest=False),
    Case("adult", "boosting, default", 3000, 900, honest=False),
    Case("adult", "boosting, overfitted", 3000, 900, honest=False),
)
DECLARED = {
    "logistic": PLAIN,
    "private logistic, ε = 1": PRIVATE,
    "private boosting, ε = 1": BOOSTED,
    "boosting, default": BOOSTING,
    "boosting, overfitted": OVERFITTED,
}
KEEPING: dict[str, Callable[[], BaseEstimator]] = {
    "119 of 3,000 rows kept": lambda: Keeping(119 / 3000),
    "119 of 3,000 rows kept, .99 sure": lambda: Keeping(119 / 3000, 0.99),
    "119 of 3,000 rows kept once, .99 sure": lambda: Keeping(119 / 3000, 0.99, once=True),
    "4 % of rows kept": lambda: Keeping(0.04),
    "1 % of rows kept": lambda: Keeping(0.01),
}


def main() -> None:
    """Draw, train and judge every case, and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--honest", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    everybody = read_people(asked.data)
    with limit_threads():
        sections = {
            "leaky models": list(judge_cases(LEAKY, everybody, asked.draws)),
            "honest models": list(judge_cases(HONEST, everybody, asked.honest)),
        }
    print(json.dumps(sections, indent=2) if asked.json else lay_out(sections))


def read_people(data: Path) -> dict[str, People]:
    """Read or make up the people, with the target's labels as a model declares them."""
    adult = pd.read_csv(data / "adult" / "uci_train.csv")
    policy = read_policy("diabetes").policy
    adults, own = read_everybody(), declare_encoding(policy)
    known = adults[adults[str(policy.target)].isin(["no", "yes"])]
    labels = known[str(policy.target)].map(dict(zip(("no", "yes"), CLASSES, strict=True)))
    features = known[[*own.categories, *own.ranges]].assign(**{TARGET: labels})
    return {
        "adult": People(adult, ENCODING, ("sex", "race")),
        "nhanes": People(features.reset_index(drop=True), own, ("sex",)),
        "made up": make_people(40_000),
    }


def make_people(count: int) -> People:
    """Make up people of four labelled features and two numbers, which half explain a label."""
    draw = np.random.default_rng(1)
    names = {f"word{n}": [f"w{k}" for k in range(3 + 2 * n)] for n in range(4)}
    rows = pd.DataFrame({name: draw.choice(words, count) for name, words in names.items()})
    rows = rows.assign(**{f"number{n}": draw.normal(size=count).clip(-3, 3) for n in range(2)})
    chance = rows["number0"] + (rows["word0"] == "w1") + draw.normal(size=count)
    rows[TARGET] = np.where(chance > 0.5, CLASSES[1], CLASSES[0])
    return People(rows, Encoding(names, {f"number{n}": (-3.0, 3.0) for n in range(2)}), ("word0",))


def judge_cases(cases: Sequence[Case], everybody: dict[str, People], draws: int) -> Iterator[Row]:
    """Give how often each gate refused the model of each case."""
    for case in cases:
        start = time.process_time()
        found = [judge_once(case, everybody[case.data], number) for number in range(draws)]
        seconds = (time.process_time() - start) / draws
        yield {
            "people": f"{case.data}, {case.members:,} + {case.others:,}",
            "model": case.model,
            "draws": draws,
            **summarize([checks for checks, _ in found], [times for _, times in found]),
            "CPU s": round(seconds, 1),
        }


def summarize(found: Sequence[Sequence[Check]], times: Sequence[float]) -> Row:
    """Give the share of draws in which each gate, and any, refused; and in which any was open."""
    each = [{check.name: check.verdict for check in checks} for checks in found]
    names = dict.fromkeys(name for verdicts in each for name in verdicts)
    row: Row = {name: share_of(one.get(name) == "refused" for one in each) for name in names}
    row["any"] = share_of("refused" in one.values() for one in each)
    row["open"] = share_of(any(one[name] == "inconclusive" for name in OPEN) for one in each)
    row["times"], row["at most"] = round(float(np.mean(times)), 2), round(max(times), 2)
    return row


def judge_once(case: Case, people: People, number: int) -> tuple[list[Check], float]:
    """Train a case's model on a draw, and judge it at every gate; also what is certain of few."""
    drawn = people.rows.sample(frac=1, random_state=number).reset_index(drop=True)
    inside = drawn[: case.members]
    outside = drawn[case.members : case.members + case.others]
    Keeping.trained = False
    pipeline = declare(case.model, people.encoding).fit(*part(inside))
    sides, asked, audit = (part(inside), part(outside)), MembershipCheck(), list(people.audit)
    found = attack_membership(
        pipeline,
        lambda: clone(pipeline),
        *sides,
        REFERENCES,
        audited=Audited(inside[audit], outside[audit], SMALLEST),
    )
    features = [f for f, known in people.encoding.categories.items() if len(known) <= MOST_LABELS]
    guessed = attack_attributes(pipeline, *sides, features)
    groups = judge_groups(found, asked, OUTLET)
    held = attack_memorization(pipeline, *sides)
    searched = search(save_model(pipeline), pipeline, sides[0], people.encoding)
    return [
        judge_membership(found, asked, OUTLET),
        judge_surest(found.surest, asked, OUTLET),
        *([groups] if groups else []),
        judge_memorization(held, MemorizationCheck().gap_at_most, OUTLET),
        judge_attributes(guessed, AttributeCheck().advantage_at_most, OUTLET),
        judge_search(searched, str, OUTLET),
    ], found.surest.times


def declare(model: str, encoding: Encoding) -> Pipeline:
    """Give a case's unfitted model behind its encoding."""
    if model in DECLARED:
        return build_estimator(DECLARED[model], encoding)
    plain = build_estimator(PLAIN, encoding)
    return Pipeline([*plain.steps[:-1], ("classifier", KEEPING[model]())])


if __name__ == "__main__":
    main()
