"""The events of a run and of its steps: one pure function of the record.

Steps begin when their recorded seconds say. A run that waits for MLflow has no end yet, and what
it made is named only once it was handed over. A killed run's events are written by whoever
completes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import takewhile
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.generated.base import DatasetFacet, JobFacet, RunFacet
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.parent_run import Job as ParentJob
from openlineage.client.generated.parent_run import ParentRunFacet
from openlineage.client.generated.parent_run import Run as ParentRun
from openlineage.client.generated.schema_dataset import (
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)
from openlineage.client.serde import Serde

from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Verdict
from ledgers.evidence import Entry, RunRecord
from tasks.account.datasets import SourceRead, StepData, list_sources, list_steps
from tasks.account.findings import Found
from tasks.lineage.columns import (
    NAMESPACE,
    list_columns,
    name_namespace,
    tell_treatments,
    trace_columns,
)
from tasks.lineage.facets import (
    PRODUCER,
    CheckVerdict,
    LegalBasisJobFacet,
    PurposeJobFacet,
    VerdictRunFacet,
)

TREATED: Final = "deidentified"
"""The stage whose columns are as the policy treats them."""
NO_STEP: Final = ("run", "conclude")


def write_events(record: RunRecord, policy: Policy, entries: Sequence[Entry]) -> str:
    """Write the events of a run as JSON lines, in the order of time."""
    set_producer(PRODUCER)
    return "".join(f"{Serde.to_json(event)}\n" for event in Told(record, policy, entries).events())


@dataclass(frozen=True)
class Told:
    """A run as it is told to catalogues."""

    record: RunRecord
    policy: Policy
    entries: Sequence[Entry]

    def events(self) -> Iterator[RunEvent]:
        """Give the events of the run around those of its steps."""
        yield self._of_run(RunState.START, self.record.started_at)
        broken = self._broken()
        for entry in self.entries:
            if entry.kind == "duration" and isinstance(entry.body, int | float):
                yield from self._of_step(entry.name, entry.at, float(entry.body))
            elif entry.kind == "decision" and broken:
                run, job = self._step(broken[0].step)
                for what, at in ((RunState.START, broken.pop().at), (RunState.FAIL, entry.at)):
                    yield RunEvent(eventTime=at, eventType=what, run=run, job=job)
        if (verdict := self._verdict()) is not None:
            yield self._end(verdict)

    @cached_property
    def sources(self) -> list[SourceRead]:
        """The tables that the run read."""
        return [*list_sources(self.policy, self.entries)]

    @cached_property
    def data(self) -> dict[str, StepData]:
        """What each step gave, by its name."""
        return {one.name: one for one in list_steps(self.entries)}

    def _verdict(self) -> str | None:
        """Give what the run came to; None as long as it goes on or waits for MLflow."""
        decided = [entry.name for entry in self.entries if entry.kind == "decision"]
        shown = any((entry.kind, entry.name) == ("mlflow", "run") for entry in self.entries)
        return decided[-1] if decided and (shown or decided[-1] != Verdict.PASSED) else None

    def _broken(self) -> list[Entry]:
        """Give the first note of the step that the run did not get over; none where it has none."""
        before = [*takewhile(lambda entry: entry.kind != "decision", self.entries)]
        ended = [place for place, one in enumerate(before) if one.kind in {"duration", "dataset"}]
        tail = before[ended[-1] + 1 if ended else 0 :]
        begun = [entry for entry in tail if entry.step not in NO_STEP]
        return begun[:1] if self._verdict() not in {None, Verdict.PASSED} else []

    def _of_run(self, what: RunState, at: str, **facets: RunFacet) -> RunEvent:
        run = Run(self._id(), facets=dict(facets))
        job = Job(NAMESPACE, self.record.policy, dict(self._tell_policy()))
        return RunEvent(eventTime=at, eventType=what, run=run, job=job)

    def _end(self, verdict: str) -> RunEvent:
        passed = verdict == Verdict.PASSED
        what = RunState.COMPLETE if passed else RunState.FAIL
        event = self._of_run(what, self.entries[-1].at, tutela_verdict=self._tell_verdict(verdict))
        event.inputs = _name_sources(self.sources)
        event.outputs = [*self._tell_goods()] if passed else []
        return event

    def _of_step(self, name: str, at: str, seconds: float) -> Iterator[RunEvent]:
        run, job = self._step(name)
        began = datetime.fromisoformat(at) - timedelta(seconds=seconds)
        start = max(began, datetime.fromisoformat(self.record.started_at)).isoformat()
        yield RunEvent(eventTime=start, eventType=RunState.START, run=run, job=job)
        given = self.data.get(name)
        parents = given.parents if given else ()
        read = _name_sources(one for one in self.sources if one.digest_of == name)
        yield RunEvent(
            eventTime=at,
            eventType=RunState.COMPLETE,
            run=run,
            job=job,
            inputs=[*read, *(InputDataset(NAMESPACE, self._name(one)) for one in parents)],
            outputs=[self._tell_data(given)] if given else [],
        )

    def _step(self, name: str) -> tuple[Run, Job]:
        of_run = ParentRun(self._id())
        parent = ParentRunFacet(of_run, ParentJob(NAMESPACE, self.record.policy))
        return Run(self._id(name), {"parent": parent}), Job(NAMESPACE, self._name(name))

    def _tell_data(self, given: StepData) -> OutputDataset:
        """Tell what a step gave: its columns, its keyed digest and, once treated, their origins."""
        facets: dict[str, DatasetFacet] = {"version": DatasetVersionDatasetFacet(given.digest)}
        if given.columns:
            facets["schema"] = _list_fields(given.columns)
        if given.stage == TREATED:
            treated = [name for name in given.columns if name in self.policy.treated]
            facets |= self._trace(treated)
        return OutputDataset(NAMESPACE, self._name(given.name), facets=facets)

    def _tell_goods(self) -> Iterator[OutputDataset]:
        """Tell the models and tables that were handed over."""
        found = Found(self.entries)
        gone = {*found.bodies("approved"), *found.bodies("release")}
        for outlet in (name for name in self.policy.outlets if name in gone):
            columns = list_columns(self.policy, outlet)
            facets = {"schema": _list_fields(columns), **self._trace(columns)}
            yield OutputDataset(NAMESPACE, self._name(outlet), facets=facets)

    def _trace(self, columns: Sequence[str]) -> dict[str, DatasetFacet]:
        return {
            "columnLineage": trace_columns(self.policy, self.sources, columns),
            "tutela_treatment": tell_treatments(self.policy, columns),
        }

    def _tell_policy(self) -> Iterator[tuple[str, JobFacet]]:
        policy, basis = self.policy, self.policy.legal_basis
        recipients = {name: one.recipient for name, one in policy.outlets.items()}
        yield (
            "tutela_purpose",
            PurposeJobFacet(str(policy.purpose), policy.controller.name, recipients),
        )
        six, nine = (str(one) if one else None for one in (basis.article_6, basis.article_9))
        yield "tutela_legalBasis", LegalBasisJobFacet(six, nine, policy.basis.kind)

    def _tell_verdict(self, verdict: str) -> VerdictRunFacet:
        found = Found(self.entries)
        refused = found.body("decision", "refused").get("check") if verdict == "refused" else None
        checks = [CheckVerdict(c.name, str(c.verdict), c.outlet) for c in found.checks()]
        return VerdictRunFacet(verdict, str(refused) if refused else None, checks)

    def _name(self, part: str) -> str:
        return f"{self.record.policy}.{part}"

    def _id(self, step: str = "") -> str:
        """Give the same id to the same run, or step of it, whenever it is told."""
        return str(uuid5(NAMESPACE_URL, f"{PRODUCER}:{self.record.run_id}:{step}"))


def _name_sources(sources: Iterable[SourceRead]) -> list[InputDataset]:
    """Name each table once, with all that is read of it in whatever role."""
    tables: dict[tuple[str, str], dict[str, None]] = {}
    for one in sources:
        read = tables.setdefault((name_namespace(one), one.location), {})
        read.update(dict.fromkeys(one.columns))
    return [
        InputDataset(*table, facets={"schema": _list_fields([*read])})
        for table, read in tables.items()
    ]


def _list_fields(columns: Sequence[str]) -> SchemaDatasetFacet:
    return SchemaDatasetFacet([SchemaDatasetFacetFields(name) for name in columns])
