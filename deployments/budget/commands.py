"""The commands `tutela budget …`: what models have cost their people, and how far it will go.

No command here reads a source: who would be read by the next run is not known, so that figures are
of the people who were charged by the policy's earlier runs. Of identifiers that were merged, the
table that says so is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.completion import policies
from deployments.terminal import JsonOption, PolicyArgument, tell

if TYPE_CHECKING:
    from expectations.policy_file import PolicyFile
    from ledgers.budget.ledger import BudgetLedger

budget_app = typer.Typer(
    help="Show what private models cost people, and how many runs fit.",
    epilog="Example: tutela budget show diabetes",
    no_args_is_help=True,
)


@budget_app.command(epilog="Example: tutela budget show diabetes")
def show(policy: PolicyArgument, as_json: JsonOption = False) -> None:
    """Show the lifetime ε so far, its ceiling, and how many more runs fit."""
    from deployments.budget import screen

    file = read_private(policy)
    tell(screen.show(opened_budget(file), file.policy), as_json=as_json)


@budget_app.command(epilog="Example: tutela budget plan diabetes --epsilon 0.5")
def plan(
    policy: PolicyArgument,
    epsilon: Annotated[
        float | None,
        typer.Option(
            "--epsilon",
            metavar="E",
            help="The ε that each run promises; without it, several are shown.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how many more runs fit, at the policy's ε and others, and the last date if weekly."""
    from deployments.budget import screen

    file = read_private(policy)
    found = screen.plan(opened_budget(file), file.policy, epsilon)
    tell(found, as_json=as_json)


@budget_app.command(epilog="Example: tutela budget history diabetes")
def history(
    policy: Annotated[
        str | None,
        typer.Argument(
            metavar="[POLICY]",
            help="A policy's file, or the name of an example; else all.",
            autocompletion=policies,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each run charged, when and how it ended, and what each month cost."""
    from deployments.budget.screen import tell_history
    from ledgers.home.policies import read_named_policy

    name = None if policy is None else read_named_policy(policy).policy.name
    tell(tell_history(opened_budget(), name), as_json=as_json)


def read_private(policy: str) -> PolicyFile:
    """Read a policy that trains a private model; UsageError for another."""
    from expectations.errors import UsageError
    from ledgers.home.policies import read_named_policy

    found = read_named_policy(policy)
    if not found.policy.private:
        raise UsageError(
            f"{found.policy.name} trains no private model, so its people are charged nothing: see "
            "`tutela budget history`"
        )
    return found


def opened_budget(file: PolicyFile | None = None) -> BudgetLedger:
    """Open the home's budget ledger, with what a policy says of merged identifiers."""
    from ledgers.budget.ledger import BudgetLedger
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    keys = Keys.open(home)
    ledger = BudgetLedger(open_database(home), keys)
    if file is None or file.policy.source.same_person is None:
        return ledger
    from tasks.people.aliases import find_merged_records

    return replace(ledger, same=find_merged_records(file, keys.derive("person")))
