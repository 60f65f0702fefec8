"""The process of one scheduled run: Prefect's own engine, which ends with the worker.

`python -m deployments.serving.flow_run`, started by `worker.py`. A killed worker would leave it as
an orphan that nobody watches, while another worker starts the next run. Its note stands before
Prefect's engine is loaded, so that a run is known that is killed meanwhile.
"""

from __future__ import annotations

import os
import runpy

from deployments.servers.parent import end_with_parent
from deployments.terminal import say
from ledgers.home.flow_runs import end_flow_run, note_flow_run
from ledgers.home.home import Home


def main() -> None:
    """Carry out the flow run that the environment names, in the home that it names."""
    end_with_parent()
    flow_run = os.environ["PREFECT__FLOW_RUN_ID"]
    if not note_flow_run(Home.open(), flow_run):
        say(f"another process carries out flow run {flow_run}; nothing was run")
        return
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        end_flow_run(flow_run)


if __name__ == "__main__":
    main()
