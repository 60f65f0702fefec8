"""`tutela keys`: what is listed, rotated, destroyed and read back, and with which exit status."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pytest

from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger
from tasks.anonymization.tokens import encrypt_identifiers
from tests.runs import Said, say

PURPOSE = "dpv:ScientificResearch"
WIDTH = 80


@pytest.fixture
def ledger(home: Home) -> KeyLedger:
    """The keys of a home that made tokens for one purpose."""
    opened = KeyLedger(open_database(home), Keys.open(home))
    opened.use(PURPOSE)
    return opened


def make_tokens(ledger: KeyLedger, *names: str) -> list[str]:
    """Make reversible tokens as a run would."""
    column = pa.chunked_array([list(names)], pa.large_string())
    made: list[str] = encrypt_identifiers(column, ledger.use(PURPOSE).secret).to_pylist()
    return made


def keys(*words: str, status: int = 0) -> Said:
    """Call `tutela keys`."""
    said = say("keys", *words)
    assert said.status == status, said.err
    return said


def test_a_key_is_listed_from_its_making_to_its_end(ledger: KeyLedger) -> None:
    """Each version says how it was made, whether it is in use, and no key is printed."""
    secret = ledger.use(PURPOSE).secret
    assert "Version 2 of the key" in keys("rotate", PURPOSE).out
    lines = keys("list").out.splitlines()
    assert lines[0] == PURPOSE
    assert lines[1].startswith("  version 1   created 20")
    assert lines[1].endswith(", kept to read back")
    assert lines[2].endswith(", in use")
    keys("destroy", PURPOSE, "--version", "1", "--yes")
    found = json.loads(keys("list", "--json").out)["keys"]
    assert [key["state"] for key in found] == ["destroyed", "in use"]
    assert secret.hex() not in str(found)


def test_in_a_new_home_there_is_no_key(home: Home) -> None:
    """It is said, and a purpose that nobody used cannot be rotated."""
    assert home.root.is_dir()
    assert "No key" in keys("list").out
    assert (
        "no run has made a key for 'dpv:Marketing'" in keys("rotate", "dpv:Marketing", status=2).err
    )


def test_destroying_asks_first_and_says_what_is_left(
    ledger: KeyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a yes nothing ends; then the copies in backups are named, and what comes next."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "nothing was destroyed" in keys("destroy", PURPOSE, status=2).err
    assert ledger.use(PURPOSE).version == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = keys("destroy", PURPOSE)
    assert "Backups of this home" in said.err
    assert "earlier tutela" not in said.err
    assert f"tutela keys rotate {PURPOSE}" in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines())) <= WIDTH


def test_a_key_that_was_brought_over_is_said_to_be_derivable(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds the root key makes it again, so the command does not claim otherwise."""
    monkeypatch.setattr("ledgers.key_ledger._made_tokens", lambda *_: True)
    KeyLedger(open_database(home), Keys.open(home)).use(PURPOSE)
    said = keys("destroy", PURPOSE, "--yes", "--json")
    assert "earlier tutela" in " ".join(said.err.split())
    assert any("derive it again" in note for note in json.loads(said.out)["notes"])


def test_tokens_of_every_version_are_read_back_in_order(
    ledger: KeyLedger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From standard input or a file's column; names go to standard output alone, and on record."""
    tokens = make_tokens(ledger, "Ada", "Zoë Ångström, of a long name")
    ledger.rotate(PURPOSE)
    tokens += make_tokens(ledger, "Bo")
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(tokens) + "\n"))
    said = keys("reveal", PURPOSE)
    assert said.out == "Ada\nZoë Ångström, of a long name\nBo\n"
    assert "Ada" not in said.err
    assert "Show them only to those who may" in said.err
    (tmp_path / "t.csv").write_text("t\n" + "\n".join(tokens) + "\n")
    read = keys("reveal", PURPOSE, str(tmp_path / "t.csv"), "--column", "t", "--json")
    assert json.loads(read.out)["originals"][2] == "Bo"
    assert [e.what for e in ledger.history()].count("revealed") == 4
    assert "no column `token`" in keys("reveal", PURPOSE, str(tmp_path / "t.csv"), status=2).err


def test_what_no_key_made_is_counted_and_left_blank(
    ledger: KeyLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a token whose key was destroyed; no other line is lost."""
    (ada,) = make_tokens(ledger, "Ada")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ada}\n{ada[:-2]}00\n\nno hex\n"))
    said = keys("reveal", PURPOSE, status=2)
    assert said.out == "Ada\n\n\n\n"
    assert "3 of 4 lines are not reversible tokens" in said.err
    ledger.destroy(PURPOSE)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ada}\n"))
    gone = keys("reveal", PURPOSE, status=2)
    assert "Ada" not in gone.out + gone.err
    assert "Show them only to those who may" not in gone.err
