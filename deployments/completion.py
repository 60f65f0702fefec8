"""What a shell may complete: policies by name or file, runs by their ids.

Asked at every press of the tabulator, so nothing heavy is imported, no database is opened, and what
cannot be read is no suggestion.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import expectations


def policies(incomplete: str) -> list[str]:
    """Give the names of the home's own and the examples, folders and YAML files that begin so."""
    from expectations.errors import HomeError
    from ledgers.home.home import own_policies

    places = [Path(expectations.__file__).parent / "policies"]
    with suppress(HomeError):
        places += [own for own in [own_policies()] if own]
    names = sorted({file.stem for place in places for file in place.glob("*.yaml")})
    folder = Path(incomplete.rpartition("/")[0] or ("/" if incomplete[:1] == "/" else ""))
    beside = [f"{path}/" if path.is_dir() else str(path) for path in sorted(folder.glob("*"))]
    files = [name for name in beside if name.endswith(("/", ".yaml", ".yml"))]
    return [name for name in (*names, *files) if name.startswith(incomplete)]


def run_ids(incomplete: str) -> list[str]:
    """Give the ids of the home's runs that have a report and begin so, newest first."""
    from ledgers.home.home import home_path

    reports = home_path() / "reports"
    return sorted((file.stem for file in reports.glob(f"{incomplete}*.html")), reverse=True)
