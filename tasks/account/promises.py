"""What each recipient was promised, in figures: the limit beside what was reached.

Read from the policy and from the run's published measures. A promise of which a run found no
figure is absent; what a check found besides, it says in its own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from expectations.checks import Check
from expectations.measures.sensitive_measures import name_measure
from expectations.policy.outlets import ModelOutlet, Outlet, Rare, TableOutlet, claim_reached
from expectations.policy.policy import Policy
from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.findings import Found
from tasks.account.published import Promise

SHARE: Final = "share"
"""The symbol of a share of people, which is written in percent."""
RDP_TOTAL: Final = "RDP total so far"
"""The symbol of a filter's figure: the total over all runs, not what one of them costs."""


def reach_claim(name: str, outlet: Outlet, checks: Iterable[Check]) -> str:
    """Say what holds of an outlet by what the checks of it found."""
    own = [check for check in checks if check.outlet == name]
    undecided = [check.name for check in own if check.verdict is not CheckVerdict.PASSED]
    return claim_reached(outlet, undecided)


def list_promises(policy: Policy, found: Found) -> Iterator[Promise]:
    """Give the promises of each outlet in the policy's order, those with a figure."""
    for name, outlet in policy.outlets.items():
        match outlet:
            case ModelOutlet():
                yield from _list_of_model(name, outlet, policy, found)
            case TableOutlet():
                yield from _list_of_table(name, outlet, found)
            case _:
                assert_never(outlet)


def _list_of_model(
    name: str, outlet: ModelOutlet, policy: Policy, found: Found
) -> Iterator[Promise]:
    """Give a model's ε and lifetime ε where they are promised, and how well members are told."""
    measures, verdicts = found.measures("privacy."), _find_verdicts(name, found)
    asked: list[tuple[str, str, float, str]] = []
    if outlet.promise:
        asked.append(("differential privacy", "ε", outlet.promise.epsilon, "epsilon"))
    if outlet.promise and policy.budget:
        ceiling = policy.budget.lifetime_epsilon
        symbol = RDP_TOTAL if measures.get("filtered") else "lifetime ε"
        asked.append(("privacy budget", symbol, ceiling, "lifetime_epsilon"))
    if policy.attacks:
        limit = policy.attacks.membership.auc_at_most
        asked.append(("membership inference", "AUC", limit, "membership_auc_high"))
    for check, symbol, limit, measure in asked:
        reached = measures.get(measure)
        if reached is not None and check in verdicts:
            yield Promise(name, check, symbol, False, limit, reached, verdicts[check])


def _list_of_table(name: str, outlet: TableOutlet, found: Found) -> Iterator[Promise]:
    """Give a table's k, how many people it leaves out, and what sensitive columns reach."""
    measures, verdicts = found.measures(f"privacy.{name}."), _find_verdicts(name, found)
    asked: list[tuple[str, str, bool, float, str]] = [("k-anonymity", "k", True, outlet.k, "k")]
    for column, models in outlet.sensitive.items():
        for model in models:
            symbol, at_least, bound = _find_bound(model)
            measure = f"{name_measure(model)}.{column}"
            asked.append((f"{model.kind} of {column}", symbol, at_least, bound, measure))
    for column, how in outlet.columns.items():
        if isinstance(how, Rare):
            measure = f"rarest.{column}"
            asked.append((f"rare labels of {column}", "people", True, how.at_least, measure))
    for promised, symbol, at_least, limit, measure in asked:
        reached, check = measures.get(measure), _name_check(promised, name)
        if reached is not None and check in verdicts:
            yield Promise(name, promised, symbol, at_least, limit, reached, verdicts[check])
    left_out = measures.get("suppressed_share")
    if left_out is not None:
        # A run that would leave out more is refused before this is measured.
        limit, passed = outlet.max_suppressed, CheckVerdict.PASSED
        yield Promise(name, "people left out", SHARE, False, limit, left_out, passed)


def _name_check(promised: str, outlet: str) -> str:
    """Give the name of the check that judges a promise of a table."""
    return f"{promised} {'in' if ' of ' in promised else 'of'} {outlet}"


def _find_verdicts(outlet: str, found: Found) -> Mapping[str, CheckVerdict]:
    """Give the verdicts of the checks of one outlet by their names."""
    return {check.name: check.verdict for check in found.checks() if check.outlet == outlet}


def _find_bound(model: PrivacyModel) -> tuple[str, bool, float]:
    """Give the symbol of what a model bounds, whether from below, and the bound."""
    match model:
        case DistinctLDiversity(l=bound) | EntropyLDiversity(l=bound):
            return "l", True, bound
        case RecursiveLDiversity(c=bound):
            return "c", False, bound
        case TCloseness(t=bound):
            return "t", False, bound
        case BetaLikeness(beta=bound):
            return "β", False, bound
        case DeltaDisclosure(delta=bound):
            return "δ", False, bound
        case AlphaK(alpha=bound):
            return "α", False, bound
