"""What one person's coming or leaving shows between two runs of one policy.

    python benchmarks/leavers.py [--data DIR] [--pairs N] [--months N] [--model KIND] [--json]

Each pair is a table and the next one under the same plan, between which one person left, drawn by
lot. Of the classes that shrank, which whoever has both tables sees, one is the leaver's: how often
it was the only one, how many there were, and the odds of guessing it. Then one person comes as the
last of k whom a class waited for: how often that class alone grew. "Before" is without decoys.

`--months` releases the table again and again while 1 % of the people leave each month and as many
come, under one plan, and under a new one every so many months: the share of the people released.

`--model` trains a model of scikit-learn, `logistic-regression` or `gradient-boosting`, on some of
the people and on the same without one, measures and attacks both as a run does, and says how often
each published measure moved; `none` says so of the figures of the table. "By place" is as it was
before people were drawn by their own numbers, in today's steps.

The people are made up, or with `--data` those of Adult (`adult/adult.csv` and its hierarchies, the
`data` folder of github.com/arx-deidentifier/arx).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import numpy as np
import pandas as pd

from expectations.disclosure import TEN, Count, Disclosure, bound_share
from expectations.measures.measures import class_sizes, tell_risks
from expectations.policy.outlets import TableOutlet
from expectations.policy.training import Attacks, MembershipCheck
from expectations.policy.treatments import YES_NO
from tasks.airlock.run import Desk
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.recoding import k_anonymize
from tasks.anonymization.releases import decoys
from tasks.anonymization.releases.release import Past, choose_rows
from tasks.anonymization.releases.succession import CountedRows
from tasks.anonymization.table_plan import TablePlan
from tasks.attack.attribute_inference import attack_attributes
from tasks.attack.homogeneity import find_homogeneous
from tasks.attack.memorization import attack_memorization
from tasks.attack.model import Aim, note_contrasts, try_membership
from tasks.attack.reference_models import limit_threads
from tasks.attack.released import read_release
from tasks.attack.risk import tell
from tasks.attack.table import name_attacks, round_attacks
from tasks.people.ingestion import RECORD
from tasks.people.population import redraw
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.quality import score
from tasks.training.train import Rows
from tasks.training.utility import note_quality

Figures = dict[str, float | int | str]
K: Final = 5
PEOPLE: Final = 10_000
SECRET: Final = bytes(range(32))
COLUMNS: Final = ("age", "sex", "education", "marital-status")
KEPT: Final = "occupation"
ATTACKED: Final = 2_000
"""People whom a model is trained on, or tested with: three of four, and one."""
TURNOVER: Final = 0.01
"""The part of the people who leave in a month, and the part who come."""


@dataclass(frozen=True)
class World:
    """People of whom tables are made, by record keys of their own."""

    frame: pd.DataFrame
    outlet: TableOutlet
    hierarchies: dict[str, Hierarchy]

    def fit(self, frame: pd.DataFrame) -> TablePlan:
        """Fit a plan on some of them."""
        columns = list(self.hierarchies)
        return TablePlan(k_anonymize(frame, columns, K, hierarchies=self.hierarchies).plan, {})

    def release(
        self,
        frame: pd.DataFrame,
        plan: TablePlan,
        past: Sequence[CountedRows] = (),
        secret: bytes = SECRET,
    ) -> tuple[pd.DataFrame, CountedRows]:
        """Choose who is in a release beside earlier ones; also count its rows."""
        made = choose_rows(frame, self.outlet, plan, Past(tuple(past)), secret).frame
        names = {column: column for column in self.outlet.columns}
        return made, CountedRows.from_frame(made, names, self.outlet.linkable)[0]


def make_up(people: int, seed: int = 1) -> World:
    """Make people up whose columns have a little to do with each other."""
    draw = np.random.default_rng(seed)
    age = draw.integers(17, 80, people)
    ranks = np.clip(draw.normal(6 + age / 20, 3, people), 0, 15).astype(int)
    frame = pd.DataFrame({
        RECORD: draw.permutation(np.arange(people, dtype=np.uint64)) * np.uint64(2**40 + 1),
        "age": age.astype(str),
        "sex": draw.choice(["f", "m"], people),
        "education": [f"grade {rank}" for rank in ranks],
        "marital-status": draw.choice(["single", "married", "widowed", "divorced"], people),
        KEPT: [f"job {rank % 14}" for rank in (ranks + draw.integers(0, 5, people)).tolist()],
    })  # fmt: skip
    ages = {str(n): (str(n), f"{n // 5 * 5}+5", f"{n // 20 * 20}+20", "*") for n in range(17, 80)}
    grades = [(f"grade {n}", f"grades {n // 4}", "*") for n in range(16)]
    hierarchies = {
        "age": Hierarchy("age", tuple(ages.values())),
        "sex": Hierarchy.flat("sex", ["f", "m"]),
        "education": Hierarchy("education", tuple(grades)),
        "marital-status": Hierarchy.flat("marital-status", sorted(set(frame["marital-status"]))),
    }
    return World(frame, declare(), hierarchies)


def read_adult(folder: Path) -> World:
    """Read Adult and its hierarchies."""
    adult = pd.read_csv(folder / "adult" / "adult.csv", sep=";", dtype=str, keep_default_na=False)
    frame = adult[[*COLUMNS, KEPT]].copy()
    frame[RECORD] = np.arange(len(frame), dtype=np.uint64) * np.uint64(2**40 + 1)
    hierarchies = {
        name: Hierarchy.from_table(name, folder / "adult" / f"adult_hierarchy_{name}.csv")
        for name in COLUMNS
    }
    return World(frame, declare(), hierarchies)


def declare() -> TableOutlet:
    """Declare the table: four columns that k is over, and one that nobody can look for."""
    return TableOutlet(
        kind="table",
        recipient="Partner",
        k=K,
        max_suppressed=0.5,
        columns={**dict.fromkeys(COLUMNS, "generalize"), KEPT: "keep"},
        not_linkable={KEPT: "known to nobody"},
    )


def sizes(frame: pd.DataFrame) -> pd.Series:
    """Count the people of each class, as a recipient does."""
    return frame.astype(str).groupby(list(COLUMNS)).size()


def leave(world: World, pairs: int) -> Iterator[tuple[int, bool]]:
    """Let one person after the other leave; give how many classes shrank, and if theirs did."""
    plan = world.fit(world.frame)
    first, counted = world.release(world.frame, plan)
    before, draw = sizes(first), np.random.default_rng(7)
    for place in draw.choice(len(first), pairs, replace=False):
        leaver = first.iloc[place]
        left = world.frame[world.frame[RECORD] != leaver[RECORD]]
        after, _ = world.release(left, plan, [counted], b"home %d" % place)
        shrunk = before.sub(sizes(after), fill_value=0)
        shrunk = shrunk[shrunk > 0]
        yield len(shrunk), tuple(leaver[list(COLUMNS)].astype(str)) in shrunk.index


def come(world: World, pairs: int) -> Iterator[tuple[int, bool]]:
    """Let the last of k whom a class waits for come; give how many classes grew, and if theirs."""
    plan, draw = world.fit(world.frame), np.random.default_rng(11)
    recoded = plan.apply(world.frame).astype(dict.fromkeys(COLUMNS, str))
    classes = recoded.groupby(list(COLUMNS))[RECORD].apply(list)
    classes = classes[classes.map(len) >= 2 * K]
    for place in draw.choice(len(classes), min(pairs, len(classes)), replace=False):
        waiting = classes.iloc[place][:K]
        there = world.frame[~world.frame[RECORD].isin(waiting)]
        first, counted = world.release(there, plan)
        after, _ = world.release(world.frame, plan, [counted])
        grown = sizes(after).sub(sizes(first), fill_value=0)
        grown = grown[grown > 0]
        yield len(grown), classes.index[place] in grown.index


def tell_moves(found: Sequence[tuple[int, bool]]) -> Figures:
    """Sum up how many classes moved and how sure their person's class is."""
    odds = [1 / moved for moved, own in found if moved and own]
    return {
        "pairs": len(found),
        "own class alone": sum(moved == 1 and own for moved, own in found),
        "no class": sum(not moved for moved, _ in found),
        "classes, mean": round(float(np.mean([moved for moved, _ in found])), 2),
        "odds of their class": round(sum(odds) / max(len(found), 1), 3),
    }


def follow(world: World, months: int, renew: int | None) -> list[float]:
    """Release again each month; give the share released, by month."""
    draw, everybody = np.random.default_rng(3), world.frame
    here = np.arange(len(everybody)) < len(everybody) * 4 // 5
    plan, past, shares = world.fit(everybody[here]), [], []
    moving = round(here.sum() * TURNOVER)
    for month in range(months + 1):
        if month:
            gone = draw.choice(np.flatnonzero(here), moving, replace=False)
            came = draw.choice(np.flatnonzero(~here), moving, replace=False)
            here[gone], here[came] = False, True
        if renew and month and month % renew == 0:
            plan, past = world.fit(everybody[here]), []
        made, counted = world.release(everybody[here], plan, past)
        past = [*past, counted]
        shares.append(round(len(made) / here.sum(), 3))
    return shares


def publish(
    people: pd.DataFrame, encoding: Encoding, model: str, *, keyed: bool
) -> dict[str, float | None]:
    """Train a model, measure and attack it as a run does; give every measure as it is published.

    Unless `keyed`, people are drawn by their places, which all change when one leaves.
    """
    told: dict[str, float | None] = {}
    stub = SimpleNamespace(
        policy=SimpleNamespace(model_outlets={}),
        run=SimpleNamespace(disclosure=Disclosure(SECRET)),
        measure=told.__setitem__,
        note=lambda _kind, name, body, **_: told.update({name: body}),
    )
    desk = cast("Desk", stub)
    record = people[RECORD].to_numpy()
    test = redraw(record, 5) < np.uint64(2**62)
    features, labels = people[[*encoding.categories]], people["outcome"]
    sides = [Rows(features[side], labels[side]) for side in (~test, test)]
    declared = ModelDeclaration(model, {"random_state": 0} if "boosting" in model else {})
    pipeline = build_estimator(declared, encoding).fit(*sides[0][:2])
    own = (record[~test], record[test]) if keyed else None
    aim = Aim(pipeline, *sides, None, None, own)
    note_quality(desk, score(pipeline, *sides[1][:2]))
    list(try_membership(desk, aim, Attacks(membership=MembershipCheck())))
    held = attack_memorization(pipeline, *aim.people, aim.records)
    note_contrasts(desk, "privacy.memorization", (*held.judged, *held.told))
    guessed = attack_attributes(pipeline, *aim.people, [*encoding.categories], aim.records)
    note_contrasts(desk, "privacy.attribute", guessed)
    return told


def publish_table(world: World, made: pd.DataFrame, plan: TablePlan) -> dict[str, float | str]:
    """Measure and attack a released table as a run does; give what is published of it."""
    rows, released = (frame.set_index(RECORD) for frame in (world.frame, made))
    measures, people = plan.measure(world.frame, made), len(world.frame)
    told: dict[str, float | str] = {
        "suppressed": bound_share(measures.suppressed, people),
        "ncp": bound_share(measures.ncp, people),
        "discernibility": f"{measures.discernibility:.1e}",
        **{f"loss.{name}": bound_share(loss, people) for name, loss in measures.loss.items()},
        **tell_risks(class_sizes(made, list(COLUMNS)), TEN),
        "gain": tell(find_homogeneous(released, list(COLUMNS), KEPT).gain, len(released)),
        "released": str(Disclosure(SECRET).publish(Count(len(made)))),
        "left out": str(Disclosure(SECRET).publish(Count(people - len(made)))),
    }
    names = [*COLUMNS, KEPT]
    of = {name: cover(one) for name, one in world.hierarchies.items()}
    table = read_release(released, rows, names, k=K, protected=COLUMNS, coverage=of)
    for name, attack in name_attacks(names, [KEPT]):
        found = attack(*table, round_attacks(people))
        told[f"risk.{name}"] = tell(found.value, found.main.tries)
    return told


def cover(hierarchy: Hierarchy) -> dict[str, list[str]]:
    """Give the values that each label stands for."""
    found: dict[str, dict[str, None]] = {}
    for row in hierarchy.levels:
        for label in row:
            found.setdefault(label, {})[row[0]] = None
    return {label: list(values) for label, values in found.items()}


def move_table(world: World, pairs: int) -> dict[str, object]:
    """Let one person after the other leave; say how often each figure of the table moved."""
    plan = world.fit(world.frame)
    first, counted = world.release(world.frame, plan)
    before, moved = publish_table(world, first, plan), Counter[str]()
    for place in np.random.default_rng(9).choice(len(first), pairs, replace=False):
        left = world.frame[world.frame[RECORD] != first.iloc[place][RECORD]]
        made, _ = world.release(left, plan, [counted], b"home %d" % place)
        after = publish_table(replace(world, frame=left), made, plan)
        moved.update(name for name in before if before[name] != after[name])
    return {
        f"table: moved of {len(before)} figures, mean": round(moved.total() / pairs, 2),
        **{f"table: {name}": times / pairs for name, times in moved.most_common()},
    }


def move(world: World, pairs: int, model: str) -> dict[str, object]:
    """Let one person after the other leave; say how often each published measure moved."""
    ages = world.frame["age"].astype(int)
    codes = pd.factorize(world.frame["education"], sort=True)[0]
    chance = 1 / (1 + np.exp(-(ages / 15 + codes / 8 - 4)))
    outcome = np.random.default_rng(2).random(len(ages)) < chance
    rows = world.frame.assign(outcome=np.where(outcome, YES_NO[1], YES_NO[0]))
    rows = rows.iloc[:ATTACKED].reset_index(drop=True)
    encoding = Encoding({name: sorted(set(rows[name])) for name in (*COLUMNS[1:], KEPT)})
    found: dict[str, object] = {}
    for name, keyed in (("by place", False), ("by own number", True)):
        moved, draw = Counter[str](), np.random.default_rng(4)
        with limit_threads():
            before = publish(rows, encoding, model, keyed=keyed)
            for place in draw.choice(len(rows), pairs, replace=False):
                after = publish(rows.drop(index=place), encoding, model, keyed=keyed)
                moved.update(measure for measure in before if before[measure] != after[measure])
        found[f"{name}: moved of {len(before)} measures, mean"] = round(moved.total() / pairs, 2)
        found |= {f"{name}: {one}": times / pairs for one, times in moved.most_common()}
    return found


def run(world: World, given: argparse.Namespace) -> dict[str, object]:
    """Measure what was asked for, without decoys and with them."""
    found: dict[str, object] = {"people": len(world.frame), "k": K}
    if given.model:
        if given.model == "none":
            return found | move_table(world, given.pairs)
        return found | move(world, given.pairs, given.model)
    most = decoys.MOST
    for name, number in (("before", 0), ("now", most)):
        decoys.MOST = number  # type: ignore[misc]  # what is measured
        found[f"leaving, {name}"] = tell_moves(list(leave(world, given.pairs)))
        found[f"coming, {name}"] = tell_moves(list(come(world, given.pairs // 5)))
        if given.months:
            found[f"share released, {name}"] = follow(world, given.months, None)
    if given.months:
        found["share released, a plan for 3 months"] = follow(world, given.months, 3)
    return found


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description="What one person's leaving shows.")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the folder that holds adult/")
    parser.add_argument("--people", type=int, default=PEOPLE, help="how many are made up")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--months", type=int, default=0)
    parser.add_argument("--model", choices=["logistic-regression", "gradient-boosting", "none"])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    found = run(read_adult(given.data) if given.data else make_up(given.people), given)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:<60} {value}")


if __name__ == "__main__":
    main()
