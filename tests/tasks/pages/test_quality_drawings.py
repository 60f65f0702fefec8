"""A model's worth is drawn to scale, said in words, and left out where it was not measured."""

from __future__ import annotations

from dataclasses import replace

from tasks.account.measured import AtThreshold, Calibration, Quality
from tasks.account.summary import summarize
from tasks.pages.model_card import list_cards, write_markdown
from tasks.pages.quality_drawings import draw_roc, draw_screening, scale_risks
from tasks.pages.report import render_report
from tasks.pages.words import say_calibration
from tests.recorded_runs import passed_run

RATES = (
    AtThreshold(0.1, 0.8, 0.7, 0.9, 0.25, 0.2, 0.3),
    AtThreshold(0.5, 0.4, 0.3, 0.5, 0.05, 0.0, 0.1),
)
RISKS = (
    Calibration(0.0, 0.1, 0.6, 0.05, 0.02, 0.08),
    Calibration(0.1, 0.5, 0.3, 0.07, 0.04, 0.09),
    Calibration(0.5, 1.0, 0.1, 0.62, 0.4, 0.8),
)
FOUND = Quality(0.8, 0.7, 0.9, 0.85, 0.1, 0.2, None, RATES, RISKS)


def test_of_a_thousand_people_each_is_found_missed_or_of_the_others() -> None:
    """200 have the outcome: 160 found and 40 missed at 10 %, and a quarter of 800 alarmed."""
    drawn = draw_screening(FOUND)
    assert drawn is not None
    assert (drawn.have, drawn.have_end) == (200, 50.0)
    low, high = drawn.rows
    assert (low.threshold, low.found, low.missed, low.alarms) == ("10 %", 160, 40, 200)
    assert (low.found_range, low.alarms_range) == ((140, 180), (160, 240))
    assert (low.found_end, low.alarms_end) == (40.0, 100.0)
    assert low.precision == 0.44
    assert (high.found, high.missed, high.alarms) == (80, 120, 40)


def test_the_roc_curve_goes_from_nobody_to_everybody() -> None:
    """The strictest threshold first; the band is of both rates' best and worst ends."""
    drawn = draw_roc(FOUND)
    assert drawn is not None
    assert drawn.line == "M0 100L5 60L25 20L100 0"
    assert drawn.band == "M0 100L0 50L20 10L100 0L30 30L10 70Z"
    assert [point.name for point in drawn.points] == ["50 %", "10 %"]
    assert drawn.points[1].text == "above 10 %: 80 % found, 25 % false alarms"


def test_of_two_thresholds_in_one_place_one_is_named() -> None:
    """The other stands in the table, and in the text of the drawing."""
    near = replace(RATES[0], threshold=0.2, true_positive_rate=0.79)
    drawn = draw_roc(replace(FOUND, thresholds=(RATES[0], near)))
    assert drawn is not None
    assert [point.name for point in drawn.points] == ["20 %", ""]


def test_the_axis_of_risks_ends_where_the_highest_of_them_does() -> None:
    """In whole tens of percent, and the last range may go on."""
    assert scale_risks(FOUND).high == 0.8
    assert scale_risks(replace(FOUND, calibration=RISKS[:1])).high == 0.1
    assert scale_risks(None).high == 1.0


def test_what_is_predicted_too_high_or_too_low_is_named() -> None:
    """Where the interval of what was observed misses the range."""
    assert say_calibration(RISKS) == (
        "The observed share fits the predicted risk in 2 of 3 ranges. "
        "Predicted too high: 10 to 50 %."
    )
    assert say_calibration(RISKS[::2]) == (
        "The observed share fits the predicted risk in all 2 ranges."
    )


def test_a_run_without_thresholds_shows_no_picture_of_them() -> None:
    """As one that was recorded before, or that tested too few people; the rest stands."""
    record, policy, entries = passed_run()
    others = [
        one for one in entries if one.name not in ("utility.thresholds", "utility.calibration")
    ]
    for told, there in ((entries, True), (others, False)):
        summary = summarize(record, policy, told)
        (outlet,) = list_cards(summary)
        for text in (render_report(summary), write_markdown(summary, outlet)):
            assert ("of 1,000 people like the test people" in text) is there
            assert ("Calibration" in text) is there
            assert "0.79" in text
