"""The fixture of the leak promise: all cases run once, for whatever test asks for them.

A pytest plug-in, since two files of tests share it; `leaks.py` says what the cases are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.leaks.leaks import ALL, HERE, World, write_source


@pytest.fixture(scope="session")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Run the cases once under one standing Prefect server; the last of them was just killed.

    Those of the night where a test of the night is asked for.
    """
    from deployments.servers.prefect_server import ensure_server, leave_server, set_environment
    from ledgers.home.founding import create_home

    root = tmp_path_factory.mktemp("world")
    for name in ("temporary", "user", "cwd", "console", "outcomes"):
        (root / name).mkdir()
    for case in ALL:
        write_source(root, case)
    home = create_home(root / "home")
    create_home(root / "ephemeral")
    made = World(root, "")
    with mock.patch.dict(os.environ, made.environment(), clear=True):
        set_environment(home)
        made = World(root, ensure_server(home, progress=lambda _: None))
    nightly = any(item.get_closest_marker("nightly") for item in request.session.items)
    when = ["nightly"] if nightly else []
    status = made.run("cases", str(HERE / "leaks.py"), str(root), *when)
    assert status == -signal.SIGKILL, made.console("cases")
    yield made
    leave_server(home)
