"""The population: who is eligible, in which group, who of them is drawn, and on which side.

Eligibility, derived columns, samples and the split are record-wise: what becomes of a person
depends on their own row, the policy and the home's key. A draw is a uniform 64-bit number of each
person's own, which nobody can tell without that key; a sample and a split compare it with a public
bound, so a newcomer moves nobody. A cap takes the lowest draws, and so looks at other people, and a
smallest number decides about the run. What a person kept back is unknown, whatever an expression
makes of missing values.

Of groups the labels that a policy declares may be told; any other value is a word of the data, and
its group is called "a group by" its columns. What the groups are for is not known here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.coherence.population import known_labels
from expectations.disclosure import CLASS, EXACT, Count, Disclosure, Published, percent
from expectations.errors import Refusal, carrying
from expectations.expressions.expressions import ColumnType, parse
from expectations.policy.outcome import Number, Outcome
from expectations.policy.policy import Policy
from expectations.policy.population import Population
from expectations.policy.treatments import YES_NO, Bin, Categories, Treatment, public_labels
from ledgers.vault.stages import Collected, Selected
from tasks.account.exclusions import NOT_ELIGIBLE, NOT_OBSERVED, NOT_SAMPLED, OVER_CAP
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.own_code.columns import own_columns, tell_tried
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.people.ingestion import DRAW, RECORD, SAMPLE, coverage, covers
from tasks.people.person_keys import key_people
from tasks.sources.naming import canonical

SHOWN: Final = 20
"""The most small groups that an error lists."""
Draws: TypeAlias = "NDArray[np.uint64]"
Marks: TypeAlias = "NDArray[np.bool_]"
UNLABELLED: Final = "people.unlabelled"
"""The count of the selected whose outcome is not known, whom no model learns from."""
TEST: Final = "_test"
"""The column that marks the people of the test side."""
GOLDEN: Final = 0x9E3779B97F4A7C15
"""SplitMix64's odd step between streams: 2^64 by the golden ratio."""


@dataclass(frozen=True, slots=True)
class Groups:
    """People by the values of the columns `by`: `places` gives each person's group in `values`.

    A group's values are in the order of `by`, None where they are missing. Of `declared` columns
    the values are labels of the policy.
    """

    by: tuple[str, ...]
    places: NDArray[np.intp]
    values: tuple[tuple[str | None, ...], ...]
    declared: bool

    def name(self, place: int) -> str:
        """Call a group by its labels where the policy declares them, else by its columns."""
        if not self.declared:
            return f"a group by {' and '.join(self.by)}"
        labels = zip(self.by, self.values[place], strict=True)
        return ", ".join(f"{name} {'missing' if v is None else v}" for name, v in labels)

    def sum_up(self, among: NDArray[np.bool_]) -> list[Count]:
        """Count the people of each group among some of them."""
        sizes = np.bincount(self.places[among], minlength=len(self.values))
        return [Count(size) for size in sizes.tolist()]


def group_people(table: pa.Table, policy: Policy) -> Groups | None:
    """Put people into the policy's strata; a missing value makes a group of its own.

    By one column with declared labels there is a group for each label, also where it is empty.
    None where the policy has no strata.
    """
    if policy.population.strata is None:
        return None
    by = policy.population.strata.by
    coded = [code_values(table.column(name), policy.treated[name].treatment) for name in by]
    places = np.zeros(table.num_rows, dtype=np.intp)
    for own, labels in coded:
        _, places = np.unique(places * (len(labels) + 1) + own, return_inverse=True)
    _, first = np.unique(places, return_index=True)
    values = tuple(
        tuple((*labels, None)[own[row]] for own, labels in coded) for row in first.tolist()
    )
    declared = all(known_labels(policy, name) is not None for name in by)
    absent = known_labels(policy, by[0]) if declared and len(by) == 1 else None
    empty = tuple((label,) for label in absent or () if (label,) not in values)
    return Groups(by, places, values + empty, declared)


def code_values(
    values: pa.ChunkedArray, treatment: Treatment
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Give each value's place among the labels, and these; what has none stands after the last.

    A word that its treatment does not declare has none, and stops the run at de-identification.
    """
    if isinstance(treatment, Bin):
        numbers = values.cast(pa.float64()).to_numpy()
        bins = np.searchsorted(np.asarray(treatment.edges), numbers, side="right")
        return np.where(np.isnan(numbers), len(treatment.labels), bins), treatment.labels
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8()).fill_null(len(YES_NO)).to_numpy().astype(np.intp), YES_NO
    encoded = pc.dictionary_encode(values.cast(pa.large_string())).combine_chunks()
    words = encoded.dictionary.to_pylist()
    labels = tuple(words)
    if isinstance(treatment, Categories):
        labels = public_labels(treatment, ColumnType.TEXT) or ()
        named = {word: word for word in treatment.values} | {**treatment.rename}
        words = [named.get(word, treatment.other) for word in words]
    place = {label: n for n, label in enumerate(labels)}
    of_words = np.array([*(place.get(word, len(labels)) for word in words), len(labels)])
    return of_words[encoded.indices.fill_null(len(words)).to_numpy()], labels


def find_small_groups(
    groups: Groups, selected: Sequence[Count], policy: Policy, disclosure: Disclosure
) -> Iterator[str]:
    """Say it where groups of the selected are below the smallest that the policy asks of each."""
    strata = policy.population.strata
    assert strata is not None
    if strata.smallest is None:
        return
    small = list(list_small(groups, selected, strata.smallest, disclosure))
    if small:
        yield (
            f"some groups have fewer than the required {strata.smallest:,} people: "
            f"{'; '.join(small)}; ask more people, leave a group out by "
            "population.eligible, or lower population.strata.smallest with a reason"
        )


def list_small(
    groups: Groups, counts: Sequence[Count], smallest: int, disclosure: Disclosure
) -> Iterator[str]:
    """Name every group below `smallest`, with its published count; alike ones together."""
    found = [
        f"{groups.name(place)} ({disclosure.publish(count)} people)"
        for place, count in enumerate(counts)
        if count.exact < smallest
    ]
    told = sorted(Counter(found).items())
    for text, times in told[:SHOWN]:
        yield text if times == 1 else f"{times} times {text}"
    if len(told) > SHOWN:
        yield f"and {len(told) - SHOWN} more"


def fall_below(draws: Draws, share: float) -> Marks:
    """Tell whose draw is among the lowest `share` of all numbers, from 0 to 1."""
    if share >= 1:
        return np.ones(len(draws), dtype=bool)
    below: Marks = draws < np.uint64(int(share * 2**64))
    return below


def redraw(draws: Draws, stream: int) -> Draws:
    """Give everybody another draw that tells nothing of the first, one for each stream from 1.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014), which keeps different draws different.
    """
    mixed = draws + np.uint64(stream * GOLDEN % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def keep_lowest(draws: Draws, groups: NDArray[np.intp], most: int) -> Marks:
    """Tell who has one of the `most` lowest draws of their group; `groups` gives each a number."""
    order = np.lexsort((draws, groups))
    sizes = np.bincount(groups)
    rank = np.arange(len(draws)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.zeros(len(draws), dtype=bool)
    kept[order] = rank < most
    return kept


def draw_sample(draws: Draws, groups: Groups | None, people: Population) -> Marks:
    """Tell who is in the sample: each by their own draw, and the share of all or of their group."""
    sampled, strata = fall_below(draws, people.sample), people.strata
    if groups is not None and strata is not None and strata.sample:
        for place, (label, *_) in enumerate(groups.values):
            share = 1.0 if label is None else strata.sample.get(label, 1.0)
            sampled &= (groups.places != place) | fall_below(draws, share)
    return sampled


def keep_under_caps(
    draws: Draws, groups: Groups | None, people: Population, sampled: Marks
) -> Marks:
    """Tell who of the sampled stays under the caps: of each group, then of all.

    Each cap goes by a draw of its own, lest it favour those whom the sample or another cap took
    the fewest of.
    """
    strata, places = people.strata, np.flatnonzero(sampled)
    if groups is not None and strata is not None and strata.at_most is not None:
        lowest = keep_lowest(redraw(draws[places], 1), groups.places[places], strata.at_most)
        places = places[lowest]
    if people.at_most is not None:
        one_group = np.zeros(len(places), dtype=np.intp)
        places = places[keep_lowest(redraw(draws[places], 2), one_group, people.at_most)]
    taken = np.zeros(len(draws), dtype=bool)
    taken[places] = True
    return taken


def draw_together(values: pa.ChunkedArray, own: Draws, column: str, key: bytes) -> Draws:
    """Give all people of one value the draw of that value; who lacks one keeps their own.

    Raises `SourceError` where the values of the policy's `column` cannot be spelled.
    """
    names = canonical(values, f"source: the column '{column}'")
    encoded = pc.dictionary_encode(names).combine_chunks()
    if len(encoded.dictionary) == 0:
        return own
    shared = key_people(encoded.dictionary, key).draw
    places = encoded.indices.fill_null(-1).to_numpy()
    return np.where(places < 0, own, shared[places])


def mark_test(table: pa.Table, people: Population, key: bytes) -> pa.Table:
    """Mark the policy's share of the people for testing by their own draw, or by a shared one.

    The draws have then done their work and go no further.
    """
    draws = table.column(DRAW).to_numpy()
    if people.split_by is not None:
        draws = draw_together(table.column(people.split_by), draws, people.split_by, key)
    marked = table.append_column(TEST, pa.array(fall_below(draws, people.test_share)))
    return marked.drop_columns([DRAW, SAMPLE])


@dataclass(frozen=True, slots=True)
class SmallCohort:
    """People who as a whole are too few."""

    people: Published


def evaluate(
    table: pa.Table, texts: Mapping[str, str], policy: Policy, today: date
) -> dict[str, pa.ChunkedArray]:
    """Compute record-wise expressions over the named columns, one array each.

    Of who kept back a column that an expression reads, what it gives is unknown: missing also
    where the expression fills or asks for missing values, for a value that may not be read is not
    one that is not there.
    """
    import narwhals as nw
    import pandas as pd

    types = {name: column.type for name, column in policy.columns.items()}
    parsed = {name: parse(text, types) for name, text in texts.items()}
    needed = sorted({column for expression in parsed.values() for column in expression.columns})
    frame = nw.from_native(
        table.select(needed or [RECORD]).to_pandas(types_mapper=pd.ArrowDtype), eager_only=True
    )
    for expression in parsed.values():
        expression.check_frame(frame)
    made = frame.select(
        **{name: expression.to_narwhals(today) for name, expression in parsed.items()}
    ).to_arrow()
    read = {name: covers(table, coverage(policy, p.columns)) for name, p in parsed.items()}
    return {
        name: made.column(name) if whole.all() else pc.if_else(whole, made.column(name), None)
        for name, whole in read.items()
    }


def derive_columns(
    table: pa.Table, policy: Policy, today: date, own: Mapping[str, OwnCode] = NO_CODE
) -> pa.Table:
    """Add the policy's derived columns; `own` is the code of its functions, loaded before."""
    texts = {n: d.expression for n, d in policy.derived.items() if d.expression is not None}
    made = evaluate(table, texts, policy, today) if texts else {}
    for column in own_columns(policy, own):
        whole = covers(table, coverage(policy, column.reads))
        made[column.name] = pc.if_else(whole, column.derive(table), None)
    for name in policy.derived:
        table = table.append_column(name, made[name])
    return table


def keep_eligible(table: pa.Table, policy: Policy, today: date) -> tuple[pa.Table, Count]:
    """Keep whom the policy is about, and count the rest; unknown means not eligible."""
    if policy.population.eligible == "true":
        return table, Count(0)
    found = evaluate(table, {NOT_ELIGIBLE: policy.population.eligible}, policy, today)
    eligible = pc.fill_null(found[NOT_ELIGIBLE], fill_value=False)
    kept = {}
    for name in table.column_names:
        kept[name] = table.column(name).filter(eligible)
        # Let go of where nobody else holds it, lest all columns be there twice.
        table = table.drop_columns(name)
    return pa.table(kept), count_marked(~eligible.to_numpy())


def keep_observed(table: pa.Table, policy: Policy) -> tuple[pa.Table, dict[str, Count]]:
    """Keep whose moment is known and whose windows had an end; count the rest, if there can be any.

    Who kept back a column's category was not read there, and is not counted for it.
    """
    if not policy.observed:
        return table, {}
    lacks = np.zeros(table.num_rows, dtype=bool)
    for name in policy.observed:
        unknown = pc.is_null(table.column(name)).to_numpy()
        lacks |= unknown & covers(table, coverage(policy, [name]))
    return table.filter(pa.array(~lacks)), {NOT_OBSERVED: count_marked(lacks)}


def count_marked(marked: Marks) -> Count:
    """Count the people who are marked."""
    return Count(int(np.count_nonzero(marked)))


def take_people(
    table: pa.Table, groups: Groups | None, policy: Policy
) -> tuple[Marks, dict[str, Count]]:
    """Tell who of the eligible is taken, and count who is not, for each reason there can be."""
    people, strata, left_out = policy.population, policy.population.strata, {}
    draws = table.column(SAMPLE).to_numpy()
    taken = sampled = draw_sample(draws, groups, people)
    if people.sample < 1 or (strata and strata.sample):
        left_out[NOT_SAMPLED] = count_marked(~sampled)
    if people.at_most is not None or (strata and strata.at_most is not None):
        taken = keep_under_caps(draws, groups, people, sampled)
        left_out[OVER_CAP] = count_marked(sampled & ~taken)
    return taken, left_out


def find_small(
    people: Published, rest: Mapping[str, Published], exact: int, policy: Policy
) -> Iterator[str]:
    """Say it where fewer people than the policy's smallest are left, and where the rest went."""
    if exact < policy.population.smallest:
        about = "" if people.about is None else "about "
        elsewhere = "; ".join(f"{reason}: {count}" for reason, count in rest.items())
        yield (
            f"{about}{people} people are left at the selection (at least "
            f"{policy.population.smallest:,} required); {elsewhere}; widen population.eligible, "
            "ask more people, or lower population.smallest with a reason"
        )


def mark_labelled(table: pa.Table, policy: Policy) -> Marks:
    """Tell of whom the outcome is known, as the target's treatment will leave it."""
    outcome, values = policy.outcome, table.column(policy.target)
    if isinstance(outcome, Number):
        return np.asarray(np.isfinite(values.cast(pa.float64()).to_numpy()), dtype=bool)
    assert policy.target is not None
    places, labels = code_values(values, policy.treated[policy.target].treatment)
    return np.isin(np.array([*labels, None], dtype=object)[places], outcome.labels)


def count_sides(desk: Desk, selected: pa.Table) -> Iterator[str]:
    """Count the people to train with and to test with; say it where too many have no outcome.

    Nothing where nothing is trained. Who has no outcome stays for the tables, if there are any.
    """
    training = desk.policy.training
    if training is None:
        return
    test, labelled = selected.column(TEST).to_numpy(), mark_labelled(selected, desk.policy)
    desk.count("people.train", count_marked(~test & labelled))
    desk.count("people.test", count_marked(test & labelled))
    unlabelled = count_marked(~labelled)
    about = desk.count(UNLABELLED, unlabelled)
    if unlabelled.exact > training.unlabelled_at_most * max(selected.num_rows, 1):
        yield (
            f"{'' if about.about is None else 'about '}{about} of the selected people have no "
            f"known `{desk.policy.target}` (at most {percent(training.unlabelled_at_most, EXACT)} "
            "allowed), and a model of the others may not hold for them; complete the outcome at "
            "the source, leave them out by population.eligible (`... is not missing`), or raise "
            "training.unlabelled_at_most with a reason"
        )


def refuse_unmeasurable(desk: Desk, selected: pa.Table) -> None:
    """Refuse too few test people for figures that may be told: of two classes, or of all.

    How many are of each class is judged before training, once the outcome is known.
    """
    if desk.policy.training is None:
        return
    tested = selected.column(TEST).to_numpy() & mark_labelled(selected, desk.policy)
    people = count_marked(tested)
    if people.exact < 2 * CLASS:
        shown = desk.run.disclosure.publish(people)
        raise Refusal(
            "evaluation",
            f"{'' if shown.about is None else 'about '}{shown} test people have a known outcome, "
            f"and a model is measured on at least {say_needed(desk.policy.outcome)}; raise "
            f"population.test_share (now {desk.policy.population.test_share:g}), or widen the "
            "population",
        )


def say_needed(outcome: Outcome) -> str:
    """Say how many test people there have to be."""
    if isinstance(outcome, Number):
        return f"{2 * CLASS}"
    if outcome.binary:
        return f"{CLASS} with the outcome `{outcome.positive}` and {CLASS} without it"
    return f"{CLASS} of each of two classes"


@step("Select the population", gives=Selected)
def select_population(desk: Desk, collected: Opened[Collected]) -> pa.Table:
    """Keep the eligible, derive columns, sample and cap, split, and refuse what is too small."""
    policy, today = desk.policy, desk.run.now.date()
    eligible, rest = keep_eligible(collected.table(), policy, today)
    eligible, unseen = keep_observed(eligible, policy)
    table = derive_columns(eligible, policy, today, desk.run.own)
    if policy.own_functions:
        desk.check(tell_tried(policy.own_functions.values()))
    groups = group_people(table, policy)
    taken, left_out = take_people(table, groups, policy)
    selected = table if taken.all() else table.filter(pa.array(taken))
    selected = mark_test(selected, policy.population, desk.key("split"))
    shown = {
        reason: desk.count(f"people.excluded.{reason}", count)
        for reason, count in {NOT_ELIGIBLE: rest, **unseen, **left_out}.items()
    }
    people = desk.count("people.selected", Count(selected.num_rows))
    unlabelled = list(count_sides(desk, selected))
    problems = small = list(find_small(people, shown, selected.num_rows, policy))
    if groups is not None:
        sizes = groups.sum_up(taken)
        problems = small + list(find_small_groups(groups, sizes, policy, desk.run.disclosure))
    if problems or unlabelled:
        # Of groups that are too small there is nothing to try.
        with carrying(SmallCohort(people) if problems and problems == small else None):
            said = "\n".join([*problems, *unlabelled])
            raise Refusal("smallest cohort", said) if problems else Refusal("known outcomes", said)
    refuse_unmeasurable(desk, selected)
    return selected
