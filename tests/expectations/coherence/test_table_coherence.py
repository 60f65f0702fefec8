"""What a policy promises of a table that cannot be kept is refused before anything is read."""

from __future__ import annotations

import pytest

from expectations.coherence.tables import find_warnings
from expectations.errors import PolicyError
from expectations.policy_file import parse_policy
from tests.conftest import small_policy

AGE = "treatment: {kind: bin, edges: [35, 50, 65], labels: [18-34, 35-49, 50-64, 65+]}"
SICK = "sick: generalize}"
KEPT = "sick: keep}\n    sensitive: {sick: [{kind: distinct-l-diversity, l: 2}]}"


def sensitive(model: str, how: str = "keep") -> tuple[str, str]:
    """Release the illness as a sensitive column, held to one model."""
    return SICK, f"sick: {how}}}\n    sensitive: {{sick: [{model}]}}"


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        pytest.param(sensitive(""), "sensitive.sick", "names no model", id="no-model"),
        pytest.param(
            sensitive("{kind: distinct-l-diversity, l: 3}"),
            "sensitive.sick",
            "has 2 values, so at least 3 different values of sick cannot hold",
            id="more-values-than-there-are",
        ),
        pytest.param(
            sensitive("{kind: t-closeness, t: 0.2}", "generalize"),
            "sensitive.sick",
            "is made coarser as well",
            id="linkable-and-sensitive",
        ),
        pytest.param(
            (AGE, "treatment: {kind: noise, low: 0, high: 120, epsilon: 1}"),
            "columns.age",
            "is noise; nearly every value is unique",
            id="noise-inside-k",
        ),
        pytest.param(
            sensitive("{kind: t-closeness, t: 1}"),
            "sensitive.sick",
            "asks for nothing",
            id="t-of-1",
        ),
        pytest.param(
            sensitive("{kind: t-closeness, t: 0.2, distance: ordered}"),
            "sensitive.sick",
            "has no order along which a distance could be measured",
            id="no-order",
        ),
        pytest.param(
            (SICK, f"{KEPT}\n    not_linkable: {{sick: because}}"),
            "sensitive.sick",
            "is excused under not_linkable as well",
            id="excused",
        ),
        pytest.param(
            (SICK, f"{SICK}\n    sensitive: {{sugar: [{{kind: t-closeness, t: 0.2}}]}}"),
            "sensitive.sugar",
            "is not released here",
            id="not-released",
        ),
        pytest.param(
            (SICK, f"{SICK}\n    loss_ratio: {{sugar: 2}}"),
            "loss_ratio.sugar",
            "is neither released as linkable nor an audit column",
            id="groups-that-are-not-compared",
        ),
        pytest.param(
            (SICK, "sick: {kind: rare, at_least: 5, label: 'yes'}}"),
            "columns.sick",
            "`yes` is a label of the column itself",
            id="rare-under-a-label-that-is-there",
        ),
    ],
)
def test_a_table_that_cannot_keep_its_promise_is_refused(
    change: tuple[str, str], path: str, said: str
) -> None:
    """One problem, at its path, with a way to mend it."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(small_policy(change))
    found = [p for p in refused.value.problems if p.path.endswith(path) and said in p.what]
    assert len(found) == 1, str(refused.value)
    assert found[0].fix


SECOND = """  second:
    kind: table
    recipient: partner
    k: 5
    columns: {COLUMNS}
OTHERexpectations:
"""


def second(columns: str, other: str = "") -> tuple[str, str]:
    """Hand a second table to the recipient of the first."""
    return "expectations:\n", SECOND.replace("COLUMNS", columns).replace("OTHER", other)


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        (second("age: keep"), "second.columns.age", "is released in another way by `partner`"),
        (
            second("age: generalize, sick: generalize", "    not_linkable: {sick: because}\n"),
            "second.columns.sick",
            "is under k in one of this and `partner` only",
        ),
        (second("age: generalize", "    output: sets\n"), "second.output", "is another than"),
    ],
)
def test_tables_for_one_recipient_agree(change: tuple[str, str], path: str, said: str) -> None:
    """One plan serves them, however the recipient's name is spelled."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(small_policy(change))
    assert [p.path for p in refused.value.problems if said in p.what] == [f"outlets.{path}"]
    parse_policy(small_policy((change[0], change[1].replace("recipient: partner", "recipient: B"))))


def test_one_plan_for_several_tables_is_said_before_it_is_made() -> None:
    """It costs more detail than each table alone."""
    policy = parse_policy(small_policy(second("sex: generalize")))
    (found,) = [one for one in find_warnings(policy) if "one plan is fitted" in one.what]
    assert "5 people share each combination of age, sex, sick (" in found.what
    assert "words make up to 16; alone `partner` 16, `second` 2)" in found.what


def test_k_holds_over_neither_sensitive_nor_excused_columns() -> None:
    """A sensitive column is held to its models instead."""
    policy = parse_policy(small_policy((SICK, KEPT)))
    assert policy.table_outlets["partner"].linkable == ("age", "sex")


@pytest.mark.parametrize("model", ["t-closeness, t: 0.2", "distinct-l-diversity, l: 2"])
@pytest.mark.parametrize("trained", [True, False])
def test_a_target_that_the_models_own_table_hides_is_warned_of(model: str, trained: bool) -> None:
    """What hides the sensitive value of a class hides what a model would learn of it."""
    on_table = ("{model: logistic-regression}", "{model: logistic-regression, input: partner}")
    changes = [sensitive(f"{{kind: {model}}}"), *([on_table] if trained else [])]
    assert bool(list(find_warnings(parse_policy(small_policy(*changes))))) is trained
