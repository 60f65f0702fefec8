"""A policy is read strictly, and what is wrong with it is told all at once, line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations import policy_file
from expectations.errors import PolicyError
from expectations.policy.vocabulary import Use
from expectations.policy_file import find_policy, parse_policy, policy_schema, read_policy
from tests.conftest import POLICY, small_policy

SCHEMA = Path(policy_file.__file__).with_name("policy") / "policy.schema.json"


def problems(text: str) -> list[str]:
    """Parse a text that is no policy, and give each problem as a line."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(text, "p.yaml")
    return [problem.render("p.yaml") for problem in refused.value.problems]


def line_of(text: str) -> int:
    """Give the line of the small policy on which a text stands."""
    return POLICY[: POLICY.index(text)].count("\n") + 1


def test_a_policy_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    """The text, its digest and the folder of its relative paths come with it."""
    (tmp_path / "mine.yaml").write_text(POLICY)
    mine = read_policy(str(tmp_path / "mine.yaml"))
    assert (mine.text, mine.folder) == (POLICY, tmp_path)
    assert len(mine.sha256) == 64
    assert find_policy("diabetes").name == "diabetes.yaml"


def test_ones_own_policies_are_named_before_those_that_come_along(tmp_path: Path) -> None:
    """And before a file beside a worker; a name that is nowhere says where was looked."""
    own = tmp_path / "policies"
    own.mkdir()
    (own / "diabetes.yaml").write_text(POLICY.replace("name: small", "name: diabetes"))
    assert read_policy("diabetes", own).folder == own
    assert read_policy("registry", own).folder != own
    with pytest.raises(PolicyError, match=f"put it into {own} to find it by its name, or"):
        read_policy("diabetis", own)


def test_a_policy_of_ones_own_is_called_as_its_file_is(tmp_path: Path) -> None:
    """Who asks for one by name must not get another, whose releases and budget are its own."""
    (tmp_path / "mine.yaml").write_text(POLICY)
    with pytest.raises(
        PolicyError, match=r"mine\.yaml:2: name: `small` is not what the file is called"
    ):
        read_policy("mine", tmp_path)
    with pytest.raises(PolicyError, match=r"rename the file to small\.yaml"):
        read_policy(str(tmp_path / "mine.yaml"), tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("diabetis", "no such file", id="unknown"),
        pytest.param("../policies/diabetes", "no such file", id="no-way-around"),
        pytest.param("x" * 5000, "the path cannot be checked", id="too-long"),
    ],
)
def test_a_policy_that_is_nowhere_is_said_to_be(name: str, said: str) -> None:
    """The names of those that come with the project are given, where that helps."""
    with pytest.raises(PolicyError, match=said):
        read_policy(name)


def test_another_encoding_is_refused_by_its_byte(tmp_path: Path) -> None:
    """Nothing is guessed about bytes that are not UTF-8."""
    file = tmp_path / "p.yaml"
    file.write_bytes(b"tutela: 1\ntitle: caf\xe9\n")
    with pytest.raises(PolicyError, match="byte 20 is not UTF-8; save the file as UTF-8"):
        read_policy(str(file))


def test_an_unreadable_file_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's reason is given, and no traceback."""

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "p.yaml").write_text(POLICY)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(PolicyError, match=r"cannot be read \(Permission denied\); check"):
        read_policy(str(tmp_path / "p.yaml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("tutela: 1\nname: [", ":2: yaml: expected the node content", id="open"),
        pytest.param("a: 1\n---\nb: 2", ":2: yaml: but found another document", id="two"),
        pytest.param("", ":1: yaml: a policy is a mapping", id="empty"),
        pytest.param("- tutela", ":1: yaml: a policy is a mapping", id="list"),
        pytest.param("a: 1\nb: \x07", ":2: yaml: it holds a character", id="control"),
        pytest.param("[" * 4000, ":1: yaml: it is nested too deep", id="deep"),
        pytest.param("a: 1\n? [b]\n: 2", ":2: yaml: a key is a word", id="complex-key"),
        pytest.param("a: 1\nb: *a", ":2: yaml: found undefined alias", id="undefined-alias"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_on_its_line(text: str, said: str) -> None:
    """The message names the line and never a Python type."""
    assert said in problems(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: !!python/object/apply:os.system [ls]", id="python"),
        pytest.param("a: !secret b", id="own"),
        pytest.param("a: !!int abc", id="standard"),
        pytest.param("a: !!bool yes", id="boolean"),
        pytest.param("!map {a: 1}", id="mapping"),
        pytest.param("a: &x [*x]", id="endless"),
        pytest.param("a: &x [1]\nb: *x", id="alias"),
    ],
)
def test_tags_and_aliases_are_not_read(text: str) -> None:
    """What is not written out is refused, before it is built."""
    assert "are not read" in problems(text)[0]


def test_a_key_that_stands_twice_is_refused() -> None:
    """Neither value wins; every such key is named, with the line of the second."""
    twice = small_policy(
        ("title: A small policy\n", "title: A small policy\ntitle: Another\n"),
        ("retention_days: 30\n", "retention_days: 30\nretention_days: 31\n"),
    )
    found = problems(twice)
    assert [found[0], len(found)] == ["p.yaml:4: title: the key is there twice; keep one", 2]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            "test_share: 0.4",
            "test_shares: 0.4",
            "test_shares: is not a known key; did you mean `test_share`?",
            id="misspelt-key",
        ),
        pytest.param(
            "title: A small policy",
            "title: A small policy\nxylophone: 1",
            "xylophone: is not a known key; take it out",
            id="unknown-key",
        ),
        pytest.param(
            "purpose: dpv:ScientificResearch",
            "purpose: dpv:ScientificResarch",
            "purpose: is not a known word; did you mean `dpv:ScientificResearch`?",
            id="misspelt-word",
        ),
        pytest.param(
            "kind: drop",
            "kind: dorp",
            "columns.sugar.treatment: is not a known word; did you mean `drop`?",
            id="misspelt-kind",
        ),
        pytest.param(
            "{model: logistic-regression}",
            "{model: logistic-regression, max_leaf_nodes: 8}",
            "training.max_leaf_nodes: is not a known key; if it is the model's own, "
            "write `parameters: {max_leaf_nodes: …}`",
            id="parameter-of-the-model",
        ),
        pytest.param(
            "{model: logistic-regression}",
            "{model: logistic-regression, parametres: {C: 1}}",
            "training.parametres: is not a known key; did you mean `parameters`?",
            id="misspelt-key-of-training",
        ),
        pytest.param(
            "recipient: Clinic",
            "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 0.01}",
            "give a number below 0.001, and below one in the number of people",
            id="delta",
        ),
        pytest.param(
            "category: dpv-pd:Gender",
            "category: dpv-pd:Sex",
            "columns.sex.category: is not a known word; did you mean `dpv-pd:Gender`?",
            id="word-that-means-another",
        ),
        pytest.param(
            "category: dpv-pd:Gender",
            "category: dpv-pd:Sexuality",
            "columns.sex.category: is not a known word; one of dpv-pd:Age, ",
            id="no-special-category-is-suggested",
        ),
        pytest.param(
            "{kind: drop}",
            "{}",
            "columns.sugar.treatment: `kind` is missing; add `kind:`",
            id="no-kind",
        ),
        pytest.param(
            "model: logistic-regression",
            "model: logistic-regresion",
            "training.model: is not a known word; did you mean `logistic-regression`?",
            id="misspelt-model",
        ),
        pytest.param(
            "sick: generalize}",
            "sick: generalise}",
            "outlets.partner.columns.sick: is not a known word; did you mean",
            id="misspelt-choice",
        ),
        pytest.param(
            "sick: generalize}",
            "sick: {kind: generalize, level: []}}",
            "outlets.partner.columns.sick.level: is not a known key; did you mean `levels`?",
            id="misspelt-key-of-a-choice",
        ),
        pytest.param(
            "smallest: 10",
            "smallest: ten",
            "population.smallest: must be a whole number",
            id="type",
        ),
        pytest.param(
            "test_share: 0.4", "test_share: [1]", "test_share: must be a number;", id="number"
        ),
        pytest.param(
            "category: dpv-pd:Gender",
            "category: dpv-pd:Foo",
            "columns.sex.category: is not a known word; one of dpv-pd:Age, ",
            id="prefix-is-no-likeness",
        ),
        pytest.param(
            "name: small",
            "name: Small Policy",
            "name: has a form that is not allowed; use 3 to 40 lower-case letters, digits and "
            "hyphens, beginning with a letter",
            id="name",
        ),
        pytest.param("smallest: 10", "smallest: 9", "is not at least 10", id="bound"),
        pytest.param("test_share: 0.4", "test_share: 1e999", "finite number", id="infinite"),
        pytest.param("smallest: 10", "smallest: " + "1" * 5000, "smallest: ", id="endless-number"),
        pytest.param("tutela: 1", "tutela: 2", "tutela: is not a known word", id="version"),
        pytest.param(
            "location: {kind: csv, path: consent.csv}",
            "location: {kind: cvs, path: consent.csv}",
            "basis.events.0.location: is not a known word; did you mean `csv`?",
            id="in-a-list",
        ),
        pytest.param("title: A small policy", "title:", "title: is not text", id="nothing"),
        pytest.param("name: small", "name: Small!", "has a form that is not allowed", id="name"),
        pytest.param("title: A small policy", "title: 7", "put it in quotes", id="number-as-text"),
        pytest.param("retention_days: 30", "", "retention_days: is missing; add", id="missing"),
        pytest.param(
            "edges: [35, 50, 65]",
            "edges: [35, 65, 50]",
            "columns.age.treatment: edges must rise; sort them",
            id="order",
        ),
        pytest.param("50-64, 65+]", "50-64]", "3 edges make 4 intervals", id="labels"),
        pytest.param(
            "{kind: drop}", "{kind: clip, low: 2, high: 1}", "low must be below high", id="bounds"
        ),
        pytest.param("values: [f, m]", "values: [f, f]", "a value is listed twice", id="words"),
        pytest.param(
            "values: [f, m]",
            "values: [f, m], rename: {w: x}",
            "`rename` gives a word that `values` lacks",
            id="rename",
        ),
    ],
)
def test_a_wrong_form_is_told_once_with_place_and_fix(old: str, new: str, said: str) -> None:
    """One fault makes one problem, however many forms would have been allowed there."""
    found = problems(small_policy((old, new)))
    assert len(found) == 1, found
    assert said in found[0]


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    """Three faults are found in one go, each on its own line."""
    found = problems(
        small_policy(
            ("name: small", "name: S"),
            ("smallest: 10", "smallest: 3"),
            ("high: 0.9", "high: 9"),
        )
    )
    lines = [int(problem.split(":")[1]) for problem in found]
    assert lines == [line_of("name:"), line_of("smallest:"), line_of("- {rule")]


def test_no_is_a_word_and_a_power_of_ten_a_number() -> None:
    """YAML 1.2: consent words need no quotes, and 1e-5 is no text."""
    policy = parse_policy(
        small_policy(
            ("values: [f, m]", "values: [no, on, 1e-5x, ~x]"),
            ("test_share: 0.4", "test_share: 4e-1"),
            ("eligible: age >= 18\n  ", ""),
            ("use: [feature, eligibility, release]", "use: [feature, release]"),
        )
    )
    assert policy.columns["sex"].treatment.model_dump()["values"] == ("no", "on", "1e-5x", "~x")
    assert policy.population.test_share == 0.4


words = st.from_regex(r"[A-Za-z][A-Za-z0-9_ .+-]{0,12}[a-z]", fullmatch=True)


@given(words.filter(lambda word: word not in {"true", "false", "null"}))
def test_a_plain_word_stays_a_word(word: str) -> None:
    """Whatever begins with a letter is text, except JSON's three words."""
    text = small_policy(("title: A small policy", f"title: {word}"))
    assert parse_policy(text).title == word.strip()


@given(st.floats(0.001, 0.999))
def test_a_number_is_read_as_it_was_written(share: float) -> None:
    """Python's and JSON's spelling of a number are the policy's."""
    text = small_policy(("test_share: 0.4", f"test_share: {share!r}"))
    assert parse_policy(text).population.test_share == share


def test_the_committed_schema_is_fresh() -> None:
    """Editors check policies against the grammar that is in force."""
    fresh = json.loads(SCHEMA.read_text(encoding="utf-8")) == policy_schema()
    assert fresh, f"{SCHEMA}: run docs/make_reference.py"


def test_the_part_for_tables_reads_nothing_for_the_model_alone() -> None:
    """Columns, derived columns and rules that only the model needs are not in it."""
    policy = parse_policy(
        small_policy(
            ("use: [target, release]", "use: [target]"),
            ("sex: generalize, sick: generalize}", "sex: generalize}"),
            ("use: [feature, release, audit]", "use: [feature, audit, release]"),
        )
    )
    part = policy.for_tables()
    assert (set(part.columns), set(part.derived)) == ({"age", "sex"}, set())
    assert (part.training, part.expectations, set(part.outlets)) == (None, (), {"partner"})


def test_the_part_for_tables_keeps_what_its_columns_are_made_of() -> None:
    """A released derived column and a redacted text still find what they read."""
    note = (
        "  note: {type: text, identifiability: none, category: dpv-pd:Health, use: [release],\n"
        "    treatment: {kind: redact, known: [full_name]}}\n"
        "  full_name: {type: text, identifiability: identifier, category: dpv-pd:Identifying,\n"
        "    use: [redaction], treatment: {kind: drop}}\nderived:\n"
    )
    policy = parse_policy(
        small_policy(
            ("derived:\n", note),
            ("sick: generalize}", "sick: generalize, note: keep}\n    not_linkable: {note: why}"),
        )
    )
    part = policy.for_tables()
    assert set(part.columns) == {"age", "sex", "sugar", "note", "full_name"}
    assert part.used_as(Use.REDACTION) == ("full_name",)


def test_the_part_for_advice_reads_what_the_model_learns_from_alone() -> None:
    """No column of a table alone, no rule about one, and no outlet but the model's."""
    policy = parse_policy(
        small_policy(
            ("use: [feature, release, audit]", "use: [release, audit]"),
            (
                'value: "yes", low: 0.1, high: 0.9}',
                (
                    'value: "yes", low: 0.1, high: 0.9}\n'
                    "  - {rule: missing-at-most, column: sex, share: 0.5}"
                ),
            ),
        )
    )
    part = policy.for_part("advice")
    assert (set(part.columns), set(part.derived)) == ({"age", "sugar"}, {"sick"})
    assert part.used_as(Use.FEATURE) == ("age",)
    assert [rule.column for rule in part.expectations] == ["sick"]
    assert (set(part.outlets), part.training, part.budget) == (
        {"clinic"},
        policy.training,
        policy.budget,
    )


def test_the_part_for_all_is_the_policy_itself() -> None:
    """And that for tables holds neither training nor budget."""
    policy = parse_policy(small_policy())
    assert policy.for_part("all") is policy
    tables = policy.for_part("tables")
    assert (tables.training, tables.budget, tables.attacks) == (None, None, None)
