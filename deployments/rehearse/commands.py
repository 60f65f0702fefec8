"""`tutela rehearse`: a policy's whole flow on made-up people, in a home that is removed after it.

No source that the policy names is opened, and nothing of the user's home is changed: of it only
the address of its Prefect server is used, where that runs. What comes out says whether the parts
of a policy work together, and nothing about real people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deployments.terminal import JsonOption, PolicyArgument, lay_out, tell, wrap
from expectations.errors import Refusal, ServiceError, TutelaError

if TYPE_CHECKING:
    from deployments.run.launch import Ended
    from deployments.terminal import Answer
    from expectations.checks import Check
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from tasks.account.published import Summary
    from tasks.rehearsal.staging import Staged

TAG: Final = "rehearsal"
"""By which Prefect's pages tell a rehearsal from a run."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal came to, on how many made-up people, and in how many seconds."""

    summary: Summary
    staged: Staged
    seconds: float
    error: TutelaError | None


def rehearse(policy: PolicyArgument, as_json: JsonOption = False) -> None:
    """Try a policy's whole flow on made-up people; reads no real data."""
    try:
        found = carry_through(policy)
    except KeyboardInterrupt:
        raise ServiceError("stopped; the made-up people and their home are removed") from None
    tell(describe(found), as_json=as_json)


def carry_through(policy: str) -> Rehearsed:
    """Rehearse a policy in a home of its own; raises what kept it from being begun."""
    from deployments.rehearse.home import own_home
    from ledgers.home.policies import read_named_policy

    file = read_named_policy(policy)
    began = time.monotonic()
    with own_home() as home:
        from deployments.request import check_model, checked_code
        from ledgers.home.keys import Keys
        from tasks.handover.delivery import read_run
        from tasks.rehearsal.staging import stage

        own = checked_code(file)
        check_model(file.policy, own)
        staged = stage(file, home.root.parent, own)
        ended = run_staged(home, staged)
        summary = read_run(home, Keys.open(home), ended.run_id).summary()
    return Rehearsed(summary, staged, time.monotonic() - began, ended.error)


def run_staged(home: Home, staged: Staged) -> Ended:
    """Run the flow on what was made up, its runs in Prefect tagged as rehearsals."""
    from deployments.run.launch import carry_out
    from deployments.run.progress import Progress
    from deployments.servers.prefect_server import set_environment

    set_environment(home)
    with Progress() as progress:
        progress.tell(f"made up {staged.people:,} people; nothing below is about real ones")
        from prefect import tags

        with tags(TAG):
            return carry_out(home, staged.file, None, "all", None, progress, ())


def describe(found: Rehearsed) -> Answer:
    """Tell a rehearsal, as plain values and on a screen that says first that all is made up."""
    from deployments.terminal import Answer

    summary, staged = found.summary, found.staged
    values: dict[str, JSON] = {
        "made_up": True,
        "policy": summary.policy,
        "people": staged.people,
        "verdict": summary.verdict,
        "reason": summary.reason,
        "seconds": round(found.seconds, 1),
        "steps": dict(summary.seconds),
        "checks": [
            {"name": c.name, "verdict": str(c.verdict), "measured": c.measured, "outlet": c.outlet}
            for c in summary.checks
        ],
        "notes": list(staged.notes),
    }
    return Answer(values, list(screen_lines(found)), refused=made_up_error(found.error))


def made_up_error(error: TutelaError | None) -> TutelaError | None:
    """Say of what ended a rehearsal that it was one."""
    if error is None:
        return None
    if isinstance(error, Refusal):
        text = str(error).removeprefix(f"{error.check}: ")
        return Refusal(error.check, f"refused on made-up people: {text}")
    return ServiceError(f"on made-up people: {error}") if type(error) is ServiceError else error


def screen_lines(found: Rehearsed) -> Iterator[str]:
    """Tell a rehearsal line by line."""
    summary, staged = found.summary, found.staged
    yield f"Made up: a rehearsal of {summary.policy} on {staged.people:,} made-up people."
    yield from wrap(
        "No real data was read. This says whether the policy can be carried out, and nothing about "
        "real people."
    )
    yield ""
    yield from wrap(VERDICTS[summary.verdict])
    for note in staged.notes:
        yield from wrap(f"Note: {note}.")
    yield ""
    steps = [(f"{seconds:.1f}", name) for name, seconds in summary.seconds.items()]
    yield from lay_out(("Seconds", "Step"), steps, numbers={0})
    yield from check_lines(summary.checks)
    yield ""
    yield f"{found.seconds:.0f} s in total. The made-up people and their home are gone."


VERDICTS: Final = {
    "passed": "Works: every step ran, and no check stopped it.",
    "refused": "Refused on made-up people: a check failed, and the steps after it did not run. "
    "Made-up people are built so that a policy can pass, so look at this check.",
    "failed": "Failed: a step broke.",
    "pending": "Not finished: every decision was made, but not recorded.",
    "awaiting": "Works: every step ran, and no check stopped it. A run would wait for approval.",
    "unfinished": "Not finished: the rehearsal stopped on the way.",
}


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Say what each check came to on made-up people."""
    if not checks:
        return
    carried = sum(check.verdict != "inconclusive" for check in checks)
    yield ""
    were = "1 check was" if len(checks) == 1 else f"{len(checks)} checks were"
    yield f"{were} made; {carried} could be judged on made-up people:"
    yield from lay_out(
        ("On made-up", "Check"), [(str(check.verdict), check.name) for check in checks]
    )
