"""Ending with the process that started one, however that ended: what it starts leaves no orphan.

A parent that is killed can ask nothing of its children. So each looks for it, once a second.
Started without the variable, such as by systemd, a process has nobody to follow.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Final

PARENT: Final = "TUTELA_PARENT"
"""The variable that holds the id of the process with which one ends."""
GRACE: Final = 15.0
"""Seconds between being asked to end and being ended."""


def end_with_parent() -> None:
    """End this process, by SIGTERM first, once the process that `TUTELA_PARENT` names is gone."""
    named = os.environ.pop(PARENT, "")
    if named:
        threading.Thread(target=_follow, args=(int(named),), daemon=True).start()


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
