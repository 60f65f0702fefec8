"""The command line: `tutela init | check | advise | run | report | consent | budget | keys | …`.

Results go to standard output, everything else to standard error. The exit status says how it
ended: 0 done, 1 refused by a check, 2 the input or usage is wrong, 3 something broke.
Heavy libraries are imported by the command that needs them.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, cast

import typer
from typer.core import TyperGroup

from deployments.approvals.commands import (
    KeyOption,
    SshOption,
    approvals,
    approve,
    decline,
    signers_app,
)
from deployments.audit.commands import audit
from deployments.budget.commands import budget_app
from deployments.completion import policies, run_ids
from deployments.consent.commands import consent_app
from deployments.doctor.commands import doctor
from deployments.draft.commands import draft
from deployments.explain import explain
from deployments.home.commands import home_app
from deployments.keeping.commands import backup, hold, maintain, restore
from deployments.keys.commands import keys_app
from deployments.rehearse.commands import rehearse
from deployments.runs.commands import automations, runs
from deployments.serving.commands import schedule, status, units, up
from deployments.terminal import JsonOption, PolicyArgument, VersionOption, answer, say, tell
from deployments.verify.commands import bundle, verify
from expectations.errors import PolicyError, Refusal, ServiceError, TutelaError, UsageError
from expectations.explanations import say_how_to_explain
from ledgers.home.private_files import owners_alone

if TYPE_CHECKING:
    from deployments.run.launch import Outcome
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

AFTERNOON: Final = (
    "init", "draft", "check", "rehearse", "run", "report", "explain", "advise",
    "consent", "budget", "keys", "incident", "prefect", "mlflow",
)  # fmt: skip
OPERATION: Final = (
    "schedule", "up", "status", "runs", "audit", "units", "doctor", "automations",
    "approvals", "approve", "decline", "signers", "bundle",
    "verify", "maintain", "hold", "backup", "restore", "home",
)  # fmt: skip


class AfternoonGroup(TyperGroup):
    """Lists the commands as a first afternoon meets them, then those of operation."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # typer's
        """Give the names in their order."""
        return sorted(super().list_commands(ctx), key=(*AFTERNOON, *OPERATION).index)


app = typer.Typer(
    name="tutela",
    cls=AfternoonGroup,
    help="Machine-learning pipelines over personal data in which the privacy policy is the "
    "pipeline.\n\nExit status: 0 done, 1 refused by a check, 2 the input or usage is "
    "wrong, 3 something broke.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: tutela run diabetes",
)
incident_app = typer.Typer(
    help="Open errors whose text may quote people's data.",
    epilog="Example: tutela incident show 5f2c9a",
    no_args_is_help=True,
)
app.add_typer(consent_app, name="consent")
app.add_typer(keys_app, name="keys")
app.add_typer(budget_app, name="budget")
app.add_typer(incident_app, name="incident")
app.add_typer(home_app, name="home")
app.add_typer(signers_app, name="signers")
app.command(epilog="Example: tutela rehearse diabetes")(rehearse)
app.command(epilog="Example: tutela maintain")(maintain)
app.command(
    epilog='Example: tutela hold 20261124 --because "complaint 17" --by "A. Weber" '
    "--until 2027-06-30"
)(hold)
app.command(epilog="Example: tutela backup /mnt/other/backups")(backup)
app.command(epilog="Example: tutela restore FILE --recovery-key KEY")(restore)
app.command(epilog='Example: tutela schedule diabetes --cron "0 5 * * *"')(schedule)
app.command(epilog="Example: tutela up")(up)
app.command(epilog="Example: tutela status")(status)
app.command(epilog="Example: tutela audit --since '30 days'")(audit)
app.command(epilog="Example: tutela units units/")(units)
app.command(epilog="Example: tutela doctor")(doctor)
app.command(epilog="Example: tutela verify --all")(verify)
app.command(epilog="Example: tutela bundle 20261202")(bundle)
app.command(epilog="Example: tutela approve 20261202 --key ~/.ssh/id_ed25519")(approve)
app.command(epilog='Example: tutela decline 20261202 --reason "wrong recipient" --key FILE')(
    decline
)
app.command(epilog="Example: tutela approvals")(approvals)


SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="FILE",
        help="Read the people from here: a .csv, .tsv or .parquet file, or URL#table.",
    ),
]


@app.callback()
def root(_version: VersionOption = False) -> None:
    """Hold the options of `tutela` itself; what it is for stands in the app's help."""


@app.command(epilog="Example: tutela init")
def init(
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase that protects the keys.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a home here for keys, ledgers and results.

    It also holds the stores of MLflow and Prefect.
    """
    from deployments.servers.prefect_server import make_home
    from ledgers.home.keys import is_wrapped

    if passphrase and not sys.stdin.isatty():
        raise UsageError("--passphrase needs a terminal; elsewhere set TUTELA_PASSPHRASE")
    secret = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)\
        if passphrase else None  # fmt: skip
    home = make_home(secret)
    protected = "under your passphrase" if is_wrapped(home) else "in files that only you can read"
    answer(
        {"home": str(home.root), "keys": protected},
        f"{home.root} is ready; its keys are {protected}.",
        as_json=as_json,
    )


app.command(epilog="Example: tutela draft people.csv --purpose dpv:ServiceOptimisation")(draft)


@app.command(epilog="Example: tutela check diabetes")
def check(
    policy: PolicyArgument,
    source: SourceOption = None,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="OLD",
            help="Show what changed since this older policy, and what got weaker.",
            autocompletion=policies,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a policy reads, does and promises; reads no data."""
    from deployments.check.screen import describe_plan, plan_json
    from deployments.request import checked_request

    file, there = checked_request(policy, source)
    if diff is not None:
        from deployments.check.diff_screen import describe_changes
        from ledgers.home.policies import read_named_policy

        tell(describe_changes(read_named_policy(diff), file), as_json=as_json)
        return
    answer(plan_json(file, there), describe_plan(file, there, source), as_json=as_json)


@app.command(epilog="Example: tutela run diabetes --source people.csv")
def run(  # noqa: PLR0913, PLR0917  # what is typed
    policy: PolicyArgument,
    source: SourceOption = None,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Release the tables; train no model.")
    ] = False,
    key: KeyOption = None,
    ssh: SshOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a policy: check every promise, hand over what passed."""
    from deployments.request import checked_request
    from deployments.run.launch import launch
    from deployments.signing import A_DAY, Signer

    file, _ = checked_request(policy, source)
    home, keys = opened_home()
    started = Signer(key, ssh).start(keys, file, A_DAY)
    outcome = launch(home, keys, file, source, "tables" if tables_only else "all", started=started)
    tell_outcome(outcome, as_json=as_json)


@app.command(epilog="Example: tutela advise diabetes --epsilon 2")
def advise(
    policy: PolicyArgument,
    source: SourceOption = None,
    epsilon: Annotated[
        float | None,
        typer.Option(
            "--epsilon",
            metavar="E",
            help="ε that the advice may cost each person; required for a private model.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find features that the model does not need; write a patch."""
    from deployments.request import checked_advice
    from deployments.run.launch import launch

    file = checked_advice(policy, source, epsilon)
    home, keys = opened_home()
    outcome = launch(home, keys, file, source, "advice", epsilon)
    tell_outcome(outcome, as_json=as_json)


def tell_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """Say what a run came to, and end as it ended; why one stopped, the screen has told."""
    answer(outcome.as_json, outcome.screen, as_json=as_json)
    error = outcome.error
    if error is None:
        return
    if as_json or not (ended := say_end(outcome.as_json, error)):
        raise error
    say(f"tutela: {ended}; nothing was handed over")
    if at_terminal() and error.places:
        say(error.places)
    raise typer.Exit(error.exit_status)


def say_end(found: JSON, error: TutelaError) -> str:
    """Say in a few words that a run was refused or its data do not fit; empty of any other."""
    from tasks.account.subjects import list_names

    summary = cast("dict[str, Any]", found)
    if isinstance(error, Refusal):
        named = [cause["name"] for cause in summary["causes"]] or [error.check]
        return f"refused by {list_names(list(dict.fromkeys(named)))}"
    return "stopped: the data do not fit the policy" if summary["unfit"] else ""


@app.command(epilog="Example: tutela report 20261124")
def report(
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="A run's id, or its first characters.", autocompletion=run_ids
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run and where its report is; without RUN, list all runs."""
    from deployments.run.screen import describe_run
    from deployments.runs.screen import list_runs

    home, keys = opened_home()
    found, text = describe_run(home, keys, run_id) if run_id else list_runs(home, keys)
    answer(found, text, as_json=as_json)


app.command(epilog='Example: tutela explain "k-anonymity"')(explain)
app.command(epilog="Example: tutela runs --verdict refused --since '7 days'")(runs)
app.command(epilog="Example: tutela automations https://hooks.example/tutela")(automations)


@incident_app.command("show", epilog="Example: tutela incident show 5f2c9a")
def incident_show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The id in the error message.")],
    as_json: JsonOption = False,
) -> None:
    """Show the full text of an error; it may quote people's data, so mind who sees it."""
    _, keys = opened_home()
    text = keys.open_incident(incident)
    answer({"incident": incident, "text": text}, text, as_json=as_json)


@app.command(epilog="Example: tutela prefect")
def prefect() -> None:
    """Open Prefect's pages for this home, until Ctrl-C."""
    from deployments.servers.prefect_server import serve_prefect, set_environment
    from ledgers.home.home import Home

    home = Home.open()  # who shows pages needs no keys
    set_environment(home)
    serve_prefect(home, announce=say)


@app.command(epilog="Example: tutela mlflow")
def mlflow() -> None:
    """Open MLflow's pages for this home, until Ctrl-C."""
    from deployments.servers.prefect_server import serve_mlflow, set_environment
    from ledgers.home.home import Home

    home = Home.open()  # who shows pages needs no keys
    set_environment(home)
    serve_mlflow(home, announce=say)


def opened_home() -> tuple[Home, Keys]:
    """Open the home and finish what earlier processes left there, saying so."""
    from deployments.run.leftovers import finish_leftovers
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    keys = Keys.open(home)
    for sentence in finish_leftovers(home, keys):
        say(sentence)
    return home, keys


def main() -> NoReturn:
    """Run the command line and exit with its status; no traceback for what was foreseen."""
    with owners_alone():
        try:
            app()
        except TutelaError as error:
            fail(error)
        except OSError as error:
            fail(ServiceError(f"the system refused access to a file or a pipe: {error.strerror}"))
    sys.exit(0)


def fail(error: TutelaError) -> NoReturn:
    """Say what was wrong and exit with its status; as JSON where that was asked for.

    Rows of a source are named to a person at a terminal; what is kept anywhere has their incident.
    """
    as_json = "--json" in sys.argv
    named = at_terminal() and not as_json
    if not named:
        seal_places(error)
    if as_json:
        found: dict[str, object] = {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, PolicyError):
            found["problems"] = [asdict(problem) for problem in error.problems]
        typer.echo(json.dumps(found | {"exit_status": error.exit_status}), err=True)
    else:
        say(f"tutela: {error}")
        if named and error.places:
            say(error.places)
        if isinstance(error, Refusal):
            say(say_how_to_explain(error.check))
    sys.exit(error.exit_status)


def at_terminal() -> bool:
    """Whether a person reads what is said, and nothing keeps it."""
    return sys.stderr is not None and sys.stderr.isatty()


def seal_places(error: TutelaError) -> None:
    """Seal in the home, if there is one, which rows of a source an error is about."""
    from ledgers.home.home import Home
    from ledgers.home.keys import seal_incident

    with contextlib.suppress(TutelaError):
        error.seal_places(lambda text: seal_incident(Home.open(), text))


if __name__ == "__main__":
    main()
