"""The attacks on models: what they find on models that leak and on models that do not, and time.

    python benchmarks/attacks.py --data DIR [--draws N] [--json]

DIR holds `adult/uci_train.csv` (UCI Adult, the official training part, with a header).

Membership: in each draw 2,000 members and 2,000 others are taken from Adult and attacked with 16
reference models. `found` is the share of draws in which the interval of any attack, widened for
their number, lies over chance; `over .60` and `within .60` those refused and passed at that limit
(the rest is inconclusive). The models: trained on strangers (nothing to find: `found` is the rate
of false alarms, 2.5 % or less by design); a logistic regression as is; a private one; default and
overfitted boosting; a logistic regression in whose training a faulty join repeated 10 % of the
members 20 times. The attacker does not know of the fault. `worst group` is the share of draws in
which a group of sex or race was refused.

Memorization and attribute inference: the same models and draws, half as many. `found` is the share
of draws in which some interval, widened for their number, lies over no gap; `gap` the mean of the
widest gap; `refused` and `passed` by the limits that policies have unless they say otherwise.

Audit of ε: trainers that keep their claim and broken ones (`audits.py`), each audited a tenth as
often as there are draws. `refused` of honest ones are false alarms, 0.01 % or less by design.

Time: 30,000 people, half of them members, 16 references; seconds of CPU over all threads, and of
the clock. Rows come raw and pass the pipeline's encoding in every reference.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from adult import CLASSES, EDUCATION, LABELS, TARGET
from audits import audit_trainers
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from expectations.policy.training import AttributeCheck, MemorizationCheck
from tasks.attack.attribute_inference import attack_attributes
from tasks.attack.contrast import Contrast, judge_together
from tasks.attack.membership import Audited, MembershipAttack, attack_membership
from tasks.attack.memorization import attack_memorization
from tasks.training.models import Encoding, ModelDeclaration, build_estimator

Row = dict[str, float | str]

LIMIT = 0.60
PEOPLE, MANY, REFERENCES, SMALLEST = 2000, 15_000, 16, 20
KNOWN = {
    "memorization": MemorizationCheck().gap_at_most,
    "attribute inference": AttributeCheck().advantage_at_most,
}
RANGES = {
    "age": (17.0, 90.0), "fnlwgt": (0.0, 1e6), "education-num": (1.0, 16.0),
    "capital-gain": (0.0, 20_000.0), "capital-loss": (0.0, 3_000.0), "hours-per-week": (1.0, 99.0),
}  # fmt: skip
ENCODING = Encoding(
    {name: labels.split() for name, labels in {**LABELS, "education": EDUCATION}.items()}, RANGES
)
PLAIN = ModelDeclaration("logistic-regression")
BOOSTING = ModelDeclaration("gradient-boosting")
OVERFITTED = ModelDeclaration(
    "gradient-boosting", {"min_samples_leaf": 1, "max_leaf_nodes": 63, "early_stopping": False}
)
PRIVATE = ModelDeclaration("private-logistic-regression", {"classes": list(CLASSES)}, 1.0, 1e-5)


@dataclass(frozen=True, slots=True)
class Draw:
    """Members, others and strangers of one draw, features and target together."""

    members: pd.DataFrame
    others: pd.DataFrame
    strangers: pd.DataFrame


def repeat_some(draw: Draw) -> pd.DataFrame:
    """Give the members, each tenth 20 times."""
    repeats = np.where(np.arange(len(draw.members)) % 10 == 0, 20, 1)
    return draw.members.loc[draw.members.index.repeat(repeats)]


MODELS: dict[str, tuple[ModelDeclaration, Callable[[Draw], pd.DataFrame]]] = {
    "never saw anybody": (PLAIN, lambda draw: draw.strangers),
    "honest logistic": (PLAIN, lambda draw: draw.members),
    "private logistic, ε = 1": (PRIVATE, lambda draw: draw.members),
    "boosting, default": (BOOSTING, lambda draw: draw.members),
    "boosting, overfitted": (OVERFITTED, lambda draw: draw.members),
    "logistic, rows copied": (PLAIN, repeat_some),
}
"""What is attacked: the declared model, and whom it was really trained on."""


def main() -> None:
    """Run every section and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    adult = pd.read_csv(asked.data / "adult" / "uci_train.csv")
    sections: dict[str, list[Row]] = {
        "membership inference": detect_leaks(adult, asked.draws),
        "memorization and attribute inference": detect_knowledge(adult, max(asked.draws // 2, 1)),
        "audit of ε": audit_trainers(max(asked.draws // 10, 1)),
        "time of membership inference": time_attacks(adult),
    }
    print(json.dumps(sections, indent=2) if asked.json else lay_out(sections))


def detect_leaks(adult: pd.DataFrame, draws: int) -> list[Row]:
    """Attack each model in every draw; one row a model."""
    rows = []
    for name in MODELS:
        start = time.process_time()
        found = [attack(*train(name, adult, number)) for number in range(draws)]
        seconds = (time.process_time() - start) / draws
        rows.append(Row({"model": name, **summarize(found), "CPU s": round(seconds, 1)}))
    return rows


def summarize(found: list[MembershipAttack]) -> Row:
    """Give mean AUCs and how often a leak was found, by each attack and by all together."""
    row: Row = {}
    for attack_name in found[0].attacks:
        each = [one.attacks[attack_name] for one in found]
        row[f"{attack_name} AUC"] = round(float(np.mean([one.auc for one in each])), 3)
        row[f"{attack_name} found"] = share(one.low > 0.5 for one in each)
    verdicts = [one.verdict(LIMIT) for one in found]
    row["found"] = share(any(a.low > 0.5 for a in one.attacks.values()) for one in found)
    row["over .60"] = share(verdict == "refused" for verdict in verdicts)
    row["within .60"] = share(verdict == "passed" for verdict in verdicts)
    row["worst group"] = share(one.groups.verdict(LIMIT) == "refused" for one in found)
    row["detectable"] = round(found[0].detectable, 3)
    return row


def detect_knowledge(adult: pd.DataFrame, draws: int) -> list[Row]:
    """Ask each model in every draw what it knows better of its members; two rows a model."""
    rows = []
    for name in MODELS:
        trained = [train(name, adult, number) for number in range(draws)]
        for kind in KNOWN:
            start = time.process_time()
            found = [contrast(kind, *one) for one in trained]
            seconds = (time.process_time() - start) / draws
            row: Row = {"model": name, "attack": kind, **summarize_contrasts(kind, found)}
            rows.append(row | {"CPU s": round(seconds, 1)})
    return rows


def contrast(kind: str, pipeline: Pipeline, draw: Draw) -> tuple[Contrast, ...]:
    """Give what such an attack finds."""
    sides = part(draw.members), part(draw.others)
    if kind == "memorization":
        return attack_memorization(pipeline, *sides).judged
    return attack_attributes(pipeline, *sides, list(ENCODING.categories))


def summarize_contrasts(kind: str, found: list[tuple[Contrast, ...]]) -> Row:
    """Give how often something was found, how wide it was, and how often the limit decided."""
    verdicts = [judge_together(each, KNOWN[kind]) for each in found]
    return {
        "found": share(any(one.low > 0 for one in each) for each in found),
        "gap": round(float(np.mean([max(one.gap for one in each) for each in found])), 3),
        "limit": KNOWN[kind],
        "refused": share(verdict == "refused" for verdict in verdicts),
        "passed": share(verdict == "passed" for verdict in verdicts),
    }


def time_attacks(adult: pd.DataFrame) -> list[Row]:
    """Time one attack at full size on boosting and on logistic regression."""
    draw = draw_people(adult, MANY, 0)
    rows = []
    for name, declaration in {"boosting": BOOSTING, "logistic": PLAIN}.items():
        pipeline = build_estimator(declaration, ENCODING).fit(*part(draw.members))
        cpu, clock = time.process_time(), time.perf_counter()
        found = attack(pipeline, draw)
        row: Row = {"model": name, "people": 2 * MANY, "references": REFERENCES}
        row["CPU s"] = round(time.process_time() - cpu, 1)
        row["clock s"] = round(time.perf_counter() - clock, 1)
        row |= {f"{attack} AUC": round(one.auc, 3) for attack, one in found.attacks.items()}
        rows.append(row)
    return rows


def attack(pipeline: Pipeline, draw: Draw) -> MembershipAttack:
    """Attack a fitted pipeline, groups of sex and race included."""
    audit = ["sex", "race"]
    return attack_membership(
        pipeline,
        lambda: clone(pipeline),
        part(draw.members),
        part(draw.others),
        REFERENCES,
        audited=Audited(draw.members[audit], draw.others[audit], SMALLEST),
    )


def draw_people(adult: pd.DataFrame, count: int, seed: int) -> Draw:
    """Draw three sides without overlap; strangers are whoever is left, at most `count`."""
    people = adult.sample(frac=1, random_state=seed).reset_index(drop=True)
    return Draw(people[:count], people[count : 2 * count], people[2 * count : 3 * count])


def train(name: str, adult: pd.DataFrame, number: int) -> tuple[Pipeline, Draw]:
    """Train a model on whom it is really trained on, in a draw."""
    declaration, choose = MODELS[name]
    draw = draw_people(adult, PEOPLE, number)
    return build_estimator(declaration, ENCODING).fit(*part(choose(draw))), draw


def part(people: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Part people into features and labels."""
    return people.drop(columns=TARGET), people[TARGET]


def share(hits: Iterable[bool]) -> float:
    """Give the share of hits that are true."""
    return round(float(np.mean(list(hits))), 2)


def lay_out(sections: dict[str, list[Row]]) -> str:
    """Lay the sections out for a terminal."""
    return "\n\n".join(
        f"{name}\n{pd.DataFrame(rows).to_string(index=False, na_rep='')}"
        for name, rows in sections.items()
    )


if __name__ == "__main__":
    main()
