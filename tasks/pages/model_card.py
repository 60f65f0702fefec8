"""A model's card: what it is for, reads, costs, how good it is and for whom, and what it is not.

Made of a `Summary` alone, like the report, and in its design: as one HTML file that loads nothing,
and in Markdown for where HTML is not shown. After Mitchell et al., "Model Cards for Model
Reporting" (2019). Only a model that left has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from expectations.checks import Check
from expectations.disclosure import percent
from ledgers.home.private_files import write_private
from tasks.account.exclusions import NO_OUTCOME
from tasks.account.markdown import escape_markdown
from tasks.account.measured import Audit, NumberQuality, Quality
from tasks.account.published import ColumnFate, Figure, OutletSummary, Summary
from tasks.pages.drawings import scale_auc
from tasks.pages.measure_drawings import draw_measures
from tasks.pages.quality_drawings import draw_screening, draw_worth
from tasks.pages.report import Tile, environment, list_caveats, say_auc, tile_number
from tasks.pages.words import (
    NO_GROUP,
    list_classes,
    list_privacy,
    list_training,
    name_card,
    say_article,
    say_calibration,
    say_chance,
    say_difference,
    say_figure,
    say_load,
    say_moment,
    say_number_difference,
    say_number_quality,
    say_range,
    say_risk,
    say_runs_left,
    say_term,
)

TEMPLATE: Final = "model_card.html.j2"
UNBOUNDED: Final = (
    "No differential privacy: only the checks below limit what the model may reveal about one "
    "person."
)
RECIPE: Final = (
    "What it reads of a new person is made by features.py, beside it, which needs Python alone: "
    "features(person, rows, index). Its first lines say what to supply. Where there are several "
    "tables, features.sql makes the same columns of whole tables."
)
LEARNED_FROM: Final = "to train the model"
"""How a summary labels the people that it learned from."""


def list_cards(summary: Summary) -> Iterator[OutletSummary]:
    """Give the outlets whose model left, each of which has a card."""
    return (outlet for outlet in summary.outlets if outlet.kind == "model" and outlet.claim)


def write_cards(
    folder: Path, summary: Summary, recipe: Mapping[str, str] | None = None
) -> dict[str, dict[str, str]]:
    """Write each card into a folder, beside the report; give its texts by outlet and name.

    `recipe` are the files by which features are made of a new person's rows; they go with each.
    """
    written = {}
    for outlet in list_cards(summary):
        texts = {
            "model_card.html": render_card(summary, outlet, scored=bool(recipe)),
            "model_card.md": write_markdown(summary, outlet, scored=bool(recipe)),
        }
        for name, text in texts.items():
            place = folder / Path(name_card(summary, outlet)).with_suffix(Path(name).suffix)
            write_private(place, text.encode())
        for name, text in (recipe or {}).items():
            write_private(folder / f"{summary.run_id}-{outlet.name}-{name}", text.encode())
        written[outlet.name] = texts | dict(recipe or {})
    return written


def render_card(summary: Summary, outlet: OutletSummary, *, scored: bool = False) -> str:
    """Write the card of an outlet's model as one self-contained HTML file.

    `scored` says that files go along by which a new person is scored.
    """
    page = environment().get_template(TEMPLATE)
    return page.render(
        s=summary,
        outlet=outlet,
        tiles=tuple(list_tiles(summary)),
        people=list_people(summary),
        features=list_features(summary),
        unseen=list_unseen(summary),
        target=find_target(summary),
        training=tuple(list_training(summary.training)) if summary.training else (),
        privacy=tuple(list_privacy(summary)),
        unbounded=UNBOUNDED,
        auc_axis=scale_auc(summary.quality, summary.audits),
        **draw_worth(summary.quality),
        **draw_measures(summary.quality, summary.number_quality),
        limits=list_limits(summary, outlet),
        calls=say_load(summary, outlet),
        recipe=RECIPE if scored else "",
    )


def list_tiles(summary: Summary) -> Iterator[Tile]:
    """Pick the figures that are read at a glance: how good, at what cost, from how many people."""
    measures, training = summary.measures, summary.training
    if summary.quality:
        yield Tile(f"{summary.quality.auc:.2f}", "AUC", say_auc(summary.quality))
    if summary.number_quality:
        yield tile_number(summary.number_quality)
    if (epsilon := measures.get("privacy.epsilon")) is not None:
        delta = measures.get("privacy.delta") or 0
        yield Tile(f"ε {epsilon:.3g}", "privacy loss", f"of this model, at δ {delta:g}")
    if (lifetime := measures.get("privacy.lifetime_epsilon")) is not None:
        most = training.lifetime_epsilon if training else None
        by = "RDP total so far, " if measures.get("privacy.filtered") else ""
        yield Tile(
            f"ε {lifetime:.3g}",
            "lifetime loss",
            "" if most is None else f"{by}of at most {most:g}; {say_runs_left(summary)}",
        )
    yield from (
        Tile(figure.text, "people", figure.label)
        for figure in summary.split
        if figure.label == LEARNED_FROM
    )


def list_people(summary: Summary) -> list[Figure]:
    """Give whose data there was, and of whom it was used; who has no outcome taught it nothing."""
    without = [figure for figure in summary.excluded if figure.label == NO_OUTCOME]
    return [*summary.people, *summary.split, *without]


def list_features(summary: Summary) -> list[ColumnFate]:
    """Give the columns that the model reads."""
    return [fate for fate in summary.fates if "feature" in fate.uses]


def list_unseen(summary: Summary) -> list[ColumnFate]:
    """Give the columns that the run read and the model never sees."""
    return [fate for fate in summary.fates if not {"feature", "target"} & set(fate.uses)]


def find_target(summary: Summary) -> ColumnFate | None:
    """Give the column that the model predicts."""
    return next((fate for fate in summary.fates if "target" in fate.uses), None)


def list_limits(summary: Summary, outlet: OutletSummary) -> list[str]:
    """Say what the model is not for, and what no claim about it covers."""
    return [
        (
            f"The data was permitted for one purpose, {say_term(summary.purpose).lower()}. Another "
            "use of the model is not covered by that legal basis."
        ),
        f"Its claim does not protect against {outlet.limits[:1].lower()}{outlet.limits[1:]}",
        *list_caveats(summary),
    ]


def write_markdown(summary: Summary, outlet: OutletSummary, *, scored: bool = False) -> str:
    """Write the same card in Markdown."""
    parts = (
        opening_lines(summary, outlet),
        data_lines(summary),
        column_lines(summary),
        training_lines(summary),
        quality_lines(summary),
        check_lines(outlet.checks),
        closing_lines(summary, outlet, scored=scored),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def opening_lines(summary: Summary, outlet: OutletSummary) -> Iterator[str]:
    """Tell whose model it is, what for, and what is claimed of it."""
    yield f"# Model card: {escape_markdown(summary.title)}"
    yield f"\n> {escape_markdown(outlet.claim or 'Nothing left.')}"
    if summary.made_up:
        yield f"\n**Example data:** {escape_markdown(summary.made_up)}."
    yield from pair_lines(
        "Model",
        [
            ("Name", f"`{summary.policy}.{outlet.name}`"),
            ("For", escape_markdown(outlet.recipient)),
            ("Purpose", f"{say_term(summary.purpose)} (`{summary.purpose}`)"),
            ("Legal basis", ", ".join(map(say_article, summary.legal_basis)) + " GDPR"),
            ("Controller", escape_markdown(f"{summary.controller}, {summary.contact}")),
            ("Trained", say_moment(summary.started_at)),
        ],
    )


def data_lines(summary: Summary) -> Iterator[str]:
    """Tell whose data it learned from, in published counts."""
    figures = [(figure.label, figure.text) for figure in list_people(summary)]
    if figures:
        yield "\n## Data"
        yield from pair_lines("People", escape_pairs(figures))
        yield "\nCounts of people are rounded to tens or hidden; parts need not add up."
    if summary.representation:
        source = escape_markdown(summary.representation.source)
        yield f"\nCompared with the reference population: {source}."


def column_lines(summary: Summary) -> Iterator[str]:
    """Tell what the model predicts and reads, and what it never sees."""
    yield "\n## What it reads"
    target = find_target(summary)
    if target:
        note = f": {target.note}" if target.note else ""
        yield f"\nIt predicts `{target.name}`{escape_markdown(note)}."
    yield "\n| Column | Category | Treatment |\n|---|---|---|"
    for fate in list_features(summary):
        category = say_term(fate.category) + (" (special, Art. 9)" if fate.special else "")
        yield f"| `{fate.name}` | {category} | {escape_markdown(fate.treatment)} |"
    unseen = ", ".join(f"`{fate.name}`" for fate in list_unseen(summary))
    if unseen:
        yield f"\nIt never sees {unseen}, and refuses any other column."


def training_lines(summary: Summary) -> Iterator[str]:
    """Tell how it was trained, with every parameter, and what it cost the people."""
    if summary.training is None:
        return
    yield "\n## Training"
    told = [*list_training(summary.training), *summary.training.parameters.items()]
    yield from pair_lines("Training", escape_pairs(told))
    privacy = escape_pairs(list_privacy(summary))
    yield "\n## Privacy loss"
    if privacy:
        yield from pair_lines("Loss", privacy)
    else:
        yield f"\n{UNBOUNDED}"


def quality_lines(summary: Summary) -> Iterator[str]:
    """Tell how good it is on people it was not trained on, overall and by group."""
    found = summary.quality
    if summary.number_quality:
        yield from number_lines(summary.number_quality)
    if found is None:
        return
    yield "\n## Quality"
    interval = ""
    if found.auc_low is not None and found.auc_high is not None:
        interval = f", 95 % interval {found.auc_low:.2f} to {found.auc_high:.2f}"
    accuracy, auc = "Accuracy at 0.5", "AUC: 0.5 is chance, 1 is perfect"
    if found.classes:
        accuracy, auc = "Called right", "Mean AUC, each class against the rest"
    shares = ((accuracy, found.accuracy), ("Have the outcome", found.base_rate))
    brier = [] if found.brier is None else [("Brier score, 0 is best", f"about {found.brier:.2f}")]
    yield from pair_lines(
        "On people it was not trained on",
        [
            (auc, f"about {found.auc:.2f}{interval}"),
            *((name, f"about {percent(share, 2)}") for name, share in shares if share is not None),
            *brier,
        ],
    )
    if chance := say_chance(found):
        yield f"\n**{chance}**"
    yield from threshold_lines(found)
    yield from calibration_lines(found)
    yield from class_lines(found)
    for audit in summary.audits:
        yield from group_lines(audit)


def class_lines(found: Quality) -> Iterator[str]:
    """Tell of each class against the rest, and what it is taken for."""
    if not found.classes:
        return
    yield "\n### Each class against the rest"
    yield "\n| Class | People | AUC, 95 % interval | Found | Share | Predicted | Taken for |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for one in found.classes:
        auc = "too few"
        if one.auc is not None:
            auc = f"{one.auc:.2f} ({one.auc_low:.2f} to {one.auc_high:.2f})"
        shares = [percent(share, 2) for share in (one.found, one.share, one.predicted)]
        taken = "; ".join(f"{each.label} {percent(each.share, 2)}" for each in one.confused)
        cells = (escape_markdown(one.label), one.people, auc, *shares, escape_markdown(taken))
        yield f"| {' | '.join(cells)} |"
    yield from (f"\n{escape_markdown(line)}" for line in list_classes(found))


def number_lines(found: NumberQuality) -> Iterator[str]:
    """Tell how good a model of a number is, overall, by what is predicted and by group."""
    yield "\n## Quality"
    yield f"\n{say_number_quality(found)[:1].upper()}{say_number_quality(found)[1:]}."
    yield "\n| Within | Test people, 95 % interval |\n|---|---:|"
    for one in found.within:
        yield f"| ± {say_figure(one.error)} | {tell_rate(one.share, one.low, one.high)} |"
    if found.ranges:
        yield "\n| Predicted | Too high on average by, 95 % interval | Of all test people |"
        yield "|---|---:|---:|"
    for each in found.ranges:
        bias = tell_figure(each.bias, each.bias_low, each.bias_high)
        name = f"{say_figure(each.low)} to {say_figure(each.high)}"
        yield f"| {name} | {bias} | {percent(each.share)} |"
    for audit in found.audits:
        yield f"\n### By {audit.column}"
        yield "\n| Group | People | Too high by, 95 % interval | Mean error, 95 % interval |"
        yield "|---|---:|---:|---:|"
        for group in audit.groups:
            bias = tell_figure(group.bias, group.bias_low, group.bias_high)
            error = tell_figure(group.error, group.error_low, group.error_high)
            yield f"| {escape_markdown(group.group)} | {group.people} | {bias} | {error} |"
        yield from (f"\n{say_number_difference(each)}" for each in audit.differences)


def tell_figure(value: float, low: float, high: float) -> str:
    """Write a figure of a target's unit with the ends of its interval."""
    return f"{say_figure(value)} ({say_figure(low)} to {say_figure(high)})"


def threshold_lines(found: Quality) -> Iterator[str]:
    """Tell what comes of 1,000 people at each threshold, and the two rates of the ROC curve."""
    screening = draw_screening(found)
    if screening is None:
        return
    yield "\n### Of 1,000 people: found, missed, false alarms"
    yield f"\nAbout {screening.have} of 1,000 people like the test people have the outcome."
    rates = "True positive rate, 95 % interval | False positive rate, 95 % interval"
    yield f"\n| Called positive above | Found | Missed | False alarms | Precision | {rates} |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row, one in zip(screening.rows, found.thresholds, strict=True):
        cells = [
            say_risk(one.threshold),
            row.found,
            row.missed,
            row.alarms,
            percent(row.precision),
        ]
        cells += [
            tell_rate(one.true_positive_rate, one.true_positive_low, one.true_positive_high),
            tell_rate(one.false_positive_rate, one.false_positive_low, one.false_positive_high),
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def calibration_lines(found: Quality) -> Iterator[str]:
    """Tell how many have the outcome of those with a predicted risk."""
    if not found.calibration:
        return
    yield "\n### Calibration"
    yield f"\n{say_calibration(found.calibration)}"
    yield "\n| Predicted risk | Have the outcome, 95 % interval | Of all test people |"
    yield "|---|---:|---:|"
    for one in found.calibration:
        observed = tell_rate(one.observed, one.observed_low, one.observed_high)
        yield f"| {say_range(one)} | {observed} | {percent(one.share)} |"


def tell_rate(value: float, low: float, high: float) -> str:
    """Write a share with the ends of its interval."""
    return f"{percent(value)} ({percent(low)} to {percent(high)})"


def group_lines(audit: Audit) -> Iterator[str]:
    """Tell the figures of each group that may be shown, and how far groups are apart."""
    yield f"\n### By {audit.column}"
    if not audit.groups:
        yield f"\n{NO_GROUP}"
        return
    if any(group.accuracy is not None for group in audit.groups):
        yield "\n| Group | People | Called right |\n|---|---:|---:|"
        for group in audit.groups:
            right = percent(group.accuracy or 0.0, 2)
            yield f"| {escape_markdown(group.group)} | {group.people} | {right} |"
        yield from (f"\n{say_difference(difference)}" for difference in audit.differences)
        return
    yield "\n| Group | People | AUC | Selection | True positives | False positives |"
    yield "|---|---:|---:|---:|---:|---:|"
    for group in audit.groups:
        rates = (group.selection_rate, group.true_positive_rate, group.false_positive_rate)
        told = ["too few" if rate is None else percent(rate, 2) for rate in rates]
        auc = "too few" if group.auc is None else f"{group.auc:.2f}"
        yield f"| {escape_markdown(group.group)} | {group.people} | {auc} | {' | '.join(told)} |"
    yield (
        "\nShares are made of counts in tens. Groups with fewer than 50 people of a class are not "
        "shown, nor those that would reveal them."
    )
    yield from (f"\n{say_difference(difference)}" for difference in audit.differences)


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Tell what was tried against it, with what each attempt could have found."""
    if not checks:
        return
    yield "\n## Checks and attacks"
    yield "\n| Check | Asked | Measured | Verdict | Could have found |\n|---|---|---|---|---|"
    for check in checks:
        words = (check.name, check.asked, check.measured, str(check.verdict), check.power)
        yield f"| {' | '.join(escape_markdown(word) for word in words)} |"


def closing_lines(
    summary: Summary, outlet: OutletSummary, *, scored: bool = False
) -> Iterator[str]:
    """Tell its limits, how it is loaded, and which run made it of which policy."""
    yield "\n## Limits\n"
    yield from (f"- {escape_markdown(limit)}" for limit in list_limits(summary, outlet))
    yield f"\n## Use\n\n```python\n{say_load(summary, outlet)}\n```"
    if scored:
        yield f"\n{escape_markdown(RECIPE)}"
    yield from pair_lines(
        "Origin",
        [
            ("Run", f"`{summary.run_id}`"),
            ("Policy, SHA-256", f"`{summary.policy_sha256}`"),
            ("People permitted, digest of this run", f"`{summary.consent_snapshot}`"),
            ("Code", f"`{summary.code}`"),
        ],
    )


def pair_lines(title: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Draw terms and what stands for them, in Markdown, as a table."""
    yield f"\n| {title} | |\n|---|---|"
    yield from (f"| {term} | {text} |" for term, text in pairs)


def escape_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Write terms and what stands for them as Markdown shows words."""
    return [(escape_markdown(term), escape_markdown(text)) for term, text in pairs]
