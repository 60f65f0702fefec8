"""The process of one scheduled run: Prefect's own engine, which ends with the worker.

`python -m deployments.serving.flow_run`, started by `worker.py`. A killed worker would leave it as
an orphan that nobody watches, while another worker starts the next run.
"""

from __future__ import annotations

import runpy

from deployments.servers.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
