"""Who looks for ways out of a refusal: by what it carries, the search that knows of it.

A flow hands the finder to its run, and the step that refuses calls it, so that it tries on the data
that only the step has open. What is noted is an output of the run like every other measure: under
the disclosure rule, and covered by no ε. So nothing is measured here of which the run would not
publish the like anyway (see `table_ways` and `model_ways`). A way that could not be measured is
left out, or stands without figures; that there is none does not mean that none exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from expectations.errors import Refusal
from tasks.account.published import WaysOut
from tasks.airlock.run import Desk
from tasks.anonymization.generalize import RefusedTable
from tasks.attack.model import Aim
from tasks.consent.deliveries import StaleConsent
from tasks.consent.permission import NobodyPermitted
from tasks.people.population import SmallCohort
from tasks.representation.compare import UnlikeReference, refer
from tasks.training.charge import ExceededBudget, LargeDelta, open_own_budget, read_ceiling
from tasks.validation.validation import BrokenPromise, BrokenRules
from tasks.ways.budget_ways import find_budget_ways, find_delta_ways
from tasks.ways.model_ways import find_model_ways
from tasks.ways.rule_ways import (
    find_cohort_ways,
    find_consent_ways,
    find_delivery_ways,
    find_judged_ways,
    find_representation_ways,
    find_rule_ways,
)
from tasks.ways.table_ways import find_table_ways
from tasks.ways.telling import list_left_out


def note_ways_out(desk: Desk, refusal: Refusal) -> None:
    """Note the ways out of a refusal as they are found, so that those before an error stay."""
    for found in find_ways_out(desk, refusal):
        if found.ways:
            name = ": ".join(filter(None, (found.check, found.outlet)))
            desk.note("ways", name, {**asdict(found), "ways": [asdict(way) for way in found.ways]})


def find_ways_out(desk: Desk, refusal: Refusal) -> Iterable[WaysOut]:
    """Try again what a refusal carries; nothing for what there is no search for."""
    policy, threshold = desk.policy, desk.run.disclosure.threshold
    match refusal.refused:
        case NobodyPermitted(left_out):
            return find_consent_ways(left_out, policy.purpose)
        case StaleConsent(checks):
            return find_delivery_ways(checks)
        case LargeDelta(bound):
            return find_delta_ways(refusal, bound)
        case ExceededBudget(people):
            ceiling = read_ceiling(policy)
            return find_budget_ways(policy, open_own_budget(desk.run), people, ceiling)
        case SmallCohort(published):
            return find_cohort_ways(published, list_left_out(desk), policy)
        case BrokenRules(frame, checks):
            return find_rule_ways(frame, policy, checks, threshold)
        case UnlikeReference(checks, told):
            allowed = refer(policy.population).difference_at_most
            return find_representation_ways(checks, told, allowed)
        case RefusedTable(frame, outlet):
            return find_table_ways(refusal, frame, policy, outlet, threshold)
        case BrokenPromise(outlet, judged):
            return find_judged_ways(refusal, judged, policy.table_outlets[outlet], outlet)
        case Aim() as aim:
            return find_model_ways(refusal, aim, policy, desk.run.disclosure)
    return ()
