"""Whether an error's text was written by tutela, or by code that a policy's author brought along.

Own code can raise tutela's own errors, or call what raises them, with a person's value in the text.
So an error is vouched for only if no frame on its way belongs to own code. Code that hides where it
comes from is not seen through: who brings it can do worse with people's data.
"""

from __future__ import annotations

import sys
import traceback
from typing import Final

OURS: Final = frozenset({"expectations", "ledgers", "tasks", "deployments", "flows", "tutela"})
"""The packages whose errors are vouched for, wherever they are installed."""
BETWEEN: Final = frozenset({"sklearn", "numpy", "scipy", "pandas"}) | sys.stdlib_module_names
"""Packages that stand between our own modules on an error's way, and raise none of our errors."""
INSTALLED: Final = ("site-packages", "dist-packages")
_brought = set[str]()


def distrust(package: str) -> None:
    """Vouch for no error that comes through a package, nor for the names of its errors."""
    if package not in OURS | BETWEEN:
        _brought.add(package)


def is_vouched(error: BaseException) -> bool:
    """Whether one of our modules raised an error, and no own code had a part in it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if any(_is_brought(frame.f_globals.get("__name__")) for frame in frames):
        return False
    raised = frames[-1] if frames else None
    return raised is None or (
        _package(raised.f_globals.get("__name__")) in OURS
        or not any(folder in raised.f_code.co_filename for folder in INSTALLED)
    )


def find_kind(error: BaseException) -> type[BaseException]:
    """Give the nearest type of an error that a library or Python has by that name.

    The name of a type that own code made may be a person's.
    """
    return next(kind for kind in type(error).__mro__ if _is_known(kind))


def _is_known(kind: type) -> bool:
    """Whether a type stands in its module under its own name, and no own code made it."""
    found: object = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is kind and not _is_brought(kind.__module__)


def _is_brought(module: object) -> bool:
    return _package(module) in _brought


def _package(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""
