"""Whom an invitation can be made for; what becomes of it is tried on Postgres."""

from __future__ import annotations

import pytest

from expectations.errors import UsageError
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.invitation import invite, join


def test_a_home_whose_ledgers_are_a_file_invites_nobody(home: Home) -> None:
    """Two machines would each have ledgers of their own."""
    with pytest.raises(UsageError, match="set database_url"):
        invite(open_database(home), home, Keys.open(home))


def test_what_is_no_invitation_makes_no_home(home: Home) -> None:
    """Whatever its code."""
    place = home.root.parent / "second"
    for content in (b"", b"tutela-invitation-1:", b"x" * 500):
        with pytest.raises(UsageError, match="it is no invitation"):
            join(content, "AAAA-BBBB", place)
    assert not place.exists()
