"""The report of a run: one HTML file that a manager reads in a minute and an auditor reads on in.

It says what a `Summary` says and knows nothing else. The file loads nothing: styles and drawings
stand in it, there is no script, and its own content security policy forbids the rest. Text is
escaped by the template engine, also where it comes from a policy. Drawings are scaled in
`drawings.py` and drawn in `report.html.j2`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Final

from expectations.disclosure import percent
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.exclusions import EXCLUSIONS
from tasks.account.measured import NumberQuality, Quality
from tasks.account.missing_people import (
    JUDGED,
    Gap,
    list_gaps,
    list_mended,
    list_unmended,
    say_inclusion,
    say_missing,
    say_weighting,
    split_hidden,
)
from tasks.account.published import Figure, OutletSummary, Summary
from tasks.account.subjects import fold, list_names
from tasks.pages.drawings import (
    Axis,
    arrange,
    draw_advice,
    draw_funnel,
    draw_promise,
    draw_tradeoff,
    draw_ways,
    list_risks,
    scale_auc,
    scale_ratios,
    trim_sizes,
)
from tasks.pages.lineage import draw_lineage
from tasks.pages.measure_drawings import draw_measures
from tasks.pages.quality_drawings import draw_worth
from tasks.pages.words import (
    NO_GROUP,
    UNDECIDED,
    UNFIT,
    count_stopping,
    list_unclear,
    list_waiting,
    list_warned,
    name_card,
    name_stopping,
    say_article,
    say_calibration,
    say_chance,
    say_counted,
    say_difference,
    say_figure,
    say_kept_charge,
    say_lifetime,
    say_moment,
    say_number_difference,
    say_open_checks,
    say_range,
    say_runs_left,
    say_short_moment,
    say_term,
    say_together,
    say_undecided,
    say_warning,
)

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE: Final = "report.html.j2"
BRIEF: Final = 150
"""The most characters of a reason in a row; the run's own report has all of it."""
CAVEATS: Final = {
    "privacy.epsilon": "ε covers the released model alone, not the verdicts, measures and counts "
    "on this page. The disclosure rule protects the counts; verdicts and measures are as measured.",
    "privacy.membership_auc": "The attacker on the model knows how it was trained, and similar "
    "people. An attacker who knows more, or planted rows, was not simulated.",
    "privacy.audit_epsilon": "The audit of ε trains twins on made-up rows and tries each release: "
    "its noise, and what one person moves. A trainer that behaves differently on other rows, or "
    "recognises a twin, is not found.",
    "privacy.lifetime_epsilon": "The lifetime ε covers private models and advice of this home. "
    "It does not cover tables, models without a promise, or other homes' use of the same people.",
}
"""What to know where something was measured."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that is read at a glance."""

    value: str
    label: str
    detail: str = ""


def render_report(summary: Summary) -> str:
    """Write the report as one self-contained HTML file."""
    page = environment().get_template(TEMPLATE)
    return page.render(
        s=summary,
        headline=say_headline(summary),
        lineage=draw_lineage(summary),
        tiles=tuple(list_tiles(summary)),
        caveats=tuple(list_caveats(summary)),
        people=draw_funnel(summary.people),
        columns=draw_funnel(summary.columns),
        uses=tuple(list_uses(summary)),
        histograms={outlet.name: trim_sizes(outlet.classes) for outlet in summary.outlets},
        lifetime=say_lifetime(summary),
        undecided_lines=say_undecided(summary),
        kept_charge=say_kept_charge(summary),
        left=say_runs_left(summary),
        advice_curves=draw_advice(summary.advice) if summary.advice else (),
        curves={o.name: draw_tradeoff(o.tradeoff, o.k) for o in summary.outlets},
        together={o.name: say_together(o) for o in summary.outlets},
        risks_of={outlet.name: list_risks(outlet) for outlet in summary.outlets},
        auc_axis=scale_auc(summary.quality, summary.audits),
        **draw_worth(summary.quality),
        **draw_measures(summary.quality, summary.number_quality),
        ways_of={(found.check, found.outlet): draw_ways(found) for found in summary.ways},
        folded=fold(summary.checks),
        promises_of={
            outlet.name: [draw_promise(p) for p in summary.promises if p.outlet == outlet.name]
            for outlet in summary.outlets
        },
        counted={outlet.name: say_counted(outlet.checks) for outlet in summary.outlets},
        **_find_open(summary),
        **_find_missing(summary),
    )


def render_lineage(summary: Summary) -> str:
    """Write the way of each column as a page of its own."""
    page = environment().get_template("lineage_page.html.j2")
    return page.render(s=summary, lineage=draw_lineage(summary))


def _find_open(summary: Summary) -> dict[str, object]:
    """Gather what deserves a look: what warned, could not be judged, or waits for more."""
    ended = summary.verdict in {"refused", "failed"}
    causes = summary.causes if ended else ()
    checks = [check for check in summary.checks if check not in causes]
    warned = list_warned(checks)
    return {
        "look": warned,
        "first_look": say_warning(warned[0], summary) if warned and not ended else "",
        "unclear": list_unclear(checks),
        "undecided": UNDECIDED,
        "waiting": list_waiting(checks),
    }


def _find_missing(summary: Summary) -> dict[str, object]:
    """Gather what the report says and draws of who is missing."""
    told, hidden = split_hidden(summary.excluded)
    found = summary.representation
    return {
        "explained": {name: found.why for name, found in EXCLUSIONS.items()},
        "left_out": told,
        "hidden": hidden,
        "missing": tuple(say_missing(summary)),
        "weighting": tuple(say_weighting(summary)),
        "included": tuple(say_inclusion(summary)),
        "compared": arrange(found) if found else [],
        "ratio_axis": scale_ratios(found) if found else None,
        "gaps": _by_label(list_gaps(summary)),
        "mended": _by_label(list_mended(summary)),
        "unmended": _by_label(list_unmended(summary)),
        "rate_of_all": Axis(0.0, 1.0),
        "judged": [check for check in summary.checks if check.name in JUDGED],
    }


def _by_label(gaps: Sequence[Gap]) -> dict[tuple[str, str], Gap]:
    return {(gap.column, gap.row.label): gap for gap in gaps}


def say_headline(summary: Summary) -> str:
    """Say in one or two sentences how the run ended and whether anything left."""
    handed = [outlet for outlet in summary.outlets if outlet.claim]
    left = _say_handover(handed) if handed else "Nothing was handed over."
    match summary.verdict:
        case "passed":
            return f"{say_open_checks(summary.checks)} {left}"
        case "refused" if summary.stopped_by:
            names = name_stopping(summary)
            quoted = list_names([f"“{name}”" for name in names])
            return f"{left} The check{'s' * (len(names) > 1)} {quoted} stopped the run."
        case "refused":
            return f"{left} The run did not meet what the policy asks for."
        case "failed" if summary.unfit:
            return f"{UNFIT} {left} Correct the data or the policy, and run it again."
        case "failed":
            return f"{left} Something broke before the run finished. Run it again: no data is lost."
        case "pending":
            return (
                f"{say_open_checks(summary.checks)} {left} The results stay sealed until they can "
                "be recorded; consent is checked again before the handover."
            )
        case "awaiting":
            return (
                f"{say_open_checks(summary.checks)} {left} The results stay sealed until enough "
                "people approve; consent is checked again before the handover."
            )
        case "unfinished":
            return f"{left} This run is still going on, or it was killed."


def _say_handover(outlets: Sequence[OutletSummary]) -> str:
    text = "; ".join(f"a {outlet.kind} goes to {outlet.recipient}" for outlet in outlets)
    return f"{text[:1].upper()}{text[1:]}."


def _count_passed(summary: Summary) -> int:
    return sum(check.verdict is CheckVerdict.PASSED for check in summary.checks)


def list_tiles(summary: Summary) -> Iterator[Tile]:
    """Pick the figures that answer: whose data, how much of it, how safe, how good."""
    if summary.people:
        last = summary.people[-1]
        yield Tile(last.text, "people", f"{last.label}; {summary.people[0].text} on the roster")
    if (named := summary.measures.get("columns.named")) is not None:
        there = summary.measures.get("columns.there")
        detail = "" if there is None else f"of {there:,.0f} in the source"
        yield Tile(f"{named:,.0f}", "columns read", detail)
    if summary.checks:
        yield count_checks(summary)
    yield from list_losses(summary)
    for outlet in summary.outlets:
        if (k := outlet.measures.get("k")) is not None:
            yield Tile(f"k {k:.0f}", "smallest class", f"of the table for {outlet.recipient}")
    if summary.quality:
        yield Tile(f"{summary.quality.auc:.2f}", "model's AUC", say_auc(summary.quality))
    if summary.number_quality:
        yield tile_number(summary.number_quality)


def say_auc(quality: Quality) -> str:
    """Say how an AUC is read, and first whether it is shown to be better than chance."""
    if chance := say_chance(quality):
        return chance.partition(":")[0].lower()
    return "mean over classes; 1 is perfect" if quality.classes else "0.5 is chance, 1 is perfect"


def tile_number(found: NumberQuality) -> Tile:
    """Pick the figure of a model of a number that needs no unit, where it is told."""
    if found.r2 is None:
        return Tile(say_figure(found.mae), "mean absolute error", "in the target's unit")
    return Tile(f"{found.r2:.2f}", "model's R²", "0 is guessing the mean, 1 is perfect")


def count_checks(summary: Summary) -> Tile:
    """Say how many checks failed; of a refused run, how many stopped it before the others."""
    counted = say_counted(summary.checks)
    if summary.verdict == "refused":
        stopping, reached = count_stopping(summary)
        told = f"{counted} Others were not reached."
        return Tile(f"{stopping} of {reached}", "checks stopped the run", told)
    failed = sum(check.verdict is CheckVerdict.REFUSED for check in summary.checks)
    return Tile(f"{failed} of {len(summary.checks)}", "checks failed", counted)


def list_losses(summary: Summary) -> Iterator[Tile]:
    """Pick the ε of the model and the lifetime ε, on one tile."""
    measures, training = summary.measures, summary.training
    epsilon, life = measures.get("privacy.epsilon"), measures.get("privacy.lifetime_epsilon")
    ceiling = training.lifetime_epsilon if training else None
    by = "RDP total so far" if measures.get("privacy.filtered") else "lifetime"
    left = f"; {told}" if (told := say_runs_left(summary)) else ""
    lived = "" if life is None else f"{by} {life:.3g} of at most {ceiling or 0:g}{left}"
    if epsilon is not None:
        delta = measures.get("privacy.delta") or 0
        yield Tile(f"ε {epsilon:.3g}", "privacy loss", lived or f"of the model, at δ {delta:g}")
    elif life is not None:
        if measures.get("privacy.filtered"):
            held = f"{life:.3g} of {ceiling or 0:g}"
            yield Tile(held, "RDP total so far", f"guaranteed: at most {ceiling or 0:g}")
        else:
            yield Tile(f"ε {life:.3g}", "lifetime loss", f"of at most {ceiling or 0:g}")


def list_caveats(summary: Summary) -> Iterator[str]:
    """Say what no claim of this run covers."""
    yield (
        "Nothing here is anonymous in law while the source or the keys exist: whoever has them may "
        "identify a person."
    )
    yield from (said for name, said in CAVEATS.items() if name in summary.measures)
    if summary.representation:
        yield (
            "The comparison with the reference population says nothing about what was not compared."
        )
    if any(fate.treatment.startswith("free text") and fate.outlets for fate in summary.fates):
        yield "Free text was reduced, not made anonymous: what no detector finds stays in it."
    yield (
        "A check cannot find anything smaller than its detection limit, which is shown with each "
        "verdict."
    )
    yield ("No check covers what a recipient does with the result, or knows from elsewhere.")


def list_uses(summary: Summary) -> Iterator[Figure]:
    """Say how many of the selected people each use takes."""
    yield from summary.split
    for outlet in summary.outlets:
        if outlet.released:
            yield replace(outlet.released, label=f"in the table for {outlet.recipient}")


@cache
def environment() -> Environment:
    """Give the one engine of the pages: text is escaped, and a name that is not there fails."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        words=say_term,
        article=say_article,
        moment=say_moment,
        short_moment=say_short_moment,
        brief=lambda text: shorten(text.partition("\n")[0], BRIEF, placeholder=" …"),
        percent=percent,
        signed=_sign,
        figure=_write_figure,
        apart=say_difference,
        number_apart=say_number_difference,
        amount=say_figure,
        calibration=say_calibration,
        chance=say_chance,
        risk_range=say_range,
        card_of=name_card,
    )
    found.globals["no_group"] = NO_GROUP
    return found


def _write_figure(value: float) -> str:
    """Write a figure with its sign and three digits; of none, `0`."""
    return f"{value:+.3f}".replace("-", "−") if round(value, 3) else "0"


def _sign(difference: float) -> str:
    """Write a difference with its sign and two digits; of none, `0`."""
    return f"{difference:+.2f}".replace("-", "−") if difference else "0"
