"""The settings that every process of a home must share, read from its `settings.toml`.

The file names servers and the disclosure threshold; it holds no key. Two servers can be named
by the variables of their own projects instead, and those win.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expectations.errors import HomeError

TEMPLATE = """\
# Settings of this home. Take away the "#" to change one; what is absent keeps its default.
# mlflow_tracking_uri = "http://127.0.0.1:5000"   # MLFLOW_TRACKING_URI wins over it
# prefect_api_url = "http://127.0.0.1:4200/api"   # PREFECT_API_URL wins over it
# database_url = "postgresql+psycopg://..."       # then run tutela init again
# disclosure_threshold = 10                       # counts of people under it are not published
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a home's settings say; None means the home's own store or server."""

    mlflow_tracking_uri: str | None = None
    prefect_api_url: str | None = None
    database_url: str | None = field(default=None, repr=False)  # it may hold a password
    disclosure_threshold: int = 10


def without_login(address: str) -> str:
    """Give an address without the name and password that it may carry."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def read_settings(file: Path) -> Settings:
    """Read `file` and the environment; raises HomeError for what is not valid TOML or unknown.

    A threshold under 2 is refused: it would publish a count of one person.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
        raise HomeError(f"{file} is not readable TOML: correct it or empty it") from None
    known = [setting.name for setting in fields(Settings)]
    if unknown := sorted(set(found) - set(known)):
        raise HomeError(f"{file}: unknown: {', '.join(unknown)}; known are {', '.join(known)}")
    threshold = found.pop("disclosure_threshold", 10)
    if type(threshold) is not int or threshold < 2:
        raise HomeError(f"{file}: disclosure_threshold must be a whole number of 2 or more")
    for name, value in found.items():
        if not isinstance(value, str) or not value:
            raise HomeError(f'{file}: {name} must be text in quotes, such as "http://host:port"')
    environment = {name: os.environ.get(name.upper()) for name in known[:2]}
    found.update({name: value for name, value in environment.items() if value})
    return Settings(**found, disclosure_threshold=threshold)
