"""`tutela units`: systemd takes what it writes, and no secret stands where others read it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.serving.units import (
    Site,
    find_program,
    list_next,
    list_passwords,
    list_units,
    write_units,
)
from expectations.errors import UsageError
from ledgers.home.founding import create_home
from ledgers.home.home import Home, Settings

PHRASE = "four quiet heron words"


@pytest.fixture
def site(home: Home, tmp_path: Path) -> Site:
    """A home under a passphrase, whose servers ask for a login."""
    return Site(home, "root", tmp_path / "units", find_program(), login=True, wrapped=True)


@pytest.mark.usefixtures("home")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say, with a login and without."""
    for login in (False, True):
        folder = tmp_path / f"units-{login}"
        write_units(folder, "root", login=login)
        units = sorted(str(path) for path in folder.glob("tutela-*"))
        ran = subprocess.run(
            ["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True
        )
        assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
        assert len(units) == 5


def test_only_who_opens_the_keys_is_given_the_passphrase(site: Site) -> None:
    """By systemd, from a file that it alone reads; the servers are not given it."""
    keyed = {name for name, text in list_units(site).items() if "LoadCredential=" in text}
    assert keyed == {"tutela-schedules.service", "tutela-maintain.service"}
    open_keys = replace(site, wrapped=False)
    assert "LoadCredential" not in "".join(list_units(open_keys).values())
    named = Home(site.home.root, Settings(passphrase_command="ask the key server"))
    assert "LoadCredential" not in "".join(list_units(replace(site, home=named)).values())


def test_a_home_under_a_passphrase_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where to put the passphrase is said."""
    monkeypatch.setenv("TUTELA_HOME", str(tmp_path / "home"))
    create_home(tmp_path / "home", PHRASE)
    said = write_units(tmp_path / "units", "root", login=False)
    assert any("install -D -m 600" in line for line in said.lines)
    assert PHRASE not in "".join(path.read_text() for path in (tmp_path / "units").iterdir())


@pytest.mark.usefixtures("home")
def test_passwords_are_their_owners_alone_and_stay_the_same(tmp_path: Path) -> None:
    """They stand in no unit; who writes units again has no people to tell new ones."""
    folder = tmp_path / "units"
    first = write_units(folder, "root", login=True)
    secret = {path.name: path.read_text() for path in folder.glob("*.env")}
    modes = {name: (folder / name).stat().st_mode & 0o777 for name in secret}
    assert modes == {"prefect.env": 0o600, "mlflow.env": 0o600}
    words = {
        word
        for text in secret.values()
        for line in text.splitlines()
        if len(word := line.partition("=")[2].removeprefix("tutela:")) == 32
    }
    units = "".join(path.read_text() for path in folder.glob("tutela-*"))
    assert len(words) == 5
    assert not [word for word in words if word in units]
    assert "do not protect" in first.notes[0]
    again = write_units(folder, "root", login=True)
    assert again.found["kept"] == ["prefect.env", "mlflow.env", "mlflow-login.ini"]
    assert {path.name: path.read_text() for path in folder.glob("*.env")} == secret


def test_a_server_of_ones_own_needs_no_unit(site: Site) -> None:
    """Settings that name one are what the units use."""
    settings = Settings(prefect_api_url="http://p/api", mlflow_tracking_uri="http://m")
    named = replace(site, home=Home(site.home.root, settings))
    assert {*list_units(named)} == {
        "tutela-schedules.service", "tutela-maintain.service", "tutela-maintain.timer",
    }  # fmt: skip
    assert "tutela-prefect" not in "".join(list_units(named).values())


@pytest.mark.usefixtures("home")
def test_a_path_that_systemd_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    """A blank ends a word there, and a percent sign begins a name."""
    with pytest.raises(UsageError, match="choose a path of plain characters"):
        write_units(tmp_path / "of 100%", "root", login=False)


def test_what_comes_next_names_every_unit(site: Site) -> None:
    """The timer starts the nightly upkeep, so that its service is not enabled."""
    (enable,) = (line for line in list_next(site) if "enable" in line)
    assert "tutela-maintain.timer" in enable
    assert "tutela-maintain.service" not in enable
    assert {*list_passwords(site)} == {"prefect.env", "mlflow.env", "mlflow-login.ini"}
