"""What pages say of a run and its model in words; the same in the report and on a model's card.

Pure: published figures in, sentences out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from expectations.checks import Check
from expectations.disclosure import percent
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.measured import Calibration, Difference, NumberQuality, Quality
from tasks.account.missing_people import list_told, say_missing
from tasks.account.promises import SHARE
from tasks.account.published import AS_THEY_ARE, OutletSummary, Promise, Summary, Training
from tasks.account.subjects import Folded, fold, join_names, waits
from tasks.training.charge import say_left

APART: Final = {
    "demographic_parity": ("Demographic parity", "selection rates"),
    "equalized_odds": ("Equalized odds", "true or false positive rates"),
    "accuracy": ("Accuracy", "shares called right"),
    "equal_opportunity": ("Equal opportunity", "shares found of one class"),
}
"""The usual name of each difference, and of what it is one."""
DRAWN: Final = {
    "Gaussian": "Gaussian noise of {noise_multiplier:.4g} times what one person can change",
    "SampledGaussian": (
        "Gaussian noise of {noise_multiplier:.4g} times what one person can change, each time on a "
        "fresh Poisson sample of {probability:.3%} of the people"
    ),
    "Laplace": "Laplace noise of 1 / {epsilon:g} times what one person can change",
    "Bounded": "a step with its own proof, ε = {epsilon:g} at δ = {delta:g}",
}
"""Each mechanism in words, by its kind."""


ATTACKS: Final = frozenset({"attacks on tables", "attacks on models"})
"""Groups of checks that are attacks: what they found in detail is told last."""
RISK: Final = "risk."
"""How the measure of what an attacker gains begins."""
UNDECIDED: Final = "This is not a failure: this data can neither pass nor fail these checks."
UNFIT: Final = "Stopped: the data do not fit the policy."
JOINED: Final = {"AUC": "up to"}
"""How a figure follows its symbol where it does not equal it: an interval's end."""


def say_promise(promise: Promise) -> str:
    """Say what a promise reached and what was asked, as `k = 12 (at least 10 asked)`."""
    way = "at least" if promise.at_least else "at most"
    joined = JOINED.get(promise.symbol, "=")
    figure = write_promised(promise, promise.reached)
    bare = promise.symbol in {SHARE, "people"}
    reached = figure if bare else f"{promise.symbol} {joined} {figure}"
    return f"{reached} ({way} {write_promised(promise, promise.asked)} asked)"


def write_promised(promise: Promise, value: float) -> str:
    """Write a figure of a promise, with its unit where it has one."""
    if promise.symbol == SHARE:
        return percent(value)
    return f"{round(value, 3):g}" + (" people" if promise.symbol == "people" else "")


def name_card(summary: Summary, outlet: OutletSummary) -> str:
    """Name the file of a model's card, as it stands beside the report."""
    return f"{summary.run_id}-{outlet.name}-card.html"


def name_stopping(summary: Summary) -> list[str]:
    """Name the checks that stopped a refused run, each once."""
    named = [check.name for check in summary.causes] or [summary.stopped_by or ""]
    return list(dict.fromkeys(filter(None, named)))


def count_stopping(summary: Summary) -> tuple[int, int]:
    """Count the checks that stopped a refused run, and all that were reached, those included.

    What refuses while it searches is a check of its own, without an entry among the others.
    """
    stopping = len(summary.causes) or int(bool(summary.stopped_by))
    return stopping, len(summary.checks) + stopping - len(summary.causes)


def say_open_checks(checks: Sequence[Check]) -> str:
    """Say of checks none of which failed how many warned, and how many could not be judged."""
    if not checks:
        return "The policy asks for no check."
    warned = sum(check.verdict is CheckVerdict.WARNED for check in checks)
    unsure = sum(check.verdict is CheckVerdict.INCONCLUSIVE for check in checks)
    if not (warned or unsure):
        return f"All {len(checks)} checks passed."
    told = [f"{warned} warning{'s' * (warned > 1)}"] if warned else []
    told += [f"{unsure} could not be judged on this data"] if unsure else []
    return f"No check failed; {', '.join(told)}."


def say_counted(checks: Sequence[Check]) -> str:
    """Count checks by their verdicts, as `14 passed, 6 warned`."""
    words = {
        CheckVerdict.PASSED: "passed",
        CheckVerdict.REFUSED: "failed",
        CheckVerdict.WARNED: "warned",
        CheckVerdict.INCONCLUSIVE: "could not be judged",
    }
    counts = {v: sum(check.verdict is v for check in checks) for v in words}
    return ", ".join(f"{count} {words[v]}" for v, count in counts.items() if count) + "."


def list_warned(checks: Sequence[Check]) -> list[Folded]:
    """Give what warned by subject: first what data or people show, then what attacks found."""
    found = fold(check for check in checks if check.verdict is CheckVerdict.WARNED)
    return sorted(found, key=lambda one: one.group in ATTACKS)


def list_unclear(checks: Sequence[Check]) -> list[Folded]:
    """Give by subject what this data could neither pass nor fail."""
    return fold(
        check for check in checks if check.verdict is CheckVerdict.INCONCLUSIVE and not waits(check)
    )


def list_waiting(checks: Sequence[Check]) -> dict[str, str]:
    """Name together the checks that wait for the same, by what they wait for."""
    names: dict[str, list[str]] = {}
    for check in filter(waits, checks):
        names.setdefault(check.power, []).append(check.name)
    return {power: join_names(each) for power, each in names.items()}


def say_warning(found: Folded, summary: Summary) -> str:
    """Say what warned: one check with what it measured, several of a subject by their names."""
    if len(found.checks) > 1:
        return f"{found.name}."
    (check,) = found.checks
    if check.name != AS_THEY_ARE or summary.representation is None:
        return f"{check.name}: {check.measured}."
    others = len(list_told(summary)) - 1
    groups = "One more group is" if others == 1 else f"{others} more groups are"
    more = f" {groups} outside the limit." if others > 0 else ""
    return f"{next(say_missing(summary))}{more}"


def pick_gravest(warned: Sequence[Folded], summary: Summary) -> tuple[Check | None, list[Folded]]:
    """Give of the attacks that warned the one that gains most, and by subject the others.

    What has no gain, as homogeneity, comes after what has one.
    """
    gains = {
        f"{name.removeprefix(RISK).replace('_', ' ', 1)} from {outlet.name}": value
        for outlet in summary.outlets
        for name, value in outlet.measures.items()
        if name.startswith(RISK)
    }
    checks = [check for one in warned if one.group in ATTACKS for check in one.checks]
    gravest = max(checks, key=lambda check: gains.get(check.name) or 0.0, default=None)
    return gravest, fold(check for check in checks if check is not gravest)


def say_together(outlet: OutletSummary) -> str:
    """Say what it cost a table that the same recipient gets others, if it does."""
    alone = outlet.measures.get("granularity_alone")
    kept = {point.k: point.granularity for point in outlet.tradeoff}
    whole, together = kept.get(1), kept.get(outlet.k or 1)
    if not alone or not whole or together is None:
        return ""
    return (
        f"The recipient can put this table beside others, so one plan recodes all of them: this "
        f"one keeps {together / whole:.0%} of its detail, and alone would keep {alone / whole:.0%}."
    ).replace("%", " %")


def find_version(summary: Summary) -> str | None:
    """Give the version under which MLflow registered the model; None before it did."""
    return next((li.id for li in summary.links if li.name == "registered model, version"), None)


def say_call(summary: Summary, outlet: OutletSummary, store: str | None) -> str:
    """Say how the model is loaded from MLflow, to be pasted into Python as it stands.

    `store` is MLflow's address, where the run noted it; it can be a path of this machine.
    """
    call = say_load(summary, outlet)
    if store is None:
        return call
    return f"import mlflow; mlflow.set_tracking_uri({json.dumps(store)}); model = {call}"


def say_load(summary: Summary, outlet: OutletSummary) -> str:
    """Say how the model is loaded by who knows the store: a card tells nothing of this machine."""
    name = f"models:/{summary.policy}.{outlet.name}/{find_version(summary) or '1'}"
    return f"mlflow.sklearn.load_model({json.dumps(name)})"


NO_GROUP: Final = (
    "Nothing can be told of any group: none has 50 test people of each class whose figures would "
    "not reveal another's. How well the model does for each is unknown, not alike. More people, or "
    "fewer and wider groups, would show it."
)


def say_difference(found: Difference) -> str:
    """Say how far the groups are apart that are farthest apart, in percentage points."""
    name, rates = APART[found.name]
    value, low, high = (f"{100 * share:.0f}" for share in (found.value, found.low, found.high))
    sentence = (
        f"{name}: the {rates} of two groups differ by up to {value} points, "
        f"95 % interval {low} to {high}"
    )
    chance = "" if found.low > 0 else "; groups that are alike could differ as much by chance"
    return f"{sentence}{chance}."


def say_number_difference(found: Difference) -> str:
    """Say how far the groups are apart whose numbers are predicted most differently."""
    what = {"bias": "By how much predictions are too high", "error": "The mean absolute error"}
    value, low, high = map(say_figure, (found.value, found.low, found.high))
    chance = "" if found.low > 0 else "; groups that are alike could differ as much by chance"
    told = f"differs by up to {value} between two groups, 95 % interval {low} to {high}"
    return f"{what[found.name]} {told}{chance}."


def say_figure(figure: float) -> str:
    """Write a number of a target's unit."""
    return f"{figure:,.6g}".replace("-", "\N{MINUS SIGN}")


def list_classes(found: Quality) -> Iterator[str]:
    """Say of which classes too few people were tested."""
    if found.few:
        yield f"Too few test people to be told of: {join_names(found.few)}."


def say_number_quality(found: NumberQuality) -> str:
    """Say how good a model of a number is on people it was not trained on."""
    r2 = (
        ""
        if found.r2 is None
        else (f"R² about {found.r2:.2f} ({found.r2_low:.2f} to {found.r2_high:.2f}), ")
    )
    off = f"off by about {say_figure(found.mae)} on average"
    told = f"{r2}{off} on people it was not trained on"
    if found.r2_low is not None and found.r2_low <= 0:
        told += "; not shown to be better than guessing the mean, since the interval reaches 0"
    return told


def say_chance(found: Quality) -> str:
    """Say it of a model that is not shown to be better than chance; empty of others."""
    if found.auc_low is None or found.auc_high is None or found.auc_low > 0.5:
        return ""
    if found.auc_high < 0.5:
        return "Worse than chance: the whole interval of the AUC is below 0.5."
    return "Not shown to be better than chance: the interval of the AUC contains 0.5."


def say_risk(risk: float) -> str:
    """Write a predicted risk."""
    return f"{100 * risk:g} %"


def say_range(one: Calibration) -> str:
    """Write a range of predicted risks."""
    return f"{100 * one.low:g} to {100 * one.high:g} %"


def say_calibration(risks: Sequence[Calibration]) -> str:
    """Say in how many ranges the observed share fits the predicted risk, and where it does not."""
    high = [say_range(one) for one in risks if one.observed_high < one.low]
    low = [say_range(one) for one in risks if one.observed_low > one.high]
    fitting = len(risks) - len(high) - len(low)
    where = f"all {fitting}" if fitting == len(risks) else f"{fitting} of {len(risks)}"
    told = [f"The observed share fits the predicted risk in {where} ranges."]
    told += [f"Predicted too high: {join_names(high)}."] if high else []
    told += [f"Predicted too low: {join_names(low)}."] if low else []
    return " ".join(told)


def say_mechanism(mechanism: Mapping[str, str | float]) -> str:
    """Say what noise was drawn, and how often."""
    text = DRAWN.get(str(mechanism["kind"]), str(mechanism["kind"])).format(**mechanism)
    count = mechanism.get("count", 1)
    return text.replace("%", " %") + (f", {count:,.0f} times" if count != 1 else ", once")


def list_training(training: Training) -> Iterator[tuple[str, str]]:
    """Say how a model was trained, as terms and what stands for them."""
    yield "Kind", training.kind.replace("-", " ")
    rows = "the de-identified rows, one per person"
    yield (
        "Learned from",
        rows if training.input == "record-wise" else f"the table {training.input}",
    )
    if training.crosses:
        yield "Reads combinations of", "; ".join(" and ".join(few) for few in training.crosses)
    if training.mechanisms:
        yield "Noise", "; ".join(map(say_mechanism, training.mechanisms))
        yield "Neighbours", "adding or removing all data of one person"


def list_privacy(summary: Summary) -> Iterator[tuple[str, str]]:
    """Say what a private model cost, and what that leaves, as terms and figures."""
    measures, training = summary.measures, summary.training
    epsilon = measures.get("privacy.epsilon")
    if epsilon is None:
        return
    yield "ε of this model", f"{epsilon:.3g} at δ = {measures.get('privacy.delta') or 0:g}"
    lifetime = measures.get("privacy.lifetime_epsilon")
    if lifetime is None:
        return
    delta = training.lifetime_delta if training else None
    at = "" if delta is None else f" at δ = {delta:g}"
    yield "Lifetime ε, with this model", f"{say_lifetime(summary)}{at}"
    before = measures.get("privacy.lifetime_epsilon_before")
    if before is not None:
        yield "Lifetime ε before it", f"{before:.3f}"
    if left := say_runs_left(summary):
        yield "What is left", left


def say_lifetime(summary: Summary) -> str:
    """Say what the most-used person has spent of the ceiling; empty where nothing is counted.

    Where anything was chosen adaptively the figure is the filter's, which guarantees the ceiling.
    """
    spent = summary.measures.get("privacy.lifetime_epsilon")
    ceiling = summary.training.lifetime_epsilon if summary.training else None
    if spent is None:
        return ""
    most = "" if ceiling is None else f" of at most {ceiling:g}"
    if summary.measures.get("privacy.filtered"):
        return (
            f"{spent:.3f}{most}, the filter's total over all runs so far (RDP) and not the cost of "
            f"one; only {ceiling or 0:g} is guaranteed"
        )
    return f"{spent:.3f}{most}"


def say_undecided(summary: Summary) -> str:
    """Say how many decisions of a draft were open, and on which lines; empty where none was."""
    lines = summary.undecided
    if not lines:
        return ""
    one = len(lines) == 1
    count = "1 decision of the draft is" if one else f"{len(lines)} decisions of the draft are"
    named = f"line{'s' * (not one)} {', '.join(map(str, lines))}"
    return f"{count} still open ({named}): the run used what was drafted."


def say_kept_charge(summary: Summary) -> str:
    """Say that a run which handed nothing over is charged all the same; empty where it is not."""
    now, before = (
        summary.measures.get(f"privacy.lifetime_epsilon{when}") for when in ("", "_before")
    )
    ended = summary.verdict in {"refused", "failed"}
    if not ended or now is None or before is None or now <= before:
        return ""
    return (
        "Its training had begun, so its charge to the privacy budget stays; a rerun is charged "
        "again."
    )


def say_runs_left(summary: Summary) -> str:
    """Say how many more runs like this fit; empty where that was not asked."""
    left = summary.measures.get("privacy.runs_left")
    return "" if left is None else say_left(int(left))


def say_term(term: str) -> str:
    """Read a DPV term as words: `dpv-pd:EthnicOrigin` is `Ethnic origin`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", term.rpartition(":")[2]).capitalize()


def say_article(term: str) -> str:
    """Read a lawful basis as lawyers do: `eu-gdpr:A6-1-a` is `Art. 6(1)(a)`."""
    return re.sub(r"^eu-gdpr:A(\d+)-(\d+)-([a-z])$", r"Art. \1(\2)(\3)", term)


def say_moment(stamp: str) -> str:
    """Give a UTC moment to the minute."""
    moment = datetime.fromisoformat(stamp)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def say_short_moment(stamp: str) -> str:
    """Give a UTC moment to the minute, for a row of a table."""
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M}"
