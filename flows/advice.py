"""The flow of `tutela advise`: which columns a policy's model could do without."""

from __future__ import annotations

from prefect import flow

from flows.ending import Ending, end, forget_ended, once
from flows.opening import judged, open_run
from flows.training import PolicyName
from tasks.advice.weigh import reserve_advice, weigh_columns
from tasks.anonymization.deidentify import deidentify
from tasks.consent.permission import filter_consent
from tasks.handover.delivery import record, report
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.validation.validation import validate


@flow(
    name="advise on columns",
    description="Finds features that a model does not need, on made-up people if it is private.",
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
def advise_on_columns(policy: PolicyName) -> Ending:
    """Try the policy's features dropped and coarser; nothing leaves but the advice."""
    with open_run(policy, part="advice") as run:
        with judged(run):
            permitted = filter_consent(read_roster())
            if run.policy.private:
                permitted = reserve_advice(permitted)
            rows = validate(deidentify(select_population(collect(permitted))))
            weigh_columns(rows)
        report(record())
        return end(run)
