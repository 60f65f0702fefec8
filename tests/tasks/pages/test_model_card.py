"""A model's card says what the evidence says, in HTML and Markdown, and only of one that left."""

from __future__ import annotations

import re
from html import unescape

import pytest

from ledgers.evidence import JSON
from tasks.account.measured import Difference
from tasks.account.summary import Summary, summarize
from tasks.pages.model_card import list_cards, render_card, write_cards, write_markdown
from tasks.pages.words import list_privacy, say_difference, say_mechanism
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    RELEASED,
    SERVED,
    TRAINED,
    MakeRun,
    Note,
    Recorded,
    compared_run,
    failed_run,
    make_entries,
    make_policy,
    make_record,
    note_check,
    note_count,
    passed_run,
    refused_run,
    weighted_run,
)
from tests.tasks.pages.test_report import HOSTILE, Page

SPENT: tuple[Note, ...] = (
    ("measure", "privacy.lifetime_epsilon", 2.513),
    ("measure", "privacy.lifetime_epsilon_before", 1.9),
    ("measure", "privacy.runs_left", 4),
)
HOW: Note = ("training", "model", {
    "parameters": {"clip_norm": "1", "steps": "20"},
    "mechanisms": [{"kind": "Gaussian", "noise_multiplier": 21.3, "count": 21}],
})  # fmt: skip
APART: tuple[Note, ...] = tuple(
    ("measure", f"fairness.{name}.sex", value)
    for name, value in {
        "demographic_parity": 0.1, "demographic_parity_low": 0.02, "demographic_parity_high": 0.2,
        "equalized_odds": 0.2, "equalized_odds_low": 0.0, "equalized_odds_high": 0.5,
    }.items()
)  # fmt: skip
GROUPS: Note = ("table", "utility.groups.sex", [
    {"group": "f", "people": "402", "auc": 0.8, "auc_low": 0.71, "auc_high": 0.89,
     "selection_rate": 0.1, "true_positive_rate": 0.43, "false_positive_rate": 0.04},
    {"group": "m", "people": "398", "auc": None, "auc_low": None, "auc_high": None,
     "selection_rate": 0.2, "true_positive_rate": None, "false_positive_rate": None},
])  # fmt: skip
RUNS = pytest.mark.parametrize(
    "run", [passed_run, compared_run, weighted_run], ids=["passed", "compared", "weighted"]
)


def full_run() -> Recorded:
    """A run that passed, of which everything is known that a card tells."""
    people = (note_count("train", 2400), note_count("test", 797))
    notes = (*GATHERED, *people, *TRAINED, GROUPS, *APART, *SPENT, HOW, *RELEASED)
    attack = note_check("memorization", "inconclusive", "ward")
    return make_record("passed"), make_policy(), make_entries(*notes, attack, PASSED, *SERVED)


def card(run: Recorded) -> tuple[Page, str]:
    """Give the card of a run's one model: the page, and its Markdown in one line."""
    summary = summarize(*run)
    (outlet,) = list_cards(summary)
    markdown = write_markdown(summary, outlet)
    return Page(render_card(summary, outlet)), " ".join(markdown.split())


def both(run: Recorded) -> tuple[str, str]:
    """Give the words of both forms of a card."""
    page, markdown = card(run)
    return " ".join(page.text.split()), unescape(re.sub(r"\\(?=[\W_])", "", markdown))


@RUNS
def test_the_page_is_whole_accessible_and_loads_nothing(run: MakeRun) -> None:
    """Headings, captions and named drawings as in the report, and no tag that fetches."""
    page, _ = card(run())
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]

    assert len(ids) == len(set(ids))
    assert len(page.all("section")) == len(page.all("h2"))
    for section, heading in zip(page.all("section"), page.all("h2"), strict=True):
        assert section["aria-labelledby"] == heading["id"]
    inner = [str(a["href"]) for a in page.all("a") if str(a["href"]).startswith("#")]
    assert {anchor.removeprefix("#") for anchor in inner} <= set(ids)
    assert len(page.all("caption")) == len(page.all("table"))
    drawings = page.all("svg")
    assert all(d.get("aria-hidden") == "true" or d.get("aria-label") for d in drawings)
    assert {"script", "img", "link", "iframe", "object", "embed", "base"}.isdisjoint(
        tag for tag, _ in page.tags
    )


@pytest.mark.parametrize("run", [refused_run, failed_run], ids=["refused", "failed"])
def test_a_model_that_did_not_leave_has_no_card(run: MakeRun) -> None:
    """Nor has a table."""
    assert list(list_cards(summarize(*run()))) == []
    assert [outlet.name for outlet in list_cards(summarize(*passed_run()))] == ["ward"]


@pytest.mark.parametrize(
    "words",
    [
        "Foresee a second visit", "Clinic North", "privacy@north.example", "Scientific research",
        "Art. 6(1)(a), Art. 9(2)(a) GDPR", "Ward 7",
        "put into 3 intervals", "private logistic regression",
        "Gaussian noise of 21.3 times what one person can change, 21 times",
        "adding or removing all data of one person", "clip_norm",
        "0.999 at δ = 1e-05", "2.513 of at most 10 at δ = 1e-05",
        "95 % interval 0.75 to 0.83",
        "ε covers the released model alone, not the verdicts, measures and counts",
        "The data was permitted for one purpose, scientific research.",
        "memorization measured", "memorization power", "inconclusive", "membership power",
        "selection rates of two groups differ by up to 10 points, 95 % interval 2 to 20.",
        "differ by up to 20 points, 95 % interval 0 to 50; groups that are alike could",
        "About 154 of 1,000 people like the test people have the outcome.",
        "fits the predicted risk in 3 of 4 ranges. Predicted too low: 10 to 50 %.", "33 %",
        "43 %", "too few", 'load_model("models:/visits.ward/3")', "5" * 64, "3,197", "2,400",
    ],
)  # fmt: skip
def test_both_forms_of_a_card_say(words: str) -> None:
    """Purpose, data, training, cost, attacks with their power, groups and limits."""
    page, markdown = both(full_run())

    assert words in page
    assert words in markdown


def test_columns_that_are_read_stand_apart_from_those_never_seen() -> None:
    """The audit-only column is named as one that the model never sees."""
    page, markdown = both(full_run())

    assert "never by the model: sex (audit), lab (derivation)." in page
    assert "It never sees `sex`, `lab`, and refuses any other column." in markdown
    assert "| `age` | Age | put into 3 intervals |" in markdown
    assert "| `sex` |" not in markdown


def test_a_model_without_differential_privacy_is_not_said_to_have_any() -> None:
    """No ε, no neighbours, and the page says that nothing bounds what it tells."""
    record, policy, entries = weighted_run()
    plain = [entry for entry in entries if not entry.name.startswith("privacy.")]
    for text in both((record, policy, plain)):
        assert (
            "No differential privacy: only the checks below limit what the model may reveal" in text
        )
        assert "ε of this model" not in text
        assert "Neighbours" not in text
        assert "ε covers the released model" not in text


def test_what_was_not_found_out_is_absent() -> None:
    """A record without the budget's figures has no lifetime ε, and none is made up."""
    summary = summarize(*passed_run())

    assert [term for term, _ in list_privacy(summary)] == ["ε of this model"]


def test_hostile_text_stays_text_in_both_forms() -> None:
    """A policy's words make neither a tag nor another row."""
    record, policy, entries = full_run()
    outlets = {n: o.model_copy(update={"recipient": HOSTILE}) for n, o in policy.outlets.items()}
    hostile = policy.model_copy(update={"title": f"{HOSTILE}|\n# x", "outlets": outlets})
    groups: JSON = [{"group": f"a|{HOSTILE}", "people": "1", "auc": None, "selection_rate": None}]
    notes = [*entries, *make_entries(("table", "utility.groups.sex", groups))]
    summary = summarize(record, hostile, notes)
    (outlet,) = list_cards(summary)
    page, markdown = Page(render_card(summary, outlet)), write_markdown(summary, outlet)

    assert not page.all("script")
    assert not any("onload" in attrs for _, attrs in page.tags)
    assert "<" not in markdown
    assert len(re.findall(r"^# ", markdown, re.MULTILINE)) == 1
    assert "a\\|" in markdown


def test_every_table_of_the_markdown_is_one() -> None:
    """Each row has as many cells as the head of its table."""
    summary = summarize(*full_run())
    (outlet,) = list_cards(summary)
    width = 0
    for line in write_markdown(summary, outlet).splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert width in {0, cells} or cells == 0, line
        width = cells


def test_cards_are_written_beside_the_report(tmp_path: object) -> None:
    """Both forms under the name that the report links to."""
    from pathlib import Path

    folder = Path(str(tmp_path))
    summary: Summary = summarize(*full_run())
    texts = write_cards(folder, summary)

    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == {
        f"{summary.run_id}-ward-card.html": texts["ward"]["model_card.html"],
        f"{summary.run_id}-ward-card.md": texts["ward"]["model_card.md"],
    }


@pytest.mark.parametrize(
    ("mechanism", "said"),
    [
        ({"kind": "Gaussian", "noise_multiplier": 2.0, "count": 1}, "noise of 2 times"),
        (
            {"kind": "SampledGaussian", "noise_multiplier": 1.1, "probability": 0.0125, "count": 9},
            "on a fresh Poisson sample of 1.250 % of the people, 9 times",
        ),
        ({"kind": "Laplace", "epsilon": 0.5, "count": 1}, "Laplace noise of 1 / 0.5 times"),
        ({"kind": "Bounded", "epsilon": 0.5, "delta": 0.0}, "proof, ε = 0.5 at δ = 0, once"),
        ({"kind": "Unheard", "count": 1}, "Unheard, once"),
    ],
    ids=["gaussian", "sampled", "laplace", "bounded", "other"],
)
def test_a_mechanism_is_said_in_words(mechanism: dict[str, str | float], said: str) -> None:
    """With its noise and how often it was drawn; an unknown one by its name."""
    assert said in say_mechanism(mechanism)


def test_only_a_difference_beyond_chance_stands_without_doubt() -> None:
    """An interval that begins at 0 says so."""
    assert "by chance" in say_difference(Difference("equalized_odds", 0.2, 0.0, 0.5))
    assert "by chance" not in say_difference(Difference("equalized_odds", 0.2, 0.01, 0.5))
