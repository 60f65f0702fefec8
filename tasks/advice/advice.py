"""Which columns a model could do without, or with less detail of, without measurable loss.

Each variant of the features is tried on ten folds by a linear model (least squares on indicators,
a small ridge), and compared with all features on the same folds. The interval of the loss is of
Nadeau and Bengio (2003), since folds share their training rows; where the rows are drawn from a
noisy release, it is widened by how far the loss moves when that noise is drawn again. What holds
of this linear model need not hold of every other.

People are read as numbered labels (`Codebook`): a labelled feature keeps its labels, a clipped
number falls into ten equal public steps, and what is missing has a label of its own. Which labels
there are is read off the policy, never off people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO, Bin, Clip, has_order, public_labels
from expectations.policy.vocabulary import Use

if TYPE_CHECKING:
    import pandas as pd


Codes = NDArray[np.int64]
STEPS: Final = 10
"""Into how many equal steps the range of a number is cut."""
FOLDS: Final = 10
TOLERATED: Final = 0.005
"""The AUC that one may lose and call it none."""
FEWEST: Final = 3
"""Labels that a feature must have to be made coarser."""
RIDGE: Final = 1e-3
Verdict: TypeAlias = Literal["not needed", "needed", "cannot tell"]
Detail: TypeAlias = Mapping[str, Literal["all", "half", "none"]]
"""How much of each feature is read: its labels, neighbours merged in pairs, or nothing."""
People: TypeAlias = tuple[Codes, Codes]


@dataclass(frozen=True)
class Codebook:
    """The labels of each feature, which are in order, and which are a policy's own intervals."""

    labels: Mapping[str, tuple[str, ...]]
    ranges: Mapping[str, tuple[float, float]]
    ordered: frozenset[str]
    binned: frozenset[str] = frozenset()

    @classmethod
    def of(cls, policy: Policy) -> Codebook:
        """Read the features of a policy that has a target."""
        labels: dict[str, tuple[str, ...]] = {}
        ranges, ordered = dict[str, tuple[float, float]](), set[str]()
        for name in policy.used_as(Use.FEATURE):
            treatment = policy.treated[name].treatment
            if isinstance(treatment, Clip):
                ranges[name] = (treatment.low, treatment.high)
                labels[name] = tuple(map(str, range(STEPS)))
                ordered.add(name)
            elif found := public_labels(treatment, policy.column_type(name)):
                labels[name] = found
                ordered |= {name} if has_order(treatment) else set()
        binned = {n for n in labels if isinstance(policy.treated[n].treatment, Bin)}
        return cls(labels, ranges, frozenset(ordered), frozenset(binned))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many labels each feature has, the one of what is missing included."""
        return tuple(len(labels) + 1 for labels in self.labels.values())

    def encode(self, frame: pd.DataFrame) -> Codes:
        """Give each person's labels by their places, of shape (people, features)."""
        return np.column_stack([self._encode(frame[name], name) for name in self.labels])

    def _encode(self, values: pd.Series, name: str) -> Codes:
        import pandas as pd

        last = len(self.labels[name])
        if name in self.ranges:
            low, high = self.ranges[name]
            share = (pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan) - low) / (
                high - low
            )
            steps = np.clip(np.nan_to_num(share) * STEPS, 0, STEPS - 1).astype(np.int64)
            return np.where(np.isnan(share), last, steps)
        known = pd.Index(self.labels[name], dtype=object)
        places = known.get_indexer(pd.Index(values.astype(object)))
        return np.where(places < 0, last, places).astype(np.int64)

    def decode(self, codes: Codes) -> pd.DataFrame:
        """Give the labels that codes stand for; a number is the middle of its step."""
        import pandas as pd

        made: dict[str, NDArray[np.object_] | NDArray[np.float64]] = {}
        for place, (name, labels) in enumerate(self.labels.items()):
            if name in self.ranges:
                low, high = self.ranges[name]
                middles = low + (np.arange(STEPS) + 0.5) / STEPS * (high - low)
                made[name] = np.append(middles, np.nan)[codes[:, place]]
            else:
                made[name] = np.array([*labels, None], dtype=object)[codes[:, place]]
        return pd.DataFrame(made)


def encode_target(labels: pd.Series[str], positive: str = YES_NO[1]) -> Codes:
    """Give 1 for yes, or another word that is looked for, and 0 for no."""
    return (labels == positive).to_numpy().astype(np.int64)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a change costs: AUC lost, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Whether the change could be made."""
        if self.high <= TOLERATED:
            return "not needed"
        return "needed" if self.low > 0 else "cannot tell"


@dataclass(frozen=True, slots=True)
class Trial:
    """One column, dropped or made coarser, all others as they are."""

    column: str
    change: Literal["drop", "coarsen"]
    loss: Loss


@dataclass(frozen=True, slots=True)
class Step:
    """The AUC that is left once a further column is dropped, the one that costs least first."""

    columns: int
    dropped: str
    auc: float
    loss: Loss


@dataclass(frozen=True, slots=True)
class Advice:
    """What was tried, and what may be done at once."""

    auc: float
    trials: tuple[Trial, ...]
    path: tuple[Step, ...]
    drop: tuple[str, ...]
    coarsen: tuple[str, ...]


def advise(worlds: Sequence[People], book: Codebook) -> Advice:
    """Try every feature dropped, every binned one coarser, and ever fewer of them.

    `worlds` are codes and targets of the same people: once, or drawn again for each noise.
    """
    benches = [Bench.of(people, book) for people in worlds]
    everything: Detail = dict.fromkeys(book.labels, "all")

    def lose(detail: Detail) -> Loss:
        return find_loss([b.score(everything) - b.score(detail) for b in benches])

    coarse = [n for n, labels in book.labels.items() if n in book.binned and len(labels) >= FEWEST]
    trials = [Trial(name, "drop", lose({**everything, name: "none"})) for name in book.labels]
    trials += [Trial(name, "coarsen", lose({**everything, name: "half"})) for name in coarse]
    path = tuple(drop_one_by_one(everything, lose, benches))
    dropped = tuple(step.dropped for step in _until_needed(path))
    left: Detail = {name: "none" if name in dropped else "all" for name in everything}
    halved = coarsen_together(left, [n for n in coarse if n not in dropped], lose)
    auc = float(np.mean([bench.score(everything) for bench in benches]))
    return Advice(auc, tuple(trials), path, dropped, halved)


def _until_needed(path: Iterable[Step]) -> Iterator[Step]:
    for step in path:
        if step.loss.verdict != "not needed":
            return
        yield step


def drop_one_by_one(
    detail: Detail, lose: Callable[[Detail], Loss], benches: Sequence[Bench]
) -> Iterator[Step]:
    """Drop, again and again, the column whose loss is least, down to one."""
    left = dict(detail)
    while sum(how != "none" for how in left.values()) > 1:
        tried = {n: lose({**left, n: "none"}) for n, how in left.items() if how != "none"}
        least = min(tried, key=lambda name: tried[name].mean)
        left[least] = "none"
        auc = float(np.mean([bench.score(left) for bench in benches]))
        yield Step(sum(how != "none" for how in left.values()), least, auc, tried[least])


def coarsen_together(
    detail: Detail, names: Iterable[str], lose: Callable[[Detail], Loss]
) -> tuple[str, ...]:
    """Coarsen what can be together with what was dropped, in order, while nothing is lost."""
    done: list[str] = []
    for name in names:
        if lose({**detail, **dict.fromkeys([*done, name], "half")}).verdict == "not needed":
            done.append(name)
    return tuple(done)


def find_loss(losses: Sequence[NDArray[np.float64]]) -> Loss:
    """Bring the losses of each world's folds together into one, with its interval."""
    from scipy.stats import t

    means = [float(one.mean()) for one in losses]
    folds = float(np.mean([one.var(ddof=1) for one in losses]))
    # Nadeau and Bengio's correction: 1 / FOLDS alone would take the folds for independent.
    corrected = (1 / FOLDS + 1 / (FOLDS - 1)) * folds
    noise = float(np.var(means, ddof=1)) if len(means) > 1 else 0.0
    reach = float(t.ppf(0.975, FOLDS - 1)) * sqrt(corrected + noise)
    mean = float(np.mean(means))
    return Loss(mean, mean - reach, mean + reach)


@dataclass(frozen=True)
class Bench:
    """One world's people by folds, and the sums of products of their indicators."""

    rows: NDArray[np.float64]
    target: Codes
    fold: Codes
    whole: NDArray[np.float64]
    parts: tuple[NDArray[np.float64], ...]
    places: Mapping[str, slice]

    @classmethod
    def of(cls, people: People, book: Codebook) -> Bench:
        """Lay out indicators, one per label, and the folds, each with as many of either target."""
        codes, target = people
        rows = np.hstack(
            [np.eye(size)[codes[:, place]] for place, size in enumerate(book.sizes)]
            + [np.ones((len(codes), 1))]
        )
        starts = np.cumsum([0, *book.sizes])
        places = {
            name: slice(start, start + size)
            for name, start, size in zip(book.labels, starts, book.sizes, strict=False)
        }
        fold = np.empty(len(target), dtype=np.int64)
        order = np.argsort(target, kind="stable")
        fold[order] = np.arange(len(target)) % FOLDS
        both = np.column_stack([rows, target])
        parts = tuple(both[fold == n].T @ both[fold == n] for n in range(FOLDS))
        return cls(rows, target, fold, np.sum(parts, axis=0), parts, places)

    def score(self, detail: Detail) -> NDArray[np.float64]:
        """Give the AUC on each fold of a model that learned from the others."""
        mix = self._mix(detail)
        found = np.empty(FOLDS)
        for n, part in enumerate(self.parts):
            sums = self.whole - part
            inner = mix.T @ sums[:-1, :-1] @ mix
            inner[np.diag_indices_from(inner)] += RIDGE * max(sums[-2, -2], 1.0)
            weights = mix @ np.linalg.solve(inner, mix.T @ sums[:-1, -1])
            held = self.fold == n
            found[n] = rank_auc(self.rows[held] @ weights, self.target[held])
        return found

    def _mix(self, detail: Detail) -> NDArray[np.float64]:
        """Give the matrix that turns the indicators into those of less detail."""
        blocks = list[NDArray[np.float64]]()
        for name, place in self.places.items():
            labels = place.stop - place.start
            match detail[name]:
                case "all":
                    block = np.eye(labels)
                case "half":
                    block = merge_neighbours(labels)
                case "none":
                    block = np.zeros((labels, 0))
            blocks.append(block)
        return _stack_diagonally([*blocks, np.eye(1)])


def merge_neighbours(labels: int) -> NDArray[np.float64]:
    """Give the matrix that merges labels in pairs and leaves the last one, missing, alone."""
    merged = np.append(np.arange(labels - 1) // 2, labels // 2)
    return np.asarray(np.eye(int(merged.max()) + 1)[merged], dtype=np.float64)


def _stack_diagonally(blocks: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    shape = sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)
    whole, row, column = np.zeros(shape), 0, 0
    for block in blocks:
        height, width = block.shape
        whole[row : row + height, column : column + width] = block
        row, column = row + height, column + width
    return whole


def rank_auc(scores: NDArray[np.float64], target: Codes) -> float:
    """Give the AUC by ranks, ties at half; 0.5 where one class is absent.

    Not the attacks' own, which takes seven times as long, for an error that is not needed of the
    thousands of folds here, and tells scores apart that differ by the last bits of a sum.
    """
    positive = int(target.sum())
    negative = len(target) - positive
    if not positive or not negative:
        return 0.5
    _, place, counts = np.unique(scores.round(12), return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    above = ranks[target == 1].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))
