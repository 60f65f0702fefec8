"""What a policy's runs published one after the other, attacked as one: MLflow's own history.

Two questions, each against chance: are exact counts recovered from the figures of several runs
(`tasks.attack.count_reconstruction`, and of test people from the shares that are told of them,
`tasks.attack.rate_reconstruction`), and does a figure tell that one person more or fewer is in
it? The exact counts are read from under the seal of the evidence ledger to score the answers.
Neither refuses a run: what was published before cannot be taken back, and what this one adds is
one more figure of each. The rule itself lets one person change a figure once in ten, and that is
not warned of.

Looked at are counts of people, the people of each label that was compared, and the shares of test
people by their outcome, overall, by group, and at the thresholds of a model's pictures. What
weights, other measures, tables and models tell of the same people is not brought in, nor are runs
of other policies; an attacker who has them knows more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import hypot, inf, sqrt
from typing import Any, Final, TypeAlias

import numpy as np

from expectations.checks import Check
from expectations.disclosure import TEN, Count, Disclosure
from expectations.policy.vocabulary import CheckVerdict
from ledgers.evidence import Entry
from ledgers.vault.stages import Recorded, Selected
from tasks.account.findings import Found
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.attack.contrast import FEWEST, Contrast, describe_power, find_critical
from tasks.attack.count_reconstruction import (
    PublishedFigure,
    PublishedHistory,
    Sums,
    believe,
    reconstruct,
)
from tasks.attack.rate_reconstruction import (
    SHARES,
    PublishedRates,
    guess_classes,
    round_exactly,
    round_in_tens,
)
from tasks.attack.risk import NORMAL, Rate

ALLOWED: Final = 1 / TEN
"""How often one person changes a figure by the rule: once in ten."""
FEWEST_RUNS: Final = 5
FEWEST_COUNTS: Final = 8
"""Runs, and different counts, under which nothing is concluded."""
MOST_RUNS: Final = 60
"""The newest runs that are looked at."""
WORTH: Final = 0.25
"""The gain over chance at which an attack counts as worth while; it passes when it has less.

Rounded counts give some away to who knows who came and left in a great many runs, see
`tasks.attack.count_reconstruction`; what was gained is told, and is not warned of below this.
"""
RateHistory: TypeAlias = Sequence[Mapping[str, PublishedRates]]
"""What each run told of its test people, by group; once more for each further threshold."""
COMPARED: Final = "representation."
GROUPS: Final = "utility.groups."
OVERALL: Final = "utility.base_rate"
EVERYBODY: Final = "everybody"
PICTURES: Final = "utility.thresholds"
OPENED: Final = frozenset({"count", "table", "measure"})
"""The kinds of evidence whose seals hold exact numbers of people."""
FEWEST_CLASSES: Final = 2
"""Classes of test people whose numbers are guessed from shares, under which nothing is concluded.

So few suffice because those who are found are found surely.
"""


def recover_counts(history: PublishedHistory, sums: Sums) -> tuple[Contrast, ...]:
    """Give how much more often than by chance counts are recovered exactly, in shares of them.

    By the figures alone, and knowing who came and left. Every count is scored by name, over the
    runs in which its figure is a new one, since figures of the same people say nothing new; the
    spread over names gives the interval.
    """
    critical = find_critical(2)
    return tuple(
        _beat_chance(name, _score(history, sums, knows_changes=known), critical)
        for name, known in (("by the figures alone", False), ("knowing who came and left", True))
    )


def _score(history: PublishedHistory, sums: Sums, *, knows_changes: bool) -> dict[str, list[float]]:
    """Give for each name the guesses that were right (1 or 0), less their chance."""
    found: dict[str, list[float]] = {}
    last: dict[str, PublishedFigure] = {}
    beliefs = reconstruct(history, sums, knows_changes=knows_changes)
    for run, believed in zip(history, beliefs, strict=True):
        for name, figure in run.items():
            if figure.exact is None or last.get(name) == figure:
                continue
            last[name] = figure
            right = believed[name].guess == figure.exact
            found.setdefault(name, []).append(right - believe(figure).chance)
    return found


def recover_classes(rates: RateHistory) -> tuple[Contrast, ...]:
    """Give how much more often than one time in ten the numbers of test people are recovered.

    Of those who have the outcome, and of those who do not, by group; nothing where no run has
    both shares and the sealed truth. A number is scored once for all runs that tell of it.
    """
    scores: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for run in rates for name in run):
        runs = [run[name] for run in rates if name in run]
        seen = {
            (side, guess[side] == run.exact[side])
            for run, guess in zip(runs, guess_classes(runs), strict=True)
            if guess is not None and run.exact is not None
            for side in (0, 1)
        }
        for side, right in sorted(seen):
            scores.setdefault(f"{name}: {side}", []).append(right - ALLOWED)
    if len(scores) < FEWEST_CLASSES:
        return ()
    # Of so few, the error is that of guessing each at random.
    means = [max(score) for score in scores.values()]
    error = sqrt(ALLOWED * (1 - ALLOWED) / len(means))
    name, critical = "by the shares of test people", find_critical(3)
    return (Contrast(name, float(np.mean(means)), error, critical),)


def _beat_chance(name: str, scores: Mapping[str, Sequence[float]], critical: float) -> Contrast:
    """Average over names; the error is at least that of guessing each name once."""
    if len(scores) < FEWEST_COUNTS:
        return Contrast(name, 0.0, inf, critical)
    means = np.array([np.mean(score) for score in scores.values()])
    least = sqrt(ALLOWED * (1 - ALLOWED) / sum(len(score) for score in scores.values()))
    error = max(float(means.std(ddof=1)) / sqrt(len(means)), least)
    return Contrast(name, float(means.mean()), error, critical)


def tell_changes(history: PublishedHistory) -> Contrast:
    """Give how much more often than the rule allows a figure tells that one person came or left.

    From each run to the next, in shares of the counts: how often figures change where one person
    moved, less how often where nobody did, less one in ten. 0 is what the rule gives, and -0.1
    one that draws alike whether anybody moved or not.
    """
    moved: list[float] = []
    still: list[float] = []
    for before, after in pairwise(history):
        for name in before.keys() & after.keys():
            old, new = before[name], after[name]
            if old.exact is not None and new.exact is not None:
                side = {0: still, 1: moved}.get(abs(new.exact - old.exact), [])
                side.append(float(old.about != new.about))
    name, one, none = "one person came or left", Rate.of(np.array(moved)), Rate.of(np.array(still))
    if min(one.tries, none.tries) < FEWEST:
        return Contrast(name, 0.0, inf)
    # By Wilson: Welch is too sure of a few figures of which nearly all changed.
    error = hypot(one.error, none.error) / NORMAL
    return Contrast(name, one.share - none.share - ALLOWED, error)


def judge_history(
    history: PublishedHistory, sums: Sums, rates: RateHistory = ()
) -> tuple[Check, Check]:
    """Judge what the published counts and shares of several runs of one policy give away together.

    Of shares it is judged where they surely give numbers away; where they seem not to, what is
    known of counts decides, for the numbers behind shares are few.
    """
    runs = len(history)
    recovered, told = recover_counts(history, sums), (tell_changes(history),)
    shares = recover_classes(rates) if runs >= FEWEST_RUNS else ()
    return (
        Check(
            name="reconstructing published counts",
            asked=f"exact counts recovered at most {100 * WORTH:.0f} percentage points more often "
            "than by chance",
            measured=say_unmade(runs)
            or f"right more often than by chance, as shares of all counts, from {runs} runs: "
            f"{'; '.join(map(str, (*recovered, *shares)))}",
            verdict=CheckVerdict.WARNED
            if any(one.low > WORTH for one in shares)
            else _judge(recovered, WORTH, runs),
            power=_describe_power(recovered, runs),
            remedy="publish fewer counts that add up, or publish them less often",
        ),
        Check(
            name="differencing published counts",
            asked="a figure changes in at most 1 case of 10 when one person came or left",
            measured=say_unmade(runs)
            or f"how much more often than in 1 case of 10, minus changes when nobody came or left, "
            f"from {runs} runs: {told[0]}",
            verdict=_judge(told, 0.0, runs),
            power=_describe_power(told, runs),
            remedy="publish counts again only after ten people or more have come or left, and show "
            "MLflow's pages only to people who may know who takes part",
        ),
    )


def say_unmade(runs: int) -> str:
    """Say that fewer runs than are needed cannot be compared; nothing where there are enough."""
    return "" if runs >= FEWEST_RUNS else f"cannot be measured from {runs} run{'s' * (runs != 1)}"


def _judge(found: Sequence[Contrast], allowed: float, runs: int) -> CheckVerdict:
    """Warn of whatever is surely more than allowed; pass only what surely is not worth while."""
    if runs < FEWEST_RUNS:
        return CheckVerdict.INCONCLUSIVE
    if any(one.low > allowed for one in found):
        return CheckVerdict.WARNED
    passed = all(one.verdict(WORTH) is CheckVerdict.PASSED for one in found)
    return CheckVerdict.PASSED if passed else CheckVerdict.INCONCLUSIVE


def _describe_power(found: Sequence[Contrast], runs: int) -> str:
    if runs < FEWEST_RUNS:
        return f"needs {FEWEST_RUNS} runs, has {runs}; nothing to do until then"
    return describe_power(found)


def read_figures(
    entries: Sequence[tuple[Entry, object]], threshold: int
) -> dict[str, PublishedFigure]:
    """Read one run's published counts, with what was opened of each entry's seal.

    Counts under `threshold` were hidden.
    """
    found: dict[str, PublishedFigure] = {}
    for entry, opened in entries:
        match entry.kind, entry.body:
            case "count", {"about": int() | None as about}:
                exact = opened if isinstance(opened, int) else None
                found[entry.name] = PublishedFigure(about, exact, threshold)
    for column, rows in Found([entry for entry, _ in entries]).tables(COMPARED).items():
        for name, shown in _read_labels(column, rows):
            found[name] = PublishedFigure(shown, None, threshold)
    return found


def _read_labels(column: str, rows: object) -> Iterator[tuple[str, int | None]]:
    """Read the people of each label of a compared column, which are told as words."""
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"label": str(label), "people": str(people)}:
                digits = people.replace(",", "")
                about = int(digits) if digits.isdigit() else None
                yield f"{COMPARED}{column}: {label}", about


def read_rates(
    entries: Sequence[tuple[Entry, object]], disclosure: Disclosure
) -> dict[str, PublishedRates]:
    """Read what one run told of its test people by outcome, with what was opened of its seals.

    Shares without exact counts under their seal were made of exact counts; the others are made of
    four published counts, and who attacks is given these.
    """
    found: dict[str, PublishedRates] = {}
    noted = Found([entry for entry, _ in entries])
    people, measures = noted.body("count", "people.test").get("about"), noted.measures("utility.")
    for entry, opened in entries:
        column = entry.name.removeprefix(GROUPS)
        if entry.kind == "table" and column != entry.name and isinstance(entry.body, list):
            exact = opened if isinstance(opened, dict) else {}
            for row in entry.body:
                match row:
                    case {"group": str(group), "people": str(shown), **shares}:
                        told = _read_shares(shown, shares, exact.get(group), disclosure)
                        found |= {f"{column}: {group}": told} if told else {}
        elif entry.name == OVERALL and isinstance(people, int):
            told = _read_shares(str(people), measures, opened, disclosure)
            found |= {EVERYBODY: told} if told else {}
    return found


def read_thresholds(
    entries: Sequence[tuple[Entry, object]], disclosure: Disclosure
) -> Iterator[PublishedRates]:
    """Read what one run told of all its test people at each threshold of its pictures.

    Who attacks is given each count in tens, also where it was told in wider steps. What the model
    says at a half is told as its shares already.
    """
    noted = {entry.name: (entry.body, opened) for entry, opened in entries}
    (rows, counts), (_, sides) = (noted.get(name, ([], {})) for name in (PICTURES, OVERALL))
    people = Found([entry for entry, _ in entries]).body("count", "people.test").get("about")
    for row in rows if isinstance(rows, list) else ():
        match row, counts, sides:
            case {"threshold": float(at)}, dict(), dict() if f"{at:g}" in counts:
                exact = sides | counts[f"{at:g}"]
                told = _read_shares(str(people), {}, exact, disclosure)
                if told is not None and exact != sides:
                    yield told


def _read_shares(
    people: str, shares: Mapping[Any, object], exact: object, disclosure: Disclosure
) -> PublishedRates | None:
    """Bound what was told of some people; None where their number is hidden."""
    digits = people.replace(",", "")
    if not digits.isdigit():
        return None
    match exact:
        case {"positives": int(positives), "negatives": int(negatives), **called}:
            counts = {"positives": positives, "negatives": negatives, **called}
            told = {
                str(name): round_in_tens(disclosure.publish(Count(n)).about, disclosure.threshold)
                for name, n in counts.items()
                if isinstance(n, int)
            }
            about = disclosure.publish(Count(positives + negatives)).about
            return PublishedRates(about or 0, told, (positives, negatives))
    told = {
        name: round_exactly(share)
        for name in SHARES
        if isinstance(share := shares.get(name), float)
    }
    return PublishedRates(int(digits), told)


def read_all_rates(
    entries: Sequence[tuple[Entry, object]], disclosure: Disclosure
) -> list[Mapping[str, PublishedRates]]:
    """Read all that one run told of its test people, each threshold apart."""
    further = ({EVERYBODY: told} for told in read_thresholds(entries, disclosure))
    return [read_rates(entries, disclosure), *further]


def find_sums(entries: Sequence[Entry]) -> Sums:
    """Say which counts of a run add up to which, by the steps that counted them."""
    counted: dict[str, list[str]] = {}
    for entry in entries:
        if entry.kind == "count" and entry.name.startswith("people.excluded."):
            counted.setdefault(entry.step, []).append(entry.name)
    labels = [
        [name for name, _ in _read_labels(column, rows)]
        for column, rows in Found(entries).tables(COMPARED).items()
    ]
    return {
        "people.roster": [["people.permitted", *counted.get("filter_consent", [])]],
        "people.permitted": [["people.selected", *counted.get("select_population", [])]],
        "people.selected": [["people.train", "people.test", "people.unlabelled"], *labels],
    }


@step("Attack the published history", gives=Recorded)
def attack_history(desk: Desk, _counted: Opened[Selected]) -> None:
    """Try to recover exact counts from everything this policy's runs have published.

    This run's counts among them, so that it comes after its people were counted.
    """
    ledger, name = desk.run.ledger, desk.policy.name
    runs = [run.run_id for run in ledger.runs() if run.policy == name][-MOST_RUNS:]
    entries = [ledger.entries(run) for run in runs]
    opened = [
        [(one, ledger.unseal(one) if one.kind in OPENED else None) for one in run]
        for run in entries
    ]
    history = [read_figures(run, desk.run.disclosure.threshold) for run in opened]
    rates = [told for run in opened for told in read_all_rates(run, desk.run.disclosure)]
    for check in judge_history([run for run in history if run], find_sums(entries[-1]), rates):
        desk.check(check)
