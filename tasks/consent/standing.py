"""Where the people of a roster, or of the whole ledger, stand under a policy at one moment.

The consent ledger is asked under every basis: who withdrew, objected or is restricted there is
left out, whatever else permits them. It is not known whether a consent was informed or freely
given, only what the events say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, TypeAlias, assert_never
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.policy.consent_terms import Terms
from expectations.policy.legal_basis import (
    ConsentColumn,
    ConsentLedger,
    Minors,
    OptOutList,
    OtherBasis,
)
from expectations.policy.policy import Policy
from expectations.policy_file import PolicyFile
from ledgers.consent import ledger as consent
from ledgers.consent.events import to_micros
from tasks.consent.event_terms import find_midnights
from tasks.consent.judgement import (
    ALWAYS,
    CHILD_UNTIL,
    COVERED,
    OWN_FROM,
    STANDING,
    Moment,
    find_places,
    settle,
)
from tasks.consent.meaning import GIFTS, Meaning, Standing, understand
from tasks.people.aliases import Aliases, find_aliases
from tasks.people.ingestion import AGE, ANSWER, BORN, PERSON, TOKEN
from tasks.sources import open_source
from tasks.sources.identity import identify

READABLE: Final = "categories"
EVERYWHERE: Final = ("Etc/GMT-14", "Etc/GMT+12")
"""Where a day begins first on Earth, and where last, in POSIX's way of signs."""
NOT_YET: Final = int(np.datetime64("9999-01-01", "us").astype(np.int64))
"""From when somebody consents for themselves of whom it is said that they do not."""


Placed: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.int8], NDArray[np.uint32]]
"""Of each of some people: whether the ledger knows them, their standing, and categories."""


@dataclass(frozen=True, slots=True)
class Standings:
    """Where each person of a roster stands, in its order, and which categories may be read.

    `categories` is a bit mask over `Policy.categories`; `everybody` holds the standings of the
    whole ledger up to `head`, on the roster or not, before any age is asked for.
    """

    standing: NDArray[np.int8]
    categories: NDArray[np.uint32]
    moment: Moment
    head: consent.Head
    everybody: pa.Table

    @property
    def permitted(self) -> NDArray[np.bool_]:
        """Who may be read."""
        return np.isin(self.standing, GIFTS)


def decide(
    file: PolicyFile, roster: pa.Table, ledger: consent.ConsentLedger, now: datetime
) -> Standings:
    """Give each person's standing under the policy, valid now and as known now.

    What the ledger holds is known, even if this machine's clock was set back since.
    """
    policy, head, valid_at = file.policy, ledger.head(), to_micros(now)
    recorded = to_micros(datetime.fromisoformat(head.at)) if head.seq else valid_at
    moment = Moment(valid_at, max(valid_at, recorded))
    terms, events = ledger.terms(), ledger.scan(upto=head.seq)
    found = everybody = find_standings(policy, terms, events, moment)
    ages = find_ages(policy, roster, now)
    aliases = find_aliases(file, roster, ledger.keys.derive("person"))
    if aliases is not None:
        events, ages = rename_events(events, roster, aliases), repeat_ages(ages, aliases)
    if ages is not None or aliases is not None:
        found = find_standings(policy, terms, events, moment, ages)
    there, standing, categories = place_on_roster(found, roster)
    if aliases is not None:
        there, standing, categories = take_stricter(
            (there, standing, categories), place_on_roster(found, tokens_of(aliases)), aliases
        )
    own = answer_otherwise(file, roster)
    # Under another basis the ledger can take back what that permits, never permit what it bars.
    standing = np.where(there & (np.isin(own, GIFTS) | asks_ledger(policy)), standing, own)
    if not asks_ledger(policy):
        categories = np.full(roster.num_rows, every_category(policy), np.uint32)
    return Standings(standing.astype(np.int8), categories, moment, head, everybody)


def asks_ledger(policy: Policy) -> bool:
    """Whether the policy's people are permitted by what the ledger holds."""
    return isinstance(policy.basis, ConsentLedger)


def every_category(policy: Policy) -> int:
    """Give the bit mask of all the categories that a policy reads."""
    return (1 << len(policy.categories)) - 1


def find_standings(
    policy: Policy,
    terms: Mapping[int, Terms],
    events: pa.Table,
    moment: Moment,
    ages: pa.Table | None = None,
) -> pa.Table:
    """Give token, standing and `categories` of everybody who said something, by rising tokens.

    `events` are laid out as `STANDING_EVENTS`, and name `terms` by their numbers.
    """
    meaning = understand(policy, terms)
    asked = None if ages is None else keep_young(ages, events)
    found = settle(events, meaning, moment, asked)
    masks = read_masks(policy, meaning)[found.column(COVERED).to_numpy()]
    return found.drop_columns([COVERED]).append_column(READABLE, pa.array(masks))


def keep_young(ages: pa.Table, events: pa.Table) -> pa.Table:
    """Keep who came of age after the first event; everybody else always spoke for themselves."""
    first = pc.min(events.column("valid_from"))
    return ages.filter(pc.greater(ages.column(OWN_FROM), pc.fill_null(first, 0)))


def read_masks(policy: Policy, meaning: Meaning) -> NDArray[np.uint32]:
    """Give, for each mask over a meaning's classes, the mask over the policy's categories."""
    order = {category: 1 << n for n, category in enumerate(policy.categories)}
    masks = np.zeros(1, np.uint32)
    for group in meaning.classes:
        # All combinations so far, then the same with this class: in binary order.
        masks = np.concatenate([masks, masks | np.uint32(sum(order[one] for one in group))])
    return masks


def place_on_roster(found: pa.Table, roster: pa.Table) -> Placed:
    """Give, in the roster's order, who is known to the ledger, their standings and categories."""
    tokens, asked = (
        (table.column(TOKEN[0]).to_numpy(), table.column(TOKEN[1]).to_numpy())
        for table in (found, roster)
    )
    place = find_places(tokens, asked)
    # -1, who is not there, picks the last.
    standing = np.append(found.column(STANDING).to_numpy(), np.int8(Standing.NEVER_ASKED))[place]
    categories = np.append(found.column(READABLE).to_numpy(), np.uint32(0))[place]
    return place >= 0, standing, categories


def find_strangers(standings: Standings, roster: pa.Table, aliases: Aliases | None) -> pa.Table:
    """Give the standings of whom the ledger knows and the roster does not, by any name."""
    own = [roster.select(TOKEN), *([tokens_of(aliases)] if aliases else [])]
    known = pa.concat_tables(own).sort_by(TOKEN[0])
    halves = (known.column(name).to_numpy() for name in TOKEN)
    asked = (standings.everybody.column(name).to_numpy() for name in TOKEN)
    place = find_places(tuple(halves), tuple(asked))
    return standings.everybody.filter(pa.array(place < 0))


def tokens_of(aliases: Aliases) -> pa.Table:
    """Give the tokens of other names, as a roster has its own."""
    return pa.table(dict(zip(TOKEN, aliases.keys.token.T, strict=True)))


def rename_events(events: pa.Table, roster: pa.Table, aliases: Aliases) -> pa.Table:
    """Give events that were told of a person in another spelling as the person's own."""
    spelled = ~aliases.merged
    theirs, owners = aliases.keys.token[spelled], aliases.place[spelled]
    order = np.argsort(theirs[:, 0], kind="stable")
    said = (events.column(TOKEN[0]).to_numpy(), events.column(TOKEN[1]).to_numpy())
    place = find_places((theirs[order, 0], theirs[order, 1]), said)
    for name, half in zip(TOKEN, said, strict=True):
        own = np.append(roster.column(name).to_numpy()[owners[order]], 0)
        renamed = pa.array(np.where(place >= 0, own[place], half))
        events = events.set_column(events.column_names.index(name), name, renamed)
    return events


def repeat_ages(ages: pa.Table | None, aliases: Aliases) -> pa.Table | None:
    """Give ages under merged identifiers too."""
    if ages is None:
        return None
    other = ages.take(pa.array(aliases.place))
    for name, half in zip(TOKEN, aliases.keys.token.T, strict=True):
        other = other.set_column(other.column_names.index(name), name, pa.array(half))
    return pa.concat_tables([ages, other.filter(pa.array(aliases.merged))])


def take_stricter(own: Placed, other: Placed, aliases: Aliases) -> Placed:
    """Hold each person to the stricter of what they said by each of their identifiers.

    One by which nothing was said says nothing. What may be read is what may be by all of them.
    """
    there, standing, categories = own[0].copy(), own[1].copy(), own[2].copy()
    for alias in np.flatnonzero(aliases.merged & other[0]):
        place, said, covered = aliases.place[alias], other[1][alias], other[2][alias]
        if not there[place]:
            there[place], standing[place], categories[place] = True, said, covered
            continue
        if standing[place] in GIFTS:
            standing[place] = said
        categories[place] &= covered
        if standing[place] in GIFTS and not categories[place]:
            standing[place] = Standing.ONLY_IN_PART
    return there, standing, categories


def answer_otherwise(file: PolicyFile, roster: pa.Table) -> NDArray[np.int8]:
    """Give each person's standing by what the policy's basis says without the ledger."""
    basis, people = file.policy.basis, roster.num_rows
    match basis:
        case ConsentLedger():
            return np.full(people, Standing.NEVER_ASKED, np.int8)
        case ConsentColumn(granted=granted):
            return read_answers(roster.column(ANSWER), granted)
        case OptOutList(objections=place, person=column):
            listed = open_source(place, file.folder, "objections").read([column]).column(column)
            identity = identify(file.policy.source, file.folder)
            names = identity.name(listed, f"basis.objections: the column '{column}'")
            own = identity.name(roster.column(PERSON), "roster")
            objected = pc.is_in(own, names.combine_chunks()).to_numpy()
            return np.where(objected, np.int8(Standing.OBJECTED), np.int8(Standing.BY_SELF))
        case OtherBasis():
            return np.full(people, Standing.BY_SELF, np.int8)
        case _:
            assert_never(basis)


def read_answers(answers: pa.ChunkedArray, granted: tuple[str, ...]) -> NDArray[np.int8]:
    """Give each person's standing from one answer per person; anything but a yes means no."""
    yes = pc.fill_null(pc.is_in(answers, pa.array(granted, answers.type)), False).to_numpy()
    silent = np.where(answers.is_null(), Standing.NEVER_ASKED, Standing.REFUSED)
    return np.where(yes, Standing.BY_SELF, silent).astype(np.int8)


def find_ages(policy: Policy, roster: pa.Table, now: datetime) -> pa.Table | None:
    """Give when each person comes of age; None where the policy asks for no age.

    That day begins at a midnight of the zone in which the policy's sources write times. Where they
    name several or none, it may have begun at any of them, and of an age in years it may have been
    any of a year: the guardian's word counts until the first, and the person's own from the last (a
    policy choice).
    """
    basis = policy.basis
    if not isinstance(basis, ConsentLedger) or basis.minors is None:
        return None
    named = {source.zone for source in basis.events if source.zone is not None}
    zones = [*map(ZoneInfo, named or EVERYWHERE)]
    today = [now.astimezone(zone).date() for zone in zones]
    days = come_of_age(basis.minors, roster, min(today), max(today))
    unknown = NOT_YET if basis.minors.unknown_age == "minor" else ALWAYS
    readings = [day.astype("M8[us]").astype(np.int64) for day in days]
    midnights = np.array([find_midnights(day, zone) for day in readings for zone in zones])
    midnights[:, np.isnat(days[0])] = unknown
    ages = roster.select(TOKEN).append_column(CHILD_UNTIL, pa.array(midnights.min(axis=0)))
    return ages.append_column(OWN_FROM, pa.array(midnights.max(axis=0)))


def come_of_age(
    minors: Minors, roster: pa.Table, today: date, latest: date
) -> tuple[NDArray[np.datetime64], ...]:
    """Give the day on which each person comes of age, or the first and last that it can be.

    It is NaT where that is unknown. Who was born on 29 February comes of age on 1 March. Ages in
    years were written `today` at the earliest, and at the `latest`.
    """
    if minors.born is not None:
        born = roster.column(BORN).to_numpy().astype("M8[D]")
        months = born.astype("M8[M]")
        later = (months + 12 * minors.own_consent_from).astype("M8[D]")
        found: NDArray[np.datetime64] = later + (born - months.astype("M8[D]"))
        return (found,)
    ages = roster.column(AGE).to_numpy(zero_copy_only=False).astype(float)
    known = np.where(np.isnan(ages), 0, ages).astype(np.int64)
    months = 12 * (known - minors.own_consent_from)
    # Of one age, who turns a year older tomorrow was born first, and who had a birthday today last.
    bounds = ((today + timedelta(days=1), months + 12), (latest, months))
    return tuple(
        np.where(
            np.isnan(ages),
            np.datetime64("NaT"),
            (np.datetime64(day, "M") - ago).astype("M8[D]") + (day.day - 1),
        )
        for day, ago in bounds
    )
