"""Whoever holds the home's keys cannot make people's approvals; what was not signed is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from expectations.policy_file import PolicyFile
from flows import opening
from ledgers.checkpoints import Said as Said_
from ledgers.evidence import JSON, EvidenceLedger
from ledgers.home.keys import Keys
from ledgers.journal import recording
from ledgers.people.register import Register
from ledgers.people.signature import public_of, sign
from ledgers.people.statement import Request, Signed, Statement
from ledgers.retention import RetentionLedger
from tasks.handover import approval, delivery
from tasks.handover.approval import APPROVAL, COUNTED, find_request
from tasks.handover.policy_approval import ask_policy
from tests.runs import Said
from tests.tasks.handover.test_people_approve import KEYS, NAMES, Office, office
from tests.tasks.handover.test_policy_approval import run as run_policy
from tests.tasks.handover.test_policy_approval import sign as sign_policy

__all__ = ["office"]


def register(office: Office) -> Register:
    """Open the register of a home."""
    return Register(office.place.ledger.engine, office.place.keys)


def enrol_alone(office: Office) -> None:
    """Put a key into the register with the home's keys, and nobody's signature."""
    own = register(office)
    with recording(own.engine, own.keys) as pen:
        own._write(pen, "enrolled", public_of(KEYS["ann"]))


def pin_later(office: Office) -> None:
    """Pin another key after the register was changed by signatures."""
    request = register(office).ask("retire", public_of(KEYS["cat"]), "2999-01-01T00:00:00+00:00")
    register(office).change([answer(request, name) for name in ("ann", "bob")])
    own = register(office)
    with recording(own.engine, own.keys) as pen:
        own._write(pen, "pinned", public_of(KEYS["cat"]))


def answer(request: Request, name: str) -> Signed:
    """Let somebody approve."""
    key = KEYS[name]
    statement = Statement.of(request, "approve", public_of(key))
    return Signed(request, statement, public_of(key), sign(statement.message, key))


def hand_over_unasked(office: Office) -> None:
    """Hand over with code that asks nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "refuse_without_approval", lambda _: None)
        assert office.run().status == 0


def make_up_an_approval(office: Office) -> None:
    """Write an approval with one person's signature in two people's names, and hand over."""
    office.run()
    ledger, (run,) = office.place.ledger, office.runs
    request = find_request(ledger.entries(run.run_id))
    assert request is not None
    for name in ("ann", "bob"):
        body = {**answer(request, "ann").to_said()}
        ledger.append(run.run_id, "approve", APPROVAL, NAMES[name], body)
    ledger.append(run.run_id, "record", COUNTED, "hand-over", [NAMES["ann"], NAMES["bob"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "refuse_without_approval", lambda _: None)
        office.tell("report")


def run_unsigned_policy(office: Office) -> None:
    """Run a text that nobody approved, by code that asks nobody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "refuse_unapproved_policy", lambda *_: {})
        assert run_policy(office).status == 0


def count_one_approval(office: Office) -> None:
    """Hand over with one approval, counted as two."""
    office.run()
    office.answer("ann")
    ledger, (run,) = office.place.ledger, office.runs
    ledger.append(run.run_id, "record", COUNTED, "hand-over", [NAMES["ann"], NAMES["bob"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "refuse_without_approval", lambda _: None)
        office.tell("report")


def count_what_was_declined(office: Office) -> None:
    """Hand over what one person approves now, and another did of a run that was declined."""
    office.run()
    office.answer("ann")
    office.answer("bob", "decline", "2", "--reason", "wrong recipient")
    office.run()
    office.answer("cat")
    ledger, run = office.place.ledger, office.runs[-1]
    ledger.append(run.run_id, "record", COUNTED, "hand-over", [NAMES["ann"], NAMES["cat"]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "refuse_without_approval", lambda _: None)
        office.tell("report")


def enrol_by_another_home(office: Office) -> None:
    """Take in a key by what people signed about the keys of another home of theirs."""
    own = register(office)
    request = own.ask("retire", public_of(KEYS["cat"]), "2999-01-01T00:00:00+00:00")
    other = Request({**request.said, "home": "ff" * 32})
    with recording(own.engine, own.keys) as pen:
        signed = [answer(other, name) for name in ("ann", "bob")]
        own._write(pen, "retired", public_of(KEYS["cat"]), signed)


def approve_a_text_by(office: Office, **changed: str) -> None:
    """Run a text by what people signed, which was something else than the approval of this text."""

    def give(keys: Keys, ledger: EvidenceLedger, file: PolicyFile) -> dict[str, JSON]:
        request = ask_policy(keys, ledger, file)
        said = Request({**request.said, **changed})
        return {"policy_approvals": [answer(said, name).to_said() for name in ("ann", "bob")]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "refuse_unapproved_policy", give)
        assert run_policy(office).status == 0


def approve_what_oneself_started(office: Office) -> None:
    """Count the starter among those who approve."""
    office.run(", not_by: starter", "--tables-only", "--key", office.key("ann"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval, "find_starter", lambda *_: "")
        office.answer("ann")
        assert office.answer("bob").status == 0
    assert office.left


def show_something_else(office: Office, **changed: Said_) -> None:
    """Show people something else than what leaves then."""
    ask = approval.ask_approval

    def lie(*words: Any) -> Request:  # as they come
        return Request({**ask(*words).said, **changed})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval, "ask_approval", lie)
        office.run()
    office.answer("ann")
    assert office.answer("bob").status == 0
    assert office.left


def carry_without_a_copy(office: Office) -> None:
    """Let a run leave by what was signed of one that a withdrawal ended, and keep nothing of it."""
    office.run()
    office.answer("ann")
    office.folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
    office.folder.write()
    office.answer("bob")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval, "CARRIED", "other")
        assert office.run().status == 0


FORGED: dict[str, tuple[Callable[[Office], None], str]] = {
    "a key without signatures": (enrol_alone, "signed by a majority"),
    "a key pinned later": (pin_later, "a key pinned later on"),
    "a hand-over without approval": (hand_over_unasked, "2 approvals"),
    "one approval for two": (count_one_approval, "1 that count"),
    "an approval of what was declined": (count_what_was_declined, "1 that count"),
    "a policy without approval": (run_unsigned_policy, "the policy's text"),
    "keys changed by another home's word": (enrol_by_another_home, "signed by a majority"),
    "a start for a policy": (lambda o: approve_a_text_by(o, of="start"), "the policy's text"),
    "a policy of another home": (
        lambda o: approve_a_text_by(o, home="ff" * 32),
        "the policy's text",
    ),
    "a policy after another run": (
        lambda o: approve_a_text_by(o, after="another"),
        "the policy's text",
    ),
    "a policy approved too long ago": (
        lambda o: approve_a_text_by(o, until="2020-01-01T00:00:00+00:00"),
        "the policy's text",
    ),
    "an approval by the starter": (approve_what_oneself_started, "1 that count"),
    "other recipients shown": (lambda o: show_something_else(o, outlets=[]), "the request"),
    "a starter who is none": (
        lambda o: show_something_else(o, starter=NAMES["cat"]),
        "the request's starter",
    ),
    "no starter shown": (lambda o: show_something_else(o, starter=None), "the request's starter"),
    "no copy of what was signed of an earlier run": (carry_without_a_copy, "a copy of what it"),
    "no checks shown": (lambda o: show_something_else(o, checks=[]), "the request's checks"),
    "another policy shown": (
        lambda o: show_something_else(o, policy_sha256="0" * 64),
        "the request",
    ),
    "another code shown": (lambda o: show_something_else(o, code="other"), "the request"),
    "a hand-over of another home": (
        lambda o: show_something_else(o, home="ff" * 32),
        "the request",
    ),
    "an approval in another's name": (make_up_an_approval, "a signature of this key"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_people_did_not_sign_is_named(office: Office, forged: str) -> None:
    """Though all of it was written with the home's own keys."""
    forge, named = FORGED[forged]
    forge(office)
    said: Said = office.tell("verify")
    assert (said.status, named in said.out + said.err) == (1, True), said


def test_first_keys_are_compared_with_a_list_from_outside(office: Office, tmp_path: Path) -> None:
    """Else four eyes can be the operator's own two."""
    office.run()
    lines = [office.public(name).read_text() for name in ("ann", "bob", "cat")]
    (own := tmp_path / "signers").write_text("".join(f"someone {line}" for line in lines))
    assert office.tell("verify", "--signers", own).status == 0
    own.write_text("".join(lines[:2]))
    assert office.tell("verify", "--signers", own).status == 1
    assert "own word" in (office.tell("verify").out)


def test_a_text_whose_approved_run_went_under_retention_is_not_taken_for_a_forgery(
    office: Office,
) -> None:
    """Nobody can say what changed since, and that is said."""
    first = run_policy(office)
    assert first.status == 2
    sign_policy(office, "ann", "bob")
    assert (run_policy(office).status, run_policy(office).status) == (0, 0)
    RetentionLedger(register(office).engine, office.place.keys).remove_evidence(
        {office.runs[0].run_id: "its days"}
    )
    out = office.tell("verify").out  # MLflow's page of that run is still there, and is named
    assert ("approvals: " in out, "went under retention" in " ".join(out.split())) == (False, True)
