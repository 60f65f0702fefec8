"""Models of classes and of numbers on pages: nothing is drawn that was not told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.account.measured import (
    Audit,
    ClassQuality,
    Confusion,
    Difference,
    GroupErrors,
    GroupQuality,
    NumberAudit,
    NumberQuality,
    PredictedRange,
    Quality,
    Within,
)
from tasks.account.published import Summary
from tasks.account.summary import summarize
from tasks.pages.measure_drawings import draw_confusion, scale_errors
from tasks.pages.model_card import list_cards, render_card, write_markdown
from tasks.pages.report import render_report
from tests.recorded_runs import passed_run

CLASSES = Quality(
    0.71, 0.66, 0.76, 0.55, 0.6, None, None, log_loss=1.02, few=("rare <b>",),
    classes=(
        ClassQuality("well <i>", "900", 0.6, 0.59, 0.8, 0.75, 0.7, 0.8, (Confusion("ill", 0.12),)),
        ClassQuality("ill", "600", 0.4, 0.41, 0.5, 0.67, 0.6, 0.74),
    ),
)  # fmt: skip
NUMBER = NumberQuality(
    70, 230, 0.33, 0.19, 0.48, 12.7, 11.2, 13.4, 15.8, 56,
    (Within(8, 0.38, 0.34, 0.42),),
    (PredictedRange(70, 134, 0.8, 120, 0.5, -1, 2), PredictedRange(134, 230, 0.2, 145, -3, -6, 0)),
    (NumberAudit("sex", (GroupErrors("f", "300", 2, 0.5, 4, 12, 10, 14),),
                 (Difference("bias", 4.5, 1.2, 9),)),),
)  # fmt: skip


@pytest.fixture(scope="module")
def summary() -> Summary:
    """A run that passed, without its quality."""
    return replace(summarize(*passed_run()), quality=None, audits=())


def test_confusion_leaves_untold_fields_empty() -> None:
    """Columns are the classes that are told of, and rows alike."""
    first, second = draw_confusion(CLASSES)
    assert [(cell.label, cell.share, cell.own) for cell in first.cells] == [
        ("well <i>", 0.8, True), ("ill", 0.12, False)]  # fmt: skip
    assert [cell.share for cell in second.cells] == [None, 0.5]


def test_no_error_stands_in_the_middle_of_the_axis() -> None:
    """As far too low as too high."""
    axis = scale_errors(NUMBER)
    assert (axis.low, axis.high, axis.place(0)) == (-6, 6, 50.0)
    assert scale_errors(None).high == 1


def test_classes_stand_in_the_report_and_on_the_card(summary: Summary) -> None:
    """With the classes of too few people by name, and all text escaped."""
    audits = (Audit("sex", (GroupQuality("f", None, None, "500", accuracy=0.61),),
                    (Difference("accuracy", 0.1, 0.02, 0.2),)),)  # fmt: skip
    told = replace(summary, quality=CLASSES, audits=audits)
    (outlet,) = list_cards(told)
    for page in (render_report(told), render_card(told, outlet)):
        assert all(part in page for part in (
            "mean AUC, each class against the rest", "well &lt;i&gt;", "rare &lt;b&gt;", "log loss",
            "12 %", "Called right", "61 %", "shares called right",
        ))  # fmt: skip
        assert "accuracy at 0.5" not in page
    text = write_markdown(told, outlet)
    assert "Mean AUC, each class against the rest | about 0.71" in text
    assert "| ill 12 % |" in text
    assert "Called right" in text


def test_a_number_stands_in_the_report_and_on_the_card(summary: Summary) -> None:
    """With errors in its own unit, and without a word of AUC."""
    told = replace(summary, number_quality=NUMBER)
    (outlet,) = list_cards(told)
    for page in (render_report(told), render_card(told, outlet)):
        assert all(part in page for part in (
            "R²: 0 is guessing the mean", "about 12.7", "± 8", "134 to 230", "−3",
            "differs by up to 4.5 between two groups, 95 % interval 1.2 to 9.",
        ))  # fmt: skip
    text = write_markdown(told, outlet)
    assert "R² about 0.33 (0.19 to 0.48), off by about 12.7 on average" in text
    assert "| 134 to 230 | −3 (−6 to 0) | 20 % |" in text
