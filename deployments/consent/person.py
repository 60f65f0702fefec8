"""What `tutela consent` does and says about one person: record, withdraw, show and erase.

In plain words, 80 columns. Whether the person may be read is decided in `tasks.consent`; ages and
other columns of a source are not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from deployments.consent.event import (
    SOURCE,
    Spelling,
    Typed,
    find_spellings,
    key_person,
    make_batch,
    make_terms,
    read_span,
    tokenize_person,
)
from deployments.consent.handed_over import NOTHING, HandedOver
from deployments.terminal import Answer, wrap
from expectations.errors import UsageError
from expectations.policy.consent_terms import Terms
from expectations.policy.legal_basis import ConsentLedger as ConsentBasis
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import ConsentStatus, Indication, Purpose
from ledgers.consent.events import from_micros, to_micros
from tasks.account.exclusions import EXCLUSIONS
from tasks.consent.events import check_notices
from tasks.consent.history import Stance, find_answers, find_ended, find_stance
from tasks.consent.judgement import Moment
from tasks.consent.meaning import Standing, above
from tasks.consent.snapshot import write_moment

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger, RecordedEvent
    from ledgers.evidence import JSON


SAID: Final = {
    ConsentStatus.REQUESTED: "was asked",
    ConsentStatus.DEFERRED: "put the answer off",
    ConsentStatus.REFUSED: "refused",
    ConsentStatus.GIVEN: "consented",
    ConsentStatus.RENEWED: "renewed the consent",
    ConsentStatus.EXPIRED: "consent expired",
    ConsentStatus.INVALIDATED: "consent was found invalid",
    ConsentStatus.REVOKED: "consent was revoked by the controller",
    ConsentStatus.WITHDRAWN: "withdrew",
    ConsentStatus.UNKNOWN: "the answer is not known",
    ConsentStatus.OBJECTED: "objected (Art. 21)",
    ConsentStatus.OBJECTION_ENDED: "the objection ended",
    ConsentStatus.RESTRICTED: "had the data restricted (Art. 18)",
    ConsentStatus.RESTRICTION_ENDED: "the restriction ended",
}
GIVEN: Final = {
    Standing.BY_SELF: "their consent is valid",
    Standing.BY_GUARDIAN: "a guardian's consent is valid",
}
LIFTED: Final = {Standing.OBJECTED, Standing.RESTRICTED}
"""What a consent that is given later lifts."""
INDENT: Final = " " * 5
NOBODY: Final = (
    "The ledger had no event of this person before. The withdrawal is recorded. Compare the "
    "identifier with the source: a misspelt one withdraws for nobody."
)
LEFT_OUT: Final = (
    "From now on no run reads this person for that. The next run leaves the person out; a run that "
    "is still going on hands over nothing made with them."
)
IN_PART: Final = (
    "From now on no run reads that data of this person. The next run leaves it out, or the person "
    "if its policy needs all; a run that is still going on hands over nothing made with it."
)
STAYS: Final = (
    "What was handed over before is not recalled: models, and tables with their recipients."
)
KEPT: Final = """\
The events' places in the signed chain stay: commitments that cannot be opened without the salts, \
and notes of the erasure. They show that no event of anybody else is missing, so other people's \
consent stays proven (Art. 7(1), 17(3)(e) GDPR).
The ledger now holds no event of this person. A policy that rests on consent does not read them. \
Under any other basis, their earlier refusal, withdrawal, objection or restriction no longer keeps \
them out: put them on its list of objections, or remove them from its source.
If a source still holds these events, remove them there too: the next import of a changed source \
brings them back. Backups and other disks are not reached."""


def record(ledger: ConsentLedger, typed: Typed, policy: Policy | None) -> Answer:
    """Record an event that was typed; with a policy, say where it leaves the person."""
    now = ledger.now()
    terms = make_terms(typed, policy, ledger.terms().values())
    span = read_span(typed, terms.status, now)
    if terms.notice and policy and isinstance(policy.basis, ConsentBasis):
        check_notices(policy.basis.notices, ledger)
    key = ledger.keys.derive("person")
    for spelling in (spellings := find_spellings(policy)):
        person = tokenize_person(typed.person, key, spelling)
        guardian = typed.guardian and tokenize_person(typed.guardian, key, spelling)
        appended = ledger.append(
            make_batch(person, terms, [span], guardian or None, typed.evidence), SOURCE
        )
    history = read_history(ledger, typed.person, spellings)
    event = [one for one in history if (one.terms, one.valid_from) == (terms, span[0])][-1]
    said = "Recorded:" if appended.new else "Already recorded; nothing was added:"
    found: dict[str, JSON] = {"recorded": bool(appended.new), "event": event_json(event)}
    answer = Answer(found, [said, *describe_history([event], policy)])
    return add_stance(answer, policy, history, now)


def withdraw(
    ledger: ConsentLedger,
    typed: Typed,
    policy: Policy | None,
    before: HandedOver = NOTHING,
) -> Answer:
    """Record a withdrawal from now on; say what it ended, and what was handed over just before.

    What the person said with a clock ahead of this one is ended where it begins, too. In a turn of
    its own (`ledgers.consent.turn`), so that what is said of runs under way is true.
    """
    now = ledger.now()
    terms, moment = make_terms(typed, policy, ()), to_micros(now)
    spellings = find_spellings(policy)
    known = read_history(ledger, typed.person, find_spellings(policy, known=True))
    ended = find_ended(known, terms, Moment(moment, moment))
    begins = {moment, max([moment, *(event.valid_from for event in known)])}
    for spelling in spellings:
        person = tokenize_person(typed.person, ledger.keys.derive("person"), spelling)
        spans = [(begin, None) for begin in sorted(begins)]
        ledger.append(make_batch(person, terms, spans), SOURCE)
    history = read_history(ledger, typed.person, spellings)
    lines = [
        *wrap(f"Withdrawn from {write_time(moment)} on, {name_scope(terms)}."),
        *describe_ended(ended, terms),
        *wrap(IN_PART if terms.categories else LEFT_OUT),
        *describe_handed_over(before),
        *wrap(STAYS),
    ]
    found: dict[str, JSON] = {
        "withdrawn": event_json(history[-1]),
        "ended": [event_json(event) for event in ended],
        "known_before": bool(known),
        "handed_over_before": [*before.whole],
        "handed_over_in_part": [*before.in_part],
    }
    answer = Answer(found, lines, () if known else [NOBODY])
    return add_stance(answer, policy, history, now)


def describe_handed_over(before: HandedOver) -> Iterator[str]:
    """Say which runs a withdrawal came too late for, and which are asked about again."""
    for run in before.whole:
        yield from wrap(
            f"Run {run} handed over before this was recorded. If it used this person, its model "
            "and tables hold them."
        )
    for run in before.in_part:
        yield from wrap(
            f"Run {run} began to hand over and is not done. The next command, such as tutela "
            "report, asks for consent again, and takes back what used this person."
        )


def describe_ended(ended: Sequence[RecordedEvent], terms: Terms) -> Iterator[str]:
    """Say which gifts a withdrawal ends, and which purposes fall with its own."""
    below = [purpose for purpose in Purpose if terms.purpose in above(purpose)]
    if below:
        yield from wrap(f"This also withdraws what is narrower: {', '.join(below)}.")
    yield "It ends these consents:" if ended else "There was no valid consent to end."
    for event in ended:
        yield from wrap(brief(event), "  ", "    ")


def show(ledger: ConsentLedger, person: str, policy: Policy | None) -> Answer:
    """Tell a person's history, and with a policy where they stand now."""
    history = read_history(ledger, person, find_spellings(policy, known=True))
    lines = list(describe_history(history, policy))
    found: dict[str, JSON] = {"events": [event_json(event) for event in history]}
    return add_stance(Answer(found, lines), policy, history, ledger.now())


def add_stance(
    answer: Answer, policy: Policy | None, history: Sequence[RecordedEvent], now: datetime
) -> Answer:
    """Add to an answer where the person stands under a policy, by all that is recorded."""
    if policy is None:
        return answer
    recorded = max((event.recorded_at for event in history), default=0)
    stance = find_stance(policy, history, Moment(to_micros(now), max(to_micros(now), recorded)))
    return replace(
        answer,
        found={**answer.found, "standing": stance_json(policy, stance)},
        lines=[*answer.lines, "", *describe_stance(policy, stance)],
    )


def read_history(
    ledger: ConsentLedger, person: str, spellings: Sequence[Spelling]
) -> list[RecordedEvent]:
    """Give the events of a person in all of some spellings, by the moment they hold from."""
    key = ledger.keys.derive("person")
    tokens = dict.fromkeys(tokenize_person(person, key, one) for one in spellings)
    found = [event for token in tokens for event in ledger.history(token)]
    return sorted(found, key=lambda event: (event.valid_from, event.recorded_at, event.seq))


def erase(
    ledger: ConsentLedger,
    person: str,
    confirm: Callable[[str], bool],
    policy: Policy | None = None,
) -> Answer:
    """Destroy what the ledger holds of a person once that is confirmed, and say what stays."""
    spellings = find_spellings(policy, known=True) if policy else [()]
    key = ledger.keys.derive("person")
    tokens = dict.fromkeys(tokenize_person(person, key, one) for one in spellings)
    number = sum(len(ledger.history(token)) for token in tokens)
    if not number:
        # An erasure that met another reader may have left bytes behind, and is repeated.
        for token in tokens:
            ledger.erase(token)
        said = "The ledger has no event of this person. Compare the identifier with the source."
        forgotten = forget_released(ledger, person, spellings)
        said += f" {say_forgotten(forgotten)}" * bool(forgotten)
        return Answer({"erased": 0, "forgotten": forgotten}, wrap(said))
    events = "event" if number == 1 else f"{number:,} events"
    if not confirm(f"Erase the content of this person's {events}? It cannot be restored."):
        raise UsageError("nothing was erased: answer y, or give --yes")
    erased = sum(ledger.erase(token) for token in tokens)
    forgotten = forget_released(ledger, person, spellings)
    found: dict[str, JSON] = {"erased": erased, "forgotten": forgotten}
    lines = [f"Erased the content of this person's {events}, with the salts."]
    lines += wrap(say_forgotten(forgotten)) if forgotten else []
    return Answer(found, [*lines, "", *wrap(KEPT)])


def forget_released(ledger: ConsentLedger, person: str, spellings: Sequence[Spelling]) -> int:
    """Take a person out of what is remembered of who was in releases; say of how many of them."""
    from ledgers.releases import ReleaseLedger
    from tasks.anonymization.releases.held_people import forget_number
    from tasks.people.person_keys import RELEASED_PEOPLE, number_released

    key, held = ledger.keys.derive("person"), ReleaseLedger(ledger.engine, ledger.keys)
    records = np.unique([key_person(person, key, one).record[0] for one in spellings])
    numbers = number_released(records, ledger.keys.derive(RELEASED_PEOPLE))
    return sum(forget_number(held, number) for number in numbers.tolist())


def say_forgotten(releases: int) -> str:
    """Say of how many releases the home does not remember any more that the person was in them."""
    tables = "table" if releases == 1 else f"{releases:,} tables"
    return (
        f"Took this person out of the record of who was in the {tables} handed over, by which "
        "later tables are compared. The tables themselves are with their recipients."
    )


def write_time(micros: int) -> str:
    """Write microseconds since 1970 as people read it: to the minute, in UTC."""
    return f"{from_micros(micros):%Y-%m-%d %H:%M} UTC"


def describe_history(history: Sequence[RecordedEvent], policy: Policy | None) -> Iterator[str]:
    """Tell a person's events in order, and what each says under a policy."""
    if not history:
        yield from wrap(
            "The ledger has no event of this person. If there should be one, compare the "
            "identifier with the source."
        )
    for event in history:
        yield from describe_event(event)
        if policy is not None:
            yield from wrap(
                f"{policy.name}: {say_meaning(policy, event.terms)}", f"{INDENT}-> ", f"{INDENT}   "
            )


def describe_event(event: RecordedEvent) -> Iterator[str]:
    """Tell one event: when, what, about what, and how it is known."""
    terms = event.terms
    yield from wrap(f"{write_time(event.valid_from)}  {say_status(terms)}", hanging=INDENT)
    yield from wrap(name_scope(terms), INDENT)
    facts = [f"recorded {write_time(event.recorded_at)}"]
    if event.valid_until is not None:
        facts.append(f"until {write_time(event.valid_until)}")
    facts += [
        str(part)
        for part in (terms.article_6, terms.article_9, terms.method, terms.jurisdiction)
        if part
    ]
    if event.evidence:
        facts.append(f"evidence {event.evidence}")
    facts.append(f"event {event.seq:,} of the ledger")
    yield from wrap("; ".join(facts), INDENT)


def brief(event: RecordedEvent) -> str:
    """Tell one event in a sentence."""
    return f"{write_time(event.valid_from)}  {say_status(event.terms)}, {name_scope(event.terms)}"


def say_status(terms: Terms) -> str:
    """Say what happened, how it was shown, and by whom."""
    shown = terms.indication if terms.indication is not Indication.EXPRESSED else None
    who = "by a guardian" if terms.by_guardian else None
    manner = {Indication.EXPLICIT: "explicitly", Indication.IMPLIED: "by implication"}
    return ", ".join(filter(None, (SAID[terms.status], shown and manner[shown], who)))


def name_scope(terms: Terms) -> str:
    """Say what an event is about: purposes, categories, and the notice."""
    notice = terms.notice
    purposes = terms.purpose or (
        ", ".join(notice.purposes) if notice is not None else "every purpose"
    )
    parts = [f"for {purposes}"]
    if terms.categories and not (notice and {*terms.categories} == {*notice.categories}):
        parts.append(f"of {', '.join(terms.categories)}")
    elif notice is None:
        parts.append("of every category")
    if notice is not None:
        parts.append(f"notice {notice.id} {notice.version} ({notice.language})")
    if terms.data_from or terms.data_until:
        first, last = terms.data_from or "the beginning", terms.data_until or "the end"
        parts.append(f"of the data from {first} to {last}")
    return ", ".join(parts)


def say_meaning(policy: Policy, terms: Terms) -> str:
    """Say what an event says under a policy, and for which categories if not for all."""
    every = len(policy.categories)
    told = [
        label if len(names) in {0, every} else f"{label} for {', '.join(names)}"
        for label, names in find_answers(policy, terms).items()
    ]
    return "; ".join(told) or "says nothing (another purpose, category or legal basis)"


def describe_stance(policy: Policy, stance: Stance) -> Iterator[str]:
    """Say whether a policy may read somebody now, and why."""
    standing = stance.standing
    if not isinstance(policy.basis, ConsentBasis) and standing.permits:
        yield from wrap(
            f"{policy.name}: the ledger bars nothing; the policy's basis, `{policy.basis.kind}`, "
            "decides whether this person is read."
        )
        return
    read = "may be read" if standing.permits else "is not read"
    yield from wrap(f"{policy.name}: this person {read}: {say_why(standing)}.")
    if 0 < len(stance.categories) < len(policy.categories):
        yield from wrap(f"The consent covers only {', '.join(stance.categories)}.")
    if isinstance(policy.basis, ConsentBasis) and policy.basis.minors and standing.permits:
        yield from wrap(
            "Whether a guardian had to consent is not known here: no source, so no age, was read."
        )


def say_why(standing: Standing) -> str:
    """Say why somebody who stands so may be read, or is not."""
    if standing.permits:
        return GIVEN[standing]
    since = ", and they have not consented since" if standing in LIFTED else ""
    return EXCLUSIONS[standing.label].why + since


def event_json(event: RecordedEvent) -> dict[str, JSON]:
    """Give one event as plain values, without who it is about."""
    terms = json.loads(event.terms.to_json())
    return {
        "event": event.seq,
        **terms,
        "at": write_moment(event.valid_from),
        "recorded_at": write_moment(event.recorded_at),
        "expires_at": None if event.valid_until is None else write_moment(event.valid_until),
        "evidence": event.evidence,
    }


def stance_json(policy: Policy, stance: Stance) -> dict[str, JSON]:
    """Give where somebody stands as plain values."""
    return {
        "policy": policy.name,
        "permitted": stance.standing.permits,
        "standing": stance.standing.label,
        "categories": [str(category) for category in stance.categories],
    }
