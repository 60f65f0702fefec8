"""Who starts runs of a policy, and who approved its text: kept for the runs that follow.

Whoever runs a policy by hand signs its start, and whoever schedules it signs for its runs. Of a
run that somebody starts by Prefect's pages, the schedule's signer counts as the starter: who has
the home, or its server, can start what was signed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from expectations.errors import UsageError
from ledgers.checkpoints import public_key
from ledgers.home.database import open_database
from ledgers.home.keys import Keys
from ledgers.home.private_files import write_private
from ledgers.people.register import Register
from ledgers.people.statement import Request, Signed

FOLDER, APPROVED = "starts", "approved"
"""Where in the home it lies who starts a policy, and who approves its text."""


def ask_start(keys: Keys, policy: str, sha256: str, days: int) -> Request:
    """Give the request to start a policy as it is written now, for so many days."""
    until = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    named = {"policy": policy, "policy_sha256": sha256}
    return Request.about("start", public_key(keys), until, **named)


def keep_start(keys: Keys, signed: Signed) -> None:
    """Keep who starts a policy; UsageError for a key that is not enrolled."""
    register = Register(open_database(keys.home), keys)
    if signed.key.fingerprint not in register.enrolled().keys:
        raise UsageError(f"{signed.key.fingerprint} is not enrolled in this home: tutela signers")
    folder = keys.home.root / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    write_private(folder / f"{signed.request.said['policy']}.json", signed.write())


def keep_approval(keys: Keys, signed: Signed) -> None:
    """Keep what somebody signed of a policy's text, until a run of it is begun."""
    folder = keys.home.root / APPROVED
    folder.mkdir(mode=0o700, exist_ok=True)
    name = sha256(signed.key.line.encode()).hexdigest()[:16]
    write_private(folder / f"{signed.request.said['policy']}-{name}.json", signed.write())


def list_kept(keys: Keys, policy: str) -> list[Signed]:
    """Give what people signed of a policy's text; UsageError where it proves nothing."""
    home = public_key(keys)
    kept = sorted((keys.home.root / APPROVED).glob(f"{policy}-{'?' * 16}.json"))
    found = [Signed.read(path.read_bytes()) for path in kept]
    return [
        one
        for one in found
        if (one.request.subject, one.request.said.get("home")) == ("policy", home)
    ]


def find_start(keys: Keys, policy: str, sha256: str) -> Signed:
    """Give who started a policy as it is written; UsageError where nobody signed for it now."""
    path = keys.home.root / FOLDER / f"{policy}.json"
    how = f"sign its start: tutela run {policy} --key FILE, or tutela schedule {policy} --key FILE"
    if not path.is_file():
        raise UsageError(f"{policy} is approved by somebody other than its starter: {how}")
    signed = Signed.read(path.read_bytes())
    said, now = signed.request.said, datetime.now(UTC).isoformat()
    if (said.get("home"), said.get("policy_sha256")) != (public_key(keys), sha256):
        raise UsageError(f"{policy} was changed since its start was signed: {how}")
    if signed.request.until < now or signed.request.subject != "start":
        raise UsageError(f"the signature by which {policy} is started has lapsed: {how}")
    register = Register(open_database(keys.home), keys)
    if signed.key.fingerprint not in register.enrolled().keys:
        raise UsageError(f"the key that signed the start of {policy} is not enrolled: {how}")
    return signed
