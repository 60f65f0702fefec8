"""What a model finds and misses at a few thresholds of predicted risk, told in published counts.

The thresholds are public and the same for every model; none is a person's score. Of each class the
people above each threshold are counted, published by the rule for counts, and every figure is made
of these counts alone: the rates at a threshold, and how many of those between two thresholds have
the outcome. Counts of people above a threshold contain each other, so they have no sum that would
tell how many people there are, as counts of people between thresholds would.

Two published counts differ by about the people between them. A threshold is left out, by what is
published alone, where between it and the last one told, or above it, there could be fewer people
than counts are hidden under, whatever their outcome. Of one outcome there may be fewer. Who is
above a threshold is above all lower ones too, so that one known person left may show in any of
these counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Final, NamedTuple

from expectations.disclosure import TEN, Count, Disclosure, Published, rate
from tasks.account.published import AtThreshold, Calibration
from tasks.airlock.run import Desk
from tasks.training.fairness import ROUNDED, bound_rate
from tasks.training.quality import CLASS, Calls, Scored, count_people, publish_calls, seal_counts

if TYPE_CHECKING:
    from ledgers.evidence import JSON

THRESHOLDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Declared in public: the predicted risks above which people are called positive."""
NORMAL: Final = 1.96


class Above(NamedTuple):
    """How many people of each class have a predicted risk above a threshold, as published."""

    threshold: float
    found: Published
    alarms: Published

    @property
    def people(self) -> int:
        """About how many there are of both."""
        return self.found.middle + self.alarms.middle


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
    everybody = Above(0.0, calls.positives, calls.negatives)
    published = (
        Above(at, *(disclosure.publish(pair[name]) for name in ("found", "alarms")))
        for at, pair in counts.items()
    )
    return keep_apart([everybody, *published])


def keep_apart(above: Sequence[Above]) -> tuple[Above, ...]:
    """Keep the thresholds with enough people between each and the next, and above the last.

    Four counts make the people between two thresholds, each off by less than ten, or hidden.
    """
    hidden = above[0].found.threshold
    enough = hidden + 4 * max(TEN, hidden // 2)
    kept = [above[0]]
    for one in above[1:]:
        if min(kept[-1].people - one.people, one.people) >= enough:
            kept.append(one)
    return tuple(kept) if len(kept) > 1 else ()


def tell_rates(above: Sequence[Above], calls: Calls) -> Iterator[AtThreshold]:
    """Give the share of each class that is called positive at each threshold, with intervals."""
    for one in above[1:]:
        found, alarms = rate(one.found, calls.positives), rate(one.alarms, calls.negatives)
        positives, negatives = calls.positives.middle, calls.negatives.middle
        yield AtThreshold(
            one.threshold,
            round(found, 2),
            *_bound(found, positives, calls.effective_positives / positives),
            round(alarms, 2),
            *_bound(alarms, negatives, calls.effective_negatives / negatives),
        )


def tell_calibration(above: Sequence[Above], calls: Calls) -> Iterator[Calibration]:
    """Give how many have the outcome of those whose risk is between two thresholds."""
    counts = [(one.threshold, one.found.middle, one.people) for one in above]
    for (low, found, people), (high, fewer, rest) in pairwise([*counts, (1.0, 0, 0)]):
        between = people - rest
        observed = (found - fewer) / between
        effective = calls.count_effective("people") / calls.people
        yield Calibration(
            low,
            high,
            round(between / calls.people, 2),
            round(observed, 2),
            *_bound(observed, between, effective, counts=2),
        )


def _bound(share: float, people: int, effective: float, counts: int = 1) -> tuple[float, float]:
    """Bound a share with 95 % confidence, the ends outward to two digits.

    `effective` of the people would tell as much if they weighed alike; part and whole are of so
    many published counts each.
    """
    spread = counts * ROUNDED * effective**2
    low, high = bound_rate(share, people * effective, NORMAL, spread)
    return floor(round(100 * low, 9)) / 100, ceil(round(100 * high, 9)) / 100
