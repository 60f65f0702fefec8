"""What a home promises: one command makes it, whole or not at all, and only its owner reads it."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from expectations.errors import HomeError, ServiceError
from ledgers.home import database
from ledgers.home.founding import create_home
from ledgers.home.home import Home, home_path, own_policies
from ledgers.home.private_files import owners_alone


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    return create_home(tmp_path / "home")


def test_everything_in_a_new_home_belongs_to_its_owner_alone(home: Home) -> None:
    """Folders have mode 0700 and files 0600, whatever the umask."""
    for path in (home.root, *home.root.rglob("*")):
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path.name


def test_a_home_in_a_repository_is_not_committed_with_it(home: Home) -> None:
    """Git sees no file of a home, keys least of all."""
    subprocess.run(["git", "init", "-q", home.root.parent], check=True)
    command = ["git", "-C", home.root.parent, "status", "--porcelain", "--untracked-files=all"]
    assert (
        home.root.name
        not in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )


def test_making_a_home_twice_keeps_the_first(home: Home) -> None:
    """A second init changes no key and no setting."""
    before = {path: path.read_bytes() for path in home.keys.iterdir()}
    assert create_home(home.root) == home
    assert {path: path.read_bytes() for path in home.keys.iterdir()} == before


def test_a_new_passphrase_for_an_old_home_is_refused(home: Home) -> None:
    """Who gives a passphrase is told that the keys are not under it."""
    with pytest.raises(HomeError, match="has no passphrase"):
        create_home(home.root, "correct horse")


def test_a_folder_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    """Init does not build a home over other files."""
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(HomeError, match="is incomplete"):
        create_home(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", ["create_keys", "create_database"])
def test_a_killed_init_leaves_no_home_and_the_next_makes_one(tmp_path: Path, place: str) -> None:
    """A home is renamed into place whole; what a dead init built is removed by the next."""
    script = (
        "import os, sys, pathlib\nfrom ledgers.home import founding\n"
        f"founding.{place} = lambda *_: os._exit(9)\n"
        "founding.create_home(pathlib.Path(sys.argv[1]))"
    )
    path = tmp_path / "home"
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 9
    with pytest.raises(HomeError, match="tutela init"):
        Home.open(path)
    create_home(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["home"]


def test_two_inits_at_once_make_one_home(tmp_path: Path) -> None:
    """Both succeed, and the keys of the one that won stay."""
    script = (
        "import sys, pathlib\nfrom ledgers.home.founding import create_home\n"
        "home = create_home(pathlib.Path(sys.argv[1]))\n"
        "print((home.keys / 'root.key').read_bytes().hex())"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "home")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert answers == {(tmp_path / "home/keys/root.key").read_bytes().hex() + "\n"}


def test_without_a_home_the_error_names_the_command(tmp_path: Path) -> None:
    """Only init makes a home; opening one that is absent does not."""
    with pytest.raises(HomeError, match="tutela init"):
        Home.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("part", "mode"),
    [(".", 0o750), ("vault", 0o755), ("keys/root.key", 0o640), ("ledger.sqlite", 0o644)],
    ids=["home", "folder", "key", "ledger"],
)
def test_rights_open_to_others_are_refused(home: Home, part: str, mode: int) -> None:
    """The message gives the command that closes them."""
    (home.root / part).chmod(mode)
    with pytest.raises(HomeError, match="chmod"):
        Home.open(home.root)


def test_a_home_of_another_user_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads every folder, so the owner is compared and not only the mode."""
    monkeypatch.setattr(os, "geteuid", lambda: home.root.stat().st_uid + 1)
    with pytest.raises(HomeError, match="belongs to user id"):
        Home.open(home.root)


@pytest.mark.parametrize("part", ["keys/operator.pub", "ledger.sqlite", "settings.toml"])
def test_a_home_with_a_missing_part_is_refused(home: Home, part: str) -> None:
    """Above all a lost ledger is not replaced by an empty one."""
    (home.root / part).unlink()
    with pytest.raises(HomeError, match=part):
        Home.open(home.root)


def test_a_lost_ledger_is_not_made_anew(home: Home) -> None:
    """A home that was open while its ledger vanished gets an error, not an empty ledger."""
    home.ledger.unlink()
    with pytest.raises(HomeError, match="backup"):
        database.open_database(home)
    assert not home.ledger.exists()


TRACES = {
    "heads of consent": ("consent-heads.jsonl", "consent-heads.jsonl"),
    "heads of the budget": ("budget-heads.jsonl", "budget-heads.jsonl"),
    "heads of the record": ("evidence-heads.jsonl", "evidence-heads.jsonl"),
    "a table": ("releases/run-1/partner.csv", "releases/"),
    "a report": ("reports/run-1.html", "reports/"),
    "goods": ("outbox/run-1-partner", "outbox/"),
    "what MLflow keeps": ("mlflow/artifacts/small/run", "mlflow/artifacts/"),
}


@pytest.mark.parametrize(("left", "said"), TRACES.values(), ids=TRACES.keys())
def test_an_emptied_ledger_is_not_made_anew_beside_what_it_left(
    home: Home, left: str, said: str
) -> None:
    """Earlier releases and charges would be forgotten: `init` refuses as every command does."""
    home.ledger.write_bytes(b"")
    (home.root / left).parent.mkdir(parents=True, exist_ok=True)
    (home.root / left).write_bytes(b"left")
    for use in (lambda: create_home(home.root), lambda: database.open_database(home)):
        with pytest.raises(HomeError, match=rf"empty, though {said} .* restore it from a backup"):
            use()


def test_an_empty_ledger_of_a_new_home_is_made(home: Home) -> None:
    """Nothing was recorded there, so that nothing can be forgotten."""
    home.ledger.write_bytes(b"")
    with pytest.raises(HomeError, match="run tutela init"):
        database.open_database(home)
    create_home(home.root)
    database.open_database(home).dispose()


@pytest.mark.parametrize("at", [0, 4096 + 16], ids=["no database", "a page overwritten"])
def test_a_damaged_ledger_is_not_told_as_a_full_disk(home: Home, at: int) -> None:
    """Who reads the message restores a backup, and frees no space."""
    whole = bytearray(home.ledger.read_bytes())
    whole[at : at + 80_000] = b"\xa5" * 80_000
    home.ledger.write_bytes(whole[: home.ledger.stat().st_size])
    with pytest.raises(ServiceError, match="it is damaged; restore it from a backup"):
        database.open_database(home)


def fill(home: Home) -> None:
    """Write nine megabytes into the ledger database, in one transaction."""
    engine = database.open_database(home)
    try:
        with database.transaction(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE large AS SELECT zeroblob(9000000) AS content")
    finally:
        engine.dispose()


def test_a_full_disk_and_a_held_ledger_are_told_as_such(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with what helps."""
    monkeypatch.setattr(database, "PRAGMAS", ("busy_timeout=1", "max_page_count=1"))
    with pytest.raises(ServiceError, match="its disk is full"):
        fill(home)
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    with closing(sqlite3.connect(home.ledger)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceError, match="another program holds it, and had not let it go"):
            fill(home)


def test_a_held_ledger_is_asked_for_again_until_it_is_free(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time after a while of its own, so that of many who wait none is always last."""
    waited: list[float] = []
    with closing(sqlite3.connect(home.ledger)) as other:

        def wait(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 3:
                other.rollback()

        engine = database.open_database(home)
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(database.time, "sleep", wait)
        with database.transaction(engine) as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30000
    engine.dispose()
    assert len(set(waited)) == 3


def test_settings_are_read_and_the_environment_wins(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's and Prefect's own variables come before settings.toml."""
    text = 'mlflow_tracking_uri = "http://a"\nprefect_api_url = "http://b"\n'
    (home.root / "settings.toml").write_text(text + "disclosure_threshold = 15\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://c")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings = Home.open(home.root).settings
    assert (settings.mlflow_tracking_uri, settings.prefect_api_url) == ("http://c", "http://b")
    assert (settings.disclosure_threshold, settings.database_url) == (15, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("treshold = 3", "unknown: treshold"),
        ("disclosure_threshold = 1", "2 or more"),
        ('notify = "json://host"', "a list of addresses"),
        ("notify = [1]", "a list of addresses"),
        ('metrics = "tutela.prom"', "a whole path that ends in .prom"),
        ('metrics = "/var/lib/tutela.txt"', "a whole path that ends in .prom"),
        ("disclosure_threshold = true", "2 or more"),
        ("prefect_api_url = 4200", "in quotes"),
        ('journal = "acts.jsonl"', "a whole path, outside of the home"),
        ("= 1", "not readable"),
    ],
    ids=[
        "misspelt",
        "reveals one person",
        "one address",
        "no addresses",
        "relative",
        "no .prom",
        "not a number",
        "not text",
        "a part of a path",
        "not TOML",
    ],
)
def test_settings_that_make_no_sense_are_refused(home: Home, text: str, said: str) -> None:
    """A setting that would be ignored or unsafe is an error."""
    (home.root / "settings.toml").write_text(text)
    with pytest.raises(HomeError, match=said):
        Home.open(home.root)


def test_the_home_is_sought_in_the_projects_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a folder deep in a project the same home is found; TUTELA_HOME comes first."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "notebooks/old").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks/old")
    monkeypatch.delenv("TUTELA_HOME", raising=False)
    assert home_path() == tmp_path / ".tutela"
    monkeypatch.setenv("TUTELA_HOME", "/srv/tutela")
    assert home_path() == Path("/srv/tutela")


def test_finding_a_home_loads_no_heavy_library() -> None:
    """The command line opens a home before it knows whether it needs a key or a database."""
    heavy = {"sqlalchemy", "cryptography", "pyarrow", "alembic", "pandas", "numpy"}
    script = f"import sys, ledgers.home.home\nprint(sorted({heavy} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert answer.stdout == b"[]\n"


def test_what_is_written_meanwhile_is_its_owners_alone_and_later_as_before(tmp_path: Path) -> None:
    """Also by libraries that know no mode; a notebook's own files are as they were afterwards."""
    before = os.umask(0o022)
    try:
        with suppress(ZeroDivisionError), owners_alone():
            (tmp_path / "folder").mkdir()
            (tmp_path / "folder" / "ours").touch()
            _ = 1 / 0
        (tmp_path / "theirs").touch()
    finally:
        os.umask(before)
    names = ("folder", "folder/ours", "theirs")
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in names]
    assert modes == [0o700, 0o600, 0o644]


def test_uses_that_overlap_keep_it_so_until_the_last_has_ended(tmp_path: Path) -> None:
    """In two threads the first to begin may be the first to end: the other still writes."""
    before = os.umask(0o022)
    try:
        first, second = owners_alone(), owners_alone()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        (tmp_path / "ours").touch()
        second.__exit__(None, None, None)
        (tmp_path / "theirs").touch()
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("ours", "theirs")]
    assert modes == [0o600, 0o644]


def test_a_homes_own_policies_are_in_it_or_where_its_settings_say(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as in a checkout; without a home there are none."""
    monkeypatch.setenv("TUTELA_HOME", str(home.root))
    assert own_policies() == home.root / "policies"
    settings = home.root / "settings.toml"
    settings.write_text(settings.read_text() + 'policies = "/srv/policies"\n')
    assert own_policies() == Path("/srv/policies")
    monkeypatch.setenv("TUTELA_HOME", str(home.root / "none"))
    assert own_policies() is None
