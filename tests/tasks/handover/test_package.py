"""What the recipient of a table gets: a whole package, which tells nobody else anything."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.formulas import is_formula, mark_formulas
from expectations.policy_file import parse_policy, read_policy
from ledgers.evidence import EvidenceLedger, RunRecord
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.account.summary import summarize
from tasks.handover import package
from tasks.handover.decided_run import DecidedRun
from tasks.handover.package import digest_package, pack, place_package, read_package, read_table
from tasks.handover.readiness import table_content
from tests.recorded_runs import POLICY, passed_run

ROWS = {"age": ["18-39", "18-64", "*", "65+"], "ill": ["no", "yes", None, "*"]}
NONCE = b"n" * 32
NOTED = """  lab: {type: number, identifiability: none, category: dpv-pd:Health, use: [derivation],
    treatment: {kind: drop}}
"""
FREE = """  lab: {type: number, identifiability: none, category: dpv-pd:Health,
    use: [derivation, release], treatment: {kind: clip, low: -9, high: 9}}
  note: {type: text, identifiability: none, category: dpv-pd:Health, use: [release],
    treatment: {kind: redact}}
"""
OUTSIDE = """ill: generalize, lab: keep, note: keep},
    format: %s, not_linkable: {lab: measured once, note: bound by contract}"""
TEXTS = ["=1+1", " @SUM(A1)", "＝cmd", "fine", "-3.5", "\t=2", 'a "b";=3', "+43 1"]


@cache
def packed(nonce: bytes = NONCE) -> dict[str, bytes]:
    """The partner's package of four rows."""
    record, policy, entries = passed_run()
    content = table_content(pa.table(ROWS))
    return dict(pack(summarize(record, policy, entries), policy, "partner", content, nonce))


@cache
def packed_texts(form: str) -> dict[str, bytes]:
    """A package with a number and a free text outside k, in one of the formats."""
    text = POLICY.replace(NOTED, FREE).replace("ill: generalize}", OUTSIDE % form)
    record, _, entries = passed_run()
    policy = parse_policy(text)
    rows = {
        "age": ["65+"] * 8, "ill": ["no"] * 8, "note": TEXTS,
        "lab": [-3.5, -1.0, 2.0, None, 0.25, 5, 7, 9],
    }  # fmt: skip
    content = table_content(pa.table(rows))
    return dict(pack(summarize(record, policy, entries), policy, "partner", content, NONCE))


def read_rows(content: bytes) -> list[list[str]]:
    """Read a CSV by Python's own reader."""
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def described(files: dict[str, bytes]) -> dict[str, Any]:
    """Read the descriptor."""
    found: dict[str, Any] = json.loads(files["datapackage.json"])
    return found


def test_who_has_the_package_can_verify_it() -> None:
    """By the line that stands on its codebook: a list as sha256sum writes it, and its digest."""
    files = packed()
    page = files["codebook.html"].decode()
    (named,) = re.findall(r"sha256sum ([a-z. ]+) \| sha256sum", page)
    assert named.split() == sorted(files)
    listed = "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in named.split())
    assert hashlib.sha256(listed.encode()).hexdigest() == digest_package(files)


def test_the_same_table_has_another_digest_in_every_package() -> None:
    """Who guesses its rows can confirm nothing: the random number decides."""
    one, other = packed(), packed(b"m" * 32)
    assert one["partner.csv"] == other["partner.csv"]
    assert digest_package(one) != digest_package(other)
    assert described(one)["tutela"]["nonce"] == NONCE.hex()


@pytest.mark.parametrize("name", ["partner.csv", "datapackage.json", "codebook.html"])
def test_no_file_of_a_package_can_change_unseen(name: str) -> None:
    """Nor can one be gone, or another be added."""
    files = packed()
    digests = {
        digest_package(files),
        digest_package(files | {name: files[name] + b" "}),
        digest_package({one: files[one] for one in files if one != name}),
        digest_package(files | {"more": b""}),
    }
    assert len(digests) == 4


def test_a_package_is_its_owners_and_there_as_a_whole(tmp_path: Path) -> None:
    """0700 and 0600; in the place of one of a process that was killed before it could say so."""
    folder = tmp_path / "partner"
    for _ in range(2):
        place_package(folder, packed())
    assert read_package(folder) == packed()
    modes = {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}
    assert (modes, folder.stat().st_mode & 0o777) == ({"0o600"}, 0o700)
    assert [path.name for path in tmp_path.iterdir()] == ["partner"]


def test_a_process_that_is_killed_over_a_package_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a half one; and the next makes it whole."""
    write, written = package.write_private, list[Path]()

    def write_one(path: Path, data: bytes) -> None:
        if written:
            raise SystemExit(9)
        write(path, data)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(package, "write_private", write_one)
        with pytest.raises(SystemExit):
            place_package(tmp_path / "partner", packed())
    assert not (tmp_path / "partner").exists()
    place_package(tmp_path / "partner", packed())
    assert [path.name for path in tmp_path.iterdir()] == ["partner"]


def test_a_packages_random_number_is_drawn_once(home: Home) -> None:
    """However often a package is made; the package of each outlet and run has its own."""
    policy = read_policy("registry")
    ledger, keys = EvidenceLedger(open_database(home), Keys.open(home)), Keys.open(home)
    first, second = (
        DecidedRun(home, keys, ledger, RunRecord(name, "registry", "", {}, None), policy)
        for name in ("run-1", "run-2")
    )
    drawn = [run.nonce(outlet) for run in (first, second) for outlet in ("one", "other")]
    assert [len(set(drawn)), *map(len, drawn)] == [4, 32, 32, 32, 32]
    assert first.nonce("one") == drawn[0]


def test_other_programs_hidden_files_are_none_of_the_package(tmp_path: Path) -> None:
    """Whoever opens the table in a spreadsheet leaves a lock beside it."""
    place_package(tmp_path / "partner", packed())
    (tmp_path / "partner" / ".~lock.partner.csv#").touch()
    assert digest_package(read_package(tmp_path / "partner")) == digest_package(packed())


@pytest.mark.parametrize("files", [packed(), packed_texts("csv")], ids=["labels", "texts"])
def test_the_descriptor_is_what_frictionless_requires(files: dict[str, bytes]) -> None:
    """`frictionless validate` was run on it by hand; here is what it asks of such a package."""
    found = described(files)
    (table,) = found["resources"]
    header, *rows = read_rows(files[table["path"]])
    assert all(re.fullmatch(r"[a-z0-9._/-]+", one["name"]) for one in (found, table))
    assert table["bytes"] == len(files[table["path"]])
    assert table["hash"] == f"sha256:{hashlib.sha256(files[table['path']]).hexdigest()}"
    fields = table["schema"]["fields"]
    assert [field["name"] for field in fields] == header
    missing = set(table["schema"]["missingValues"])
    for place, field in enumerate(fields):
        cells = {row[place] for row in rows} - missing
        assert cells <= set(field.get("constraints", {}).get("enum", cells))
        if field["type"] != "string":
            assert [float(cell) for cell in cells]


def test_the_codebook_says_of_every_label_what_it_stands_for() -> None:
    """By the very labels of the table, for people and for programs."""
    files = packed()
    page = files["codebook.html"].decode()
    told = described(files)["resources"][0]["schema"]["fields"][0]["tutela"]
    meaning = told["labels"]
    assert meaning["18-64"] == "less than 65"
    assert told["bounds"]["18-64"] == [None, 65]
    assert meaning["65+"] == "65 or more"
    told = (
        "Partner",
        "covered by k = 10",
        "10-anonymous over {age, ill}",
        NONCE.hex(),
    )
    assert [text for text in (*told, *meaning.values()) if text not in page] == []


def test_the_codebook_loads_nothing_and_counts_nobody() -> None:
    """It may be opened anywhere; 3,100 people are in the table of the run on record."""
    page = packed()["codebook.html"].decode()
    assert re.findall(r"(?:src|href)=\"(?!#)|url\(|<script", page) == []
    assert "default-src 'none'" in page
    assert [text for text in ("3,100", "3100") if text in page + str(described(packed()))] == []


def test_a_spreadsheet_runs_no_cell() -> None:
    """Texts of people are marked, a number stays one, and pandas reads back what was written."""
    files = packed_texts("csv")
    header, *rows = read_rows(files["partner.csv"])
    notes = {row[header.index("note")] for row in rows}
    assert "'=1+1" in notes
    assert {"fine", "-3.5"} < notes
    assert not [cell for row in rows for cell in row if begins_formula(cell)]
    assert read_table("partner.csv", files["partner.csv"]).to_numpy().tolist() == rows
    assert "Take that mark away" in files["codebook.html"].decode()
    assert "had to be marked" in packed()["codebook.html"].decode()


def test_a_table_can_leave_as_parquet() -> None:
    """Numbers are numbers there, and nothing else is in it than in the text."""
    files, texts = packed_texts("parquet"), packed_texts("csv")
    table = pq.read_table(io.BytesIO(files["partner.parquet"]))
    assert sorted(table.column("lab").drop_null().to_pylist())[:2] == [-3.5, -1.0]
    assert table.column("lab").null_count == 1
    one = read_table("partner.parquet", files["partner.parquet"])
    pd.testing.assert_frame_equal(one, read_table("partner.csv", texts["partner.csv"]))


def begins_formula(cell: str) -> bool:
    """Whether a spreadsheet takes a cell for a formula; no code of the program is asked."""
    bare = cell.lstrip(" \"'")
    danger = bare[:1] in set("=+-@\t\r＝＋－＠") and not cell.lstrip(' "').startswith("'")
    try:
        return danger and float(cell) is None
    except ValueError:
        return danger


ALPHABET = "=+-@＝\t\r\n ,;|'\"a1."


@given(st.text(ALPHABET, max_size=8))
def test_a_marked_text_begins_no_formula_and_can_be_read_back(text: str) -> None:
    """Wherever a program parts cells; and two texts stay two."""
    marked = mark_formulas(text)
    for part in (marked, *re.split(r"[,;|\t\r\n]", marked)):
        assert marked == text or not begins_formula(part)
    unmarked = re.sub(r"((?:^|[,;|\t\r\n])[\s\"']*)'(?=[=+\-@＝])", r"\1", marked)
    assert marked == text or re.sub(r"^([ \"']*)'(?=[\t\r])", r"\1", unmarked) == text
    assert is_formula(text) == (marked != text)
