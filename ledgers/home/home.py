"""The home: the one folder where a project's keys, ledgers, vault and stores lie, and its settings.

Only `founding` makes one, so that a worker started elsewhere cannot find an empty ledger and take
it for the truth. A home is found by path, by `TUTELA_HOME`, or as `.tutela/` in the project's root.
What is in its parts is not known here.

The settings, which every process of a home must share, are its `settings.toml`: servers and the
disclosure threshold, and no key. Two servers can be named by the variables of their own projects
instead, and those win.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from expectations.errors import HomeError
from ledgers.home.private_files import exposure

FOLDERS = ("vault", "keys", "incidents", "mlflow", "prefect", "reports", "releases", "outbox")
FILES = ("settings.toml", "keys/root.key", "keys/operator.key", "keys/operator.pub")

TEMPLATE = """\
# Settings of this home. Take away the "#" to change one; what is absent keeps its default.
# mlflow_tracking_uri = "https://mlflow.example" # MLFLOW_TRACKING_URI wins over it
# prefect_api_url = "http://127.0.0.1:4200/api"   # PREFECT_API_URL wins over it
# database_url = "postgresql+psycopg://..."       # then run tutela init again
# disclosure_threshold = 10                       # counts of people under it are not published
# journal = "/mnt/other/acts.jsonl"               # what a restored backup must not undo; apart
# anchors = ["/mnt/other/checkpoints.jsonl"]      # copies of signed checkpoints: files, git
#                                                 # folders; addresses as in notify, by night
# policies = "/srv/policies"                      # where policies are found by name; else policies/
# notify = ["mailtos://user:$MAIL_PASSWORD@example.org"] # who is told of runs that did not pass
# lineage = "http://127.0.0.1:5000"               # a catalogue that takes OpenLineage by HTTP
# metrics = "/var/lib/node_exporter/tutela.prom"  # for node exporter's textfile collector
# passphrase_file = "/run/secrets/tutela"         # the keys' passphrase; TUTELA_PASSPHRASE wins
# passphrase_command = "vault read -field=x y"    # or a command that prints it, run without a shell
"""


@dataclass(frozen=True, slots=True)
class Home:
    """A complete home that its owner alone can read, with its settings."""

    root: Path
    settings: Settings

    @classmethod
    def open(cls, path: Path | None = None) -> Home:
        """Open the home at `path`, else at `TUTELA_HOME`, else `.tutela/` in the project's root.

        Raises HomeError if none is there, a part is missing, someone else could read it, or its
        settings are not valid.
        """
        root = home_path(path)
        if is_absent(root):
            raise HomeError(f"there is no home at {root}: run `tutela init`")
        home = cls(root, Settings())
        for part in (root, *map(root.joinpath, (*FOLDERS, *FILES)), home.ledger):
            try:
                problem = exposure(part)
            except OSError:
                raise HomeError(
                    f"{root} is incomplete: {part.relative_to(root)} is missing or cannot "
                    "be read; restore it from a backup, or move the folder away and tutela init"
                ) from None
            if problem:
                raise HomeError(problem)
        return cls(root, _read_settings(root / "settings.toml"))

    @property
    def vault(self) -> Path:
        """The folder of data between steps; nothing in it outlives a run."""
        return self.root / "vault"

    @property
    def keys(self) -> Path:
        """The folder of the root key and the operator's pair."""
        return self.root / "keys"

    @property
    def ledger(self) -> Path:
        """The SQLite file of all ledgers, used unless the settings name a database."""
        return self.root / "ledger.sqlite"

    @property
    def incidents(self) -> Path:
        """The folder of sealed error texts."""
        return self.root / "incidents"

    @property
    def mlflow(self) -> Path:
        """The folder of MLflow's own store."""
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        """Prefect's home."""
        return self.root / "prefect"

    @property
    def reports(self) -> Path:
        """The folder of written reports."""
        return self.root / "reports"

    @property
    def releases(self) -> Path:
        """The folder of released tables."""
        return self.root / "releases"

    @property
    def outbox(self) -> Path:
        """The folder of sealed runs that wait for MLflow."""
        return self.root / "outbox"


def home_path(path: Path | None = None) -> Path:
    """Say where the home is, or would be made: `path`, else `TUTELA_HOME`, else `.tutela/`.

    The project's root is the nearest folder upward that holds `.tutela`, `pyproject.toml` or
    `.git`; without one it is the current folder.
    """
    if path is None and (named := os.environ.get("TUTELA_HOME")):
        path = Path(named)
    if path is not None:
        return path.expanduser().absolute()
    here = Path.cwd()
    marks = (".tutela", "pyproject.toml", ".git")
    roots = (up for up in (here, *here.parents) if any((up / mark).exists() for mark in marks))
    return next(roots, here) / ".tutela"


def is_absent(path: Path) -> bool:
    """Tell whether nothing stands at `path`; an empty folder is nothing."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def find_traces(home: Home) -> list[str]:
    """Name what runs left in a home outside of its ledgers; nothing in one without any."""
    places = (home.releases, home.reports, home.outbox, home.mlflow / "artifacts")
    filled = [place for place in places if place.is_dir() and any(place.iterdir())]
    return [f"{place.relative_to(home.root)}/" for place in filled]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a home's settings say; None means the home's own store or server."""

    mlflow_tracking_uri: str | None = None
    prefect_api_url: str | None = None
    database_url: str | None = field(default=None, repr=False)  # it may hold a password
    disclosure_threshold: int = 10
    policies: str | None = None
    journal: str | None = None
    anchors: tuple[str, ...] = ()
    posted_to: tuple[str, ...] = field(default=(), repr=False)
    """Those anchors that are no place but an address, which may hold a password."""
    notify: tuple[str, ...] = field(default=(), repr=False)  # they may hold passwords
    lineage: str | None = field(default=None, repr=False)  # it may hold a login
    metrics: str | None = None
    passphrase_file: str | None = None
    passphrase_command: str | None = field(default=None, repr=False)  # its words may be secret


def own_policies() -> Path | None:
    """Give the folder in which this home's own policies are found by name; None without a home.

    It is `policies/` in the home, or a folder that its settings name, such as a checkout. A home
    that may not be read has none.
    """
    root = home_path()
    settings = root / "settings.toml"
    try:
        if is_absent(root):
            return None
        named = _read_settings(settings).policies if settings.is_file() else None
    except PermissionError:
        return None
    return root / Path(named or "policies").expanduser()


def without_login(address: str) -> str:
    """Give an address without the name and password that it may carry."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _read_settings(file: Path) -> Settings:
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
    notify = found.pop("notify", [])
    if not isinstance(notify, list) or not all(isinstance(one, str) and one for one in notify):
        raise HomeError(f'{file}: notify must be a list of addresses, such as ["json://host/path"]')
    anchors, posted_to = _read_anchors(file, found.pop("anchors", []))
    for name, value in found.items():
        if not isinstance(value, str) or not value:
            raise HomeError(f'{file}: {name} must be text in quotes, such as "http://host:port"')
    journal = Path(found.get("journal", "/apart")).expanduser()
    if not journal.is_absolute() or file.parent in journal.parents:
        raise HomeError(f"{file}: journal must be a whole path, outside of the home")
    if {"passphrase_file", "passphrase_command"} <= set(found):
        raise HomeError(f"{file}: passphrase_file and passphrase_command: keep one of them")
    environment = {name: os.environ.get(name.upper()) for name in known[:2]}
    found.update({name: value for name, value in environment.items() if value})
    if not found.get("lineage", "http://").startswith(("http://", "https://")):
        raise HomeError(f"{file}: lineage must be an address that begins with http:// or https://")
    metrics = found.get("metrics")
    if metrics and not (metrics.endswith(".prom") and Path(metrics).is_absolute()):
        raise HomeError(f"{file}: metrics must be a whole path that ends in .prom")
    return Settings(
        **found, disclosure_threshold=threshold, notify=tuple(notify), anchors=anchors,
        posted_to=posted_to,
    )  # fmt: skip


def _read_anchors(file: Path, anchors: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read where checkpoints are appended to, and to which addresses they are sent.

    What is in the home would be put back with it.
    """
    said = anchors if isinstance(anchors, list) else [None]
    addresses = [one for one in said if isinstance(one, str) and "://" in one]
    rest = [one for one in said if one not in addresses]
    places = [Path(one).expanduser() if isinstance(one, str) and one else None for one in rest]
    if any(p is None or not p.is_absolute() or file.parent in (p, *p.parents) for p in places):
        raise HomeError(
            f"{file}: anchors must be a list of whole paths, outside of the home, or addresses"
        )
    return tuple(map(str, places)), tuple(addresses)
