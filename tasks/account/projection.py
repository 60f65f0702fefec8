"""What a view of the evidence shows of a run: one pure function of the record.

It knows the policy and the evidence, and no MLflow; whoever replays a record gets the same again.
`PROJECTION` counts its forms and goes with each run, so that an earlier run is judged by its own.
Counts are the published ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.policy.outlets import DifferentialPrivacy, ModelOutlet, TableOutlet, claim
from expectations.policy.policy import Policy
from expectations.policy.retention import describe_kept
from expectations.policy.vocabulary import CheckVerdict, Verdict
from ledgers.evidence import JSON, Entry, RunRecord
from tasks.account.datasets import SourceRead, StepData, list_sources, list_steps
from tasks.account.findings import Found
from tasks.account.markdown import escape_markdown
from tasks.account.promises import reach_claim
from tasks.account.subjects import join_names

PROJECTION: Final = 4
"""The version of what is shown. A run's record says by which it was shown, and holds a digest of
each value, so that an earlier run is judged by what was shown of it then. Version 1 showed every
measure as a metric."""
MEASURES: Final = "measures.json"
LONGEST: Final = 4000
"""The most characters of a tag that holds a reason."""
KEY: Final = 250
"""The most characters of a tag's name."""
NO_KEY: Final = re.compile(r"[^\w.\- :]")
"""What MLflow takes in no tag's name."""
PEOPLE: Final = ("roster", "permitted", "selected", "train", "test")
OF_A_RUN: Final = {
    "privacy.epsilon": "privacy/epsilon",
    "privacy.lifetime_epsilon": "privacy/lifetime_epsilon",
    "privacy.runs_left": "privacy/runs_left",
    "privacy.audit_epsilon": "privacy/audit_epsilon",
    "privacy.membership_auc": "privacy/membership_auc",
    "utility.auc": "quality/auc",
    "utility.accuracy": "quality/accuracy",
    "utility.brier": "quality/brier",
    "utility.log_loss": "quality/log_loss",
    "utility.r2": "quality/r2",
    "utility.mae": "quality/mean_absolute_error",
    "representation.effective_sample_share": "people/effective_sample_share",
}
OF_A_TABLE: Final = {
    "privacy.{}.k": "privacy/k.{}",
    "privacy.{}.suppressed_share": "privacy/suppressed_share.{}",
    "utility.{}.ncp": "quality/detail_lost.{}",
}
"""Measures that a person compares from run to run, and how MLflow's pages group them."""
VERDICTS: Final = ("passed", "warned", "inconclusive", "refused")


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A registered model: what is said of its name, and of the version that this run makes."""

    name: str
    description: str
    claim: str
    tags: dict[str, str]
    """Of the version."""


@dataclass(frozen=True, slots=True)
class Projection:
    """All that a view of the record shows of one run when it is handed over."""

    name: str
    failed: bool
    """Whether the run is shown as failed: one that was refused is no success."""
    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: dict[str, float]
    sources: tuple[SourceRead, ...]
    steps: tuple[StepData, ...]
    models: dict[str, ShownModel]
    """By outlet."""

    def as_text(self) -> dict[str, dict[str, str]]:
        """Give tags, parameters and metrics as text, by name, in the parts that MLflow has."""
        metrics = {name: repr(value) for name, value in self.metrics.items()}
        return {"tags": self.tags, "parameters": self.parameters, "metrics": metrics}


def project(record: RunRecord, policy: Policy, entries: Sequence[Entry]) -> Projection:
    """Give what is shown of a decided run; what was noted after it was shown changes nothing."""
    entries = list(before_shown(entries))
    verdict = next(e.name for e in reversed(entries) if e.kind == "decision")
    tags = dict(run_tags(record, policy, entries, verdict))
    return Projection(
        name=tags["mlflow.runName"],
        failed=verdict != Verdict.PASSED,
        tags=tags,
        parameters={name: str(value) for name, value in promises(policy)},
        metrics=dict(metrics(entries)),
        sources=tuple(list_sources(policy, entries)),
        steps=tuple(list_steps(entries)),
        models={name: show_model(policy, name, tags, entries) for name in policy.model_outlets},
    )


def before_shown(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Give the entries up to the one that says that the run is shown."""
    for entry in entries:
        if (entry.kind, entry.name) == ("mlflow", "run"):
            return
        yield entry


def run_tags(
    record: RunRecord, policy: Policy, entries: Sequence[Entry], verdict: str
) -> Iterator[tuple[str, str]]:
    """Give what an auditor follows a run by."""
    yield "mlflow.runName", name_run(record, verdict)
    yield "mlflow.loggedArtifacts", json.dumps([{"path": MEASURES, "type": "table"}])
    yield "mlflow.note.content", "\n".join(note_lines(policy, entries, verdict))
    yield "tutela.projection", str(PROJECTION)
    yield "tutela.verdict", verdict
    yield "tutela.policy", record.policy
    yield "tutela.purpose", str(policy.purpose)
    basis = [policy.legal_basis.article_6, policy.legal_basis.article_9]
    yield "tutela.legal_basis", " ".join(str(article) for article in basis if article)
    yield "tutela.controller", policy.controller.name
    yield "tutela.recipients", "; ".join(o.recipient for o in policy.outlets.values())
    for entry in entries:
        if entry.kind == "approvals" and isinstance(entry.body, list):
            yield "tutela.approved_by", " ".join(map(str, entry.body))
    yield "tutela.policy_sha256", str(record.facts["policy_sha256"])
    yield "tutela.code", str(record.facts["code"])
    if isinstance(own := record.facts.get("own_code"), dict) and own:
        yield "tutela.own_code", "\n".join(tell_own_code(own))
    yield "tutela.retention", "; ".join(describe_kept(policy.kept))
    yield "tutela.checks", count_verdicts(entries)
    for entry in entries:
        match entry.kind, entry.body:
            case "snapshot", str(digest):
                yield "tutela.consent_snapshot", digest
            case "snapshot", {"valid_at": valid_at, "known_at": known_at, "digest": digest}:
                yield "tutela.consent_valid_at", str(valid_at)
                yield "tutela.consent_known_at", str(known_at)
                yield "tutela.consent_history", str(digest)
            case "prefect", {"id": str(flow_run), **rest}:
                yield "tutela.prefect_flow_run_id", flow_run
                if rest.get("url"):
                    yield "tutela.prefect_url", str(rest["url"])
            case "decision", {"reason": str(reason), **rest} if reason:
                yield "tutela.reason", reason[:LONGEST]
                if rest.get("check"):
                    yield "tutela.refused_by", str(rest["check"])
    # Last, since MLflow's pages show tags in this order, and these are many.
    yield from check_tags(entries)


def count_verdicts(entries: Sequence[Entry]) -> str:
    """Say how many checks passed, and how many did not, in which way."""
    verdicts = [verdict for _, verdict, _ in list_checks(entries)]
    rest = (("warned", "warned"), ("inconclusive", "could not be judged"), ("refused", "refused"))
    told = [f"{verdicts.count(one)} {said}" for one, said in rest if one in verdicts]
    return ", ".join([f"{verdicts.count('passed')} of {len(verdicts)} passed", *told])


def list_checks(entries: Sequence[Entry]) -> list[tuple[str, str, str]]:
    """Give each check with its verdict and what was reached and asked.

    One that refused before it could note what it found is known from the decision.
    """
    bodies = [e.body for e in entries if e.kind == "check" and isinstance(e.body, dict)]
    found = [
        (str(one["name"]), str(one["verdict"]), f"{one['measured']} (asked: {one['asked']})")
        for one in bodies
    ]
    for entry in entries:
        match entry.kind, entry.body:
            case "decision", {"check": str(check), "reason": str(reason)} if (
                entry.name == Verdict.REFUSED and "refused" not in {one[1] for one in found}
            ):
                found.append((check, "refused", reason.removeprefix(f"{check}: ")))
    return found


def check_tags(entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """Give of each check its verdict, what was reached and what was asked."""
    told: dict[str, list[str]] = {}
    for name, verdict, said in list_checks(entries):
        told.setdefault(f"check.{NO_KEY.sub('_', name)}"[:KEY], []).append(f"{verdict}: {said}")
    yield from ((name, "; ".join(said)[:LONGEST]) for name, said in told.items())


def name_run(record: RunRecord, verdict: str) -> str:
    """Name a run by its moment and id, and by its verdict where it did not pass."""
    name = f"{record.started_at[:16].replace('T', ' ')} {record.run_id[-8:]}"
    return name if verdict == Verdict.PASSED else f"{name} {verdict}"


def tell_own_code(own: Mapping[str, JSON]) -> Iterator[str]:
    """Name own code and its digest, as the run's record holds it."""
    for reference, kept in own.items():
        if isinstance(kept, dict):
            yield f"{reference} SHA-256 {kept['sha256']}"


def promises(policy: Policy) -> Iterator[tuple[str, float | str]]:
    """Give what the policy asks for, as MLflow's parameters: what the metrics stand beside."""
    if policy.training is not None:
        yield "model", policy.training.model
    if (reference := policy.population.reference) is not None:
        yield "representation.difference_at_most", reference.difference_at_most
    if (weighting := policy.population.weighting) is not None:
        yield "weighting.largest", weighting.largest
        yield "weighting.smallest_effective_share", weighting.smallest_effective_share
    for name, outlet in policy.outlets.items():
        match outlet:
            case TableOutlet(k=k, max_suppressed=share):
                yield f"{name}.k", k
                yield f"{name}.max_suppressed", share
            case ModelOutlet(promise=DifferentialPrivacy(epsilon=epsilon, delta=delta)):
                yield f"{name}.epsilon", epsilon
                yield f"{name}.delta", delta
            case ModelOutlet():
                yield f"{name}.promise", "none"


def note_lines(policy: Policy, entries: Sequence[Entry], verdict: str) -> Iterator[str]:
    """Tell the run in Markdown, for the top of its MLflow page."""
    left = "" if verdict == Verdict.PASSED else ". Nothing was handed over."
    yield f"**{escape_markdown(policy.title)}**: **{verdict}**{left}\n"
    for entry in entries:
        match entry.kind, entry.body:
            case "decision", {"reason": str(reason)} if reason:
                yield f"> {escape_markdown(reason)}\n"
    if verdict == Verdict.PASSED:
        checks = Found(entries).checks()
        for name, outlet in policy.outlets.items():
            reached = reach_claim(name, outlet, checks)
            said = f"{outlet.kind} for {outlet.recipient}: {reached}"
            yield f"- {escape_markdown(said)}"
        yield ""
        if undecided := [one.name for one in checks if one.verdict is CheckVerdict.INCONCLUSIVE]:
            yield f"Could not be judged, and so speaks for nothing: {join_names(undecided)}.\n"
    for entry in entries:
        match entry.kind, entry.body:
            case "check", {"verdict": "warned", "measured": str(measured)}:
                yield f"> Warning, {escape_markdown(f'{entry.name}: {measured}')}\n"
            case "prefect", {"url": str(url)}:
                yield f"[The run's steps in Prefect]({url})\n"
    yield "Counts of people are rounded to tens or hidden; parts need not add up."
    yield "The whole story is in the artifact `report.html`, the way of each column in"
    yield f"`lineage.html`, every measure in `{MEASURES}`, the evidence in `evidence.json`."


def metrics(entries: Sequence[Entry]) -> Iterator[tuple[str, float]]:
    """Give the few figures that are compared from run to run, grouped by what they are about."""
    found = Found(entries)
    for name in PEOPLE:
        yield from _count(found, f"people.{name}", f"people/{name}")
    outlets = [
        name.removeprefix("people.").removesuffix(".released")
        for name in found.bodies("count")
        if name.endswith(".released")
    ]
    wanted = dict(OF_A_RUN)
    for outlet in outlets:
        yield from _count(found, f"people.{outlet}.released", f"people/released.{outlet}")
        wanted |= {old.format(outlet): new.format(outlet) for old, new in OF_A_TABLE.items()}
    measured = found.measures()
    for old, new in wanted.items():
        if (value := measured.get(old)) is not None:
            yield new, value
    yield from _tally(found)


def _count(found: Found, name: str, shown: str) -> Iterator[tuple[str, float]]:
    """Give a published count; none where it is hidden."""
    figure = found.figure(name, shown)
    if figure and figure.about is not None:
        yield shown, float(figure.about)


def _tally(found: Found) -> Iterator[tuple[str, float]]:
    """Give how many checks ended in each way, and how long the steps took."""
    verdicts = [verdict for _, verdict, _ in list_checks(found.entries)]
    if verdicts:
        yield from ((f"checks/{word}", float(verdicts.count(word))) for word in VERDICTS)
    seconds = [float(s) for s in found.bodies("duration").values() if isinstance(s, int | float)]
    yield "time/seconds", round(sum(seconds), 1)


def write_measures(entries: Sequence[Entry]) -> str:
    """Write every measure, published count and duration as a table that MLflow's pages show."""
    found = Found(entries)
    rows: list[list[str | float | None]] = []
    for name, body in found.bodies("count").items():
        if isinstance(body, dict):
            rows.append(["people", name, str(body["text"])])
    rows += [["measure", name, value] for name, value in found.measures().items()]
    rows += [["seconds", name, str(value)] for name, value in found.bodies("duration").items()]
    told = [[kind, name, "" if value is None else str(value)] for kind, name, value in rows]
    return json.dumps({"columns": ["kind", "name", "value"], "data": told}, indent=1)


def show_model(
    policy: Policy, outlet: str, tags: Mapping[str, str], entries: Sequence[Entry]
) -> ShownModel:
    """Give what is said of an outlet's registered model, and of the version of a run."""
    told = policy.outlets[outlet]
    versions = "Each version is what one run made; its tags say the run's verdict and checks."
    description = (
        f"**{escape_markdown(policy.title)}**, for {escape_markdown(told.recipient)}.\n\n"
        f"Outlet `{outlet}` of the policy `{policy.name}`. {versions}\n\n"
        f"Asked of each: {escape_markdown(claim(told))} What a version reached, and what could not "
        "be judged, its own description says."
    )
    of_run = {name: value for name, value in tags.items() if name.startswith("tutela.")}
    reached = reach_claim(outlet, told, Found(entries).checks())
    return ShownModel(f"{policy.name}.{outlet}", description, reached, of_run)


def describe_policy(policy: Policy) -> Iterator[str]:
    """Say what a policy is for, on the page that lists its runs."""
    yield f"**{escape_markdown(policy.title)}**"
    who = f"{policy.controller.name} ({policy.controller.contact})"
    yield f"Controller: {escape_markdown(who)}. Purpose: `{policy.purpose}`."
    for name, outlet in policy.outlets.items():
        yield f"- `{name}`: a {outlet.kind} for {escape_markdown(outlet.recipient)}"
    yield "A run that did not pass is shown as failed, and handed nothing over."
