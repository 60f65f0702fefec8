"""The attacks on a table that is to leave, set up and carried out on the run's own people.

What left, what it was made from and what was declared of it are set up once, as an attacker has
them and as the run knows them; each attack is a module of its own beside this one.

Two findings end the run, for each is a person named outright and breaks what the policy promised
by its treatments, whoever the recipient is: an original identifier in a released cell, and a token
that can be undone without the key. Both are exact and not a matter of a bound. The identifiers are
those of everybody; tokens of very many people are attacked on a lot of them.

All other findings warn and stop nothing. No promise of a table outlet covers them: k-anonymity
does not claim to withstand singling out, linking, inference, downcoding, minimality or counting,
and what classes have in common is what a table is released for. The risks are estimates with an
interval, and a gate on them would refuse by chance; how much is too much depends on the recipient,
who is known, so the report shows them beside the promise. What the policy does promise of
sensitive columns is checked before, and refused, by `tasks.validation.validation`.

A check that could not have failed at this size is inconclusive, and never a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, Published, bound_share
from expectations.measures.token_reversal import attack_by_frequency, count_tokens
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Column
from expectations.policy.treatments import Token, public_labels
from expectations.policy.vocabulary import CheckVerdict, Identifiability
from ledgers.vault.stages import Attacked, Checked, Reached, Selected, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.attack.downcoding import (
    confirm,
    downcode,
    find_withheld,
    judge_downcoding,
    judge_minimality,
)
from tasks.attack.homogeneity import count_members, find_homogeneous, judge_homogeneity, judge_sets
from tasks.attack.lot import MOST, draw_lot
from tasks.attack.original_identifiers import (
    find_own_words,
    is_found,
    judge_identifiers,
    match_own,
    search_identifiers,
)
from tasks.attack.released import (
    Coverage,
    People,
    Release,
    declare_coverage,
    number_words,
    read_release,
    spell,
)
from tasks.attack.risk import FEWEST, Risk, judge_risk, tell
from tasks.attack.table_risks import risk_of_inference, risk_of_linking, risk_of_singling_out
from tasks.attack.token_dictionary import (
    attack_plain_hashes,
    attack_tokens,
    judge_counting,
    judge_tokens,
)
from tasks.people.ingestion import PERSON, RECORD

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Target:
    """A released table of one outlet and the people behind it, all indexed by their record keys.

    `released` and `originals` hold the outlet's columns after and before the recoding, `sources`
    the source's own values of identifiers and of columns that left as tokens.
    """

    desk: Desk
    name: str
    released: pd.DataFrame
    originals: pd.DataFrame
    sources: pd.DataFrame

    @classmethod
    def open(
        cls,
        desk: Desk,
        data: tuple[Opened[Checked], Opened[Validated], Opened[Selected]],
        name: str,
    ) -> Target:
        """Read what the attacks need and no other column."""
        table, rows, selected = data
        outlet = desk.policy.table_outlets[name]
        columns = [RECORD, *outlet.columns]
        wanted = [RECORD, PERSON, *_named_in_source(desk, outlet)]
        return cls(
            desk,
            name,
            table.frame(columns).set_index(RECORD),
            rows.frame(columns).set_index(RECORD),
            selected.frame(list(dict.fromkeys(wanted))).set_index(RECORD),
        )

    @property
    def outlet(self) -> TableOutlet:
        """What was declared of the table."""
        return self.desk.policy.table_outlets[self.name]

    @property
    def attacked(self) -> list[str]:
        """The columns that a recipient may link: all but those that the policy exempts."""
        return [*self.outlet.linkable, *self.outlet.sensitive]

    @property
    def secrets(self) -> list[str]:
        """The columns worth learning: sensitive ones, and those that point at nobody."""
        treated = self.desk.policy.treated
        return [
            column
            for column in self.attacked
            if column in self.outlet.sensitive
            or treated[column].identifiability is Identifiability.NONE
        ]

    @property
    def tokens(self) -> list[str]:
        """The columns that left as tokens of a column of the source."""
        return _tokens(self.desk, self.outlet)

    @property
    def identifiers(self) -> list[str]:
        """The columns of `sources` that name people."""
        return [PERSON, *_identifying(self.desk)]

    @cached_property
    def coverage(self) -> Coverage:
        """What the released labels stand for."""
        labels = {name: number_words(self.released[name])[0] for name in self.attacked}
        return declare_coverage(self.desk.policy, self.outlet, labels)

    @cached_property
    def undeclared(self) -> pd.DataFrame:
        """The released cells that hold no declared word, nor one that stands for some."""
        return pd.DataFrame({name: self._take_words_out(name) for name in self.released.columns})

    def draw(self, column: str) -> tuple[pd.Series, pd.Series, int | None]:
        """Draw people: their released cells of a column, the source's own, and how many they are.

        All people there are, and None, where there are no more than a lot holds.
        """
        released, sources = self.released[column], self.sources[column]
        drawn = draw_lot(self.desk, released.index.to_numpy(), MOST)
        if len(drawn) == len(released):
            return released, sources, None
        released = released.iloc[drawn]
        return released, sources.reindex(released.index), len(drawn)

    def pair(self, released: pd.Series, sources: pd.Series) -> list[tuple[str, str]]:
        """Give original and token of whoever has both, in the order of the source's rows."""
        both = released.dropna().index.intersection(sources.dropna().index)
        both = both[np.argsort(self.sources.index.get_indexer(both))]
        return list(zip(spell(sources[both]), released[both].astype(str), strict=True))

    def count(self, what: str, rows: NDArray[np.bool_]) -> Published:
        """Note how many people some rows of the released table belong to."""
        return self.desk.count(f"people.{self.name}.{what}", Count(int(rows.sum())))

    def _take_words_out(self, name: str) -> pd.Series:
        """Give a released column without the words that the policy declares."""
        values = self.released[name]
        code, distinct = pd.factorize(values)
        declared = pd.Index(distinct).astype(object).isin(self._words(name))
        return values.mask(np.append(declared, [False])[code]) if declared.any() else values

    def _words(self, name: str) -> set[str]:
        """The words of one column that the policy declares."""
        policy = self.desk.policy
        labels = public_labels(policy.treated[name].treatment, policy.column_type(name))
        return {*(labels or ()), *self.coverage.get(name, ())}


def _tokens(desk: Desk, outlet: TableOutlet) -> list[str]:
    """Name the released columns that are tokens of a column of the source."""
    columns = desk.policy.columns
    return [
        name
        for name in outlet.columns
        if name in columns and isinstance(columns[name].treatment, Token)
    ]


def _identifying(desk: Desk) -> list[str]:
    """Name the source's columns that identify people."""
    return [
        name
        for name, column in desk.policy.columns.items()
        if isinstance(column, Column) and column.identifiability is Identifiability.IDENTIFIER
    ]


def _named_in_source(desk: Desk, outlet: TableOutlet) -> list[str]:
    """Name the columns of the source that the attacks compare with."""
    return [*_identifying(desk), *_tokens(desk, outlet)]


BOUND: Final = 0.1
"""The risk that counts as small where the policy names none: one in ten, beyond chance."""
NUMBERS: Final = (2000, 1000, 500, 200, 100)
"""How many attacks of a kind may be made, the most first."""
LARGE: Final = 10_000
ENOUGH: Final = 500
"""How many attacks are made on tables of more than 10,000 people, where each takes longer."""


@step("Attack the table", gives=Attacked)
def attack_table(
    desk: Desk,
    table: Opened[Checked],
    rows: Opened[Validated],
    selected: Opened[Selected],
    outlet: str,
) -> Opened[Reached]:
    """Try what a recipient could try; the table goes on unchanged, or not at all."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    target = Target.open(desk, (table, rows, selected), outlet)
    # The matrices are small: more threads than one only wait for each other.
    with threadpool_limits(limits=1):
        checks = list(carry_out(target))
    for check in checks:
        desk.check(check)
    refuse_failed(check for check in checks if check.verdict is CheckVerdict.REFUSED)
    return table


def carry_out(target: Target) -> Iterator[Check]:
    """Make every attack on a table; one without rows has nothing to attack."""
    for attack in ATTACKS if len(target.released) else ():
        yield from attack(target)


def search_cells(target: Target) -> Iterator[Check]:
    """Search the cells without a declared word for original identifiers."""
    names = target.sources[target.identifiers]
    cells = target.undeclared
    numeric = list(
        cells.columns[[kind.kind in "iufM" for kind in target.released.dtypes.to_numpy()]]
    )
    own, texts = names.reindex(cells.index), cells.drop(columns=numeric)
    rows = search_identifiers(texts, spell_known(names), whole=target.tokens)
    rows |= find_own_words(texts.drop(columns=target.tokens), own)
    rows |= match_own(cells[numeric], own)
    people = target.count("with_identifiers", rows)
    able = is_found(spell_known(names))
    yield judge_identifiers(target.name, people, found=bool(rows.any()), able=able)


def spell_known(names: pd.DataFrame) -> Iterator[str]:
    """Give every identifier as text, one after the other, for there are as many as people."""
    return (str(one) for column in names for one in names[column].dropna())


def undo_tokens(target: Target) -> Iterator[Check]:
    """Attack each column of tokens with the originals as the dictionary, and all by counting."""
    policy = target.desk.policy
    words = (policy.name, str(policy.purpose), policy.controller.name, target.name)
    for column in target.tokens:
        released, sources, drawn = target.draw(column)
        originals = set(spell(sources.dropna()))
        tokens = count_tokens(released, np.ones(len(released), dtype=np.int64))
        found = attack_tokens(
            tokens, originals, (*words, column), pairs=target.pair(released, sources)
        )
        control = attack_plain_hashes(originals)
        yield judge_tokens(column, target.name, found, control, drawn)
        shares = spell(target.sources[column].dropna()).value_counts(normalize=True)
        counts = np.asarray(target.released[column].value_counts(), dtype=np.int64)
        found_by_counting = attack_by_frequency(counts, shares.tolist())
        yield judge_counting(column, target.name, found_by_counting)


def attack_risks(target: Target) -> Iterator[Check]:
    """Single out, link and infer, each beside the same attack on a copy of the rows."""
    columns, rows = target.attacked, target.originals.loc[target.released.index]
    table = read_release(
        target.released,
        target.originals,
        columns,
        k=target.outlet.k,
        protected=target.outlet.linkable,
        coverage=target.coverage,
    )
    copy, attacks = read_release(rows, rows, columns), round_attacks(len(rows))
    for name, attack in name_attacks(columns, target.secrets):
        found, most = attack(*table, attacks), attack(*copy, attacks)
        tries = found.main.tries
        value = float(tell(found.value, tries)) if tries >= FEWEST else None
        target.desk.measure(f"privacy.{target.name}.risk.{name.replace(' ', '_')}", value)
        yield judge_risk(name, target.name, found, most, BOUND)


def name_attacks(
    columns: Sequence[str], secrets: Sequence[str]
) -> Iterator[tuple[str, Callable[[Release, People, int], Risk]]]:
    """Give each attack by name; two need columns that an attacker knows and others."""
    yield "singling out", partial(risk_of_singling_out, columns=range(len(columns)))
    if len(columns) > 1:
        yield "linking", risk_of_linking
        for secret in secrets:
            yield f"inferring {secret}", partial(risk_of_inference, secret=secret)


def round_attacks(people: int) -> int:
    """Give a round number of attacks, which does not tell how many people there are."""
    most = ENOUGH if people > LARGE else people
    return next((number for number in NUMBERS if number <= most), 0)


def find_common_values(target: Target) -> Iterator[Check]:
    """Report what the classes of people, equal in what an attacker knows, have in common."""
    secrets, released = target.secrets, target.released
    known = [column for column in target.outlet.linkable if column not in secrets]
    for secret in secrets:
        found = find_homogeneous(released, known, secret)
        gain = float(tell(found.gain, len(released)))
        target.desk.measure(f"privacy.{target.name}.gain.{secret}", gain)
        people = target.count(f"known.{secret}", found.known)
        sure = target.count(f"nearly_known.{secret}", found.sure)
        models = target.outlet.sensitive.get(secret, ())
        yield judge_homogeneity(secret, target.name, found, (people, sure), models)


def narrow_classes(target: Target) -> Iterator[Check]:
    """Report what the recoding's public rules betray of the classes over which k holds."""
    outlet, released, originals = target.outlet, target.released, target.originals
    if not outlet.linkable:
        return
    coverage = target.coverage
    table = read_release(released, originals, outlet.linkable, k=outlet.k, coverage=coverage)
    if outlet.output == "sets":
        yield judge_members(target, *table)
        return
    yield judge_narrowed(target, *table)
    place = originals.index.get_indexer(released.index)
    for column, models in outlet.sensitive.items():
        withheld = find_withheld(*table, originals[column], models, coverage)
        people = target.count(f"betrayed.{column}", withheld.certain[place])
        yield judge_minimality(column, target.name, withheld, people, models)


def judge_narrowed(target: Target, release: Release, people: People) -> Check:
    """Downcode labels of hierarchies."""
    coverage = target.coverage
    found = confirm(downcode(release, coverage), release, people, coverage)
    threshold = target.desk.run.disclosure.threshold
    share = bound_share(found.people, len(target.released), threshold)
    target.desk.measure(f"privacy.{target.name}.downcoded_share", share)
    return judge_downcoding(target.name, found, share)


def judge_members(target: Target, release: Release, people: People) -> Check:
    """Count who has the values of a set."""
    found = count_members(release)
    place = target.originals.index.get_indexer(target.released.index)
    single = target.count("single_in_set", found.single[people.own[place]])
    return judge_sets(target.name, found, single)


ATTACKS: Final = (search_cells, undo_tokens, attack_risks, find_common_values, narrow_classes)
"""In the order in which they are carried out and shown."""
