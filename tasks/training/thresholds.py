"""What a model finds and misses at a few thresholds of predicted risk, told in published counts.

The thresholds are public and the same for every model; none is a person's score. Of each class the
people above each threshold are counted, published by the rule for counts, and every figure is made
of these counts alone: the rates at a threshold, and how many of those between two thresholds have
the outcome. Counts of people above a threshold contain each other, so they have no sum that would
tell how many people there are, as counts of people between thresholds would.

Two published counts differ by about the people between them. A threshold is left out, by what is
published alone, where between it and the last one told, or above it, there could be fewer people
than counts are hidden under, whatever their outcome. Of one outcome there may be fewer.

Who is above a threshold is above all lower ones too, and so in several counts: that one known
person left shows more often than in one count. Where people are many each count is told in wider
steps than tens, a fiftieth of its class, so that it changes the less often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Final, NamedTuple

from expectations.disclosure import CLASS, TEN, Count, Disclosure, Published
from tasks.account.measured import AtThreshold, Calibration
from tasks.airlock.run import Desk
from tasks.training.fairness import ROUNDED, bound_rate
from tasks.training.quality import Calls, Scored, count_people, publish_calls, seal_counts

if TYPE_CHECKING:
    from ledgers.evidence import JSON

THRESHOLDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Declared in public: the predicted risks above which people are called positive."""
NORMAL: Final = 1.96


class Above(NamedTuple):
    """About how many people of each class have a predicted risk above a threshold."""

    threshold: float
    found: int
    alarms: int

    @property
    def people(self) -> int:
        """About how many there are of both."""
        return self.found + self.alarms


def note_thresholds(desk: Desk, scored: Scored) -> None:
    """Note what the model comes to at each threshold, and how well its risks are calibrated."""
    disclosure = desk.run.disclosure
    calls, counts = publish_calls(scored, disclosure), count_above(scored)
    above = publish_above(counts, calls, disclosure)
    rates: list[JSON] = [asdict(one) for one in tell_rates(above, calls)]
    risks: list[JSON] = [asdict(one) for one in tell_calibration(above, calls)]
    exact: dict[str, JSON] = {f"{at:g}": seal_counts(pair) for at, pair in counts.items()}
    desk.note("table", "utility.thresholds", rates, sealed=exact)
    desk.note("table", "utility.calibration", risks)


def count_above(scored: Scored) -> dict[float, dict[str, Count]]:
    """Count the people of each class who are above each threshold, by weight."""
    return {
        at: {
            "found": count_people(scored, scored.positive & (scored.scores > at)),
            "alarms": count_people(scored, ~scored.positive & (scored.scores > at)),
        }
        for at in THRESHOLDS
    }


def publish_above(
    counts: dict[float, dict[str, Count]], calls: Calls, disclosure: Disclosure
) -> tuple[Above, ...]:
    """Publish these counts, from everybody on; none where a class is too small to be told of."""
    if min(calls.positives.about or 0, calls.negatives.about or 0) < CLASS:
        return ()
    wholes = {"found": calls.positives, "alarms": calls.negatives}
    above = [Above(0.0, *(whole.middle for whole in wholes.values()))]
    for at, pair in counts.items():
        told = {name: disclosure.publish(pair[name]).middle for name in wholes}
        above.append(Above(at, **{n: widen(told[n], find_width(wholes[n])) for n in wholes}))
    least = disclosure.threshold
    errors = (max(TEN, least // 2) + _err(find_width(whole)) for whole in wholes.values())
    # A difference of two counts is twice as far off as each.
    return keep_apart(above, least + 2 * sum(errors))


def find_width(whole: Published) -> int:
    """Give the steps in which a class is told of: tens, or of many a fiftieth, in tens."""
    return TEN * max(1, whole.middle // (50 * TEN))


def widen(people: int, step: int) -> int:
    """Round a published count to wider steps than tens."""
    return people if step == TEN else round(people / step) * step


def _err(step: int) -> int:
    """Give by how many people a wider step than tens is off at most."""
    return 0 if step == TEN else step // 2


def keep_apart(above: Sequence[Above], enough: int) -> tuple[Above, ...]:
    """Keep the thresholds with enough people between each and the next, and above the last."""
    kept = [above[0]]
    for one in above[1:]:
        if min(kept[-1].people - one.people, one.people) >= enough:
            kept.append(one)
    return tuple(kept) if len(kept) > 1 else ()


def tell_rates(above: Sequence[Above], calls: Calls) -> Iterator[AtThreshold]:
    """Give the share of each class that is called positive at each threshold, with intervals."""
    positives, negatives = calls.positives, calls.negatives
    for one in above[1:]:
        found = min(one.found / positives.middle, 1.0)
        alarms = min(one.alarms / negatives.middle, 1.0)
        weight = calls.effective_positives / positives.middle
        yield AtThreshold(
            one.threshold,
            round(found, 2),
            *bound_told(found, positives.middle, weight, find_spread(positives)),
            round(alarms, 2),
            *bound_told(
                alarms,
                negatives.middle,
                calls.effective_negatives / negatives.middle,
                find_spread(negatives),
            ),
        )


def tell_calibration(above: Sequence[Above], calls: Calls) -> Iterator[Calibration]:
    """Give how many have the outcome of those whose risk is between two thresholds."""
    found, alarms = 2 * find_spread(calls.positives), 2 * find_spread(calls.negatives)
    effective = calls.count_effective("people") / calls.people
    for one, higher in pairwise([*above, Above(1.0, 0, 0)]):
        between = one.people - higher.people
        observed = (one.found - higher.found) / between
        # As `bound_rate` takes it, which is of a part among a whole with an error of its own.
        spread = ((1 - observed) ** 2 * found + observed**2 * alarms) / (1 + observed**2)
        yield Calibration(
            one.threshold,
            higher.threshold,
            round(between / calls.people, 2),
            round(observed, 2),
            *bound_told(observed, between, effective, spread),
        )


def find_spread(whole: Published) -> float:
    """Give the variance that rounding gave to a count of a class."""
    step = find_width(whole)
    return ROUNDED + (0 if step == TEN else step**2 / 12)


def bound_told(share: float, people: int, effective: float, spread: float) -> tuple[float, float]:
    """Bound a share with 95 % confidence, the ends outward to two digits.

    `effective` is the part of the people who, weighing alike, would tell as much.
    """
    low, high = bound_rate(share, people * effective, NORMAL, spread * effective**2)
    return floor(round(100 * low, 9)) / 100, ceil(round(100 * high, 9)) / 100
