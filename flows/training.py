"""The main flow: from a policy to a model and tables that its recipients may have.

When and where it runs is said in `deployments/`; what each step does in `tasks/`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

from prefect import flow
from pydantic import Field

from expectations.policy.policy import NAME
from flows.allowance import hold_to_schedule
from flows.ending import Ending, end, forget_ended, once
from flows.opening import judged, open_run
from ledgers.consent.turn import turn
from ledgers.vault.stages import (
    Checked,
    DatasetRef,
    Permitted,
    Ready,
    Releasable,
    Trainable,
    Validated,
)
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.anonymization.generalize import generalize
from tasks.attack.model import attack
from tasks.attack.published_history import attack_history
from tasks.attack.table import attack_table
from tasks.consent.permission import filter_consent
from tasks.handover.delivery import record, report
from tasks.handover.readiness import confirm_consent, make_ready
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.representation.compare import compare, weigh
from tasks.representation.inclusion import count_absent
from tasks.training.charge import reserve_budget
from tasks.training.tradeoff import weigh_detail
from tasks.training.train import train
from tasks.validation.validation import check_table, validate

PolicyName = Annotated[str, Field(pattern=NAME)]


@flow(
    name="train and release",
    description="From a policy to what each recipient gets, with every promise checked on the way.",
    flow_run_name="{policy}",
    persist_result=False,
    validate_parameters=False,
    log_prints=False,
    retries=0,
    on_completion=[forget_ended],
    on_failure=[forget_ended],
    on_crashed=[forget_ended],
    on_cancellation=[forget_ended],
)
@once
def train_and_release(policy: PolicyName) -> Ending:
    """Train the policy's model, make its tables, and hand over what passed every check."""
    with open_run(policy) as run:
        return serve(run)


@flow(
    name="release tables",
    description="Only the tables of a policy: columns that only a model needs are not read.",
    flow_run_name="{policy}",
    persist_result=False,
    validate_parameters=False,
    log_prints=False,
    retries=0,
    on_completion=[forget_ended],
    on_failure=[forget_ended],
    on_crashed=[forget_ended],
    on_cancellation=[forget_ended],
)
@once
def release_tables(policy: PolicyName) -> Ending:
    """Make the policy's tables and hand over those that passed; a model's ε is spent by hand."""
    with open_run(policy, part="tables") as run:
        return serve(run)


def serve(run: Run) -> Ending:
    """Carry a run from the roster to its recipients; a refusal ends it, and is recorded.

    From the last asking for consent until all is handed over, nobody records a withdrawal.
    """
    ready: list[DatasetRef[Ready]] = []
    with ExitStack() as held:
        with judged(run):
            roster = read_roster()
            permitted = charge(run, filter_consent(roster))
            collected = collect(permitted)
            if run.policy.population.excluded_people:
                count_absent(roster, collected)
            selected = select_population(collected)
            rows = validate(deidentify(selected))
            people = represent(run, rows)
            tables = {name: make_table(rows, name) for name in run.policy.table_outlets}
            goods: dict[str, DatasetRef[Releasable]] = {
                name: attack_table(table, rows, selected, name) for name, table in tables.items()
            }
            if run.policy.training is not None:
                data = tables.get(run.policy.training.input, people)
                model = attack(train(data), data)
                goods |= dict.fromkeys(run.policy.model_outlets, model)
            assert goods.keys() == run.policy.outlets.keys(), "no outlet may be left out in silence"
            attack_history(selected)
            ready = [make_ready(item, name) for name, item in goods.items()]
            held.enter_context(turn(run.consent))
            ready.append(confirm_consent(selected))
        recorded = record(*ready)
    report(recorded)
    return end(run)


def charge(run: Run, permitted: DatasetRef[Permitted]) -> DatasetRef[Permitted]:
    """Reserve what a private model will cost its people, before any of their columns is read."""
    if not run.policy.private:
        return permitted
    hold_to_schedule(run.home, run.policy.name)
    return reserve_budget(permitted)


def make_table(rows: DatasetRef[Validated], name: str) -> DatasetRef[Checked]:
    """Recode one outlet's rows and measure what comes out; what fails goes no further."""
    weigh_detail(rows, name)
    return check_table(generalize(rows, name), name)


def represent(run: Run, rows: DatasetRef[Validated]) -> DatasetRef[Trainable]:
    """Compare the people with those who are meant, and weight them, where the policy says so."""
    population = run.policy.population
    if population.reference is None:
        return rows
    compared = compare(rows)
    return weigh(compared) if population.weighting else compared
