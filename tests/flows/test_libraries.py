"""The libraries of a run are loaded in silence while there is nothing else to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from expectations.policy_file import read_policy
from flows.libraries import list_libraries
from ledgers.home.founding import create_home
from ledgers.home.home import Home, Settings

PROGRAM = """
import sys
from deployments.servers.prefect_server import set_environment
from expectations.policy_file import read_policy
from flows.libraries import list_libraries
from ledgers.home.home import Home

set_environment(Home.open())
for load in list_libraries(Home.open(), read_policy("registry").policy):
    load()
heavy = {"great_expectations", "mlflow", "prefect.main", "skops.io", "sklearn", "pandas"}
print("missing:", *sorted(heavy - sys.modules.keys()))
"""


@pytest.mark.nightly
def test_all_heavy_libraries_are_loaded_and_say_nothing(tmp_path: Path) -> None:
    """A warning or a log of theirs is for nobody, in a step or outside; the store is made."""
    home = create_home(tmp_path / "home")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "TUTELA_HOME": str(home.root)},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("missing:\n", "")
    assert (home.mlflow / "mlflow.db").stat().st_mode & 0o777 == 0o600


def test_what_a_policy_does_not_need_is_not_loaded(tmp_path: Path) -> None:
    """Tables alone are released without what saves models."""
    policy = read_policy("registry").policy
    home = Home(tmp_path, Settings())
    needed = [len(list(list_libraries(home, policy.for_part(part)))) for part in ("all", "tables")]
    assert needed == [4, 3]
