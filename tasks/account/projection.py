"""What a view of the evidence shows of a run as plain names and values: tags, parameters, metrics.

Pure: it knows the policy and the evidence, and no MLflow. Counts are the published ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from expectations.policy.outlets import DifferentialPrivacy, ModelOutlet, TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.retention import describe_kept
from ledgers.evidence import JSON, Entry, RunRecord
from tasks.account.markdown import escape_markdown

PROJECTION: Final = 1
"""The version of what is shown. A run's record says by which it was shown, and holds a digest of
each value, so that an earlier run is judged by what was shown of it then."""


def project(
    record: RunRecord, policy: Policy, entries: Sequence[Entry], verdict: str
) -> dict[str, dict[str, str]]:
    """Give all that is shown of a run as text, by name, in the parts that MLflow has."""
    return {
        "tags": dict(run_tags(record, policy, entries, verdict)),
        "parameters": {name: str(value) for name, value in promises(policy)},
        "metrics": {name: repr(value) for name, value in metrics(entries)},
    }


def run_tags(
    record: RunRecord, policy: Policy, entries: Sequence[Entry], verdict: str
) -> Iterator[tuple[str, str]]:
    """Give what an auditor follows a run by."""
    yield "tutela.verdict", verdict
    yield "tutela.purpose", str(policy.purpose)
    basis = [policy.legal_basis.article_6, policy.legal_basis.article_9]
    yield "tutela.legal_basis", " ".join(str(article) for article in basis if article)
    yield "tutela.controller", policy.controller.name
    yield "tutela.policy_sha256", str(record.facts["policy_sha256"])
    yield "tutela.code", str(record.facts["code"])
    if isinstance(own := record.facts.get("own_code"), dict) and own:
        yield "tutela.own_code", "\n".join(tell_own_code(own))
    yield "tutela.retention", "; ".join(describe_kept(policy.kept))
    checks = [e.body["verdict"] for e in entries if e.kind == "check" and isinstance(e.body, dict)]
    warned = f", {checks.count('warned')} warned" if "warned" in checks else ""
    yield "tutela.checks", f"{checks.count('passed')} of {len(checks)} passed{warned}"
    yield "mlflow.note.content", "\n".join(note_lines(policy, entries, verdict))
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
            case "decision", {"reason": str(reason)} if reason:
                yield "tutela.reason", reason[:4000]


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
    yield f"**{escape_markdown(policy.title)}**: {verdict}\n"
    for entry in entries:
        match entry.kind, entry.body:
            case "decision", {"reason": str(reason)} if reason:
                yield f"> {escape_markdown(reason)}\n"
            case "check", {"verdict": "warned", "measured": str(measured)}:
                yield f"> Warning, {escape_markdown(f'{entry.name}: {measured}')}\n"
            case "prefect", {"url": str(url)}:
                yield f"[The run's steps in Prefect]({url})\n"
    yield "Counts of people are rounded to tens or hidden; parts need not add up."
    yield "The whole story is in the artifact `report.html`, the evidence in `evidence.json`."


def metrics(entries: Sequence[Entry]) -> Iterator[tuple[str, float]]:
    """Give measures, published counts and seconds by name."""
    for entry in entries:
        match entry.kind, entry.body:
            case "measure", int() | float() as value:
                yield entry.name, float(value)
            case "count", {"about": int(about)}:
                yield entry.name.replace(" ", "_"), float(about)
            case "duration", int() | float() as seconds:
                yield f"seconds.{entry.name}", float(seconds)
