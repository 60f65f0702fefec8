"""The fixture of the leak promise: all cases run once, for whatever test asks for them.

A pytest plug-in, since two files of tests share it; `leaks.py` says what the cases are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from unittest import mock

import pytest
from leaks import ALL, HERE, World, write_source


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run all cases once under one standing Prefect server; the last of them was just killed."""
    from deployments.prefect_server import ensure_server, leave_server, set_environment
    from ledgers.home import Home

    root = tmp_path_factory.mktemp("world")
    for name in ("temporary", "user", "cwd", "console", "outcomes"):
        (root / name).mkdir()
    for case in ALL:
        write_source(root, case)
    home = Home.create(root / "home")
    Home.create(root / "ephemeral")
    made = World(root, "")
    with mock.patch.dict(os.environ, made.environment(), clear=True):
        set_environment(home)
        made = World(root, ensure_server(home, progress=lambda _: None))
    status = made.run("cases", str(HERE / "leaks.py"), str(root))
    assert status == -signal.SIGKILL, made.console("cases")
    yield made
    leave_server(home)
