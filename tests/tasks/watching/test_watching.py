"""Whoever watches is told of runs: in published figures, and at no run's cost."""

from __future__ import annotations

import json
import logging
import stat
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import default
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from expectations.errors import Refusal
from ledgers.checkpoints import NAME as CHECKPOINTS
from ledgers.home.home import Home, Settings
from ledgers.home.line_file import LineFile
from ledgers.key_ledger import KeyEvent
from tasks.account.published import Figure
from tasks.airlock.run import log_errors_in_words
from tasks.lineage.event_file import find_lineage
from tasks.verifying.whole import Verifier
from tasks.watching import announcing
from tasks.watching.announcing import announce
from tasks.watching.events import write_event
from tasks.watching.metrics import Surroundings, render_metrics, write_metrics
from tasks.watching.news import list_due_keys, list_news, needs_somebody
from tasks.watching.notifications import Message, notify, post_checkpoint
from tests.hooks import mailbox, webhook
from tests.overview_rows import make_rows
from tests.runs import RunOnRecord, copy_place, passed

NOW = datetime(2026, 1, 9, tzinfo=UTC)
AROUND = Surroundings(2, 10**9, 10**10, {("visits", "train"): 1.5})
REFUSED = {"verdict": "refused", "check": "fresh consent", "reason": "it is over 30 hours old"}


def some(people: int) -> dict[str, object]:
    """Give a run of so many permitted people."""
    return {"permitted": Figure("with a legal basis", f"{people:,}", people)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([{}], ["tutela.run.passed"]),
        ([{"verdict": "failed"}], ["tutela.run.failed"]),
        ([{"verdict": "pending"}], ["tutela.run.waiting"]),
        ([{"verdict": "unfinished"}], []),
        ([REFUSED], ["tutela.run.refused", "tutela.consent.stale"]),
        ([{"runs_left": 4.0}], ["tutela.run.passed"]),
        ([{"runs_left": 3.0}], ["tutela.run.passed", "tutela.budget.low"]),
        ([some(1000), some(910)], ["tutela.run.passed"]),
        ([some(1000), some(900)], ["tutela.run.passed", "tutela.consent.dropped"]),
        ([some(1000), {"policy": "other", **some(10)}], ["tutela.run.passed"]),
        ([some(1000), {"permitted": None}], ["tutela.run.passed"]),
    ],
)
def test_what_happened_has_its_event(changes: list[dict[str, object]], told: list[str]) -> None:
    """Of the last run, after those before it; what is hidden says nothing."""
    *earlier, last = make_rows(*changes)
    assert [one.name for one in list_news(last, earlier)] == told


def test_a_key_of_tokens_is_due_after_a_year_unless_it_was_rotated_or_destroyed() -> None:
    """Named by its purpose and its age in days."""
    old, new = "2025-01-01T00:00:00+00:00", "2025-12-01T00:00:00+00:00"
    history = [
        KeyEvent(1, old, "dpv:A", 1, "created"), KeyEvent(2, old, "dpv:B", 1, "created"),
        KeyEvent(3, new, "dpv:B", 2, "rotated"), KeyEvent(4, old, "dpv:C", 1, "created"),
        KeyEvent(5, new, "dpv:C", 1, "destroyed"),
    ]  # fmt: skip
    (due,) = list_due_keys(history, NOW)
    assert (due.name, due.facts) == ("tutela.key.due", {"purpose": "dpv:A", "days": 373})
    assert list(list_due_keys(history, NOW - timedelta(days=8))) == []


@pytest.mark.parametrize(
    ("error", "kept"), [(Refusal("k-anonymity", "k = 3"), False), (ValueError("a defect"), True)]
)
def test_prefect_logs_what_ends_a_step_in_words(error: Exception, kept: bool) -> None:
    """Without a traceback where it was foreseen, with one of a defect."""
    log_errors_in_words()
    log = logging.getLogger("prefect.task_runs")
    record = log.makeRecord("x", 40, "f", 1, "failed", (), (type(error), error, None))
    assert log.filter(record)
    assert bool(record.exc_info) is kept


def test_an_event_holds_names_and_published_figures_alone() -> None:
    """Of a reason, which is a sentence, only the check's name goes there."""
    (row,) = make_rows(REFUSED)
    refused, stale = (write_event(one, NOW.isoformat()) for one in list_news(row, []))
    assert refused["payload"] == {
        "policy": "visits", "run": row.run, "verdict": "refused", "check": "fresh consent",
        "people": "1,230", "epsilon": 1.0, "k": 10.0, "auc": 0.81, "r2": None,
    }  # fmt: skip
    assert stale["payload"] == {"policy": "visits", "run": row.run}
    assert "30 hours" not in json.dumps([refused, stale])


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        (["passed"], False),
        (["passed", "passed"], False),
        (["refused"], True),
        (["failed"], True),
        (["pending"], True),
        (["refused", "passed"], True),
        (["refused", "unfinished", "passed"], True),
        (["refused", "passed", "passed"], False),
    ],
)
def test_people_are_notified_of_what_did_not_pass_and_of_the_end_of_it(
    verdicts: list[str], told: bool
) -> None:
    """A year of nights that pass is silent."""
    *earlier, last = make_rows(*({"verdict": verdict} for verdict in verdicts))
    assert needs_somebody(last, earlier) is told


def make_home(folder: Path, *notify_at: str) -> Home:
    """Give a home whose settings name some addresses."""
    return Home(folder, Settings(notify=notify_at))


def test_a_webhook_and_a_mailbox_get_the_sentence(tmp_path: Path) -> None:
    """Run, policy, verdict, check, reason and where to read on."""
    (row,), mails = make_rows(REFUSED), list[str]()
    with webhook(tmp_path) as hook, mailbox(mails) as mail:
        home = make_home(tmp_path, hook, mail)
        assert list(notify(home, Message.of(row, home), str)) == []
    hooked = json.loads((tmp_path / "1.json").read_text())
    assert hooked["type"] == "failure"
    assert hooked["title"] == "tutela: visits refused by fresh consent"
    for word in (row.run, "it is over 30 hours old", f"tutela report {row.run}"):
        assert word in hooked["message"]
        assert word in mails[0].replace("=\r\n", "")
    assert "To: dpo@example.org" in mails[0]


def test_a_mailed_checkpoint_is_an_anchor_that_verify_reads(tmp_path: Path) -> None:
    """Saved as text it is in order beside the home, and names one that was put back."""
    place, mails = copy_place(passed("diabetes").place, tmp_path / "home"), list[str]()
    line = LineFile(place.home.root / CHECKPOINTS).last()
    assert line is not None
    with mailbox(mails) as mail:
        home = Home(place.home.root, Settings(posted_to=(mail,)))
        assert list(post_checkpoint(home, line, str)) == []
    saved = tmp_path / "mail.txt"
    told = message_from_string(mails[0], policy=default)
    body = told.get_body(("plain",))
    assert body is not None
    saved.write_text(f"Subject: {told['subject']}\n\n{body.get_content()}")
    verifier = Verifier.of(place.home, place.keys, ())
    verifier.ledgers([saved], whole=False)
    assert verifier.found.compared["anchor checkpoints"] == 1
    assert verifier.found.differences == []
    (place.home.root / CHECKPOINTS).write_bytes(b"")
    verifier = Verifier.of(place.home, place.keys, ())
    verifier.ledgers([saved], whole=False)
    assert [one.where for one in verifier.found.differences if one.where == "anchor"]


def test_an_address_that_fails_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other one is told all the same, and nothing is raised."""
    monkeypatch.setenv("HOOK_PASSWORD", "s3cret/word")
    with webhook(tmp_path) as hook, webhook(tmp_path, 500) as broken:
        home = make_home(
            tmp_path, "nothing://token@x", broken.replace("//", "//monitor:$HOOK_PASSWORD@"),
            "json://$NO_SUCH_NAME@x", hook,
        )  # fmt: skip
        said = list(notify(home, Message("title", "body"), str))
    assert [one.partition(" was not told: ")[0] for one in said] == [
        "notify 1 (nothing)", "notify 2 (json)", "notify 3 (json)",
    ]  # fmt: skip
    assert not any(word in " ".join(said) for word in ("token", "s3cret", "127.0.0.1", "monitor"))
    assert len(list(tmp_path.glob("*.json"))) >= 1


def test_metrics_are_what_prometheus_reads() -> None:
    """Every sample has its name, labels in escapes, and a figure that is published."""
    odd = 'a"b\\c'
    rows = make_rows(
        {}, {"policy": odd, "people": Figure("selected", "fewer than 10", None)}, REFUSED
    )
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parse(render_metrics(rows, AROUND, NOW))
        for sample in family.samples
    }
    assert found["tutela_runs", ("policy", "visits"), ("verdict", "refused")] == 1
    assert found["tutela_people", ("policy", "visits")] == 1230
    assert ("tutela_people", ("policy", odd)) not in found
    assert found["tutela_last_run_passed", ("policy", "visits")] == 0
    passed_at = datetime.fromisoformat(rows[0].at).timestamp()
    assert found["tutela_last_passed_timestamp_seconds", ("policy", "visits")] == passed_at
    assert found["tutela_step_seconds", ("policy", "visits"), ("step", "train")] == 1.5
    assert found["tutela_outbox_items",] == 2


def test_the_exporter_may_read_the_metrics_and_sees_them_whole(tmp_path: Path) -> None:
    """It is another user; nothing half-written stays beside the file."""
    path = tmp_path / "tutela.prom"
    write_metrics(path, "a 1\n")
    write_metrics(path, "a 2\n")
    assert path.read_text() == "a 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def ended(tmp_path: Path) -> RunOnRecord:
    """Give a run that passed, in a home that may be written to."""
    return copy_place(passed("registry").place, tmp_path / "home").last


def set_up(run: RunOnRecord, text: str) -> Home:
    """Write a home's settings and open it anew."""
    (run.place.home.root / "settings.toml").write_text(text)
    return Home.open(run.place.home.root)


def test_a_run_brings_page_and_metrics_up_to_date(ended: RunOnRecord, tmp_path: Path) -> None:
    """The page is its owner's alone, in a home that nobody else can enter."""
    home = set_up(ended, f'metrics = "{tmp_path / "t.prom"}"\n')
    (home.root / "index.html").unlink(missing_ok=True)
    assert announce(home, ended.place.keys, [ended.record.run_id]) == []
    page = home.root / "index.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert f'href="reports/{ended.record.run_id}.html"' in page.read_text()
    assert 'policy="registry",verdict="passed"' in (tmp_path / "t.prom").read_text()


def test_what_fails_in_telling_fails_alone(
    ended: RunOnRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in the page, a folder that is gone and an address that is away are sentences."""

    def broken(*_: object) -> None:
        raise ValueError("of somebody's 4711")

    monkeypatch.setattr(announcing, "render_index", broken)
    monkeypatch.setattr(announcing, "needs_somebody", lambda *_: True)
    home = set_up(ended, f'metrics = "{tmp_path / "gone" / "t.prom"}"\nnotify = ["x://y"]\n')
    said = announce(home, ended.place.keys, [ended.record.run_id])
    assert [one.split(" ")[0] for one in said] == ["index.html", "metrics", "notify"]
    assert "4711" not in " ".join(said)


def test_lineage_goes_where_the_settings_say_and_nowhere_else(
    ended: RunOnRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event of the run's file; OpenLineage's own variable for an address sends nothing."""
    file = find_lineage(ended.place.home, ended.record.run_id)
    with webhook(tmp_path) as hook:
        address = hook.replace("json://", "http://").removesuffix("/hook")
        monkeypatch.setenv("OPENLINEAGE_URL", address)
        announce(set_up(ended, ""), ended.place.keys, [ended.record.run_id])
        assert not list(tmp_path.glob("*.json"))
        home = set_up(ended, f'lineage = "{address}"\n')
        assert announce(home, ended.place.keys, [ended.record.run_id]) == []
    sent = [json.loads(one.read_bytes()) for one in tmp_path.glob("*.json")]
    assert len(sent) > 10
    assert {json.dumps(one, sort_keys=True) for one in sent} == {*file.read_text().splitlines()}


def test_a_catalogue_that_is_away_fails_no_run(ended: RunOnRecord) -> None:
    """It is a sentence without the address, which may hold a login."""
    home = set_up(ended, 'lineage = "http://me:secret@127.0.0.1:9"\n')
    (said,) = announce(home, ended.place.keys, [ended.record.run_id])
    assert said.startswith("lineage could not be brought up to date: it took no events")
    assert "secret" not in said
