"""Where tables are: the declared places of people, of consent events and of objections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeAlias, assert_never
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from expectations.policy.declaration import Declaration, Term, forms_by_kind

_SECRET: Final = re.compile(
    r"(?:password|passwd|pwd|secret|token|credentials\w*)\s*=\s*(?!\$)[^&;\s]", re.IGNORECASE
)
"""A password or another secret among an address's parameters, as ODBC and some drivers take it."""

Suffixes: TypeAlias = Mapping[str, Mapping[str, str]]
"""The endings of file names that mean a location, each with what else it says of the file."""
ExampleName = Literal[
    "nhanes", "nhanes-outcome", "notes", "registry",
    "hospital", "hospital-stays", "hospital-diagnoses", "hospital-labs",
]  # fmt: skip


class ExampleData(Declaration):
    """Data that comes with the project; what is made up is labelled."""

    kind: Literal["example"]
    suffixes: ClassVar[Suffixes] = {}
    name: ExampleName

    @property
    def made_up(self) -> str:
        """Say what is made up in it."""
        match self.name:
            case "nhanes" | "nhanes-outcome":
                return (
                    "names, contacts, notes and the consent history are made up; the survey's "
                    "answers are real and public"
                )
            case "hospital" | "hospital-stays" | "hospital-diagnoses" | "hospital-labs":
                return "all data is made up, by a simulated hospital"
            case "notes" | "registry":
                return "all data is made up"


class CsvFile(Declaration):
    """A file of separated values, read as text and converted by the declared types."""

    kind: Literal["csv"]
    suffixes: ClassVar[Suffixes] = {".csv": {}, ".tsv": {"separator": "\t"}}
    path: Term
    separator: str = Field(default=",", min_length=1, max_length=1)
    encoding: Term = "utf-8"


class ParquetFiles(Declaration):
    """One Parquet file, or all that match a glob."""

    kind: Literal["parquet"]
    suffixes: ClassVar[Suffixes] = {".parquet": {}}
    path: Term


class JsonLines(Declaration):
    """A file with one JSON object per line; its keys are the columns, an absent key is missing."""

    kind: Literal["json-lines"]
    suffixes: ClassVar[Suffixes] = {".jsonl": {}, ".ndjson": {}, ".json": {}}
    path: Term


class FhirExport(Declaration):
    """A folder with a FHIR R4 bulk export: the rows that a view makes of one of its resources."""

    kind: Literal["fhir"]
    suffixes: ClassVar[Suffixes] = {}
    path: Term
    """The folder with the export's NDJSON files, and its `manifest.json` if there is one."""
    view: Term
    """A ViewDefinition (SQL on FHIR 2.0): a `.json` file beside the policy, or a ready one's
    name."""
    zone: Term | None = None
    """On whose calendar moments with an offset stand; without it, that of `source`."""
    definition: Term | None = None
    """The view itself, as it is taken from its file; nobody writes it."""


class Database(Declaration):
    """Any database that SQLAlchemy reaches."""

    suffixes: ClassVar[Suffixes] = {}
    url: Term
    """The database's address; `$NAME` in it is taken from the environment, so that a policy
    contains no password."""

    @field_validator("url")
    @classmethod
    def _password_stands_elsewhere(cls, url: str) -> str:
        password = urlsplit(url).password
        if (password and not password.startswith("$")) or _SECRET.search(unquote(url)):
            raise ValueError(
                "the address contains a password; put it into the environment and write $NAME"
            )
        return url


class SqlTable(Database):
    """A table or view of any database that SQLAlchemy reaches."""

    kind: Literal["sql"]
    table: Term


class SqlQuery(Database):
    """The result of a query to any database that SQLAlchemy reaches."""

    kind: Literal["sql-query"]
    query: Term
    """One SELECT in the database's own SQL; each column has a name."""


class InMemory(Declaration):
    """A table that one process holds, named by what was drawn for it; no policy can name one."""

    kind: Literal["in-memory"]
    name: Term


Location = Annotated[
    ExampleData | CsvFile | FhirExport | JsonLines | ParquetFiles | SqlTable | SqlQuery,
    Field(discriminator="kind"),
]
LOCATIONS: Final[Mapping[str, type[Location]]] = forms_by_kind(Location)
"""The class of each kind."""


def name_location(location: Location | InMemory) -> str:
    """Name a table as others may read it: no login, no folder of this machine, no query's text."""
    match location:
        case ExampleData(name=name):
            return name
        case CsvFile(path=path) | JsonLines(path=path) | ParquetFiles(path=path):
            return _name_file(path)
        case FhirExport(path=path, view=view):
            return f"{_name_file(path)} by {_name_file(view)}"
        case SqlTable(url=url, table=table):
            return f"{_name_database(url)}#{table}"
        case SqlQuery(url=url):
            return f"{_name_database(url)}, by a query"
        case InMemory():
            return "a table in memory"
    assert_never(location)


def _name_file(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _name_database(url: str) -> str:
    """Name a database without the login and the options that its address may carry."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path if host else parts.path.rpartition("/")[2]
    return f"{parts.scheme.partition('+')[0]}:{host and '//'}{host}{path}"
