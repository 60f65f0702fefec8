"""`tutela schedule`: what it refuses before anything is made, and how schedules are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deployments.serving.schedules import Scheduled, check_name, check_runs, check_times
from deployments.serving.screen import draw_schedules, plain_schedule
from expectations.errors import UsageError
from ledgers.home.home import Home
from ledgers.home.policies import read_named_policy
from tests.conftest import Folder, small_policy
from tests.flows.test_budget_flow import PRIVATE
from tests.runs import say


@pytest.mark.parametrize(
    ("cron", "timezone", "said"),
    [
        ("0 5 * *", "Europe/Berlin", '--cron "0 5 [*] [*]" is not a cron line: write minute'),
        ("at five", "UTC", "is not a cron line"),
        ("61 5 * * *", "UTC", "is not a cron line"),
        ("", "UTC", "is not a cron line"),
        ("0 5 * * *", "Berlin", '--timezone "Berlin" is not a time zone'),
        ("0 5 * * *", "../etc/passwd", "is not a time zone"),
    ],
)
def test_times_that_are_none_are_refused_in_words(cron: str, timezone: str, said: str) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError, match=said):
        check_times(cron, timezone)


def test_a_schedule_goes_by_the_clock_of_its_zone() -> None:
    """Summer and winter."""
    times = check_times("0 5 * * *", "Europe/Berlin")
    assert (times.cron, times.timezone) == ("0 5 * * *", "Europe/Berlin")


def test_what_spends_is_scheduled_for_a_number_of_runs(folder: Folder) -> None:
    """Tables spend nothing, and a number that would be kept by nobody is refused."""
    private = read_named_policy(str(folder.write(*PRIVATE)))
    check_runs(private, "all", 3)
    check_runs(private, "tables", None)
    with pytest.raises(UsageError, match="say how many with --runs N, or take --tables-only"):
        check_runs(private, "all", None)
    with pytest.raises(UsageError, match="no number to keep"):
        check_runs(private, "tables", 3)


def test_a_policy_is_scheduled_where_a_worker_finds_it(home: Home, folder: Folder) -> None:
    """By its name; a file beside that is not what would run."""
    elsewhere = folder.write()
    with pytest.raises(UsageError, match=r"no small is found by its name: put .* as small\.yaml"):
        check_name(read_named_policy(str(elsewhere)))
    own = home.root / "policies"
    own.mkdir()
    (own / "small.yaml").write_text(small_policy(), encoding="utf-8")
    check_name(read_named_policy("small"))
    with pytest.raises(UsageError, match=f"small is found at {own}/small.yaml: put"):
        check_name(read_named_policy(str(elsewhere)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("small", "--pause", "--remove"), "give one of --cron, --pause, --resume and --remove"),
        (("small", "--cron", "* * * * *", "--pause"), "give one of"),
        (("--cron", "* * * * *"), "name the policy"),
        (("--pause",), "name the policy"),
        (("small",), 'say when: tutela schedule small --cron "0 5'),
        (("small", "--cron", "0 5 * * *", "--runs", "0"), "greater than or equal to 1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: tuple[str, ...], said: str) -> None:
    """Before a server is asked."""
    told = say("schedule", *words)
    assert told.status == 2
    assert said in told.err


def test_the_policy_is_checked_before_a_server_is_started(home: Home, tmp_path: Path) -> None:
    """As `tutela check` does."""
    file = tmp_path / "small.yaml"
    file.write_text(small_policy(("smallest: 10", "smallest: few")), encoding="utf-8")
    told = say("schedule", str(file), "--cron", "0 5 * * *")
    assert (told.status, "population.smallest" in told.err) == (2, True)
    assert not (home.prefect / "server.json").exists()


def test_schedules_are_shown_with_their_own_clocks() -> None:
    """A paused one has no next run; runs left are shown where a schedule spends."""
    at = datetime(2026, 7, 1, 3, 0, tzinfo=UTC)
    daily = Scheduled(
        "small", "tables", "0 5 * * *", "Europe/Berlin",
        active=True, next_run=at, last_run=None, ended=None, runs_left=None,
    )  # fmt: skip
    paused = Scheduled(
        "private", "all", "0 3 1 * *", "UTC",
        active=False, next_run=None, last_run=at, ended="Refused", runs_left=2,
    )  # fmt: skip
    header, first, *rest = draw_schedules([daily, paused])
    assert header.split()[-2:] == ["runs", "left"]
    assert "01 Jul 05:00" in first
    (last,) = (line for line in rest if "private" in line)
    assert (last.split()[-1], "paused" in last, "refused" in last) == ("2", True, True)
    assert "runs left" not in draw_schedules([daily])[0]
    assert plain_schedule(daily)["next_run"] == "2026-07-01T03:00:00+00:00"
