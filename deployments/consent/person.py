"""What `tutela consent` does about one person: record, withdraw, show and erase."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from deployments.consent.event import (
    SOURCE,
    Typed,
    make_batch,
    make_terms,
    read_span,
    tokenize_person,
)
from deployments.consent.screen import (
    brief,
    describe_history,
    describe_stance,
    event_json,
    name_scope,
    stance_json,
    write_time,
)
from deployments.terminal import Answer, wrap
from expectations.errors import UsageError
from expectations.policy.consent_terms import Terms
from expectations.policy.legal_basis import ConsentLedger as ConsentBasis
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Purpose
from ledgers.consent.events import to_micros
from tasks.consent.decision import Moment
from tasks.consent.events import check_notices
from tasks.consent.history import find_ended, find_stance
from tasks.consent.meaning import above

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger, RecordedEvent
    from ledgers.evidence import JSON

NOBODY: Final = (
    "The ledger held nothing of this person before. It is recorded all the same; but a misspelt "
    "identifier withdraws for nobody, so compare it with the source."
)
LEFT_OUT: Final = (
    "From now on no run reads this person for that: the next one leaves the person out, and one "
    "that is under way hands nothing over that was made with them."
)
IN_PART: Final = (
    "From now on no run reads that of this person: the next one leaves it out, or the person where "
    "its policy needs all, and one that is under way hands nothing over that was made with it."
)
STAYS: Final = (
    "What left before stays where it is: registered models, and tables with their recipients."
)
KEPT: Final = """\
What stays is the events' places in the signed chain: commitments that nobody can open without the \
salts, and notes of the erasure. They show that no event of anybody else is missing, so that other \
people's consent stays proven (Art. 7(1), 17(3)(e) GDPR).
The ledger now knows nothing of this person. A policy that rests on consent does not read them. \
Under any other basis a refusal, withdrawal, objection or restriction that stood here keeps them \
out no longer: put them on its list of objections, or take them off its source.
A source that still holds these events gives them to the next import that finds it changed. Copies \
are not reached: backups, and other disks."""


def record(ledger: ConsentLedger, typed: Typed, policy: Policy | None) -> Answer:
    """Record an event that was typed; with a policy, say where it leaves the person."""
    now = datetime.now(UTC)
    terms = make_terms(typed, policy, ledger.terms().values())
    span = read_span(typed.at, typed.until, now)
    if terms.notice and policy and isinstance(policy.basis, ConsentBasis):
        check_notices(policy.basis.notices, ledger)
    key = ledger.keys.derive("person")
    person = tokenize_person(typed.person, key)
    guardian = None if typed.guardian is None else tokenize_person(typed.guardian, key)
    batch = make_batch(person, terms, [span], guardian, typed.evidence)
    appended = ledger.append(batch, SOURCE)
    history = ledger.history(person)
    event = [one for one in history if (one.terms, one.valid_from) == (terms, span[0])][-1]
    said = "Recorded:" if appended.new else "It was recorded before; nothing was added:"
    found: dict[str, JSON] = {"recorded": bool(appended.new), "event": event_json(event)}
    answer = Answer(found, [said, *describe_history([event], policy)])
    return add_stance(answer, policy, history, now)


def withdraw(ledger: ConsentLedger, typed: Typed, policy: Policy | None) -> Answer:
    """Record a withdrawal from now on, and say what it ended.

    What the person said with a clock ahead of this one is ended where it begins, too.
    """
    now = datetime.now(UTC)
    terms, moment = make_terms(typed, policy, ()), to_micros(now)
    person = tokenize_person(typed.person, ledger.keys.derive("person"))
    before = ledger.history(person)
    ended = find_ended(before, terms, Moment(moment, moment))
    begins = {moment, max([moment, *(event.valid_from for event in before)])}
    ledger.append(make_batch(person, terms, [(begin, None) for begin in sorted(begins)]), SOURCE)
    lines = [
        *wrap(f"Withdrawn from {write_time(moment)} on, {name_scope(terms)}."),
        *describe_ended(ended, terms),
        *wrap(IN_PART if terms.categories else LEFT_OUT),
        *wrap(STAYS),
    ]
    found: dict[str, JSON] = {
        "withdrawn": event_json(ledger.history(person)[-1]),
        "ended": [event_json(event) for event in ended],
        "known_before": bool(before),
    }
    answer = Answer(found, lines, () if before else [NOBODY])
    return add_stance(answer, policy, ledger.history(person), now)


def describe_ended(ended: Sequence[RecordedEvent], terms: Terms) -> Iterator[str]:
    """Say which gifts a withdrawal ends, and which purposes fall with its own."""
    below = [purpose for purpose in Purpose if terms.purpose in above(purpose)]
    if below:
        yield from wrap(f"With it goes what is narrower: {', '.join(below)}.")
    yield "It ends what was given:" if ended else "There was no valid consent for it to end."
    for event in ended:
        yield from wrap(brief(event), "  ", "    ")


def show(ledger: ConsentLedger, person: str, policy: Policy | None) -> Answer:
    """Tell a person's history, and with a policy where they stand now."""
    history = ledger.history(tokenize_person(person, ledger.keys.derive("person")))
    lines = list(describe_history(history, policy))
    found: dict[str, JSON] = {"events": [event_json(event) for event in history]}
    return add_stance(Answer(found, lines), policy, history, datetime.now(UTC))


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


def erase(ledger: ConsentLedger, person: str, confirm: Callable[[str], bool]) -> Answer:
    """Destroy what the ledger holds of a person once that is confirmed, and say what stays."""
    token = tokenize_person(person, ledger.keys.derive("person"))
    number = len(ledger.history(token))
    if not number:
        # An erasure that met another reader may have left bytes behind, and is repeated.
        ledger.erase(token)
        said = "The ledger holds nothing of this person: is the identifier spelt as in the source?"
        return Answer({"erased": 0}, wrap(said))
    events = "event" if number == 1 else f"{number:,} events"
    if not confirm(f"Erase what this person's {events} said? Nothing brings it back."):
        raise UsageError("nothing was erased")
    found: dict[str, JSON] = {"erased": ledger.erase(token)}
    lines = [f"Erased what this person's {events} said, with the salts.", ""]
    return Answer(found, [*lines, *wrap(KEPT)])
