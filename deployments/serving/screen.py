"""What `tutela schedule` answers: schedules as a table, and what became of the one asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from deployments.request import checked_request
from deployments.servers.prefect_server import ensure_server, running, set_environment
from deployments.serving.schedules import (
    Change,
    Scheduled,
    Scope,
    change_schedule,
    check_name,
    check_runs,
    check_times,
    is_polled,
    list_schedules,
    make_schedule,
)
from deployments.signing import Signer
from deployments.terminal import Answer, lay_out
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.people.starts import keep_start

A_YEAR: Final = 366
"""How many days the signature of a schedule counts."""
Say = Callable[[str], None]
FIX_UNSERVED: Final = "Run `tutela up`, or have systemd do it (`tutela units DIR`)"
UNSERVED: Final = f"nothing serves schedules yet, so no run will start. {FIX_UNSERVED}"


def reach(say: Say) -> Home:
    """Open the home and reach the Prefect server that it uses, starting its own if need be."""
    home = Home.open()
    set_environment(home)
    ensure_server(home, progress=(lambda _: None) if running(home) else say)
    return home


def make(  # noqa: PLR0913, PLR0917  # what is typed
    policy: str, scope: Scope, when: tuple[str, str], runs: int | None, signer: Signer, say: Say
) -> Answer:
    """Check a policy as `tutela check` does, and make its schedule or change it.

    `signer` counts as the starter of its runs, where the policy asks who that is.
    """
    file, _ = checked_request(policy, None)
    check_name(file)
    check_runs(file, scope, runs)
    home = Home.open()
    set_environment(home)
    keys = Keys.open(home)
    for signed in signer.start(keys, file, A_YEAR):
        keep_start(keys, signed)
    times = check_times(*when)
    reach(say)
    make_schedule(home, file, scope, times, runs)
    (made,) = (one for one in list_schedules(home) if one.policy == file.policy.name)
    what = "its tables" if scope == "tables" else "the whole policy"
    said = f'{made.policy} runs at "{made.cron}" ({made.timezone}): {what}'
    if runs is not None:
        said += f", {runs} time{'s' * (runs > 1)}, then the schedule stops"
    return Answer(plain_schedule(made), [f"{said}."], _notes(home))


def change(policy: str, what: Change, say: Say) -> Answer:
    """Pause, resume or remove the schedule of a policy."""
    home = reach(say)
    change_schedule(home, policy, what)
    done = {"pause": "paused", "resume": "active again", "remove": "removed"}[what]
    notes = _notes(home) if what == "resume" else []
    return Answer(
        {"policy": policy, "schedule": done}, [f"{policy}: the schedule is {done}."], notes
    )


def tell_schedules(say: Say) -> Answer:
    """List all schedules with the runs before and after now."""
    home = reach(say)
    found = list_schedules(home)
    if not found:
        none = 'no policy is scheduled: tutela schedule POLICY --cron "0 5 * * *"'
        return Answer({"schedules": []}, [none])
    return Answer(
        {"schedules": [plain_schedule(one) for one in found]}, draw_schedules(found), _notes(home)
    )


def draw_schedules(found: list[Scheduled]) -> list[str]:
    """Draw schedules as a table; times are those of each schedule's zone."""
    header = ["policy", "when", "next run", "last run", "ended", "runs left"]
    rows = [
        [
            one.policy if one.scope == "all" else f"{one.policy} (tables)",
            f"{one.cron} {one.timezone}",
            show_moment(one.next_run, one.timezone) if one.active else "paused",
            show_moment(one.last_run, one.timezone),
            (one.ended or "").lower(),
            "" if one.runs_left is None else str(one.runs_left),
        ]
        for one in found
    ]
    counted = any(row[-1] for row in rows)
    return lay_out(header if counted else header[:-1], rows if counted else [r[:-1] for r in rows])


def _notes(home: Home) -> list[str]:
    return [] if is_polled(home) else [UNSERVED]


def show_moment(at: datetime | None, timezone: str) -> str:
    """Show a moment by a zone's clock, short."""
    return at.astimezone(ZoneInfo(timezone)).strftime("%d %b %H:%M") if at else "-"


def plain_schedule(one: Scheduled) -> dict[str, Any]:
    """Give a schedule as plain values; moments in UTC."""
    plain = asdict(one)
    for name in ("next_run", "last_run"):
        at = plain[name]
        plain[name] = at.astimezone(UTC).isoformat(timespec="seconds") if at else None
    return plain
