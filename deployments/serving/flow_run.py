"""The process of one scheduled run: Prefect's own engine, which ends with the worker.

`python -m deployments.serving.flow_run`, started by `worker.py`. A killed worker would leave it as
an orphan that nobody watches, while another worker starts the next run. As long as it lives it
holds a lock on a file named as its flow run, so that the next worker knows which are dead.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deployments.servers.parent import end_with_parent

UNDER_WAY: Final = "under-way"
"""The folder in Prefect's home of a file for each flow run."""


@contextlib.contextmanager
def noted(folder: Path, flow_run: str) -> Iterator[None]:
    """Hold the lock of a flow run's file meanwhile; a killed process leaves the file alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / flow_run
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)


def main() -> None:
    """Carry out the flow run that the environment names, in the home that it names."""
    end_with_parent()
    prefect = Path(os.environ["TUTELA_HOME"]) / "prefect"
    with noted(prefect / UNDER_WAY, os.environ["PREFECT__FLOW_RUN_ID"]):
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
