"""What `tutela consent` says of events and of where somebody stands: plain words, 80 columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from deployments.terminal import wrap
from expectations.policy.consent_terms import Terms
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import ConsentStatus, Indication
from ledgers.consent.events import from_micros
from tasks.account.exclusions import EXCLUSIONS
from tasks.consent.history import Stance, find_answers
from tasks.consent.meaning import Standing
from tasks.consent.snapshot import write_moment

if TYPE_CHECKING:
    from ledgers.consent.ledger import RecordedEvent
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


def write_time(micros: int) -> str:
    """Write microseconds since 1970 as people read it: to the minute, in UTC."""
    return f"{from_micros(micros):%Y-%m-%d %H:%M} UTC"


def describe_history(history: Sequence[RecordedEvent], policy: Policy | None) -> Iterator[str]:
    """Tell a person's events in order, and what each says under a policy."""
    if not history:
        yield from wrap(
            "There is no event of this person in the ledger. If there should be one: is the "
            "identifier spelt as in the source?"
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
    """Say where somebody stands under a policy now, and why."""
    standing = stance.standing
    if not isinstance(policy.basis, ConsentLedger) and standing.permits:
        yield from wrap(
            f"{policy.name}: the ledger bars nothing; whether this person is read is decided by "
            f"the policy's basis, `{policy.basis.kind}`."
        )
        return
    read = "may be read" if standing.permits else "is not read"
    yield from wrap(f"{policy.name}: this person {read}: {say_why(standing)}.")
    if 0 < len(stance.categories) < len(policy.categories):
        yield from wrap(f"The consent covers only {', '.join(stance.categories)}.")
    if isinstance(policy.basis, ConsentLedger) and policy.basis.minors and standing.permits:
        yield from wrap(
            "Whether a guardian had to consent is not known here: no source was read, and no age."
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
