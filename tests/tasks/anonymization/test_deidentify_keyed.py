"""What a purpose's key does to columns: tokens and moved dates, alike in every run; and noise."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Refusal, ServiceError, UsageError
from expectations.policy.treatments import Noise, Shift, Token
from ledgers.home.home import Home
from ledgers.key_ledger import KeyLedger
from ledgers.vault.stages import Deidentified
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify, draw_offsets, shift_dates, treat
from tasks.anonymization.noise import add_noise
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tests.conftest import Folder, Runner, counts, opened

KEY = b"k" * 32
PURPOSE = "dpv:ScientificResearch"
KEYED = """\
  mail:
    {type: text, identifiability: identifier, category: dpv-pd:Contact, use: [release],
     treatment: {kind: token}}
  seen:
    {type: date, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: shift, days: 30}}
  gone:
    {type: date, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: shift, days: 30}}
  weight:
    {type: number, identifiability: none, category: dpv-pd:Health, use: [release],
     treatment: {kind: noise, low: 0, high: 200, epsilon: 2}}
"""
RELEASED = """\
sick: generalize, mail: keep, seen: keep, gone: keep, weight: keep}
    not_linkable: {mail: a, seen: b, gone: c, weight: d}"""
CHANGES = (("derived:\n", f"{KEYED}derived:\n"), ("sick: generalize}", RELEASED))


@pytest.fixture
def policy(home: Home, folder: Folder) -> Path:
    """The small policy with a token, dates that move and noise, over people who have them."""
    assert home.root.is_dir()
    for number, person in enumerate(folder.people):
        seen = date(1969, 12, 20) + timedelta(days=number)
        dates = {"seen": str(seen), "gone": str(seen + timedelta(days=number % 7))}
        person |= {"mail": f"m{number}@x.org", "weight": "70.5", **dates}
    return folder.write(*CHANGES)


def treat_people(run: Run) -> pa.Table:
    """Take a run as far as de-identification."""
    made = deidentify(select_population(collect(filter_consent(read_roster()))))
    return run.vault.load(made, Deidentified).to_table()


def test_tokens_and_moved_dates_are_the_same_in_every_run(policy: Path) -> None:
    """Until the key is rotated; intervals stay in all of them, and each run names its version."""
    made = []
    for _ in range(2):
        with opened(policy) as run:
            made.append(treat_people(run).sort_by("_record"))
    with opened(policy) as run:
        KeyLedger(run.ledger.engine, run.keys).rotate(PURPOSE)
        made.append(treat_people(run).sort_by("_record"))
        noted = [e for e in run.ledger.entries(run.id) if e.kind == "key"]
        assert [(e.name, e.body) for e in noted] == [(PURPOSE, {"version": 2})]
        measures = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "measure"}
        assert (measures["noise.epsilon.weight"], measures["noise.epsilon"]) == (2, 2)
        assert counts(run)["people.tokens_undone.mail"] == 0
    for column in ("mail", "seen", "gone"):
        assert made[0][column] == made[1][column] != made[2][column]
    assert made[0]["weight"] != made[1]["weight"]
    stays = [pc.days_between(table["seen"], table["gone"]).to_pylist() for table in made]
    assert stays[0] == stays[1] == stays[2]
    assert set(stays[0]) == set(range(7))


def test_without_its_key_nothing_is_treated(policy: Path) -> None:
    """The run ends with exit status 3 and says what to do; the data goes no further."""
    with opened(policy) as run:
        treat_people(run)
        KeyLedger(run.ledger.engine, run.keys).destroy(PURPOSE)
    with opened(policy) as run, pytest.raises(ServiceError, match="was destroyed") as told:
        treat_people(run)
    assert told.value.exit_status == 3
    assert "keys rotate" in str(told.value)


def test_a_policy_without_tokens_needs_no_key(home: Home, folder: Folder) -> None:
    """So none is made."""
    assert home.root.is_dir()
    with opened(folder.write()) as run:
        treat_people(run)
        assert KeyLedger(run.ledger.engine, run.keys).history() == []


def test_tokens_that_counting_undoes_stop_the_run(policy: Path, folder: Folder) -> None:
    """With the number of people by the disclosure rule; the value is not said."""
    for person in folder.people[:20]:
        person["mail"] = "zyxwort@x.org"
    folder.write(*CHANGES)
    with opened(policy) as run, pytest.raises(Refusal, match="tokens of mail") as told:
        treat_people(run)
    assert "zyxwort" not in str(told.value)
    assert "tokenize an identifier that few people share" in str(told.value)


people = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=8)


@given(people, st.integers(1, 3650))
def test_an_offset_is_the_persons_own(numbers: list[int], days: int) -> None:
    """Within its bounds, never none, whoever else is there, and another under another key."""
    drawn = draw_offsets(np.array(numbers, np.uint64), KEY, days)
    assert ((abs(drawn) >= 1) & (abs(drawn) <= days)).all()
    alone = [draw_offsets(np.array([n], np.uint64), KEY, days)[0] for n in numbers]
    assert drawn.tolist() == alone


def test_every_offset_is_as_likely() -> None:
    """Each of six within five standard deviations of its share of 60,000 people."""
    drawn = draw_offsets(np.arange(60_000, dtype=np.uint64), KEY, 3)
    found, number = np.unique(drawn, return_counts=True)
    assert found.tolist() == [-3, -2, -1, 1, 2, 3]
    assert (abs(number - 10_000) < 5 * math.sqrt(10_000 * 5 / 6)).all()
    assert (draw_offsets(np.arange(99, dtype=np.uint64), b"z" * 32, 3) != drawn[:99]).any()


def test_moved_dates_are_dates_and_missing_ones_stay_missing() -> None:
    """Before 1970 and over a leap day; what would leave the calendar is missing."""
    dates = [date(1, 1, 1), date(9999, 12, 31), date(1969, 12, 31), date(2024, 2, 29), None]
    whose = np.repeat(np.arange(20, dtype=np.uint64), len(dates))
    column = pa.chunked_array([pa.array(dates * 10), pa.array(dates * 10)])
    moved = shift_dates(column, pa.chunked_array([pa.array(whose)]), KEY, 40).to_pylist()
    offsets = draw_offsets(whose, KEY, 40).tolist()
    for found, before, days in zip(moved, dates * 20, offsets, strict=True):
        ordinal = None if before is None else before.toordinal() + days
        inside = ordinal is not None and 1 <= ordinal <= date.max.toordinal()
        assert found == (date.fromordinal(ordinal) if inside else None)  # type: ignore[arg-type]
    assert moved.count(None) == 40


def test_noise_has_the_scale_that_epsilon_asks_for() -> None:
    """The mean distance of Laplace noise is its scale, 100 / 0.5; of 20,000 within 5 %."""
    values = pa.chunked_array([pa.array([-1e9, 1e9] * 10_000)])
    made = add_noise(values, -20, 80, 0.5).to_numpy()
    distance = abs(made - np.tile([-20.0, 80.0], 10_000)).mean()
    assert abs(distance - 200) < 10
    assert (made < -20).any()
    assert (made > 80).any()


def test_noise_leaves_types_and_what_is_missing() -> None:
    """Whole numbers stay whole, not-a-number is missing, and no run repeats another."""
    noise = Noise(kind="noise", low=0.5, high=1000, epsilon=1)
    whole = pa.chunked_array([pa.array([5, None, 10**15])])
    made = treat(whole, noise, b"")
    assert made is not None
    assert (made.type, made.null_count, made[1].as_py()) == (pa.int64(), 1, None)
    broken = pa.chunked_array([pa.array([math.nan, 1.0, None])])
    assert treat(broken, noise, b"").null_count == 2  # type: ignore[union-attr]
    many = pa.chunked_array([pa.array([1.0] * 50)])
    assert add_noise(many, 0, 9, 1) != add_noise(many, 0, 9, 1)
    assert add_noise(pa.chunked_array([pa.array([], pa.int64())]), 0, 9, 1).to_pylist() == []


def test_bounds_without_two_whole_numbers_are_refused() -> None:
    """Between them there would be nothing to tell apart."""
    with pytest.raises(UsageError, match="fewer than two whole numbers"):
        add_noise(pa.chunked_array([pa.array([1])]), 0.5, 1.5, 1)


def test_a_tokens_kind_and_a_shift_are_told_apart() -> None:
    """A reversible token is longer; dates are moved where the row's person is known."""
    values = pa.chunked_array([["Ada"]])
    plain = treat(values, Token(kind="token"), KEY)
    reversible = treat(values, Token(kind="token", reversible=True), KEY)
    assert plain is not None
    assert reversible is not None
    assert [len(made[0].as_py()) for made in (plain, reversible)] == [32, 64]
    assert treat(values, Shift(kind="shift", days=3), KEY) is None


def test_a_run_without_its_key_hands_nothing_over(
    home: Home, policy: Path, run_direct: Runner
) -> None:
    """It is on record as failed, with exit status 3; no table and no model left."""
    with opened(policy) as run:
        keys = KeyLedger(run.ledger.engine, run.keys)
        keys.use(PURPOSE)
        keys.destroy(PURPOSE)
    _, error = run_direct(policy)
    assert error is not None
    assert error.exit_status == 3
    assert "was destroyed" in str(error)
    assert list(home.releases.iterdir()) == []
    assert list(home.outbox.iterdir()) == []
