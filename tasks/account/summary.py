"""What a run comes to: one view of its evidence, from which report and `evidence.json` are made.

Everything in a `Summary` may be published, because it is built from published counts, measures,
digests and the policy's own words; sealed figures are never opened here, and neither paths nor
addresses of the source are taken over. It knows no page, no ledger and no service. What a run
that stopped early did not find out is absent, not zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from pydantic_core import to_jsonable_python

from expectations.policy.locations import ExampleData
from expectations.policy.outlets import ModelOutlet, Outlet, limits
from expectations.policy.policy import Column, Policy
from expectations.policy.treatments import describe
from expectations.policy.vocabulary import Use
from expectations.policy_file import find_undecided
from ledgers.evidence import JSON, Entry, RunRecord
from ledgers.home.home import without_login
from tasks.account.advised import Advice
from tasks.account.exclusions import NO_OUTCOME
from tasks.account.findings import (
    Found,
    adapt,
    read,
    read_audits,
    read_inclusion,
    read_number_quality,
    read_quality,
    read_representation,
    read_text,
    read_training,
)
from tasks.account.origins import list_origins
from tasks.account.projection import tell_own_code
from tasks.account.promises import list_promises, reach_claim
from tasks.account.published import (
    ClassSize,
    ColumnFate,
    ConsentHistory,
    DataSet,
    Figure,
    GroupLoss,
    Link,
    OutletSummary,
    PlanUsed,
    Release,
    State,
    Summary,
    TradePoint,
    WaysOut,
)

__all__ = ["Summary", "evidence_schema", "summarize", "to_evidence_json"]

COLUMN_STEPS: Final = {
    "columns.there": "in the source",
    "columns.named": "named and read",
    "columns.leaving": "left after de-identification",
}
PEOPLE_STEPS: Final = {
    "people.roster": "on the roster",
    "people.permitted": "with a legal basis",
    "people.selected": "selected",
}
SPLIT: Final = {"people.train": "to train the model", "people.test": "to test the model"}


def summarize(record: RunRecord, policy: Policy, entries: Sequence[Entry]) -> Summary:
    """Sum up one run from its record, its policy and its evidence, all of one run."""
    found = Found(entries)
    verdict, reason, stopped_by = read_verdict(record, entries)
    basis = (policy.legal_basis.article_6, policy.legal_basis.article_9)
    advised = record.facts.get("part") == "advice"
    return Summary(
        run_id=record.run_id,
        policy=record.policy,
        title=policy.title,
        controller=policy.controller.name,
        contact=policy.controller.contact,
        purpose=str(policy.purpose),
        legal_basis=tuple(str(article) for article in basis if article),
        started_at=record.started_at,
        verdict=verdict,
        reason=reason,
        unfit=bool(found.body("decision", "failed").get("unfit")),
        stopped_by=stopped_by,
        causes=tuple(c for c in found.checks() if f"{c.verdict}: {c.name}:" in reason),
        undecided=find_undecided(read_text(record.facts.get("policy_text")) or ""),
        made_up=_say_made_up(policy, record.facts.get("source")),
        columns=_count_columns(found),
        people=found.figures(PEOPLE_STEPS),
        excluded=_list_excluded(found),
        blanked=_list_by_size(found, "people.blanked."),
        cut=_list_by_size(found, "people.cut."),
        strangers=_list_by_size(found, "people.strangers."),
        nameless=_list_by_size(found, "rows.nameless."),
        elements=_list_elements(found),
        split=found.figures(SPLIT),
        outlets=tuple(
            _sum_up_outlet(name, outlet, found, policy, passed=verdict == "passed")
            for name, outlet in policy.outlets.items()
            if not advised
        ),
        promises=() if advised else tuple(list_promises(policy, found)),
        checks=found.checks(),
        measures=found.measures(),
        training=read_training(found, policy),
        quality=read_quality(found),
        number_quality=read_number_quality(found),
        audits=read_audits(found),
        representation=read_representation(found, policy),
        inclusion=read_inclusion(found),
        fates=tuple(_tell_fate(policy, name) for name in policy.treated),
        data_sets=tuple(
            read(DataSet, {"step": step, **found.body("dataset", step)})
            for step in found.bodies("dataset")
        ),
        seconds=read(dict[str, float], found.bodies("duration")),
        policy_sha256=read_text(record.facts.get("policy_sha256")),
        consent_snapshot=read_text(found.bodies("snapshot").get("consent")),
        history=_read_history(found),
        code=_say_code(record),
        advice=read(Advice, told) if (told := found.body("advice", "columns")) else None,
        links=tuple(_list_links(found)),
        ways=tuple(read(WaysOut, body) for body in found.bodies("ways").values()),
    )


def to_evidence_json(summary: Summary) -> dict[str, JSON]:
    """Give the published `evidence.json`; its form is `evidence.schema.json`."""
    # By what is there and not by the form, whose serializer takes half a second to make.
    return cast("dict[str, JSON]", to_jsonable_python(summary))


def evidence_schema() -> dict[str, JSON]:
    """Make the JSON Schema (draft 2020-12) of `evidence.json`."""
    schema = adapt(Summary).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def read_verdict(record: RunRecord, entries: Sequence[Entry]) -> tuple[State, str, str | None]:
    """Give how the run stands, and of what was decided last the reason and the check named."""
    decision = next((entry for entry in reversed(entries) if entry.kind == "decision"), None)
    told = decision.body if decision and isinstance(decision.body, dict) else {}
    check, reason = read_text(told.get("check")), read_text(told.get("reason")) or ""
    state = _find_state(record, decision.name if decision else None, entries)
    return state, reason.removeprefix(f"{check}: "), check


def _find_state(record: RunRecord, decided: str | None, entries: Sequence[Entry]) -> State:
    """A run that was decided as passed is pending until it is recorded and handed over.

    It awaits people, or MLflow, as was noted last.

    The report is written before the ledger closes the run, and again when a pending one is
    completed; so the order of the entries tells, unless the run is closed for good.
    """
    if record.verdict in ("passed", "refused", "failed"):
        return record.verdict
    if decided != "passed":
        return cast("State", decided or "unfinished")
    after = [entry.kind for entry in entries if entry.kind in ("mlflow", "pending", "verdict")]
    if after[-1:] == ["mlflow"]:
        return "passed"
    waits = [entry.name for entry in entries if entry.kind == "pending"]
    return "awaiting" if waits[-1:] == ["approval"] else "pending"


def _say_made_up(policy: Policy, instead: JSON) -> str | None:
    """Say what is made up in example data; None for other data, also when given at the run."""
    location = policy.source.location
    given = instead if isinstance(instead, dict) else location.model_dump()
    if given.get("kind") != "example":
        return None
    return ExampleData.model_validate(given).made_up


def _count_columns(found: Found) -> tuple[Figure, ...]:
    measures = found.measures()
    counts = {label: measures.get(name) for name, label in COLUMN_STEPS.items()}
    return tuple(
        Figure(label, f"{count:,.0f}", round(count))
        for label, count in counts.items()
        if count is not None
    )


def _list_excluded(found: Found) -> tuple[Figure, ...]:
    """Give how many were left out for each reason, those without an outcome by the model alone."""
    everywhere = _list_by_size(found, "people.excluded.")
    of_model = found.figures({"people.unlabelled": NO_OUTCOME})
    return tuple(sorted((*everywhere, *of_model), key=_size, reverse=True))


def _list_by_size(found: Found, prefix: str) -> tuple[Figure, ...]:
    """Give the counts whose names begin so, each under the rest of its name, the largest first."""
    names = [name for name in found.bodies("count") if name.startswith(prefix)]
    figures = found.figures({name: name.removeprefix(prefix) for name in names})
    return tuple(sorted(figures, key=_size, reverse=True))


def _list_elements(found: Found) -> dict[str, tuple[str, ...]]:
    """Give the elements of each FHIR resource of which something was read, from any table."""
    read_of: dict[str, set[str]] = {}
    for paths in read(dict[str, tuple[str, ...]], found.bodies("elements")).values():
        for path in paths:
            resource, element, *_ = path.split(".")
            read_of.setdefault(resource, set()).add(element)
    return {name: tuple(sorted(some - {"resourceType"})) for name, some in sorted(read_of.items())}


def _size(figure: Figure) -> int:
    return figure.about or 0


def _sum_up_outlet(
    name: str, outlet: Outlet, found: Found, policy: Policy, *, passed: bool
) -> OutletSummary:
    measures = found.measures(f"privacy.{name}.") | found.measures(f"utility.{name}.")
    losses = found.measures(f"utility.{name}.loss.")
    checks = tuple(check for check in found.checks() if check.outlet == name)
    tables = found.bodies("table")
    classes = tables.get(f"privacy.{name}.classes")
    release = found.body("release", name)
    registered = outlet.kind == "model" and found.body("mlflow", "run").get("model_version")
    return OutletSummary(
        name=name,
        kind=outlet.kind,
        recipient=outlet.recipient,
        claim=reach_claim(name, outlet, checks) if passed or release or registered else None,
        limits=limits(outlet, policy.own_functions.values()),
        checks=checks,
        released=found.figure(f"people.{name}.released", "in the table"),
        suppressed=found.figure(f"people.{name}.suppressed", "left out to reach k"),
        measures={n: value for n, value in measures.items() if not n.startswith("loss.")},
        losses=losses,
        losses_by={
            column: read(tuple[GroupLoss, ...], rows)
            for column, rows in found.tables(f"utility.{name}.loss_by.").items()
        },
        classes=read(tuple[ClassSize, ...], classes or ()),
        k=None if isinstance(outlet, ModelOutlet) else outlet.k,
        tradeoff=read(tuple[TradePoint, ...], tables.get(f"utility.{name}.tradeoff") or ()),
        plan=read(PlanUsed, plan) if (plan := found.body("plan", name)) else None,
        release=_tell_release(release) if release else None,
    )


def _tell_release(noted: Mapping[str, JSON]) -> Release:
    """Give what was handed over; of a bare table of an earlier version no digest."""
    place = noted.get("package") or noted["file"]
    return Release(str(place), read_text(noted.get("digest")))


def _read_history(found: Found) -> ConsentHistory | None:
    """Give which history of consent was decided on, without the exact number of its events."""
    noted = found.body("snapshot", "history")
    return read(ConsentHistory, noted) if noted else None


def _tell_fate(policy: Policy, name: str) -> ColumnFate:
    """Say where a column came from, what it became, and who receives it."""
    column = policy.treated[name]
    read = isinstance(column, Column)
    return ColumnFate(
        name=name,
        source=_tell_origin(policy, name) if read else None,
        expression=None if isinstance(column, Column) else column.formula,
        category=str(column.category),
        special=column.category.special,
        identifiability=str(column.identifiability),
        uses=tuple(str(use) for use in column.use),
        treatment=describe(column.treatment),
        outlets=_find_outlets(policy, name),
        note=column.note,
        origins=tuple(list_origins(policy, name)),
    )


def _tell_origin(policy: Policy, name: str) -> str:
    """Say from where a column is: the source's own name, or what is made of many rows."""
    rows = policy.columns[name].rows
    return rows.said if rows else policy.source_name(name)


def _find_outlets(policy: Policy, name: str) -> tuple[str, ...]:
    """Name who receives a column; `check` sees to it that a dropped one serves neither use."""
    column = policy.treated[name]
    learned = policy.training is not None and bool({Use.FEATURE, Use.TARGET} & set(column.use))
    return tuple(
        outlet_name
        for outlet_name, outlet in policy.outlets.items()
        if (learned if isinstance(outlet, ModelOutlet) else name in outlet.columns)
    )


def _list_links(found: Found) -> Iterator[Link]:
    model, flow = found.body("mlflow", "run"), found.body("prefect", "flow_run")
    if run_id := read_text(model.get("run_id")):
        yield Link("MLflow run", run_id, make_address(model.get("url")))
    if version := model.get("model_version"):
        yield Link("registered model, version", str(version), None)
    if flow_id := read_text(flow.get("id")):
        yield Link("Prefect flow run", flow_id, make_address(flow.get("url")))


def _say_code(record: RunRecord) -> str | None:
    """Name the code that ran, tutela's and the policy's own."""
    own = record.facts.get("own_code")
    told = tell_own_code(own) if isinstance(own, dict) else ()
    version = read_text(record.facts.get("code"))
    return "; ".join([version, *told]) if version else None


def make_address(url: JSON) -> str | None:
    """Give a web address without the name and password that it may carry; None for any other."""
    address = read_text(url) or ""
    return without_login(address) if address.startswith(("http://", "https://")) else None
