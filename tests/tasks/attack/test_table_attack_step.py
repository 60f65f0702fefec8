"""A table that is to leave is attacked on the run's own people, and some findings stop it."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from expectations.disclosure import Published
from expectations.errors import Refusal
from expectations.policy.privacy_models import DistinctLDiversity, PrivacyModel, TCloseness
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import parse_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Checked, DatasetRef, Selected, Validated
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import declare_hierarchy, generalize
from tasks.attack.homogeneity import find_homogeneous, judge_homogeneity
from tasks.attack.released import declare_coverage, split_sets
from tasks.attack.table import attack_table, round_attacks
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.validation.validation import check_table, validate
from tests.conftest import Folder, counts, opened

Made = tuple[DatasetRef[Checked], DatasetRef[Validated], DatasetRef[Selected]]

TOKENS = (
    "derived:\n",
    """\
  name:
    {type: text, identifiability: identifier, category: dpv-pd:Identifying, use: [release],
     treatment: {kind: token}}
derived:
""",
)
RELEASED = ("sick: generalize}", "sick: generalize, name: keep}\n    not_linkable: {name: why}")


def make_table() -> Made:
    """Make the small policy's table as the flow does."""
    selected = select_population(collect(filter_consent(read_roster())))
    rows = validate(deidentify(selected))
    return check_table(generalize(rows, "partner"), "partner"), rows, selected


def verdicts(run: Run) -> dict[str, str]:
    """Give the verdict of each check of the attacks."""
    entries = [
        e for e in run.ledger.entries(run.id) if (e.kind, e.step) == ("check", "attack_table")
    ]
    return {e.name: str(e.body["verdict"]) for e in entries if isinstance(e.body, dict)}


def test_every_attack_is_on_record(home: Home, folder: Folder) -> None:
    """With its verdict; so few people prove nothing, and the figures that count them are sealed."""
    assert home.vault.is_dir()
    del folder.people[60:]
    with opened(folder.write(), part="tables") as run:
        attacked = attack_table(*make_table(), "partner")
        assert run.vault.stage_of(attacked) == "attacked"
        found = verdicts(run)
        measures = {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == "measure"}
        assert counts(run)["people.partner.with_identifiers"] == 0
    assert found.pop("homogeneity of sick in partner") == "warned"
    assert found.pop("downcoding of partner") in {"passed", "warned"}
    assert found == {
        "original identifiers in partner": "inconclusive",
        "singling out from partner": "inconclusive",
        "linking from partner": "inconclusive",
        "inferring sick from partner": "inconclusive",
    }
    assert measures["privacy.partner.risk.linking"] is None


@pytest.fixture
def tokened(home: Home, folder: Folder) -> Iterator[tuple[Run, Made]]:
    """A run whose table holds a token of each person's name."""
    assert home.vault.is_dir()
    with opened(folder.write(TOKENS, RELEASED)) as run:
        yield run, make_table()


Change = Callable[[pa.Table, list[str]], pa.Array]
LEAKS: dict[str, tuple[str, Change, str]] = {
    "name-in-a-label": (
        "age",
        lambda _, names: [f"young {names[0].upper()}"] * len(names),
        "original identifiers in partner",
    ),
    "name-for-a-token": ("name", lambda _, names: names, "original identifiers in partner"),
    "plain-hash": (
        "name",
        lambda _, names: [hashlib.sha256(one.encode()).hexdigest()[:32] for one in names],
        "tokens of name in partner against a dictionary",
    ),
}


def replace_column(run: Run, made: Made, name: str, change: Change) -> Made:
    """Store the table again with one column changed, as if a step had made it so."""
    table = run.vault.load(made[0], Checked).to_table()
    people = run.vault.load(made[2], Selected).to_table()
    place = pc.index_in(table["_record"], people["_record"])
    names = people["name"].take(place).to_pylist()
    cells = pa.array(change(table, names), pa.large_string())
    changed = table.set_column(table.column_names.index(name), name, cells)
    return run.vault.store(Checked, changed, parents=made[:1]), *made[1:]


@pytest.mark.parametrize(("column", "change", "check"), LEAKS.values(), ids=LEAKS.keys())
def test_a_leak_stops_the_table(
    tokened: tuple[Run, Made], column: str, change: Change, check: str
) -> None:
    """The refusal names the check and no name; every other attack is on record as well."""
    run, made = tokened
    with pytest.raises(Refusal) as refused:
        attack_table(*replace_column(run, made, column, change), "partner")
    assert refused.value.check == check
    assert "Zyxwort" not in str(refused.value)
    assert "zyxwort" not in str(refused.value).lower()
    assert verdicts(run)[check] == "refused"
    assert "homogeneity of sick in partner" in verdicts(run)


def test_a_single_word_stops_the_table_in_its_own_persons_cell(home: Home, folder: Folder) -> None:
    """Somebody's surname beside their other values; a stranger's is a word like others."""
    assert home.vault.is_dir()
    letters = itertools.product("abcdefghij", repeat=3)
    for person, three in zip(folder.people, letters, strict=False):
        person["name"] = "Walker" + "".join(three)
    with opened(folder.write(TOKENS, RELEASED)) as run:
        made = make_table()
        strangers = replace_column(
            run, made, "age", lambda _, names: [f"with {one}" for one in names[1:] + names[:1]]
        )
        attack_table(*strangers, "partner")
        own = replace_column(run, made, "age", lambda _, names: [f"with {one}" for one in names])
        with pytest.raises(Refusal) as refused:
            attack_table(*own, "partner")
    assert refused.value.check == "original identifiers in partner"


@pytest.mark.parametrize(
    ("changes", "found", "others"),
    [
        pytest.param(
            ("sick: generalize}", "sick: generalize}\n    output: sets"),
            {"sets of partner"},
            {"downcoding of partner"},
            id="sets",
        ),
        pytest.param(
            (
                "sick: generalize}",
                "sick: keep}\n    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}",
            ),
            {"downcoding of partner", "minimality of sick in partner"},
            {"sets of partner"},
            id="sensitive",
        ),
    ],
)
def test_what_the_recoding_tells_is_attacked_as_it_was_made(
    home: Home, folder: Folder, changes: tuple[str, str], found: set[str], others: set[str]
) -> None:
    """Labels by downcoding, sets by their members, sensitive columns by minimality."""
    assert home.vault.is_dir()
    with opened(folder.write(changes)) as run:
        attack_table(*make_table(), "partner")
        made = verdicts(run)
    assert found <= made.keys()
    assert not others & made.keys()


def test_keyed_tokens_and_declared_words_pass(tokened: tuple[Run, Made]) -> None:
    """No name stands anywhere, and no token is turned back."""
    run, made = tokened
    attack_table(*made, "partner")
    assert verdicts(run)["original identifiers in partner"] == "passed"
    assert verdicts(run)["tokens of name in partner against a dictionary"] == "passed"
    assert verdicts(run)["tokens of name in partner by counting"] == "passed"


@pytest.mark.parametrize("leak", [False, True])
def test_of_many_people_the_tokens_of_some_are_attacked_and_that_is_said(
    tokened: tuple[Run, Made], monkeypatch: pytest.MonkeyPatch, *, leak: bool
) -> None:
    """Drawn by lot with their own originals, and enough of them to find a scheme."""
    run, made = tokened
    monkeypatch.setattr("tasks.attack.table.MOST", 20)
    if leak:
        made = replace_column(run, made, "name", LEAKS["plain-hash"][1])
        with pytest.raises(Refusal):
            attack_table(*made, "partner")
    else:
        attack_table(*made, "partner")
    (check,) = (
        e.body for e in run.ledger.entries(run.id)
        if e.name == "tokens of name in partner against a dictionary" and isinstance(e.body, dict)
    )  # fmt: skip
    assert check["verdict"] == ("refused" if leak else "passed")
    assert "20 people drawn by lot" in str(check["power"])
    assert not leak or "20 rows are plain hashes" in str(check["measured"])


def test_a_declared_word_is_no_identifier(home: Home, folder: Folder) -> None:
    """Though somebody's name is spelled like it: everybody else of the label would be them."""
    assert home.vault.is_dir()
    folder.people[0]["pid"] = folder.events[0]["person"] = "18-34"
    with opened(folder.write()) as run:
        attack_table(*make_table(), "partner")
        assert verdicts(run)["original identifiers in partner"] == "passed"


LABELS = "18-34, 35-49, 50-64, 65+"


@pytest.mark.parametrize(
    ("how", "labels"),
    [
        pytest.param("age: generalize", LABELS, id="ordered"),
        pytest.param("age: generalize", "under 35, 35-49, 50-64, 65+", id="open below"),
        pytest.param(
            "age: generalize",
            "'under 3,500', '3,500 to under 5,000', '5,000 to under 6,500', '6,500 and over'",
            id="words",
        ),
        pytest.param("age: generalize", "under -5, from -5 to 4, 5-9, 10+", id="below-zero"),
        pytest.param("age: generalize", "young, 35-49, 50-64, 65+", id="word"),
        pytest.param("age: generalize", "18-34, 35-49, 18-49, 65+", id="taken"),
        pytest.param(
            "age: {kind: generalize, levels: [{low: [18-34, 35-49]}, {any: [low, 50-64, 65+]}]}",
            LABELS,
            id="declared",
        ),
    ],
)
def test_the_policy_tells_what_labels_stand_for(folder: Folder, how: str, labels: str) -> None:
    """As the recoding uses them, though no code is shared."""
    path = folder.write(("age: generalize, sex", f"{how}, sex"), (LABELS, labels))
    policy = parse_policy(path.read_text("utf-8"))
    outlet = policy.table_outlets["partner"]
    told = declare_coverage(policy, outlet, {})
    for column in outlet.columns:
        hierarchy = declare_hierarchy(policy, outlet, column)
        assert hierarchy is not None
        for level in zip(*hierarchy.levels, strict=True):
            for label in level:
                leaves = [row[0] for row in hierarchy.levels if label in row]
                assert sorted(set(told[column][label]) - {"missing"}) == sorted(leaves)


def test_labels_of_a_plan_of_an_earlier_version_are_read(folder: Folder) -> None:
    """It called a merge by its ends where this one names the interval."""
    policy = parse_policy(folder.write((LABELS, "under 35, 35-49, 50-64, 65+")).read_text("utf-8"))
    told = declare_coverage(policy, policy.table_outlets["partner"], {})
    assert told["age"]["under 35~35-49"] == told["age"]["under 50"] == ["under 35", "35-49"]


def test_sets_stand_for_their_members(folder: Folder) -> None:
    """Where all of them are declared."""
    path = folder.write(("max_suppressed: 0.1", "max_suppressed: 0.1\n    output: sets"))
    policy = parse_policy(path.read_text("utf-8"))
    released = {"age": ["18-34~65+", "18-34~never"]}
    told = declare_coverage(policy, policy.table_outlets["partner"], released)
    assert told["age"]["18-34~65+"] == ["18-34", "65+"]
    assert "18-34~never" not in told["age"]


@pytest.mark.parametrize(
    ("label", "members"),
    [
        pytest.param("-1-1", ["-1", "0", "1"], id="range"),
        pytest.param("-3--1~2.5", ["-3", "-1", "2.5"], id="range-and-number"),
        pytest.param("0-2.5~other", ["0", "1", "2.5", "other"], id="range-and-word"),
        pytest.param("0-9", None, id="an-end-that-nobody-declared"),
    ],
)
def test_a_range_of_numbers_stands_for_those_between(label: str, members: list[str] | None) -> None:
    """As far as they are declared, below zero too."""
    known = {"-3", "-1", "0", "1", "2.5", "other"}
    assert sorted(split_sets([label], known).get(label, [])) == sorted(members or [])


def test_homogeneity_and_skew_are_found() -> None:
    """All of class x share a value; nine of ten of class y are not over nine in ten."""
    frame = pd.DataFrame({"q": list("xxx" + "y" * 10 + "zz"), "s": [*"aaa", *"b" * 9, *"aaa"]})
    found = find_homogeneous(frame, ["q"], "s")
    assert found.known.tolist() == [True] * 3 + [False] * 10 + [True] * 2
    assert found.sure.tolist() == found.known.tolist()
    assert found.gain == pytest.approx(1 - 6 / 15)
    assert found.ratio == pytest.approx(15 / 6)


def test_how_many_are_known_and_newly_all_but_known_is_no_contradiction() -> None:
    """Where nearly all share a value, more are in a class of one value than learn much by it."""
    frame = pd.DataFrame(
        {"q": list("x" * 90 + "y" * 3 + "z" * 3), "s": [*"n" * 90, *"yyy", *"nny"]}
    )
    people = (Published(90, 10), Published(None, 10))
    said = judge_homogeneity("s", "partner", find_homogeneous(frame, ["q"], "s"), people, ())
    assert said.measured.startswith(
        "90 people are in a class that shares one value; fewer than 10 are in a class where more "
        "than 90% share one, unlike in the table;"
    )


def test_that_no_class_shares_one_value_is_not_told_as_a_few_people() -> None:
    """Where l = 2 holds, all but one may share a value; nobody is in a class that all share."""
    frame = pd.DataFrame({"q": list("x" * 30 + "y" * 30), "s": [*"n" * 29, "y", "n", *"y" * 29]})
    people = (Published(None, 10), Published(60, 10))
    said = judge_homogeneity("s", "partner", find_homogeneous(frame, ["q"], "s"), people, ())
    assert said.measured.startswith(
        "no class shares one value, but 60 people are in a class where more than 90% share one"
    )


def judge_common(frame: pd.DataFrame, known: list[str]) -> CheckVerdict:
    """Give the verdict on column s of a table whose columns `known` an attacker knows."""
    nobody = (Published(None, 10), Published(None, 10))
    found = find_homogeneous(frame, known, "s")
    return judge_homogeneity("s", "partner", found, nobody, ()).verdict


@pytest.mark.parametrize(
    ("models", "remedy"),
    [
        ((), "name the column under `sensitive` with l-diversity or t-closeness, or leave it out"),
        ((TCloseness(t=0.2),), "ask for a smaller t or l-diversity as well of s, or leave it out"),
        (
            (DistinctLDiversity(l=2), TCloseness(t=0.2)),
            "ask for a larger l or a smaller t of s, or leave it out",
        ),
    ],
)
def test_what_would_mend_a_shared_value_goes_beyond_what_is_asked(
    models: tuple[PrivacyModel, ...], remedy: str
) -> None:
    """A column that is held to a model already is not sent to `sensitive` again."""
    found = find_homogeneous(pd.DataFrame({"q": list("xy"), "s": list("ab")}), ["q"], "s")
    nobody = (Published(None, 10), Published(None, 10))
    assert judge_homogeneity("s", "partner", found, nobody, models).remedy == remedy


@pytest.mark.parametrize(
    ("q", "s", "known", "verdict"),
    [
        pytest.param("xxyy", "abab", ["q"], CheckVerdict.PASSED, id="diverse"),
        pytest.param("xx", ["a", None], ["q"], CheckVerdict.PASSED, id="missing-is-a-value"),
        pytest.param("xxyy", "aabb", ["q"], CheckVerdict.WARNED, id="homogeneous"),
        pytest.param("xxyy", "aabb", [], CheckVerdict.INCONCLUSIVE, id="nothing-known"),
        pytest.param("xxy", "aaa", ["q"], CheckVerdict.INCONCLUSIVE, id="known-beforehand"),
        pytest.param("", "", ["q"], CheckVerdict.INCONCLUSIVE, id="empty"),
    ],
)
def test_a_class_that_shares_a_value_is_told_where_it_can_be(
    q: str, s: str | list[str | None], known: list[str], verdict: CheckVerdict
) -> None:
    """A table of one value tells nothing new of anybody, and nor does the check."""
    assert judge_common(pd.DataFrame({"q": list(q), "s": list(s)}), known) is verdict


def test_the_number_of_attacks_tells_no_count() -> None:
    """It is round, and none is made on fewer than 100 people."""
    people = (99, 100, 456, 10_000, 30_162)
    assert [round_attacks(n) for n in people] == [0, 100, 200, 2000, 500]
