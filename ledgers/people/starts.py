"""Who starts runs of a policy, and who approved its text: kept for the runs that follow.

Whoever runs a policy by hand signs that start alone, and whoever schedules it signs for its runs.
Of a run that somebody starts by Prefect's pages, the schedule's signer counts as the starter: who
has the home's server can start what was signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from expectations.errors import UsageError
from expectations.policy.policy import NAME
from ledgers.checkpoints import public_key
from ledgers.home.database import open_database
from ledgers.home.keys import Keys
from ledgers.home.private_files import write_private
from ledgers.people.register import Register
from ledgers.people.statement import Request, Signed, Subject

FOLDER, APPROVED = "starts", "approved"
"""Where in the home it lies who starts a policy, and who approves its text."""


def ask_start(keys: Keys, policy: str, sha256: str, days: int) -> Request:
    """Give the request to start a policy as it is written now, for so many days."""
    until = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    named = {"policy": policy, "policy_sha256": sha256}
    return Request.about("start", public_key(keys), until, **named)


def keep_start(keys: Keys, signed: Signed) -> None:
    """Keep who scheduled a policy; UsageError for a key that is not enrolled."""
    register = Register(open_database(keys.home), keys)
    if signed.key.fingerprint not in register.enrolled().keys:
        raise UsageError(f"{signed.key.fingerprint} is not enrolled in this home: tutela signers")
    _keep(keys, FOLDER, signed, signed.write())


def keep_approval(keys: Keys, signed: Signed) -> None:
    """Keep what somebody signed of a policy's text, until a run of it is begun."""
    _keep(keys, APPROVED, signed, signed.key.line.encode())


def _keep(keys: Keys, folder: str, signed: Signed, named: bytes) -> None:
    """Write what was signed; UsageError for a policy's name that is none, and could be a path."""
    policy = str(signed.request.said.get("policy"))
    if not re.fullmatch(NAME, policy):
        raise UsageError("what was signed names no policy")
    there = keys.home.root / folder
    there.mkdir(mode=0o700, exist_ok=True)
    write_private(there / f"{policy}-{sha256(named).hexdigest()[:16]}.json", signed.write())


def list_kept(keys: Keys, policy: str) -> list[Signed]:
    """Give what people signed of a policy's text; UsageError where it proves nothing."""
    return _list(keys, APPROVED, policy, "policy")


def find_start(keys: Keys, policy: str, sha256: str, by_hand: Sequence[Signed] | None) -> Signed:
    """Give who started a policy as it is written; UsageError where nobody signed for that now.

    That is whoever signed its schedule last; of a run that is started `by_hand`, that signature
    and no other, so that nobody starts runs in the name of who scheduled them.
    """
    how = f"sign its start: tutela run {policy} --key FILE, or tutela schedule {policy} --key FILE"
    kept = _list(keys, FOLDER, policy, "start") if by_hand is None else by_hand
    if not kept:
        raise UsageError(f"{policy} is approved by somebody other than its starter: {how}")
    same = [one for one in kept if one.request.said.get("policy_sha256") == sha256]
    if not same:
        raise UsageError(f"{policy} was changed since its start was signed: {how}")
    now = datetime.now(UTC).isoformat()
    valid = [one for one in same if one.request.until >= now]
    if not valid:
        raise UsageError(f"the signature by which {policy} is started has lapsed: {how}")
    enrolled = Register(open_database(keys.home), keys).enrolled().keys
    able = [one for one in valid if one.key.fingerprint in enrolled]
    if not able:
        raise UsageError(f"the key that signed the start of {policy} is not enrolled: {how}")
    return max(able, key=lambda one: one.statement.at)


def _list(keys: Keys, folder: str, policy: str, subject: Subject) -> list[Signed]:
    """Read what is kept of a policy of this home, and is about this."""
    home = public_key(keys)
    kept = sorted((keys.home.root / folder).glob(f"{policy}-{'?' * 16}.json"))
    found = [Signed.read(path.read_bytes()) for path in kept]
    return [
        one
        for one in found
        if (one.request.subject, one.request.said.get("home"), one.request.said.get("policy"))
        == (subject, home, policy)
    ]
