"""Columns of many rows fit their tables, and a model learns from nothing that comes after."""

from __future__ import annotations

import pytest

from expectations.errors import PolicyError
from expectations.policy_file import parse_policy
from tests.conftest import small_policy

TABLES = """\
  person: pid
  index: {first: visits, where: "ward = 'A'"}
  followed_until: {date: "2025-06-30"}
  tables:
    visits:
      location: {kind: csv, path: visits.csv}
      at: start
      fields: {ward: {type: text}, days: {type: number}}
"""
VISITS = """\
  stays:
    rows: {take: count, of: visits, where: "days > 1", days_before: 365}
    type: integer
    identifiability: quasi
    category: dpv-pd:Health
    use: [feature]
    treatment: {kind: bin, edges: [1], labels: [none, some]}
derived:
"""
MADE = '{take: count, of: visits, where: "days > 1", days_before: 365}'


def policy_with(*changes: tuple[str, str]) -> str:
    """Give the small policy with a table of visits and a column made of them, changed."""
    text = small_policy(("  person: pid\n", TABLES), ("derived:\n", VISITS))
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_a_policy_over_several_tables_is_one() -> None:
    """What is made of rows is a column like others, under a name that no roster has."""
    policy = parse_policy(policy_with())
    assert list(policy.made_of_rows) == ["stays (of rows)"]
    assert policy.columns["stays"].rows is not None
    assert policy.columns["stays"].rows.said == (
        "count in visits where days > 1, in the 365 days before the index"
    )


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ((MADE, "{take: count, of: visit}"), "columns.stays.rows.of", "is no table"),
        ((MADE, "{take: sum, of: visits, field: ward}"), "columns.stays.rows.field", "no sum of"),
        ((MADE, "{take: sum, of: visits, field: dais}"), "columns.stays.rows.field", "is no field"),
        ((MADE, "{take: count, of: visits, field: days}"), "columns.stays.rows.field", "of rows"),
        ((MADE, "{take: smallest, of: visits, field: ward}"), "columns.stays.rows.field", "no sma"),
        ((MADE, "{take: any, of: visits}"), "columns.stays.rows", "needs a condition"),
        ((MADE, "{take: index, of: visits}"), "columns.stays.rows", "says more than"),
        ((MADE, "{take: mean, of: visits, field: days}"), "columns.stays.type", "no integer"),
        ((MADE, "{take: count, of: visits, days_before: 1, days_after: 1}"),
         "columns.stays.rows", "reaches over the index"),
        ((MADE, "{take: count, of: visits, days_after: 9}"),
         "columns.stays.rows.days_after", "a model would learn"),
        (("days > 1", "dais > 1"), "columns.stays.rows.where", "dais"),
        (("days > 1", "days + 1"), "columns.stays.rows.where", "is not yes or no"),
        (("ward = 'A'", "days > 'A'"), "source.index.where", "days"),
        (("first: visits, where: \"ward = 'A'\"", "date: '2025-02-30'"),
         "source.index.date", "no day"),
        (("first: visits, where: \"ward = 'A'\"", "date: '2025-02-28', column: came"),
         "source.index", "in no or in several"),
        (("first: visits", "first: labs"), "source.index.first", "is no table"),
        (("first: visits", "column: came"), "source.index.where", "over no table"),
        (('  followed_until: {date: "2025-06-30"}\n', "  zone: Europe/Barlin\n"),
         "source.zone", "no such time zone"),
        (("first: visits, where: \"ward = 'A'\"", "date: '2025-07-01'"),
         "source.index.date", "after the day on which the data end"),
        (("{type: text}", "{type: text, unit: {from: u, factors: {mg: 1}}}"),
         "source.tables.visits.fields.ward.unit", "of a field of type text"),
        (("ward = 'A'", "ward in @wards"), "source.index.where", "no list of codes 'wards'"),
        (("  tables:\n", "  codes: {wards: {codes: [A]}}\n  tables:\n"),
         "source.codes.wards", "no condition looks in it"),
        (("  tables:\n", "  codes: {wards: {codes: [A], file: x}}\n  tables:\n"),
         "source.codes.wards.file", "`codes` beside `file`"),
        (('date: "2025-06-30"', "date: '2025-06-31'"), "source.followed_until.date", "no day"),
        (('date: "2025-06-30"', "periods: visits"), "source.followed_until.periods", "do not last"),
        (('date: "2025-06-30"', "periods: seen"), "source.followed_until.periods", "is no table"),
        (('date: "2025-06-30"', 'date: "2025-06-30", closed_by: visits'),
         "source.followed_until.closed_by", "closes no period"),
        (("      at: start\n", "      at: start\n      where: dais > 1\n"),
         "source.tables.visits.where", "dais"),
        (("  person: pid\n", "  person: pid\n  key: pid\n"), "source.key", "identifier itself"),
        (("  tables:\n", "  vocabulary: {ancestors: {kind: csv, path: a.csv}}\n  tables:\n"),
         "source.vocabulary", "is a concept set"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_where_it_stands(
    change: tuple[str, str], path: str, said: str
) -> None:
    """Before any table is opened."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(policy_with(change))
    assert any(p.path == path and said in p.what for p in refused.value.problems), (
        refused.value.problems
    )


@pytest.mark.parametrize(
    ("index", "more", "place"),
    [
        ("2025-06-22", "", "source.followed_until.date (2025-06-30)"),
        ("2025-05-30", "  dates: {from: '2020-01-01', until: '2025-06-07'}\n",
         "source.dates.until (2025-06-07)"),
        ("2025-06-21", "", ""),
    ],
)  # fmt: skip
def test_a_window_that_ends_after_the_data_is_said_by_check(
    index: str, more: str, place: str
) -> None:
    """Both days are in the policy, so nobody has to wait for a run to find nobody observed."""
    changes = (
        ("first: visits, where: \"ward = 'A'\"", f"date: '{index}'"),
        ("  tables:\n", f"{more}  tables:\n"),
        (MADE, "{take: count, of: visits, days_after: 9}"),
    )
    with pytest.raises(PolicyError) as refused:
        parse_policy(policy_with(*changes))  # a feature that looks ahead is refused as well
    said = [p.what for p in refused.value.problems if "observed to its end" in p.what]
    assert len(said) == bool(place)
    assert all(place in one for one in said)


def test_a_feature_is_computed_of_nothing_that_comes_after() -> None:
    """Nor does it look past the index by way of an expression."""
    derived = (
        "derived:\n  later: {expression: stays > 1, identifiability: none, category: dpv-pd:Health,"
        " use: [feature], treatment: {kind: keep}}\n"
    )
    changes = (
        (MADE, "{take: count, of: visits, days_after: 9}"),
        ("    use: [feature]\n    treatment: {kind: bin, edges: [1]",
         "    use: [derivation]\n    treatment: {kind: bin, edges: [1]"),
        ("derived:\n", derived),
    )  # fmt: skip
    with pytest.raises(PolicyError, match="`stays` looks past the index"):
        parse_policy(policy_with(*changes))


def test_a_condition_does_not_hang_on_the_day_of_the_run() -> None:
    """A later run would take other rows."""
    changes = (
        ("days: {type: number}", "days: {type: number}, born: {type: date}"),
        ("days > 1", "days_since(born) > 1"),
    )
    with pytest.raises(PolicyError, match="counts from the day of the run"):
        parse_policy(policy_with(*changes))


def test_who_may_have_left_before_the_end_has_to_be_known() -> None:
    """A window after the index is no window without a follow-up."""
    changes = (
        ('  followed_until: {date: "2025-06-30"}\n', ""),
        (MADE, "{take: count, of: visits, days_after: 9}"),
        ("    use: [feature]\n    treatment: {kind: bin, edges: [1]",
         "    use: [audit]\n    treatment: {kind: bin, edges: [1]"),
    )  # fmt: skip
    with pytest.raises(PolicyError, match=r"source\.followed_until: is missing"):
        parse_policy(policy_with(*changes))


def test_a_table_of_which_nothing_is_made_is_not_read() -> None:
    """It need not be named."""
    labs = "    labs:\n      location: {kind: csv, path: labs.csv}\n      at: taken\n"
    with pytest.raises(PolicyError, match="nothing is made of its rows"):
        parse_policy(policy_with(("  tables:\n", f"  tables:\n{labs}")))
