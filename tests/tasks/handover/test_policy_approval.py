"""A change of a policy that is not plainly better for people is signed before it is run."""

from __future__ import annotations

from typing import Literal

import pytest

from ledgers.people.signature import public_of
from ledgers.people.signature import sign as sign_message
from ledgers.people.statement import Request, Signed, Statement
from tests.runs import Said
from tests.tasks.handover.test_people_approve import KEYS, NAMES, PEOPLE, Office, office

__all__ = ["office"]
ASKED = ", ".join(f"'{NAMES[name]}'" for name in PEOPLE)
RULE = f"approvals: {{of: [policy], by: [{ASKED}], quorum: 2, valid: 7 days}}\n"
WEAKER = (("k: 3", "k: 2"),)
BETTER = (("k: 3", "k: 4"),)


def run(office: Office, *changes: tuple[str, str], rule: str = RULE) -> Said:
    """Run the small policy's tables under a rule, with some of its text changed."""
    ruled = ("retention_days: 30\n", f"retention_days: 30\n{rule}")
    return office.tell("run", office.folder.write(ruled, *changes), "--tables-only")


def sign(office: Office, *names: str) -> None:
    """Let people approve the policy's file as it is."""
    for name in names:
        said = office.tell("approve", office.folder.path / "small.yaml", "--key", office.key(name))
        assert said.status == 0, said.err


@pytest.fixture
def approved(office: Office) -> Office:
    """A home in which the policy was approved, and handed over."""
    first = run(office)
    assert (first.status, "0 of 2 people approve" in first.err, office.runs) == (2, True, [])
    sign(office, "ann", "bob")
    assert run(office).status == 0
    return office


def test_what_is_no_worse_for_people_needs_nobody(approved: Office) -> None:
    """The same text again, and a larger k."""
    assert run(approved).status == 0
    assert run(approved, *BETTER).status == 0


def test_a_weaker_promise_is_signed_before_anything_is_read(approved: Office) -> None:
    """The change is named; two people look at it, and their signatures serve that text alone."""
    refused = run(approved, *WEAKER)
    assert (refused.status, len(approved.runs)) == (2, 1)
    assert "outlets.partner.k" in refused.err
    sign(approved, "ann")
    assert run(approved, *WEAKER).status == 2
    sign(approved, "cat")
    assert run(approved, *WEAKER).status == 0
    assert run(approved, ("k: 3", "k: 2"), ("recipient: Partner", "recipient: Other")).status == 2


@pytest.mark.parametrize(
    "rule", ["", RULE.replace("quorum: 2", "quorum: 1"), RULE.replace(f", '{NAMES['cat']}'", "")]
)
def test_nobody_takes_four_eyes_out_by_editing_the_file(approved: Office, rule: str) -> None:
    """Neither the rule, nor its quorum, nor whose keys count: the earlier text asks for two."""
    said = run(approved, rule=rule)
    assert (said.status, "0 of 2" in said.err, "approvals" in said.err) == (2, True, True)
    sign(approved, "ann", "bob")
    assert run(approved, rule=rule).status == 0


def test_somebody_signs_a_policy_elsewhere(approved: Office) -> None:
    """By a request that goes out and a signature that comes in."""
    run(approved, *WEAKER)
    request = approved.path / "policy.request"
    policy = approved.folder.path / "small.yaml"
    assert approved.tell("approve", policy, "--export", request).status == 0
    for name in ("ann", "bob"):
        assert approved.tell("approve", request, "--key", approved.key(name)).status == 0
        signed = approved.path / "policy.request.signed"
        assert approved.tell("approvals", "--take", signed).status == 0
    assert run(approved, *WEAKER).status == 0


def answer_text(office: Office, answer: Literal["approve", "decline"], **changes: str) -> Signed:
    """Let Ann answer a request about a policy's text that somebody changed before."""
    run(office)
    file, to = office.folder.path / "small.yaml", office.path / "text.request"
    assert office.tell("approve", file, "--export", to).status == 0
    request = Request({**Request.read(to.read_bytes()).said, **changes})
    key = public_of(KEYS["ann"])
    statement = Statement.of(request, answer, key, "not this one")
    return Signed(request, statement, key, sign_message(statement.message, KEYS["ann"]))


@pytest.mark.parametrize(
    ("answer", "changes", "why"),
    [
        ("decline", {}, "declines this text"),
        ("approve", {"home": "ab" * 32}, "another home"),
        ("approve", {"policy": "../../../small"}, "names no policy"),
    ],
)
def test_nothing_is_kept_of_what_approves_no_text_of_this_home(
    office: Office, answer: Literal["approve", "decline"], changes: dict[str, str], why: str
) -> None:
    """Nor does anybody choose by a policy's name where it is written."""
    before = {*office.place.home.root.parent.rglob("*.json")}
    file = office.path / "text.signed"
    file.write_bytes(answer_text(office, answer, **changes).write())
    said = office.tell("approvals", "--take", file)
    assert (said.status, why in said.err) == (2, True)
    assert {*office.place.home.root.parent.rglob("*.json")} == before
