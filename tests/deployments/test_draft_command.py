"""`tutela draft`: what it asks, what it writes where, and what it says when it cannot."""

from __future__ import annotations

import io
import json
import random
import shlex
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from deployments.draft.place import name_policy, write_new
from deployments.draft.questions import read_accepted
from deployments.terminal import fold
from expectations.errors import UsageError
from expectations.policy.locations import CsvFile, SqlTable
from expectations.policy.plain_yaml import read_yaml
from expectations.policy.vocabulary import Category
from expectations.policy_file import read_policy
from tasks.drafting import examination
from tasks.sources.fhir.export import Export
from tests.runs import Said, say

ROOT = Path(__file__).parents[2]
KINDS = ("Patient", "Encounter")
GIVEN = (
    "--purpose", "dpv:ServiceOptimisation", "--legal-basis", "eu-gdpr:A6-1-e", "--controller",
    "Example Gym", "--contact", "privacy@example.org", "--recipient", "Planning team",
    "--assessment", "DPIA 3",
)  # fmt: skip


@pytest.fixture(autouse=True)
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Two hundred made-up members as a file of the folder in which the commands run."""
    drawn = random.Random(5)
    made = pd.DataFrame(
        [
            {
                "member_id": f"M-{n:03d}",
                "full_name": f"Zyxwort {n}",
                "age": drawn.randint(18, 80),
                "district": drawn.choice(["North", "South"]),
            }
            for n in range(200)
        ]
    )
    made.to_csv(tmp_path / "members.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    return made


def words(said: Said) -> str:
    """Give what was said without its line breaks."""
    return " ".join((said.out + said.err).split())


def test_a_draft_is_written_beside_the_data_and_passes_check(tmp_path: Path) -> None:
    """The screen says what is proposed and denied, and what to do next; it is not wide."""
    said = say("draft", "members.csv", *GIVEN)
    assert said.status == 0, said.err
    assert "1 of 4 columns is never read" in said.out
    assert "tutela read every row to write it" in words(said)
    assert said.out.rstrip().endswith("check members.yaml")
    assert max(map(len, said.out.splitlines())) <= 80
    assert say("check", "members.yaml").status == 0
    policy = read_policy(str(tmp_path / "members.yaml")).policy
    assert policy.source.location == CsvFile(kind="csv", path="members.csv")


@pytest.mark.parametrize("readable", [True, False], ids=["2024-01-31", "31.1.2024"])
def test_what_becomes_of_birth_dates_is_said_on_the_screen(
    members: pd.DataFrame, readable: bool
) -> None:
    """Only the age is used; of dates in another form, that they are, and that children come in."""
    drawn = random.Random(7)
    form = "%Y-%m-%d" if readable else "%d.%m.%Y"
    days = [date(1930, 1, 1) + timedelta(drawn.randint(0, 30_000)) for _ in range(200)]
    born = members.assign(birth_date=[f"{day:{form}}" for day in days])
    born.drop(columns="age").to_csv("born.csv", index=False)
    said = words(say("draft", "born.csv", *GIVEN))
    lost = "Without `birth_date` no age is read, and children are not left out"
    assert ("birth_date only the age is used" in said) == readable
    assert ("birth_date most values are dates or times that are not written" in said) != readable
    assert (lost in said) != readable
    text = " ".join(Path("born.yaml").read_text().replace("#", "").split())
    assert (lost in text) != readable


def test_what_was_decided_can_be_had_as_json() -> None:
    """Each column with its decision and why; nothing is asked."""
    said = say("draft", "members.csv", *GIVEN, "--json")
    found = json.loads(said.out)
    assert found["columns"]["full_name"]["decision"] == "never read"
    assert found["columns"]["age"]["decision"] == "proposed"
    assert found["outlet"] == "table"
    assert found["rows"] == "about 200"


def test_a_policy_that_waits_for_consents_says_so() -> None:
    """Where no column holds people's answers."""
    consent = [word.replace("A6-1-e", "A6-1-a") for word in GIVEN]
    assert "A run reads only people" not in words(say("draft", "members.csv", *GIVEN))
    said = words(say("draft", "members.csv", *consent, "--to", "asked.yaml"))
    assert "A run reads only people whose consent is recorded" in said
    assert say("check", "asked.yaml").status == 0


def test_a_policy_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    """Before anybody is read; another file may be named."""
    (tmp_path / "members.yaml").write_text("mine")
    said = say("draft", "members.csv", *GIVEN)
    assert said.status == 2
    assert "exists already" in said.err
    assert "Reading" not in said.err
    assert (tmp_path / "members.yaml").read_text() == "mine"
    assert say("draft", "members.csv", *GIVEN, "--to", "mine.yaml").status == 0
    assert read_policy("mine.yaml").policy.name == "mine"


def test_a_policy_that_came_meanwhile_is_left_as_it_is(tmp_path: Path) -> None:
    """While rows were read; another file may be named."""
    (tmp_path / "members.yaml").write_text("theirs")
    with pytest.raises(UsageError, match="use --to FILE"):
        write_new(tmp_path / "members.yaml", "mine")
    assert (tmp_path / "members.yaml").read_text() == "theirs"


def test_elsewhere_the_data_are_named_by_their_whole_path(tmp_path: Path) -> None:
    """A policy reads relative paths from its own folder."""
    (tmp_path / "policies").mkdir()
    assert say("draft", "members.csv", *GIVEN, "--to", "policies/m.yaml").status == 0
    assert say("check", "policies/m.yaml").status == 0


def test_all_that_is_missing_is_told_at_once_with_its_words() -> None:
    """Nobody was read; nothing is invented."""
    said = say("draft", "members.csv")
    assert said.status == 2
    for expected in ("--purpose", "dpv:Marketing", "--legal-basis", "eu-gdpr:A6-1-f",
                     "eu-gdpr:A9-2-j", "--controller", "--contact", "--recipient"):  # fmt: skip
        assert expected in said.err
    assert "Reading" not in said.err
    assert max(map(len, said.err.splitlines())) <= 80


def test_what_is_needed_follows_from_the_legal_basis() -> None:
    """Consent needs no assessment; research under Art. 9 needs safeguards."""
    consent = [word.replace("A6-1-e", "A6-1-a") for word in GIVEN[:-2]]
    assert say("draft", "members.csv", *consent).status == 0
    said = say("draft", "members.csv", *GIVEN, "--legal-basis", "eu-gdpr:A9-2-j", "--to", "b.yaml")
    assert (said.status, "--safeguards" in said.err) == (2, True)
    assert "--assessment" in say("draft", "members.csv", *GIVEN[:-2], "--to", "c.yaml").err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--purpose", "dpv:Marketin"), "did you mean dpv:Marketing?"),
        (("--purpose", "fun"), "dpv:ServiceProvision"),
        (("--legal-basis", "eu-gdpr:A92j"), "did you mean eu-gdpr:A9-2-j?"),
        (("--legal-basis", "consent"), "each person consented"),
        (("--legal-basis", "eu-gdpr:A6-1-a"), "two words of Art. 6"),
        (("--legal-basis", "eu-gdpr:A9-2-a"), "give consent for Art. 6 too"),
    ],
)
def test_a_word_that_is_on_no_list_is_refused_with_the_list(
    options: tuple[str, str], told: str
) -> None:
    """So are words that contradict each other."""
    said = say("draft", "members.csv", *GIVEN, *options)
    assert said.status == 2
    assert told in words(said)


class Terminal(io.StringIO):
    """A terminal at which somebody types."""

    def isatty(self) -> bool:
        """Say that somebody sits there."""
        return True


def test_at_a_terminal_each_is_asked_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, so that the result can be piped; no more than the answers need.

    A word without its vocabulary is taken where one alone is meant.
    """
    typed = "dpv:Marketin\nMarketing\nA6-1-a eu-gdpr:A9-2-a\nGym\np@example.org\nTeam\n"
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    said = say("draft", "members.csv")
    assert said.status == 0, said.err
    assert "What are the data used for?" in said.err
    assert "offers, advertising, campaigns" in said.err
    assert "did you mean dpv:Marketing?" in said.err
    assert "Assessment" not in said.err
    basis = read_policy("members.yaml").policy.legal_basis
    assert (str(basis.article_6), str(basis.article_9)) == ("eu-gdpr:A6-1-a", "eu-gdpr:A9-2-a")


def test_an_empty_answer_is_asked_again_and_all_are_given_as_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever comes after, nothing must be typed twice."""
    typed = "dpv:Marketing\neu-gdpr:A6-1-a\n\nThe Gym\np@example.org\nTeam\n"
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    said = say("draft", "members.csv")
    assert said.status == 0, said.err
    assert read_policy("members.yaml").policy.controller.name == "The Gym"
    (line,) = [line for line in said.err.splitlines() if line.startswith("  --")]
    again = say("draft", "members.csv", *shlex.split(line), "--to", "again.yaml")
    assert again.status == 0, again.err


def test_a_line_to_copy_is_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted program that is broken in two is none."""
    line = f"  python -c \"t = read('{'customers-' * 12}.csv')\""
    monkeypatch.setattr("sys.stderr", Terminal())
    assert fold(f"{'said in words ' * 9}\n{line}").splitlines()[-1] == line


def test_a_file_without_a_header_tells_nobodys_values(members: pd.DataFrame) -> None:
    """Neither the policy nor an error does."""
    members.to_csv("bare.csv", index=False, header=False)
    said = say("draft", "bare.csv", *GIVEN)
    assert said.status == 2
    assert "looks like a row of data" in said.err
    assert "Zyxwort" not in said.err + said.out
    assert not Path("bare.yaml").exists()


def test_what_is_left_unanswered_at_a_terminal_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody pressed Enter, or went away."""
    monkeypatch.setattr("sys.stdin", Terminal("dpv:Marketing\n\n"))
    said = say("draft", "members.csv")
    assert said.status == 2
    assert "--controller, who answers" in said.err


def test_without_a_column_that_names_people_it_says_how_to_add_one(
    members: pd.DataFrame, tmp_path: Path
) -> None:
    """The line can be copied, and the draft of its file passes."""
    members[["age", "district"]].to_csv("bare.csv", index=False)
    said = say("draft", "bare.csv", *GIVEN)
    assert said.status == 2
    assert "no column names each person" in words(said)
    (line,) = [line for line in said.err.splitlines() if "python -c" in line]
    exec(line.partition('"')[2].rpartition('"')[0], {})  # noqa: S102  # as the reader would
    assert say("draft", "bare-with-person.csv", *GIVEN).status == 0
    assert not (tmp_path / "bare.yaml").exists()


def test_a_nameless_column_of_row_numbers_is_told_apart(members: pd.DataFrame) -> None:
    """As pandas writes them where one forgets `index=False`."""
    members[["age", "district"]].to_csv("bare.csv")
    said = say("draft", "bare.csv", *GIVEN)
    assert "has no name itself" in words(said)
    (line,) = [line for line in said.err.splitlines() if "python -c" in line]
    exec(line.partition('"')[2].rpartition('"')[0], {})  # noqa: S102  # as the reader would
    assert say("draft", "bare-with-person.csv", *GIVEN).status == 0


def test_where_nothing_is_sure_it_says_so_of_each_column(members: pd.DataFrame) -> None:
    """No policy is written that reads nobody's anything: it would not pass check."""
    members[["member_id", "full_name"]].to_csv("names.csv", index=False)
    said = say("draft", "names.csv", *GIVEN)
    assert said.status == 2
    assert "full_name it names people" in words(said)
    assert "so no policy was written" in words(said)
    assert not Path("names.yaml").exists()


def test_another_separator_is_seen_and_written(members: pd.DataFrame) -> None:
    """A header of one column with semicolons in it is no header of one column."""
    members.to_csv("semi.csv", index=False, sep=";")
    assert say("draft", "semi.csv", *GIVEN).status == 0
    location = read_policy("semi.yaml").policy.source.location
    assert isinstance(location, CsvFile)
    assert location.separator == ";"
    assert say("check", "semi.yaml").status == 0


def test_parquet_and_databases_are_drafted_too(members: pd.DataFrame) -> None:
    """As `--source` names them."""
    members.to_parquet("part.parquet")
    assert say("draft", "part.parquet", *GIVEN).status == 0
    assert say("check", "part.yaml").status == 0
    with sqlite3.connect("members.db") as connection:
        members.to_sql("people", connection, index=False)
    assert say("draft", "sqlite:///members.db#people", *GIVEN).status == 0
    location = read_policy("people.yaml").policy.source.location
    url = f"sqlite:///{Path.cwd() / 'members.db'}"
    assert location == SqlTable(kind="sql", url=url, table="people")
    assert say("check", "people.yaml").status == 0


@pytest.mark.parametrize("to", ["people.yaml", "policies/people.yaml"])
def test_the_name_of_a_database_in_the_environment_stays_a_name(
    to: str, members: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its value may differ where the policy is run."""
    (tmp_path / "policies").mkdir()
    with sqlite3.connect(tmp_path / "members.db") as connection:
        members.to_sql("people", connection, index=False)
    connection.close()
    monkeypatch.setenv("DB", str(tmp_path / "members.db"))
    assert say("draft", "sqlite:///$DB#people", *GIVEN, "--to", to).status == 0
    location = read_policy(to).policy.source.location
    assert location == SqlTable(kind="sql", url="sqlite:///$DB", table="people")
    assert say("check", to).status == 0


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("id,age\n", "has no rows"),
        ("id,age\n1,34\n", "the table has 1 row, and a draft needs at least 10"),
        ("", "is empty"),
        ("id,age,age\n1,2,3\n", "1 column name is there more than once"),
        ("id,id,age,age\n1,2,3,4\n", "2 column names are there more than once"),
        ("id,,\n1,2,3\n", "more than once"),
        ("id,age\n1,2,3\n", "fewer than 10 rows have another number of fields"),
    ],
)
def test_what_is_no_table_of_people_is_said_in_a_sentence(
    data: str, told: str, tmp_path: Path
) -> None:
    """Nothing is written, and nobody sees where the code stood."""
    (tmp_path / "odd.csv").write_text(data)
    said = say("draft", "odd.csv", *GIVEN)
    assert said.status == 2
    assert told in words(said)
    assert not (tmp_path / "odd.yaml").exists()


def test_letters_in_another_encoding_are_said(tmp_path: Path) -> None:
    """By the place of the first, and without it."""
    (tmp_path / "odd.csv").write_bytes("id,city\n1,K\u00f6ln\n".encode("latin-1"))
    said = say("draft", "odd.csv", *GIVEN)
    assert (said.status, "is not utf-8" in said.err) == (2, True)


def test_very_many_columns_make_a_file_that_can_be_read(
    members: pd.DataFrame, tmp_path: Path
) -> None:
    """Whatever nobody knows anything of is named together."""
    wide = pd.DataFrame({f"q{n}": [n % 3, 7] * (len(members) // 2) for n in range(600)})
    pd.concat([members, wide], axis=1).to_csv("wide.csv", index=False)
    assert say("draft", "wide.csv", *GIVEN).status == 0
    assert len((tmp_path / "wide.yaml").read_text("utf-8").splitlines()) < 1000
    assert say("check", "wide.yaml").status == 0


def test_what_is_predicted_is_named_and_the_other_kind_is_offered() -> None:
    """An expression makes the outcome; the words of an error can be copied as they stand."""
    said = say("draft", "members.csv", *GIVEN, "--target", "age >= 65", "--to", "m.yaml")
    assert "m.yaml: a model that predicts whether age >= 65" in said.out
    assert "the outcome is computed from it" in said.out
    assert "For a table, draft again with --table." in said.out
    assert "For a model, say what it predicts: --target" in words(
        say("draft", "members.csv", *GIVEN)
    )
    refused = say("draft", "members.csv", *GIVEN, "--target", "district", "--to", "d.yaml")
    assert refused.status == 2
    assert "  --target \"district = '" in refused.err
    assert max(map(len, refused.err.splitlines())) <= 80


def test_what_waits_is_accepted_by_the_options_that_the_screen_gives(members: pd.DataFrame) -> None:
    """A category is given for what nobody can tell; several columns at once, and again."""
    members.assign(q1=[1, 2] * 100, q2=[3, 4] * 100).to_csv("asked.csv", index=False)
    said = say("draft", "asked.csv", *GIVEN)
    assert "  --accept q1,q2=CATEGORY" in said.out.splitlines()
    given = ("--accept", "q1,q2=dpv-pd:Behavioral", "--accept", "age", "--to", "b.yaml")
    assert say("draft", "asked.csv", *GIVEN, *given).status == 0
    policy = read_policy("b.yaml").policy
    assert {"age", "q1", "q2"} <= policy.released
    bare = say("draft", "asked.csv", *GIVEN, "--accept", "q1=Behavioral", "--to", "c.yaml")
    assert (bare.status, "q1" in read_policy("c.yaml").policy.released) == (0, True)
    refused = say("draft", "asked.csv", *GIVEN, "--accept", "q1=Behavoral", "--to", "d.yaml")
    assert (refused.status, "did you mean dpv-pd:Behavioral?" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (["a,b=Age"], {"a": "Age", "b": "Age"}),
        (["a,b=Age,c=Health"], {"a": "Age", "b": "Age", "c": "Health"}),
        (["a=Age, b", "c"], {"a": "Age", "b": None, "c": None}),
        (["a=Age", "a"], {"a": None}),
        (["a,=Age,"], {"a": "Age"}),
    ],
)
def test_a_category_is_of_the_columns_before_it(
    typed: list[str], read: dict[str, str | None]
) -> None:
    """As far back as the last category."""
    expected = {name: word and Category(f"dpv-pd:{word}") for name, word in read.items()}
    assert read_accepted(typed) == expected


@pytest.mark.parametrize(
    ("typed", "said"),
    [("=Age", "stands behind no column"), ("a=Age,=Health", "stands behind no column"),
     ("a=Age,b=Halth", "did you mean dpv-pd:Health")],
)  # fmt: skip
def test_a_category_that_is_none_or_nobodys_is_said(typed: str, said: str) -> None:
    """By itself, without the columns that follow it."""
    with pytest.raises(UsageError, match=said) as refused:
        read_accepted([typed])
    assert "b=" not in str(refused.value)


def test_a_model_and_a_table_are_drafted_together() -> None:
    """Both are said, and check finds nothing wrong."""
    target = ("--target", "age >= 65", "--table", "--to", "m.yaml")
    said = say("draft", "members.csv", *GIVEN, *target)
    assert "predicts whether age >= 65, and a k-anonymous table" in words(said)
    assert "as well" not in said.out
    assert say("check", "m.yaml").status == 0
    found = json.loads(say("draft", "members.csv", *GIVEN, *target[:3], "--json").out)
    assert found["outlet"] == "model and table"


def test_what_tells_nothing_of_those_whose_outcome_is_known_is_no_feature(
    members: pd.DataFrame,
) -> None:
    """Only who is employed has hours; a run would refuse the column, and may not name it."""
    works = [n % 2 == 1 for n in range(len(members))]
    hours = [n % 60 if work else None for n, work in enumerate(works)]
    asked = members.assign(employed=["yes" if work else "no" for work in works], hours=hours)
    asked.to_csv("asked.csv", index=False)
    target = ("--target", "hours >= 30", "--to", "m.yaml")
    found = json.loads(say("draft", "asked.csv", *GIVEN, *target, "--json").out)["columns"]
    assert found["employed"]["why"] == "has one value for everybody whose outcome is known"
    assert "employed" not in read_policy("m.yaml").policy.columns
    refused = say("draft", "asked.csv", *GIVEN, *target[:3], "n.yaml", "--accept", "employed")
    assert (refused.status, "`employed` has one value for everybody" in refused.err) == (2, True)


def test_a_column_that_is_no_key_is_told_why(tmp_path: Path) -> None:
    """Where nothing names each person."""
    rows = (f"{20_011 + 7 * n},{n / 7 + 0.1},{n // 2}" for n in range(100))
    (tmp_path / "bare.csv").write_text("income,score,person_id\n" + "\n".join(rows) + "\n")
    said = words(say("draft", "bare.csv", *GIVEN))
    assert "`income` is unique, but does not look like a key: its name says inc" in said
    assert "`score` is unique, but holds decimals or dates" in said
    assert "`person_id` repeats values" in said


@pytest.mark.parametrize("key", ["token", "secret", "credentials_base64", "password"])
def test_a_secret_in_an_address_is_written_into_no_policy(key: str) -> None:
    """It would stand in the file; it belongs into the environment."""
    said = say("draft", f"postgresql://host/base?{key}=hush#people", *GIVEN)
    assert said.status == 2
    assert "put it into the environment" in said.err
    assert "hush" not in said.err + said.out


def test_json_lines_are_not_read(tmp_path: Path) -> None:
    """No policy reads people from them, so no draft does."""
    (tmp_path / "people.jsonl").write_text("{}\n")
    assert "JSON lines can only be read whole" in words(say("draft", "people.jsonl", *GIVEN))


def test_an_export_of_nobody_or_of_no_resource_is_told(tmp_path: Path) -> None:
    """What there is; what is no resource is named by file and line."""
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "Encounter.ndjson").write_text('{"resourceType": "Encounter", "id": "p"}\n')
    said = say("draft", "export", *GIVEN)
    assert said.status == 2
    assert "a FHIR export without Patient: it has Encounter; export Patient too" in words(said)
    (folder / "Patient.ndjson").write_text('{"secret": 1}\n')
    said = say("draft", "export", *GIVEN)
    assert said.status == 2
    assert "Patient.ndjson, line 1: is no" in words(said)
    for file in folder.iterdir():
        file.unlink()
    named = {"output": [{"type": "Goal", "url": "https://host.example/1"}]}
    (folder / "manifest.json").write_text(json.dumps(named))
    (folder / "1").write_text('{"resourceType": "Goal"}\n')
    assert "it has Goal; export Patient too" in words(say("draft", "export", *GIVEN))


def test_bundles_are_taken_apart_to_an_export(tmp_path: Path) -> None:
    """A draft says so, and the script of the page does it: nothing is lost, each type by itself."""
    (tmp_path / "bundles").mkdir()
    for number in range(2):
        entry = [{"resource": {"resourceType": kind, "id": f"é{number}"}} for kind in KINDS]
        whole = {"resourceType": "Bundle", "entry": [*entry, {"fullUrl": "urn:uuid:1"}]}
        (tmp_path / "bundles" / f"{number}.json").write_text(json.dumps(whole, indent=1))
    said = say("draft", "bundles", *GIVEN)
    assert said.status == 2
    assert "if they are FHIR Bundles, take them apart" in words(said)
    script = ROOT / "docs" / "fhir" / "split_bundles.py"
    subprocess.run([sys.executable, str(script), "bundles", "export"], check=True)
    export = Export(tmp_path / "export", "export")
    assert export.resources() == {*KINDS}
    (file,) = export.files("Patient")
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == ["é0", "é1"]


def test_an_unforeseen_error_is_not_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its text may hold a person's value, and there is no home to seal it in."""

    def fail(_: object) -> None:
        raise ValueError("Zyxwort 7")

    monkeypatch.setattr(examination, "examine", fail)
    said = say("draft", "members.csv", *GIVEN)
    assert said.status == 3
    assert "drafting broke on ValueError" in said.err
    assert "Zyxwort" not in said.err
    assert not (tmp_path / "members.yaml").exists()


def test_the_draft_is_one_plain_document_with_marked_places() -> None:
    """As many as the screen says."""
    said = json.loads(say("draft", "members.csv", *GIVEN, "--json").out)
    text = Path("members.yaml").read_text("utf-8")
    assert text.count("# DECIDE") == said["decisions"] == len(said["decide_on_lines"])
    lines = text.splitlines()
    assert all("# DECIDE" in lines[number - 1] for number in said["decide_on_lines"])
    assert read_yaml(text, "members.yaml")


@pytest.mark.parametrize(
    ("stem", "name"),
    [("My People (2)", "my-people-2"), ("401k", "table-401k"), ("x", "x-table"), ("é", "table")],
)
def test_a_policy_is_named_after_its_data(stem: str, name: str) -> None:
    """In the letters that a policy's name may have."""
    assert name_policy(stem) == name
