"""Running and checking a policy from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

    from expectations.errors import Problem
    from expectations.policy.policy import Part
    from tutela.result import Result

COLUMNS: Final = (
    "run", "policy", "at", "verdict", "elsewhere", "check", "reason", "people", "people_change",
    "epsilon", "k", "auc", "auc_change", "r2", "r2_change", "report", "prefect", "mlflow",
)  # fmt: skip

TEXTS: Final = ("run", "policy", "verdict", "check", "reason", "report", "prefect", "mlflow")


def run(
    policy: str | Path,
    data: pd.DataFrame | str | Path | None = None,
    *,
    tables_only: bool = False,
    progress: bool = True,
    key: str | Path | None = None,
) -> Result:
    """Run a policy: check every promise, hand over what passed.

    `policy` is a path, or the name of a policy that comes with tutela. `data` are the people: a
    DataFrame, the path of a .csv or .parquet file, or None for the policy's own source. A frame
    is read like a CSV file of the same content, and stays in this process: neither Prefect,
    MLflow, a log nor the disk gets its rows in clear. It is not a way around the policy: for
    people without a legal basis only the identifier is looked at, and columns that the policy
    does not name are not converted. `tables_only` releases the tables and trains nothing.
    `key` signs the start, where the policy asks who that is: a private key's file, or the `.pub` of
    one that an agent has.

    A run that a check refused returns with verdict `refused`. Raises `HomeError` without a home
    (`tutela.init()` makes one), `PolicyError`, `SourceError` and `UsageError` for faulty input,
    `ServiceError` for what broke.

    >>> import pandas as pd, tutela
    >>> people = pd.read_csv("people.csv")
    >>> result = tutela.run("policy.yaml", people, tables_only=True, progress=False)
    >>> result.verdict
    'passed'
    """
    from deployments.run.notebook import run_here
    from tutela.result import Result

    part: Part = "tables" if tables_only else "all"
    return Result(run_here(str(policy), data, part, progress=progress, key=key))


def check(policy: str | Path, data: pd.DataFrame | str | Path | None = None) -> tuple[Problem, ...]:
    """Return every problem of a policy, or of a policy for these data; without any it can run.

    It looks only at the column names of the data. Raises `SourceError` for a source that does not
    exist.

    >>> import tutela
    >>> tutela.check("diabetes")
    ()
    >>> [problem.what for problem in tutela.check("diabetis")]
    ['there is no such file, and no policy of that name comes with tutela']
    """
    from deployments.request import checked_request
    from deployments.run.notebook import given
    from expectations.errors import PolicyError

    try:
        with given(data) as source:
            checked_request(str(policy), source)
    except PolicyError as error:
        return error.problems
    return ()


def init(passphrase: str | None = None) -> Path:
    """Make a home where tutela looks for one, or open the one there; returns its folder.

    That is `TUTELA_HOME`, else `.tutela/` in the project's root. A passphrase wraps its keys, and
    every run then needs it as `TUTELA_PASSPHRASE`.

    >>> import os, tempfile, tutela
    >>> os.environ["TUTELA_HOME"] = tempfile.mkdtemp()
    >>> sorted(path.name for path in tutela.init().iterdir() if path.suffix == ".toml")
    ['settings.toml']
    """
    from deployments.servers.prefect_server import make_home

    return make_home(passphrase).root


def runs(
    policy: str | None = None, *, verdict: str | None = None, since: str | None = None
) -> pd.DataFrame:
    """List the runs of the home, newest first, one row each.

    `verdict` is `passed`, `refused`, `failed`, `pending` or `unfinished`; `since` a day, a time
    with its zone, or a span such as `7 days`. `people` are the published count, missing where it is
    hidden; what a run did not find out is missing too. Changes are against the policy's last run
    that passed. Raises `HomeError` without a home, `UsageError` for a word that no run ends as.

    >>> import tutela
    >>> found = tutela.runs("policy-of-nobody", since="7 days")
    >>> len(found), list(found.columns[:4])
    (0, ['run', 'policy', 'at', 'verdict'])
    """
    import pandas as pd

    from deployments.runs.screen import Chosen, choose_rows, row_json
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.home.private_files import owners_alone

    chosen = Chosen.read(policy, verdict, since)
    with owners_alone():
        home = Home.open()
        rows = choose_rows(home, Keys.open(home), chosen)
    found = pd.DataFrame([row_json(row, home) for row in rows], columns=list(COLUMNS))
    return found.astype({
        **dict.fromkeys(("people", "people_change"), "Int64"),
        **dict.fromkeys(("epsilon", "k", "auc", "auc_change", "r2", "r2_change"), "Float64"),
        **dict.fromkeys(TEXTS, "string"), "at": "datetime64[us, UTC]", "elsewhere": "bool",
    })  # fmt: skip
