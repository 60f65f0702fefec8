"""What pages say of a run and its model in words; the same in the report and on a model's card.

Pure: published figures in, sentences out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from tasks.account.published import Difference, OutletSummary, Summary, Training
from tasks.training.charge import say_left

APART: Final = {
    "demographic_parity": ("Demographic parity", "selection rates"),
    "equalized_odds": ("Equalized odds", "true or false positive rates"),
}
"""The usual name of each difference, and of what it is one."""
DRAWN: Final = {
    "Gaussian": "Gaussian noise of {noise_multiplier:.4g} times what one person can change",
    "SampledGaussian": (
        "Gaussian noise of {noise_multiplier:.4g} times what one person can change, each time on a "
        "fresh Poisson sample of {probability:.3%} of the people"
    ),
    "Laplace": "Laplace noise of 1 / {epsilon:g} times what one person can change",
    "Bounded": "a step of its own proof, of ε = {epsilon:g} at δ = {delta:g}",
}
"""Each mechanism in words, by its kind."""


def name_card(summary: Summary, outlet: OutletSummary) -> str:
    """Name the file of a model's card, as it stands beside the report."""
    return f"{summary.run_id}-{outlet.name}-card.html"


def find_version(summary: Summary) -> str | None:
    """Give the version under which MLflow registered the model; None before it did."""
    return next((li.id for li in summary.links if li.name == "registered model, version"), None)


def say_call(summary: Summary, outlet: OutletSummary) -> str:
    """Say how the model is loaded from MLflow."""
    name = f"models:/{summary.policy}.{outlet.name}/{find_version(summary) or '1'}"
    return f'mlflow.sklearn.load_model("{name}")'


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
    """Say what the person used most has spent of the ceiling; empty where nothing is counted.

    Where anything was chosen adaptively the figure is the filter's, which guarantees the ceiling.
    """
    spent = summary.measures.get("privacy.lifetime_epsilon")
    ceiling = summary.training.lifetime_epsilon if summary.training else None
    if spent is None:
        return ""
    most = "" if ceiling is None else f" of at most {ceiling:g}"
    if summary.measures.get("privacy.filtered"):
        return f"{spent:.3f}{most}, held against the filter: only {ceiling or 0:g} is guaranteed"
    return f"{spent:.3f}{most}"


def say_kept_charge(summary: Summary) -> str:
    """Say that a run which handed nothing over is charged all the same; empty where it is not."""
    now, before = (
        summary.measures.get(f"privacy.lifetime_epsilon{when}") for when in ("", "_before")
    )
    ended = summary.verdict in {"refused", "failed"}
    if not ended or now is None or before is None or now <= before:
        return ""
    return (
        "Its charge to the privacy budget stays, because its training had begun, although nothing "
        "left; a rerun is charged again."
    )


def say_runs_left(summary: Summary) -> str:
    """Say how many more such runs fit; empty where that was not asked."""
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
