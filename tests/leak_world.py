"""The fixture of the leak promise: all cases run once, for whatever test asks for them.

A pytest plug-in, since two files of tests share it; `leaks.py` says what the cases are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest
from leaks import ALL, HERE, World, tag_of, write_source


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Run all cases once, under one standing Prefect server, and the ephemeral ones beside them."""
    from deployments.prefect_server import ensure_server, leave_server, set_environment
    from ledgers.founding import create_home

    root = tmp_path_factory.mktemp("world")
    for name in ("temporary", "user", "cwd", "console", "outcomes"):
        (root / name).mkdir()
    for case in ALL:
        write_source(root / "source" / tag_of(case), case)
    home = create_home(root / "home")
    create_home(root / "ephemeral")
    made = World(root, "")
    with mock.patch.dict(os.environ, made.environment(), clear=True):
        set_environment(home)
        made = World(root, ensure_server(home, progress=lambda _: None))
    beside = made.start(
        "ephemeral", str(HERE / "leaks.py"), str(root), "ephemeral", home="ephemeral"
    )
    standing = made.start("standing", str(HERE / "leaks.py"), str(root), "standing")
    for process, name in ((standing, "standing"), (beside, "ephemeral")):
        assert process.wait() == 0, made.console(name)
    yield made
    leave_server(home)
