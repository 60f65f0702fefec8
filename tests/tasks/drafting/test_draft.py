"""What a draft decides of columns and writes of them: what is in doubt is never in force."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.expressions.expressions import ColumnType
from expectations.policy.legal_basis import ConsentColumn, ConsentLedger, OptOutList, OtherBasis
from expectations.policy.plain_yaml import read_yaml
from expectations.policy.policy import Policy
from expectations.policy.treatments import Bin, Categories
from expectations.policy.vocabulary import Article6, Article9, Category, Identifiability, Use
from expectations.policy_file import parse_policy
from tasks.drafting.deciding import label_bins, name_columns
from tasks.drafting.decisions import Fate
from tasks.drafting.signs import Found
from tasks.drafting.writing_yaml import Value, entry
from tests.tasks.drafting.drafted_columns import (
    AGE,
    ANSWER,
    BORN,
    DISTRICT,
    FAITH,
    LEFT,
    PERSON,
    UNKNOWN,
    column,
    draft_of,
    text_of,
)

CONSENT: dict[str, Any] = {"six": Article6.CONSENT}
TABLES: list[tuple[Found, ...]] = [
    (PERSON, AGE),
    (PERSON, AGE, DISTRICT, LEFT, FAITH, UNKNOWN, BORN),
    (PERSON, BORN, LEFT),
    (PERSON, BORN, DISTRICT),
    (ANSWER, PERSON, DISTRICT, FAITH, LEFT),
    (PERSON, column("Joined at", "date"), column("kids", "integer", words=("2", "10", "1"))),
    (PERSON, LEFT, UNKNOWN),
]


def drafted(*columns: Found, **given_: Any) -> Policy:
    """Parse the drafted policy, which checks that its parts fit together."""
    return parse_policy(text_of(*columns, **given_))


@pytest.mark.parametrize("columns", TABLES)
@pytest.mark.parametrize("six", [Article6.CONSENT, Article6.CONTRACT, Article6.PUBLIC_TASK])
def test_a_draft_passes_check_as_it_is_written(columns: tuple[Found, ...], six: Article6) -> None:
    """Whatever the table and the legal basis; no line is wider than a page."""
    text = text_of(*columns, six=six)
    assert parse_policy(text).columns
    assert max(map(len, text.splitlines())) <= 100
    assert "\n\n\n" not in text
    assert "docs/" not in text, "an installed wheel holds no such file"


@pytest.mark.parametrize(
    "doubt",
    [
        UNKNOWN,
        FAITH,
        column("q", words=("a", "b"), doubtful=True),
        column("q", words=("a", "b"), category=None),
        column("ok", words=("a", "b"), consent=("a",)),
    ],
)
def test_what_is_in_doubt_is_not_in_force_but_stands_ready(doubt: Found) -> None:
    """It is read by nobody; the comment says what was seen and what there is to decide."""
    text = text_of(PERSON, AGE, doubt)
    assert doubt.profile.name not in parse_policy(text).columns
    assert "  # Not read until somebody decides: 1 column." in text
    assert "# Seen: a sign" in text
    assert "# Decide wh" in text
    assert f"\n  # {doubt.profile.name}:\n  #   type: " in text


def test_what_waits_for_one_reason_stands_together() -> None:
    """The reason is said once; of very many columns the first stand ready."""
    doubts = [column(f"q{n}", words=("a", "b"), category=None) for n in range(70)]
    text = text_of(PERSON, AGE, FAITH, *doubts)
    assert text.count("it is unclear what kind of data it is") == 1
    assert "(70 columns)" in text
    assert text.count("# --- ") == 2
    assert re.search(r"(?m)^  # q59:$", text)
    assert not re.search(r"(?m)^  # q60:$", text)
    assert "And 10 more, to write alike: q60, " in text


def test_a_person_may_correct_a_category_that_was_guessed() -> None:
    """`grade` may be a borrower's."""
    assert "whether it is of that category at all" in " ".join(text_of(PERSON, AGE, FAITH).split())


def test_in_a_table_a_special_category_stands_outside_k() -> None:
    """Nobody knows it of others, and k alone would not hide what a whole class shares."""
    union = column("union", category=Category.TRADE_UNION, words=("no", "yes"))
    policy = drafted(PERSON, AGE, DISTRICT, union, nine=Article9.MADE_PUBLIC)
    (table,) = policy.table_outlets.values()
    assert set(table.linkable) == {"age", "district"}
    assert table.columns["union"] == "keep"
    alone = drafted(PERSON, union, nine=Article9.MADE_PUBLIC)
    assert next(iter(alone.table_outlets.values())).linkable == ("union",)


def test_a_special_category_that_others_may_know_is_left_to_k_and_asked_about() -> None:
    """An origin is seen, and all of a class may share it."""
    origin = column("origin", category=Category.ETHNIC_ORIGIN, words=("a", "b"),
                    identifiability=Identifiability.QUASI)  # fmt: skip
    text = " ".join(
        text_of(PERSON, AGE, origin, nine=Article9.MADE_PUBLIC).replace("#", "").split()
    )
    assert "under k, since others may know them: origin" in text


def test_taking_the_marks_out_puts_a_column_in_force() -> None:
    """Each line of its block is the line that `check` reads, behind a mark."""
    text = text_of(PERSON, AGE, LEFT, column("q", words=("a", "b"), doubtful=True))
    start = text.index("  # q:\n")
    block, rest = text[start:].split("\n\n", 1)
    policy = parse_policy(f"{text[:start]}{block.replace('  # ', '  ')}\n\n{rest}")
    assert policy.columns["q"].use == (Use.FEATURE,)


def test_a_special_category_needs_its_condition() -> None:
    """With a condition of Art. 9 it is proposed, without one it is left to decide."""
    assert "faith" not in drafted(PERSON, AGE, FAITH).columns
    explicit = drafted(PERSON, AGE, FAITH, **CONSENT, nine=Article9.EXPLICIT_CONSENT)
    assert explicit.columns["faith"].category is Category.RELIGIOUS_BELIEF


@pytest.mark.parametrize(
    ("denied", "why"),
    [
        (column("e", identifiability=Identifiability.IDENTIFIER, words=("a", "b")), "it names"),
        (column("note", free_text=True, words=("a", "b")), "free text"),
        (column("k", words=("a",), distinct=1), "it has the same value for everybody"),
        (column("m", words=("a", "b"), missing=0.95), "nearly all of its values are missing"),
        (column("many", distinct=300), "few people share one"),
    ],
)
def test_what_names_people_or_says_nothing_is_never_read(denied: Found, why: str) -> None:
    """There is no block to put in force: its name and the reason, in a comment."""
    text = text_of(PERSON, AGE, denied)
    name = denied.profile.name
    assert name not in parse_policy(text).columns
    assert re.search(rf"(?m)^  # - {name}: .*{why}", text)
    assert not re.search(rf"(?m)^  #? *{name}:$", text)


def test_what_came_from_the_data_is_marked() -> None:
    """Bins and words are; a yes/no column holds nothing of the data's."""
    policy = drafted(PERSON, AGE, DISTRICT, LEFT)
    marked = {name: column.from_data for name, column in policy.columns.items()}
    assert marked == {"age": True, "district": True, "left": False}


def test_rare_words_are_not_listed_and_become_other() -> None:
    """The declared words stand in an order that tells nothing of their number."""
    made = drafted(PERSON, DISTRICT, AGE).columns["district"].treatment
    assert made == Categories(kind="categories", values=("East", "West"), other="other")
    own = column("d", category=Category.LOCATION, words=("Other", "East"), rare=1)
    found = drafted(PERSON, own).columns["d"].treatment
    assert isinstance(found, Categories)
    assert found.other == "Other"


def test_a_word_that_a_spreadsheet_would_run_leaves_under_another() -> None:
    """The source's own word is read as before."""
    made = drafted(PERSON, column("result", words=("+", "fine", "=x"))).columns["result"].treatment
    assert made == Categories(
        kind="categories",
        values=("is +", "is =x", "fine"),
        rename={"+": "is +", "=x": "is =x"},
    )


def test_whole_numbers_without_edges_are_ordered_words() -> None:
    """10 stands behind 2."""
    made = drafted(PERSON, column("kids", "integer", words=("2", "10", "1"))).columns["kids"]
    assert made.type is ColumnType.TEXT
    assert made.treatment == Categories(kind="categories", values=("1", "2", "10"), ordered=True)


def test_a_few_whole_numbers_may_be_codes() -> None:
    """They are listed one by one, in order, and a person decides whether they have one."""
    jobs = column("job", "integer", words=("2", "1", "3"), edges=(2.0,), distinct=3)
    assert drafted(PERSON, jobs).columns["job"].treatment == Categories(
        kind="categories", values=("1", "2", "3"), ordered=True
    )
    assert "DECIDE: do these numbers count something, or are they" in text_of(PERSON, jobs)
    written = column("job", "integer", words=("2.0", "1.0"), edges=(2.0,), distinct=2)
    assert isinstance(drafted(PERSON, written).columns["job"].treatment, Bin)


@pytest.mark.parametrize("kind", [Category.PROFESSIONAL, Category.LOCATION, Category.DEMOGRAPHIC])
def test_numbers_of_what_registers_number_have_no_order(kind: Category) -> None:
    """Trades, places and degrees: no neighbours of them make a range, and nobody is asked."""
    jobs = column("job", "integer", category=kind, words=("2", "1", "3"), edges=(2.0,), distinct=3)
    assert drafted(PERSON, jobs).columns["job"].treatment == Categories(
        kind="categories", values=("1", "2", "3")
    )
    text = text_of(PERSON, jobs)
    assert "taken as codes" in text
    assert "do these numbers count" not in text


def test_whole_numbers_that_few_people_have_join_the_nearest_that_many_have() -> None:
    """Every number has a bin, so that none must be listed."""
    made = drafted(PERSON, column("kids", "integer", words=("0", "2", "1"), rare=3)).columns["kids"]
    assert made.type is ColumnType.INTEGER
    assert made.treatment == Bin(kind="bin", edges=(1, 2), labels=("under 1", "1", "2+"))


@given(st.lists(st.integers(-50, 50), min_size=1, unique=True).map(sorted), st.booleans())
def test_bins_have_one_label_each(edges: list[int], whole: bool) -> None:
    """As many as the grammar wants, all different."""
    numbers = tuple(float(edge) for edge in edges)
    labels = label_bins(numbers, whole=whole)
    assert Bin(kind="bin", edges=numbers, labels=labels).labels == labels


@pytest.mark.parametrize(
    ("edges", "whole", "labels"),
    [
        ((30, 45), True, ("under 30", "30-44", "45+")),
        ((1, 2, 3), True, ("under 1", "1", "2", "3+")),
        ((-10, 0), True, ("under -10", "from -10 to -1", "0+")),
        ((2.5, 10), False, ("under 2.5", "2.5 to under 10", "10+")),
        ((-10, -5), False, ("under -10", "from -10 to under -5", "from -5")),
        ((1990, 2000), True, ("under 1990", "1990-1999", "2000+")),
        ((6e3, 1e5), False, ("under 6,000", "6,000 to under 100,000", "100,000+")),
    ],
)
def test_a_label_says_what_is_in_its_bin(
    edges: tuple[float, ...], whole: bool, labels: tuple[str, ...]
) -> None:
    """Of whole numbers the first and last that it holds."""
    assert label_bins(tuple(map(float, edges)), whole=whole) == labels


def test_an_outcome_makes_a_model_with_its_attack() -> None:
    """The table waits behind `#`; without an outcome it is the other way round."""
    model = drafted(PERSON, AGE, DISTRICT, LEFT)
    assert list(model.model_outlets) == ["planning-team"]
    assert not model.table_outlets
    assert model.target == "left"
    assert model.attacks is not None
    table = drafted(PERSON, AGE, DISTRICT)
    assert table.table_outlets["planning-team"].k == 5
    assert (table.training, table.attacks, table.model_outlets) == (None, None, {})


def test_the_table_in_reserve_passes_check_when_it_is_put_in_force() -> None:
    """As its comment says: marks out, and `release` among the uses."""
    text = text_of(PERSON, AGE, DISTRICT, LEFT)
    start = text.index("  # table-recipient:")
    block, rest = text[start:].split("\n\n", 1)
    text = f"{text[:start]}{block.replace('  # ', '  ')}\n\n{rest}"
    policy = parse_policy(re.sub(r"use: \[(.*)\]", r"use: [\1, release]", text))
    assert set(policy.table_outlets["table-recipient"].columns) == {"age", "district", "left"}


def test_a_large_table_is_asked_for_a_larger_k_and_a_wide_one_for_fewer_columns() -> None:
    """K holds over all columns at once: eight, those that point at people before others."""
    wide = [column(f"c{n}", words=("a", "b")) for n in range(12)]
    policy = drafted(PERSON, *wide, AGE, rows=5000)
    (table,) = policy.table_outlets.values()
    assert table.k == 10
    assert len(table.columns) == 8
    assert "age" in table.columns


def test_a_table_begins_with_full_columns_and_no_power_of_another() -> None:
    """A square tells no more than its number, and takes the place of what does."""
    others = [column(f"c{n}", words=("a", "b")) for n in range(7)]
    age2 = column("agesq", "integer", edges=(900.0,), identifiability=Identifiability.QUASI)
    holes = column("holes", words=("a", "b"), missing=0.5)
    (table,) = drafted(PERSON, age2, holes, *others, AGE).table_outlets.values()
    assert set(table.columns) == {"age", *(each.profile.name for each in others)}


@pytest.mark.parametrize("columns", [(PERSON, BORN, LEFT), (PERSON, BORN, DISTRICT)])
def test_of_a_birth_date_the_age_alone_goes_further(columns: tuple[Found, ...]) -> None:
    """In bins that are nobody's data; where the age is read too, the date is left to decide."""
    policy = drafted(*columns)
    assert policy.columns["born"].use == (Use.DERIVATION, Use.ELIGIBILITY)
    assert policy.derived["age"].expression == "years_since(born)"
    assert policy.population.eligible == "years_since(born) >= 18"
    assert "born" not in drafted(AGE, *columns).columns


def test_other_dates_become_their_year_in_a_table_and_no_feature() -> None:
    """A model reads no dates; a table joins the rare years."""
    joined = column("Joined at", "date")
    table = drafted(PERSON, joined)
    assert table.columns["joined_at"].source == "Joined at"
    assert "joined_at" not in drafted(PERSON, joined, AGE, LEFT).columns


def test_consent_is_looked_up_where_it_stands() -> None:
    """In its column; without one in the ledger, in which nobody consented yet."""
    asked = drafted(PERSON, ANSWER, AGE, **CONSENT).basis
    assert asked == ConsentColumn(kind="consent-column", column="may we?", granted=("yes", "ok"))
    basis = drafted(PERSON, AGE, **CONSENT).basis
    assert isinstance(basis, ConsentLedger)
    assert basis.events == ()


def test_another_basis_reads_everybody_and_offers_the_list_of_objections() -> None:
    """Art. 21 GDPR lets people object to a public task, and not to a contract."""
    text = text_of(PERSON, AGE)
    assert isinstance(parse_policy(text).basis, OtherBasis)
    listed = text.replace("  kind: other-basis\n", "").replace(
        "  # kind: opt-out", "  kind: opt-out"
    )
    listed = re.sub(r"  # ((?:objections|person): )", r"  \1", listed)
    assert isinstance(parse_policy(listed).basis, OptOutList)
    assert "opt-out" not in text_of(PERSON, AGE, six=Article6.CONTRACT)


def test_the_person_is_named_by_an_identifier_before_another_unique_column() -> None:
    """The other is said too."""
    key = column("row", "integer", person=True, category=None, doubtful=True, distinct=400)
    assert drafted(key, PERSON, AGE).source.person == "Member No"
    assert "row could name them too" in text_of(key, PERSON, AGE)


def test_a_patient_is_a_person_though_the_name_says_health() -> None:
    """What is called a person's number is preferred to all that is different in each row."""
    mail = column("mail", person=True, category=Category.CONTACT, distinct=400)
    patient = column("patient_id", person=True, category=Category.HEALTH, distinct=400)
    assert drafted(mail, patient, AGE).source.person == "patient_id"


def test_a_person_in_several_rows_is_asked_about() -> None:
    """A run would count visits."""
    visit = column("visit_id", person=True, category=Category.BEHAVIORAL, distinct=400)
    patient = column("patient_id", distinct=90, identifiability=Identifiability.IDENTIFIER)
    text = " ".join(text_of(visit, patient, AGE).replace("#", "").split())
    assert "DECIDE: several rows share the same patient_id" in text
    assert "several rows share" not in text_of(PERSON, AGE)


def test_a_person_who_is_a_number_may_be_a_row() -> None:
    """Somebody must say whether each row is one person."""
    row = column("rownames", "integer", person=True, category=None, distinct=400)
    assert "only the row's number" in text_of(row, AGE)
    assert "only the row's number" not in text_of(PERSON, AGE)


def test_what_differs_in_each_row_is_no_key_if_its_name_says_what_it_is() -> None:
    """An income that nobody shares does not name people; a household may, if nothing else."""
    income = column("income", "integer", person=True, category=Category.FINANCIAL, distinct=400)
    assert drafted(income, PERSON, AGE).source.person == "Member No"
    home = column("household", person=True, category=Category.DEMOGRAPHIC, distinct=400)
    assert drafted(home, PERSON, AGE).source.person == "Member No"
    assert drafted(income, home, AGE).source.person == "household"
    assert "Is each row one person" in " ".join(text_of(home, AGE).split())


NASTY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)

NAMES = NASTY | st.sampled_from(["TRUE", "null", "and"])


@given(st.lists(NASTY, min_size=2, max_size=4, unique=True), NASTY, st.floats(-1e9, 1e9))
def test_any_words_are_read_back_alike(words: list[str], name: str, number: float) -> None:
    """Whatever quotes, colons, truths and numbers a data set holds."""
    value: Value = {"values": words, "name": name, "low": float(f"{number:.10g}"), "yes": True}
    _, plain = read_yaml("\n".join(entry("made", value)), "x")
    assert plain == {"made": value}


@given(
    st.lists(NASTY | st.sampled_from(["TRUE", "null", "and"]), min_size=1, max_size=5, unique=True),
    NASTY.filter(str.strip),
)
def test_any_names_of_columns_make_a_policy_that_passes_check(names: list[str], word: str) -> None:
    """Comments hold no line break either, and no two columns have one name."""
    columns = [column(name, words=("a", word + "b"), seen=name) for name in names if name.strip()]
    doubts = [column(f"{name}!", words=("a", word + "b"), doubtful=True) for name in names]
    policy = drafted(PERSON, *columns, *doubts, AGE)
    assert len(set(name_columns([*names, *names]))) == 2 * len(names)
    assert {policy.source_name(name) for name in policy.columns} <= {*names, "age"}


def test_each_column_has_one_fate() -> None:
    """Nothing is lost between the table and the policy."""
    decided = draft_of(PERSON, AGE, DISTRICT, LEFT, FAITH, UNKNOWN, BORN, **CONSENT).decided
    assert [each.fate for each in decided.columns] == [
        Fate.PERSON, Fate.PROPOSED, Fate.PROPOSED, Fate.PROPOSED, Fate.OPEN, Fate.OPEN, Fate.OPEN,
    ]  # fmt: skip
