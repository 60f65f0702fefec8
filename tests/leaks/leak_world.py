"""The fixture of the leak promise: all cases run once, for whatever test asks for them.

A pytest plug-in, since two files of tests share it; `leaks.py` says what the cases are.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.hooks import webhook
from tests.leaks.leaks import ALL, HERE, World, write_source


@pytest.fixture(scope="session")
def use() -> Iterator[ExitStack]:
    """Give what lets the world's server go, once all is asked of it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, use: ExitStack
) -> World:
    """Run the cases once under one Prefect server, which the first starts and the last outlives.

    The process that ran them was just killed. Those of the night where a test of the night is
    asked for.
    """
    from deployments.servers.prefect_process import share
    from deployments.servers.prefect_server import running
    from ledgers.home.founding import create_home

    root = tmp_path_factory.mktemp("world")
    for name in ("temporary", "user", "cwd", "console", "outcomes", "told"):
        (root / name).mkdir()
    for case in ALL:
        write_source(root, case)
    home = create_home(root / "home")
    hook = use.enter_context(webhook(root / "told"))
    settings = f'notify = ["{hook}"]\nmetrics = "{root / "told" / "tutela.prom"}"\n'
    settings += f'lineage = "{hook.replace("json://", "http://")}"\n'
    (home.root / "settings.toml").write_text(settings)
    create_home(root / "ephemeral")
    use.callback(os.close, share(home))
    nightly = any(item.get_closest_marker("nightly") for item in request.session.items)
    when = ["nightly"] if nightly else []
    made = World(root, "")
    status = made.run("cases", str(HERE / "leaks.py"), str(root), *when)
    assert status == -signal.SIGKILL, made.console("cases")
    server = running(home)
    assert server, "the server ended with the process that was killed"
    return World(root, server)
