"""Another package of the name of one of ours, in the way of `import tutela`.

Python takes the first folder of a name on its search path, and a script's or notebook's own folder
comes first. The command line is not affected: what is installed as `tutela` does not put the
folder one stands in on the path.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

PACKAGES: Final = ("deployments", "expectations", "flows", "ledgers", "tasks")
OURS: Final = Path(__file__).resolve().parent.parent


def refuse_clash() -> None:
    """Raise ImportError if one of our packages is hidden by, or was loaded from, another folder."""
    for name in PACKAGES:
        place = find_package(name)
        if place is not None and place != OURS / name:
            raise ImportError(
                f"tutela cannot be imported here: {place} is in the way of tutela's own package "
                f"`{name}` ({OURS / name}). Rename it, or start Python from another folder; the "
                "command line (tutela run) works from anywhere",
                name=name,
                path=str(place),
            )


def find_package(name: str) -> Path | None:
    """Give where a package is loaded from, or would be; None where nobody can tell."""
    loaded = sys.modules.get(name)
    spec = loaded.__spec__ if loaded is not None else PathFinder.find_spec(name)
    if spec is None:
        return None
    if spec.origin is None or not spec.has_location:
        places = list(spec.submodule_search_locations or ())
        return Path(places[0]).resolve() if places else None
    found = Path(spec.origin).resolve()
    return found.parent if found.name == "__init__.py" else found
