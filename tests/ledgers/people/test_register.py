"""Whose signatures count changes only by the signatures of those whose do."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expectations.errors import Refusal, UsageError
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.keys import Keys
from ledgers.people.register import Change, Register
from ledgers.people.signature import public_of, sign
from ledgers.people.statement import Answer, Request, Signed, Statement

ANN, BOB, CAT, DAN = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(4))
"""Four people; Dan's key is the recovery key."""
SOON = "2999-01-01T00:00:00+00:00"


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """A home in which Ann and Bob are pinned."""
    home = create_home(tmp_path / "home")
    register = Register(open_database(home), Keys.open(home))
    register.pin([public_of(ANN), public_of(BOB)], public_of(DAN))
    return register


def answer(request: Request, key: Ed25519PrivateKey, said: Answer = "approve") -> Signed:
    """Answer a request."""
    statement = Statement.of(request, said, public_of(key), "because")
    return Signed(request, statement, public_of(key), sign(statement.message, key))


def ask(register: Register, change: Change, key: Ed25519PrivateKey) -> Request:
    """Ask for a change of the register."""
    return register.ask(change, public_of(key), SOON)


def names(register: Register) -> set[str]:
    """Give the fingerprints that count."""
    return {*register.enrolled().keys}


def test_a_majority_of_the_enrolled_takes_in_another_and_lets_one_go(register: Register) -> None:
    """Two of two, then two of three."""
    request = ask(register, "enrol", CAT)
    with pytest.raises(UsageError, match="1 of 2 enrolled keys approve this; 2 must"):
        register.change([answer(request, ANN)])
    register.change([answer(request, ANN), answer(request, BOB)])
    lost = ask(register, "lose", BOB)
    register.change([answer(lost, ANN), answer(lost, CAT)])
    assert names(register) == {public_of(one).fingerprint for one in (ANN, CAT)}
    assert [act.what for act in register.acts()] == [
        "recovery", "pinned", "pinned", "enrolled", "lost"
    ]  # fmt: skip


def test_the_recovery_key_alone_changes_the_register(register: Register) -> None:
    """For when the others are lost."""
    register.change([answer(ask(register, "enrol", CAT), DAN)])
    assert public_of(CAT).fingerprint in names(register)
    assert public_of(DAN).fingerprint not in names(register)


@pytest.mark.parametrize("others", ["twice", "a stranger", "declined"])
def test_nothing_else_makes_a_majority(register: Register, others: str) -> None:
    """Neither the same key twice, nor a key that is not enrolled, nor somebody who declined."""
    request = ask(register, "enrol", CAT)
    second = {
        "twice": answer(request, ANN),
        "a stranger": answer(request, CAT),
        "declined": answer(request, BOB, "decline"),
    }[others]
    with pytest.raises(UsageError, match="1 of 2"):
        register.change([answer(request, ANN), second])
    assert public_of(CAT).fingerprint not in names(register)


def test_signatures_serve_once(register: Register) -> None:
    """Who was let go does not come back by what was signed before."""
    request = ask(register, "enrol", CAT)
    both = [answer(request, ANN), answer(request, BOB)]
    register.change(both)
    gone = ask(register, "retire", CAT)
    register.change([answer(gone, ANN), answer(gone, BOB)])
    with pytest.raises(UsageError, match="has changed since"):
        register.change(both)


def test_first_keys_are_pinned_once(register: Register) -> None:
    """Else whoever has the home would be everybody."""
    with pytest.raises(UsageError, match="pinned already"):
        register.pin([public_of(CAT)], None)


def test_statements_of_another_home_or_after_their_time_count_for_nothing(
    register: Register, tmp_path: Path
) -> None:
    """Each request names its home and its end."""
    home = create_home(tmp_path / "other")
    other = Register(open_database(home), Keys.open(home))
    other.pin([public_of(ANN), public_of(BOB)], public_of(DAN))
    request = ask(other, "enrol", CAT)
    with pytest.raises(UsageError, match="not about the keys of this home"):
        register.change([answer(request, ANN), answer(request, BOB)])
    late = register.ask("enrol", public_of(CAT), "2001-01-01T00:00:00+00:00")
    with pytest.raises(UsageError, match="lapsed"):
        register.change([answer(late, ANN), answer(late, BOB)])


@pytest.mark.parametrize("damage", [
    "DELETE FROM signers WHERE seq = 3",
    "UPDATE signers SET what = 'retired' WHERE seq = 2",
    "INSERT INTO signers SELECT 4, at, what, key, signed FROM signers WHERE seq = 3",
])  # fmt: skip
def test_an_act_that_is_not_as_it_was_written_is_refused(register: Register, damage: str) -> None:
    """Past the triggers, which whoever has the database can drop."""
    with register.engine.begin() as connection:
        for name in ("update", "delete", "replace"):
            connection.execute(sa.text(f"DROP TRIGGER signers_no_{name}"))
        connection.execute(sa.text(damage))
    with pytest.raises(Refusal, match="register of people's keys"):
        register.acts()


def test_a_statement_proves_nothing_beside_another_request_or_key(register: Register) -> None:
    """What is signed is bound to both."""
    request = ask(register, "enrol", CAT)
    signed = answer(request, ANN)
    assert Signed.read(signed.write()) == signed
    other = Request({**request.said, "until": "2998-01-01T00:00:00+00:00"})
    for changed in (
        Signed(other, signed.statement, signed.key, signed.signature),
        Signed(request, signed.statement, public_of(BOB), signed.signature),
        Signed(request, answer(request, ANN, "decline").statement, signed.key, signed.signature),
    ):
        with pytest.raises(UsageError):
            Signed.read(changed.write())
