"""Shares of exact counts give numbers of test people away over some runs; published ones do not."""

from __future__ import annotations

import numpy as np
import pytest

from expectations.disclosure import Count, Disclosure
from expectations.policy.vocabulary import CheckVerdict
from ledgers.evidence import JSON, Entry
from ledgers.home.home import Home
from tasks.anonymization.deidentify import deidentify
from tasks.attack.published_history import (
    judge_history,
    read_all_rates,
    read_rates,
    recover_classes,
)
from tasks.attack.rate_reconstruction import (
    PublishedRates,
    find_likeliest,
    guess_classes,
    round_exactly,
)
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training.train import train
from tasks.validation.validation import validate
from tests.conftest import Folder, opened
from tests.tasks.attack.test_published_history import SUMS, publish_runs, rounded

RULE = Disclosure(b"k" * 32)
SEEDS = range(8)


def draw_calls(people: tuple[int, int], runs: int, seed: int) -> list[tuple[int, int]]:
    """Draw how many of each class a private model calls positive, with fresh noise in each run."""
    draw = np.random.default_rng(seed)
    shares = np.clip(draw.normal((0.4, 0.05), (0.04, 0.01), (runs, 2)), 0, 1)
    return [(int(a), int(b)) for a, b in draw.binomial(people, shares)]


def tell_exactly(people: tuple[int, int], runs: int, seed: int = 1) -> list[PublishedRates]:
    """Tell shares as they were told before: of exact counts, in two digits."""
    (p, q), found = people, []
    about = RULE.publish(Count(p + q)).about or 0
    for hits, false in draw_calls(people, runs, seed):
        shares = {"true_positive_rate": hits / p, "false_positive_rate": false / q}
        shares["selection_rate"] = (hits + false) / (p + q)
        told = {name: round_exactly(round(share, 2)) for name, share in shares.items()}
        found.append(PublishedRates(about, told, people))
    return found


def entry(kind: str, name: str, body: JSON) -> Entry:
    """Make a piece of evidence."""
    return Entry("run", 1, "", "train", kind, name, body, None)


def note_run(people: tuple[int, int], called: tuple[int, int]) -> list[tuple[Entry, object]]:
    """Give what a run notes of one group, with what is under its seal."""
    row: JSON = {
        "group": "f", "people": str(RULE.publish(Count(sum(people)))), "selection_rate": 0.2,
        "true_positive_rate": 0.4, "false_positive_rate": None,
    }  # fmt: skip
    names = ("positives", "negatives", "found", "alarms")
    sealed = {"f": dict(zip(names, (*people, *called), strict=True))}
    return [(entry("table", "utility.groups.sex", [row]), sealed)]


def tell_rounded(people: tuple[int, int], runs: int, seed: int = 1) -> list[PublishedRates]:
    """Tell shares as a run does, and read them as the attack does."""
    return [
        read_rates(note_run(people, called), RULE)["sex: f"]
        for called in draw_calls(people, runs, seed)
    ]


@pytest.mark.parametrize("people", [(29, 200), (39, 300)])
def test_three_runs_of_exact_shares_leave_one_number(people: tuple[int, int]) -> None:
    """How many people have diabetes, from their group's rates alone; two mostly do."""
    found = [find_likeliest(tell_exactly(people, 3, seed))[0] for seed in SEEDS]
    assert found.count(people[0]) >= len(SEEDS) - 2
    assert find_likeliest(tell_exactly(people, 16))[0] == people[0]


def test_the_check_finds_exact_shares_out() -> None:
    """Two groups are enough, and nothing else of the history gives anything away."""
    history = publish_runs(16, rounded, leaving=0)
    pairs = zip(tell_exactly((29, 200), 16), tell_exactly((39, 300), 16), strict=True)
    rates = [{"f": one, "m": other} for one, other in pairs]
    check, _ = judge_history(history, SUMS, rates)
    assert check.verdict is CheckVerdict.WARNED
    assert "by the shares of test people" in check.measured
    assert judge_history(history, SUMS)[0].verdict is not CheckVerdict.WARNED


@pytest.mark.parametrize("people", [(62, 181), (77, 305), (153, 648), (64, 66)])
def test_sixteen_runs_of_published_shares_give_nothing_away(people: tuple[int, int]) -> None:
    """No more than the published counts of each class by themselves, which stay the same."""
    alone = [find_likeliest(tell_rounded(people, 1, seed)) for seed in SEEDS]
    after = [find_likeliest(tell_rounded(people, 16, seed)) for seed in SEEDS]
    for side in (0, 1):
        first, last = ([guess[side] == people[side] for guess in told] for told in (alone, after))
        assert sum(last) <= sum(first) + 1


def test_the_check_passes_published_shares() -> None:
    """Whatever the groups' sizes, they are recovered about once in ten."""
    draw = np.random.default_rng(4)
    groups = {
        str(n): tell_rounded((int(draw.integers(50, 200)), int(draw.integers(50, 400))), 16, n)
        for n in range(12)
    }
    rates = [{name: runs[run] for name, runs in groups.items()} for run in range(16)]
    (found,) = recover_classes(rates)
    assert found.low < 0.1
    assert found.gap < 0.25
    check, _ = judge_history(publish_runs(16, rounded, leaving=0), SUMS, rates)
    assert check.verdict is not CheckVerdict.WARNED


def test_people_who_change_are_attacked_apart() -> None:
    """By the published number of people, which tells when they did."""
    runs = [*tell_exactly((29, 200), 8), *tell_exactly((39, 300), 8)]
    positives = [guess[0] for guess in guess_classes(runs) if guess is not None]
    assert positives == [29] * 8 + [39] * 8
    large = PublishedRates(90_000, {}, None)
    assert list(guess_classes([large])) == [None]


def test_shares_without_a_seal_are_read_as_exact_ones() -> None:
    """As earlier runs noted them; the missing and the hidden are left out."""
    ((noted, _),) = note_run((29, 200), (10, 10))
    told = read_rates([(noted, None)], RULE)["sex: f"]
    assert told.exact is None
    assert told.told == {
        "selection_rate": pytest.approx((0.195, 0.205)),
        "true_positive_rate": pytest.approx((0.395, 0.405)),
    }


def test_a_runs_own_figures_are_attacked_with_their_counts(home: Home, folder: Folder) -> None:
    """Of everybody and of each group, with the exact numbers from under the seal."""
    assert home.vault.is_dir()
    with opened(folder.write(("test_share: 0.4", "test_share: 0.6"))) as run:
        train(validate(deidentify(select_population(collect(filter_consent(read_roster()))))))
        entries = run.ledger.entries(run.id)
        kinds = ("count", "table", "measure")
        noted = [(e, run.ledger.unseal(e) if e.kind in kinds else None) for e in entries]
        found, *pictures = read_all_rates(noted, run.disclosure)
    assert pictures
    assert all(one["everybody"] != found["everybody"] for one in pictures)
    assert all(one["everybody"].exact == found["everybody"].exact for one in pictures)
    assert list(found) == ["everybody", "sex: f", "sex: m"]
    for told in (*found.values(), *(one["everybody"] for one in pictures)):
        assert set(told.told) == {"positives", "negatives", "found", "alarms"}
        assert told.exact is not None
        low, high = told.told["positives"]
        assert low <= told.exact[0] <= high
