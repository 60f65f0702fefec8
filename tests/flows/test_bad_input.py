"""Whatever is wrong with what is given: the exit status, what the message names, what stays inside.

Every value of a person here holds the made-up word `xq7`, so that a message can be searched for it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.servers import prefect_server
from ledgers.home.home import Home
from tests.conftest import Folder
from tests.runs import Place, Said, make_place, say, shared_place

SECRET = "xq7"
NOBODY = 65534
NO_MLFLOW = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""An address where nothing listens (the discard port), asked once."""
SUGAR = "    use: [derivation]\n    treatment: {kind: drop}\n"
KEPT = "    use: [target, release]\n    treatment: {kind: keep}\n"
SEX = "categories, values: [f, m]"
MODEL, TREE = "model: logistic-regression", "model: sklearn.tree.DecisionTreeClassifier"
MEMBERSHIP = "0.75, when_inconclusive: report"
MOST_TEST = ("test_share: 0.4", "test_share: 0.8")
TABLE = "columns: {age: generalize, sex: generalize, sick: generalize}"

NAME = """\
  name:
    {type: text, identifiability: identifier, category: dpv-pd:Identifying, use: [release],
     treatment: {kind: keep}}
"""
PROMISE = "    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-6}\n"

Spoil = Callable[[Folder], object]


@pytest.fixture
def place() -> Place:
    """The home that the tests share; each looks at what was added."""
    return shared_place()


@pytest.fixture
def people(folder: Folder) -> Folder:
    """People whose identifiers are recognisable."""
    for row in folder.people:
        row["pid"] = f"{SECRET}-{row['pid']}"
    for event in folder.events:
        event["person"] = f"{SECRET}-{event['person']}"
    return folder


@contextlib.contextmanager
def nothing_handed_over(place: Place) -> Iterator[None]:
    """Hold that no model or table was added meanwhile, and that nothing waits."""
    before = place.handed_over
    yield
    assert (place.handed_over, place.waiting) == (before, [])


def expect(said: Said, status: int, *words: str) -> None:
    """Hold that a command ended so, named these words, and no value of a person."""
    assert said.status == status, said.err
    shown = " ".join((said.out + said.err).split())
    assert [word for word in words if word not in shown] == [], shown
    assert SECRET not in (said.out + said.err).casefold()
    assert "Traceback" not in said.err


POLICY_FILES = {
    "not YAML": ("tutela: [1", ("yaml: ", "check indentation, colons and quotes there")),
    "not a mapping": ("- tutela", (":1: yaml: a policy is a mapping of keys; begin with",)),
    "duplicate key": ("tutela: 1\ntutela: 1\n", (":2: tutela: the key is there twice; keep one",)),
    "unsafe tag": (
        "tutela: !!python/object/apply:os.system [true]\n",
        ("tags such as !name are not read; take the tag out",),
    ),
}


@pytest.mark.parametrize(("text", "words"), POLICY_FILES.values(), ids=list(POLICY_FILES))
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_file_that_is_no_policy_is_told_with_its_line(
    command: str, text: str, words: tuple[str, ...], place: Place, tmp_path: Path
) -> None:
    """Status 2, `file:line: path: what; how to mend it`; no run is on record."""
    policy, runs = tmp_path / "own.yaml", len(place.runs)
    policy.write_text(text)
    said = place.tell(command, str(policy))
    expect(said, 2, str(policy), *words)
    assert re.search(rf"{policy}:\d+: \S+: .+; .+", said.err)
    assert len(place.runs) == runs


def test_no_such_policy_names_those_that_come_with_tutela(place: Place) -> None:
    """A name that is no file and no example is told with the examples."""
    expect(
        place.tell("check", "diabtes"),
        2,
        "no such file",
        "diabetes, notes, pressure, prevalence, readmission, registry",
    )


CHANGES: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "unknown key": (
        (("title: A small policy", "titel: A small policy"),),
        ("titel: is not a known key; did you mean `title`?", "title: is missing"),
    ),
    "wrong type": (
        (("retention_days: 30", "retention_days: soon"),),
        ("small.yaml:69: retention_days: must be a whole number",),
    ),
    "misspelt word": (
        (("kind: bin,", "kind: bins,"),),
        ("columns.age.treatment: is not a known word; did you mean `bin`?",),
    ),
    "all at once": (
        (
            ("retention_days: 30", "retention_days: 0"),
            ("k: 3", "k: 1"),
            ("smallest: 10", "smallest: 1"),
        ),
        ("population.smallest: ", "outlets.partner.k: ", "retention_days: "),
    ),
    "column that the source lacks": (
        (("  sugar:\n    type", "  sugar:\n    from: suger\n    type"),),
        ("columns.sugar.from: the source has no column `suger`; did you mean `sugar`?",),
    ),
    "treatment that does not fit": (
        ((SEX, "bin, edges: [1], labels: [a, b]"),),
        ("columns.sex.treatment.kind: `bin` does not fit a column of type text; use one of",),
    ),
    "purpose without a legal basis": (
        (("legal_basis:\n  article_6: eu-gdpr:A6-1-a\n  article_9: eu-gdpr:A9-2-a\n", ""),),
        ("legal_basis: is missing; add `legal_basis:`",),
    ),
    "legal basis without an assessment": (
        (("A6-1-a", "A6-1-f"), ("A9-2-a", "A9-2-j")),
        ("legal_basis.article_6: consent is looked up per person", "legal_basis.assessment: "),
    ),
    "special category without Art. 9": (
        (("  article_9: eu-gdpr:A9-2-a\n", ""),),
        ("legal_basis.article_9: is missing, but special categories (Art. 9 GDPR) are read",),
    ),
    "target dropped": (
        ((KEPT, KEPT.replace("target, release", "target").replace("keep", "drop")),),
        ("derived.sick.treatment.kind: it is dropped, but `use` needs it as release, target; ",),
    ),
    "identifier kept": (
        ((SUGAR, SUGAR + NAME), (TABLE, TABLE.replace("sick:", "name: keep, sick:"))),
        (
            "columns.name.treatment.kind: `keep` lets an identifier pass; use drop, mask or token",
            "outlets.partner.columns.name: is an identifier, which is never released; remove it",
        ),
    ),
    "incoherent outlet": (
        (("recipient: Clinic\n", f"recipient: Clinic\n{PROMISE}"),),
        ("outlets.clinic.promise: differential privacy is promised, but `logistic-regression` is",),
    ),
}


@pytest.mark.parametrize(("changes", "words"), CHANGES.values(), ids=list(CHANGES))
def test_a_policy_that_cannot_be_kept_is_told_before_anything_is_read(
    changes: tuple[tuple[str, str], ...], words: tuple[str, ...], place: Place, people: Folder
) -> None:
    """Status 2 from `check` and from `run` alike; no run is on record."""
    policy, runs = str(people.write(*changes)), len(place.runs)
    for command in ("check", "run"):
        expect(place.tell(command, policy), 2, "small.yaml:", *words)
    assert len(place.runs) == runs


def test_without_a_home_a_run_says_how_to_make_one(people: Folder, tmp_path: Path) -> None:
    """No command but init makes a home."""
    said = say("run", str(people.write()), TUTELA_HOME=str(tmp_path / "none"))
    expect(said, 2, f"there is no home at {tmp_path / 'none'}", "tutela init")
    assert not (tmp_path / "none").exists()


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Spoil:
    """Change a file after it was written."""

    def spoil(folder: Folder) -> None:
        path = folder.path / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def each(number: int, name: str, value: str) -> Spoil:
    """Give one person another value."""

    def spoil(folder: Folder) -> None:
        folder.people[number][name] = value

    return spoil


def event(number: int, name: str, value: str) -> Spoil:
    """Give one consent event another value."""

    def spoil(folder: Folder) -> None:
        folder.events[number][name] = value

    return spoil


def add_line(line: bytes) -> Callable[[bytes], bytes]:
    """Put a line behind the third."""

    def change(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        return b"".join([*lines[:3], line, *lines[3:]])

    return change


FILES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "source missing": (
        lambda folder: (folder.path / "people.csv").unlink(),
        ("people.csv: there is no file", "check the path"),
    ),
    "source empty": (
        rewrite("people.csv", lambda _: b""),
        ("people.csv: the file is empty; its first line must be a header",),
    ),
    "source with a header only": (
        rewrite("people.csv", lambda text: text.splitlines(keepends=True)[0]),
        ("'pid' must name each person once, but there is no row",),
    ),
    "malformed row": (
        rewrite("people.csv", add_line(b"xq7-p99,30,f,5.0,Xq7 Name,Xq7,one too many Xq7\n")),
        ("people.csv: fewer than 10 rows have another number of fields than the header",),
    ),
    "open quote": (
        rewrite("people.csv", add_line(b'xq7-p99,30,f,5.0,"Xq7 Name,Xq7\n')),
        ("people.csv: the file has an odd number of double quotes (1)",),
    ),
    "wrong encoding": (
        rewrite("people.csv", lambda text: text.replace(b"Zyxwort 5", b"Xq7wort \xe9", 1)),
        ("people.csv: a byte is not utf-8; name the file's encoding",),
    ),
    "person column absent": (
        rewrite("people.csv", lambda text: text.replace(b"pid,", b"patient,", 1)),
        ("source.person: the source has no column `pid`",),
    ),
    "ledger missing": (
        lambda folder: (folder.path / "consent.csv").unlink(),
        ("consent.csv: there is no file",),
    ),
    "ledger without a time": (
        rewrite("consent.csv", lambda text: text.replace(b",at", b",when", 1)),
        ("basis.events.0: the source has no column `at`, which every event needs",),
    ),
}


@pytest.mark.parametrize(("spoil", "words"), FILES.values(), ids=list(FILES))
def test_a_file_that_cannot_be_read_is_told_by_name(
    spoil: Spoil, words: tuple[str, ...], place: Place, people: Folder
) -> None:
    """Status 2, and the file; what stands in it stays in it."""
    policy = people.write()
    spoil(people)
    with nothing_handed_over(place):
        expect(place.tell("run", str(policy)), 2, *words)


VALUES: dict[str, tuple[Spoil, tuple[str, ...]]] = {
    "person null": (each(3, "pid", ""), ("'pid'", "it is missing in fewer than 10 rows")),
    "person repeated": (
        each(3, "pid", "xq7-p01"),
        ("'pid'", "it repeats another row's in fewer than 10 rows", "give one row per person"),
    ),
    "no number": (
        each(3, "age", "xq7 years"),
        (
            "column 'age': fewer than 10 values are not whole numbers",
            "correct these values in the source",
        ),
    ),
    "a word that nobody declared": (
        each(3, "sex", "xq7"),
        ("some values fit no treatment", "sex: ", "not among those declared", "rename"),
    ),
    "status unknown": (
        event(2, "status", "xq7 agreed"),
        ("fewer than 10 events: its status is an unknown word; use requested, deferred, refused",),
    ),
    "purpose unknown": (
        event(2, "purpose", "xq7 research"),
        ("fewer than 10 events: its purpose is an unknown word; use dpv:",),
    ),
    "event without a person": (event(4, "person", ""), ("fewer than 10 events: it has no person",)),
    "time without a zone": (
        event(4, "at", "2024-01-01T12:00:00"),
        ("fewer than 10 events: its `at` is not a time with a zone; write it like 2026-01-31T",),
    ),
    "time that is none": (
        event(4, "at", "xq7 o'clock"),
        ("fewer than 10 events: its `at` is not a time with a zone",),
    ),
    "recorded in the future": (
        event(4, "at", "2199-01-01T12:00:00Z"),
        ("fewer than 10 events: it is recorded in the future; correct its time",),
    ),
}


@pytest.mark.parametrize(("spoil", "words"), VALUES.values(), ids=list(VALUES))
def test_a_value_that_breaks_a_rule_is_told_by_count_or_number(
    spoil: Spoil, words: tuple[str, ...], place: Place, people: Folder
) -> None:
    """Status 2; the run is on record as failed with the same words, and handed nothing over."""
    spoil(people)
    with nothing_handed_over(place):
        said = place.tell("run", str(people.write()))
    expect(said, 2, *words)
    assert place.last.record.verdict == "failed"
    assert words[0] in str(place.last.decision["reason"])


@pytest.mark.parametrize("ragged", [False, True], ids=["an event", "a row of people"])
def test_which_rows_are_wrong_is_said_at_a_terminal_and_sealed_elsewhere(
    ragged: bool, place: Place, people: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No number of a row is in what a run keeps, or in what a journal would; its incident is."""
    policy = people.write()
    name, what = ("people.csv", "row 5 (1 in all)") if ragged else ("consent.csv", "event 4 (1 in")
    rows = (people.path / name).read_text().splitlines()
    rows[4] = f"{rows[4]},more" if ragged else rows[4].replace("given", "xq7")
    (people.path / name).write_text("\n".join(rows) + "\n")
    quiet = place.tell("run", str(policy))
    reason = str(place.last.decision["reason"])
    kept = [str(entry.body) for entry in place.ledger.entries(place.last.record.run_id)]
    assert not re.search(r"(row|event) \d", " ".join([quiet.out, quiet.err, reason, *kept]))
    (incident,) = set(re.findall(r"tutela incident show (\w+)", reason))
    assert what in place.tell("incident", "show", incident).out
    monkeypatch.setattr("deployments.cli.at_terminal", lambda: True)
    assert what in place.tell("run", str(policy)).err


@contextlib.contextmanager
def without_root() -> Iterator[None]:
    """Read files as a user who owns nothing; lazy imports must have been made before."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("name", ["people.csv", "consent.csv"])
def test_a_file_that_may_not_be_read_is_told_so(name: str, place: Place, people: Folder) -> None:
    """Status 2, the file and the right that is missing."""
    people.write()
    with tempfile.TemporaryDirectory() as open_folder:  # pytest's own is closed to other users
        copy = shutil.copytree(people.path, Path(open_folder) / "open")
        for path in (Path(open_folder), copy):
            path.chmod(0o755)
        assert place.tell("check", str(copy / "small.yaml")).status == 0
        (copy / name).chmod(0)
        with without_root():
            said = place.tell("check", str(copy / "small.yaml"))
    expect(said, 2, f"{name}: the file may not be read; give this user read permission")


def nobody_consents(folder: Folder) -> None:
    """Let everybody withdraw, but for one who refused."""
    for number, one in enumerate(folder.events):
        one["status"] = "refused" if number == 0 else "withdrawn"


def too_few_to_tell(folder: Folder) -> None:
    """Leave so few people that no attack can say anything of them, most of them for testing."""
    del folder.people[180:], folder.events[178:]


def few_consent(folder: Folder) -> None:
    """Let all but eight withdraw."""
    for one in folder.events[8:]:
        one["status"] = "withdrawn"


Given = tuple[Spoil, tuple[tuple[str, str], ...]]
REFUSALS: dict[str, tuple[Given, str, tuple[str, ...]]] = {
    "nobody left": (
        (nobody_consents, ()),
        "legal basis",
        # About a no there is nothing to be done, so that no way out is told of it.
        (
            "nobody may be read for dpv:ScientificResearch",
            "because: withdrawn (",
            "check the purpose",
        ),
    ),
    "smallest cohort": (
        (few_consent, ()),
        "smallest cohort",
        ("fewer than 10 people are left", "(at least 10 required)", "widen population.eligible"),
    ),
    "k not reached": (
        (
            lambda _: None,
            (("k: 3", "k: 400"), (TABLE, TABLE.replace("sex: generalize", "sex: keep"))),
        ),
        "k-anonymity",
        ("asked classes of at least 400, with at most 10 %", "up to 100.0 %", "leave out sex yes"),
    ),
    "value rule": (
        (lambda _: None, (("low: 0.1, high: 0.9", "low: 0.8, high: 0.9"),)),
        "share of yes in sick",
        ("“share of yes in sick”", "asked 80 % to 90 %", "still means the same"),
    ),
    "membership": (
        (lambda _: None, ((MODEL, TREE), (MEMBERSHIP, "0.6"))),
        "membership inference",
        ("reached AUC 0.", "(at most 0.6 asked)", "train a private or simpler"),
    ),
    "inconclusive": (
        (too_few_to_tell, (MOST_TEST, (MEMBERSHIP, "0.6"))),
        "membership inference",
        (
            "inconclusive membership inference",
            "(at most 0.6 asked)",
            "times as many people, and at least 670 in all; or train private-logistic-regression",
        ),
    ),
}


@pytest.mark.parametrize(("given", "check", "words"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_check_that_says_no_tells_what_was_reached_and_asked(
    given: Given, check: str, words: tuple[str, ...], home: Home, people: Folder
) -> None:
    """Status 1, the check by name, reached and asked, and what to change; nothing leaves."""
    # In a home of its own, since what people withdraw stays in its ledger.
    place = Place(home)
    spoil, changes = given
    spoil(people)
    with nothing_handed_over(place):
        said = place.tell("run", str(people.write(*changes)))
    expect(said, 1, *words)
    run = place.last
    assert (run.record.verdict, run.decision["check"]) == ("refused", check)


def test_an_inconclusive_check_is_passed_on_where_the_policy_says_report(
    home: Home, people: Folder
) -> None:
    """The run passes, and the check stands on record as inconclusive, not as passed."""
    place = Place(home)
    too_few_to_tell(people)
    lower = MEMBERSHIP.replace("0.75", "0.6")
    said = place.tell("run", str(people.write(MOST_TEST, (MEMBERSHIP, lower))))
    expect(said, 0)
    found = place.last.named("check")["membership inference"]
    assert isinstance(found, dict)
    assert found["verdict"] == "inconclusive"


def test_a_prefect_server_that_does_not_answer_is_told_before_anything_is_read(
    people: Folder, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 3, the address, what to do; no run is on record."""
    monkeypatch.setattr(prefect_server, "NAMED_LIMIT", 0)
    runs = len(place.runs)
    home, url = str(place.home.root), "http://127.0.0.1:9/api"
    said = say("run", str(people.write()), TUTELA_HOME=home, PREFECT_API_URL=url)
    expect(said, 3, f"no Prefect API answers at {url}", "start that server")
    assert len(place.runs) == runs


def test_while_mlflow_is_away_the_run_is_pending_and_the_next_command_completes_it(
    people: Folder, tmp_path: Path
) -> None:
    """Status 3 and nothing released; then model and table are handed over, and nothing waits."""
    place = make_place(tmp_path / "home")
    said = place.tell("run", str(people.write()), **NO_MLFLOW)
    expect(said, 3, "MLflow at http://127.0.0.1:9 did not take the run", "the next tutela command")
    assert place.last.record.verdict == "pending"
    assert (place.handed_over, len(place.waiting)) == ((set(), set()), 3)
    said = place.tell("report")
    expect(said, 0, "closed as passed")
    run = place.last
    package = f"{run.record.run_id}/partner"
    files = {f"{package}/{name}" for name in ("partner.csv", "codebook.html", "datapackage.json")}
    assert run.record.verdict == "passed"
    assert place.handed_over == ({"small.clinic/1"}, {run.record.run_id, package, *files})
    assert place.waiting == []


def test_a_withdrawal_while_the_run_is_pending_refuses_it(people: Folder, tmp_path: Path) -> None:
    """Consent is asked for again before anything is handed over: then nothing is."""
    place = make_place(tmp_path / "home")
    place.tell("run", str(people.write()), **NO_MLFLOW)
    people.say("xq7-p05", "withdrawn", "2024-06-01T12:00:00Z")
    people.write()
    said = place.tell("report")
    expect(said, 0, "closed as refused")
    run = place.last
    assert (run.record.verdict, run.decision["check"]) == ("refused", "legal basis")
    assert "lost their legal basis" in str(run.decision["reason"])
    assert (place.handed_over, place.waiting) == ((set(), set()), [])


def test_mlflow_still_away_leaves_the_run_pending(people: Folder, tmp_path: Path) -> None:
    """The next command says so and goes on with its own work; nothing that waits is lost."""
    place = make_place(tmp_path / "home")
    place.tell("run", str(people.write()), **NO_MLFLOW)
    waiting = place.waiting
    said = place.tell("report", **NO_MLFLOW)
    expect(said, 0, "is still pending: MLflow at http://127.0.0.1:9")
    assert (place.last.record.verdict, place.waiting) == ("pending", waiting)


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let this process write no file beyond `size` bytes: a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [4_000, 120_000], ids=str)
def test_a_full_disk_is_told_and_the_next_command_sets_it_right(
    size: int, people: Folder, tmp_path: Path
) -> None:
    """Status 3 wherever it strikes, nothing handed over; afterwards a run passes."""
    place = make_place(tmp_path / "home")
    policy = str(people.write())
    with files_up_to(size):
        said = place.tell("run", policy)
    expect(said, 3, "full")
    assert place.handed_over == (set(), set())
    said = place.tell("run", policy)
    expect(said, 0)
    assert place.last.record.verdict == "passed"
    assert {run.verdict for run in place.runs} <= {"passed", "failed"}


def outgrow_disk(people: Folder, place: Place) -> Said:
    """Run over so many people that the vault finds the disk full."""
    row = people.people[0]
    people.people += [row | {"pid": f"xq7-more-{number}"} for number in range(20_000)]
    policy = str(people.write())
    with files_up_to(300_000):
        return place.tell("run", policy)


def test_a_full_vault_is_told_by_its_name(people: Folder, tmp_path: Path) -> None:
    """Status 3 in words that lead to the place; the next command closes the run as failed."""
    place = make_place(tmp_path / "home")
    said = outgrow_disk(people, place)
    expect(said, 3, f"the vault at {place.home.vault}", "is full: free space, then run again")
    assert place.last.decision["verdict"] == "failed"
    expect(place.tell("report"), 0)
    assert place.last.record.verdict == "failed"
    assert (place.handed_over, place.waiting) == ((set(), set()), [])


def test_a_disk_that_fills_up_while_mlflow_makes_its_store_spoils_nothing(
    people: Folder, tmp_path: Path
) -> None:
    """When there is room again, the next command closes the run, and MLflow has it."""
    place = make_place(tmp_path / "home")
    (place.home.mlflow / "mlflow.db").unlink()
    assert outgrow_disk(people, place).status == 3
    place.tell("report")
    assert place.last.record.verdict == "failed"


@pytest.mark.parametrize("name", ["vault", "keys", "outbox"])
def test_a_home_that_is_open_to_others_is_refused(
    name: str, people: Folder, tmp_path: Path
) -> None:
    """The folder, its mode, and the command that closes it; no run is on record."""
    place = make_place(tmp_path / "home")
    (place.home.root / name).chmod(0o755)
    said = place.tell("run", str(people.write()))
    folder = place.home.root / name
    expect(said, 2, f"{folder} has mode 0755, wider than 0700: chmod 700 {folder}")


def test_a_vault_that_cannot_be_written_is_told(
    people: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 3, the vault, what to do; no run is on record."""
    place = make_place(tmp_path / "home")
    policy, make = str(people.write()), Path.mkdir

    def refuse(
        path: Path, mode: int = 0o777, *, parents: bool = False, exist_ok: bool = False
    ) -> None:
        if path.parent == place.home.vault:  # root may write anywhere, so the system is played
            raise PermissionError(errno.EACCES, "not permitted")
        make(path, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", refuse)
    expect(place.tell("run", policy), 3, f"the vault at {place.home.vault} failed", "owner and")
    assert place.runs == []
