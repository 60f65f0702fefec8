"""Several tables come in as one, of the permitted people's rows alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from expectations.errors import PolicyError, SourceError
from ledgers.home.home import Home
from ledgers.vault.stages import Collected, Selected
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.sources.csv_file import CsvSource
from tests.conftest import BASIS, Folder, counts, opened
from tests.expectations.coherence.test_many_rows_coherence import TABLES, VISITS

AFTER = """\
  back:
    rows: {take: any, of: visits, where: "days > 0", days_after: 30}
    type: boolean
    identifiability: none
    category: dpv-pd:Health
    use: [audit]
    treatment: {kind: keep}
"""
VISITS_TABLE = "      at: start\n"
CHANGES = (("  person: pid\n", TABLES), ("derived:\n", AFTER + VISITS))


def write_visits(folder: Folder) -> Path:
    """Give everybody two visits and every third a later one; a stranger has many, p00 none."""
    rows = ["pid,start,ward,days"]
    for number, person in enumerate(row["pid"] for row in folder.people[1:]):
        day = f"2025-0{1 + number % 6}"
        rows += [f"{person},{day}-03,B,2.5", f"{person},{day}-10,A,2"]
        rows += [f"{person},{day}-20,A,1"] if number % 3 == 0 else []
    rows += ["stranger,2025-01-01,A,3"] * 9
    (folder.path / "visits.csv").write_text("\n".join(rows), "utf-8")
    return folder.write(*CHANGES)


def test_a_run_reads_several_tables_as_one(home: Home, folder: Folder) -> None:
    """One row a person: a visit before the first in ward A counts, and one after it is told apart.

    Who has no index, or whose 30 days ended after the data, is left out for that reason.
    """
    assert home.vault.is_dir()
    with opened(write_visits(folder)) as run:
        collected = collect(filter_consent(read_roster()))
        rows = run.vault.load(collected, Collected).to_table().to_pylist()
        selected = run.vault.load(select_population(collected), Selected).to_table()
        told = counts(run)
    assert len(rows) == 478
    assert {row["stays"] for row in rows} == {1, None}
    by_person = {row["_person"]: row["back"] for row in rows}
    assert (by_person["p01"], by_person["p02"], by_person["p00"]) == (True, False, None)
    assert told["people.excluded.not observed"] == 1 + 79
    assert selected.num_rows == told["people.selected"] == 478 - 80


def test_of_how_many_people_rows_were_cut_is_published_like_any_count(
    home: Home, folder: Folder
) -> None:
    """And the rows that are left are the latest before the index, and the earliest after it."""
    assert home.vault.is_dir()
    write_visits(folder)
    with (folder.path / "visits.csv").open("a", encoding="utf-8") as visits:
        visits.write("\np01,2025-01-02,B,2\np02,2025-02-01,B,2\n")
    most = (VISITS_TABLE, f"{VISITS_TABLE}      most: 1\n")
    with opened(folder.write((CHANGES[0][0], TABLES.replace(*most)), CHANGES[1])) as run:
        collected = collect(filter_consent(read_roster()))
        rows = run.vault.load(collected, Collected).to_table().to_pylist()
        told = counts(run)
    assert told["people.cut.visits"] == 2
    assert {row["stays"] for row in rows} == {1, None}


def watch_visits(monkeypatch: pytest.MonkeyPatch) -> list[set[object]]:
    """Note of whom rows of the visits are asked for."""
    asked: list[set[object]] = []
    read = CsvSource.read

    def watched(self: CsvSource, columns: object, *, where: object = None) -> object:
        if self.location.path == "visits.csv":
            assert isinstance(where, tuple) or columns == ["pid"], "everybody would be read"
            asked.extend([set(where[1].to_pylist())] if where else [])
        return read(self, columns, where=where)  # type: ignore[arg-type]

    monkeypatch.setattr(CsvSource, "read", watched)
    return asked


def test_rows_of_people_without_a_basis_are_not_asked_for(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither are those of strangers."""
    assert home.vault.is_dir()
    asked = watch_visits(monkeypatch)
    with opened(write_visits(folder)):
        collect(filter_consent(read_roster()))
    assert asked
    assert not set().union(*asked) & {"p58", "p59", "stranger"}


def test_rows_of_a_category_that_somebody_kept_back_are_not_asked_for(
    home: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns that are made of a table have a category each, as those of the roster."""
    assert home.vault.is_dir()
    for event in folder.events:
        event["categories"] = "dpv-pd:Age dpv-pd:Gender dpv-pd:Health"
    folder.say("p05", "withdrawn", "2025-03-01T00:00:00Z", categories="dpv-pd:Health")
    write_visits(folder)
    partly = (BASIS, f"{BASIS}\n  on_partial: blank")
    policy, asked = folder.write(*CHANGES, partly), watch_visits(monkeypatch)
    with opened(policy) as run:
        collected = collect(filter_consent(read_roster()))
        rows = run.vault.load(collected, Collected).to_table().to_pylist()
    assert asked
    assert "p05" not in set().union(*asked)
    assert [row["back"] for row in rows if row["_person"] == "p05"] == [None]


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        (("pid,start,ward", "pid,begin,ward"), PolicyError, r"no column `start`"),
        (("2025-01-03", "3 January"), SourceError, r"visits: the column 'start': about 80 values"),
        (("\np", "\nq"), SourceError, "none of its rows names one of the people"),
        ((",2.5", ",two"), SourceError, r"source\.tables\.visits: column 'days': .* not finite"),
    ],
)
def test_what_a_table_lacks_is_said_by_table_and_column(
    home: Home, folder: Folder, changed: tuple[str, str], error: type[Exception], said: str
) -> None:
    """And no value of anybody."""
    assert home.vault.is_dir()
    policy, file = write_visits(folder), folder.path / "visits.csv"
    file.write_text(file.read_text("utf-8").replace(*changed), "utf-8")
    with pytest.raises(error, match=said), opened(policy):
        collect(filter_consent(read_roster()))
