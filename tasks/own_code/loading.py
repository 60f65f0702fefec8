"""Loads functions and estimators of one's own, so that they clash with nothing, and packs them.

`features.py:band` is a file in the policy's folder or below it; `package.module.Name` is looked for
there first, then among what is installed. What stands beside the policy is read once, with all that
it imports relatively, and loaded under a private name made of its digest: a package called `tasks`
is no clash, `sys.path` stays as it is, an edited file is other code, and a saved model names the
very text that it came from. Imported here is only who is vouched for by the policy's author: what
the code does, to people's data too, nobody can see to.

Along with a model of one's own class goes its code, as packages under the private name that the
saved model calls it by, and what these need. What is imported there but stands in no installed
distribution, nobody can name.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions, version
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Final, cast

from expectations.errors import PolicyError, Problem, UsageError, suggest
from expectations.policy_file import PolicyFile, locate
from tasks.own_code.sources import Sources, UnreadableError, read_sources
from tasks.own_code.vouching import distrust

if TYPE_CHECKING:
    from ledgers.evidence import JSON


PRIVATE: Final = "_tutela_own_"
ALWAYS: Final = ("tutela", "scikit-learn", "skops")
"""What every model needs to be loaded."""


class OwnCodeError(UsageError):
    """Code of one's own that is not there or does not load; says its file and line where known."""

    def __init__(self, reference: str, what: str, fix: str) -> None:
        self.what, self.fix = what, fix
        super().__init__(f"{reference}: {what}; {fix}")


@dataclass(frozen=True, slots=True)
class OwnCode:
    """What a reference stands for, with the texts that it was made of by their relative paths.

    Of what is installed it is the text of its own module alone.
    """

    reference: str
    value: object
    sources: Sources
    installed: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 of all its texts and their paths."""
        return digest_sources(self.sources)

    def record(self) -> dict[str, JSON]:
        """Give what a run's record keeps: the digest, and the texts unless they are installed."""
        if self.installed:
            return {"sha256": self.digest}
        return {"sha256": self.digest, "sources": {**self.sources}}


NO_CODE: Final[Mapping[str, OwnCode]] = MappingProxyType({})
"""The own code of a policy that has none."""


def digest_sources(sources: Sources) -> str:
    """Give the SHA-256 of texts with their paths, in hex; the order does not matter."""
    return hashlib.sha256(json.dumps(dict(sources), sort_keys=True).encode()).hexdigest()


def private_name(sources: Sources) -> str:
    """Give the name of the package under which these texts are loaded, here and elsewhere."""
    return f"{PRIVATE}{digest_sources(sources)[:16]}"


def load_policy_code(file: PolicyFile) -> dict[str, OwnCode]:
    """Load all own code of a policy by reference; `PolicyError` says what does not load, and where.

    Runs what stands at the top of those files, before any data is read.
    """
    loaded, problems = {}, []
    for path, reference in file.policy.own_code.items():
        try:
            loaded[reference] = load_own(reference, file.folder)
        except OwnCodeError as error:
            problems.append(Problem(path, f"`{reference}`: {error.what}", error.fix))
    if problems:
        raise PolicyError(str(file.path), locate(file, problems))
    return loaded


def load_own(reference: str, folder: Path) -> OwnCode:
    """Load what a reference stands for, as seen from the policy's folder; raises `OwnCodeError`."""
    file, name = find_file(reference, folder)
    try:
        sources = read_sources(folder, file) if file else {}
    except UnreadableError as error:
        raise OwnCodeError(reference, str(error), error.fix) from None
    if file is not None:
        return load_sources(reference, sources, folder)
    distrust(reference.partition(".")[0])
    module = import_own(reference, reference.rpartition(".")[0], folder)
    return OwnCode(reference, pick(reference, module, name), text_of(module), installed=True)


def text_of(module: ModuleType) -> Sources:
    """Give the text of an installed module by its name; none of a module without any."""
    try:
        return {module.__name__: inspect.getsource(module)}
    except (OSError, TypeError):
        return {}


def find_file(reference: str, folder: Path) -> tuple[str | None, str]:
    """Give the file beside the policy that a reference means, None for an installed module's."""
    if ":" in reference:
        file, _, name = reference.rpartition(":")
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".py" or "." in path.stem:
            what = "is not a .py file in the policy's folder or below"
            raise OwnCodeError(reference, what, "put it there, so that policy and code go together")
        if not (folder / path).is_file():
            raise OwnCodeError(
                reference, f"there is no file {path} beside the policy", "correct it"
            )
        return str(path), name
    module, _, name = reference.rpartition(".")
    place = module.replace(".", "/")
    beside = (f"{place}.py", f"{place}/__init__.py")
    return next((file for file in beside if module and (folder / file).is_file()), None), name


def load_sources(reference: str, sources: Sources, folder: Path) -> OwnCode:
    """Load what a reference stands for from texts that were read before, perhaps long ago."""
    package = private_name(sources)
    distrust(package)
    _finder.sources[package] = (folder, sources)
    place, _, name = reference.rpartition(":" if ":" in reference else ".")
    inner = place.removesuffix(".py").replace("/", ".")
    module = import_own(reference, f"{package}.{inner}", folder)
    return OwnCode(reference, pick(reference, module, name), sources)


def remember_sources(kept: JSON, folder: Path) -> None:
    """Make the own code of a recorded run known, so that its model loads as it was made.

    `kept` is what `OwnCode.record` gave, by reference. Nothing is run until a model is loaded.
    """
    for package, sources in kept_packages(kept).items():
        distrust(package)
        _finder.sources.setdefault(package, (folder, sources))


def kept_packages(kept: JSON) -> dict[str, Sources]:
    """Give the own code of a recorded run by the private packages under which it is loaded."""
    codes = kept.values() if isinstance(kept, dict) else ()
    texts = [code.get("sources") for code in codes if isinstance(code, dict)]
    sources = [cast("Sources", text) for text in texts if isinstance(text, dict)]
    return {private_name(text): text for text in sources}


def _known_sources(package: str) -> Sources | None:
    """Give the texts that a private package is made of, None for any other package."""
    return _finder.sources[package][1] if package in _finder.sources else None


def import_own(reference: str, module: str, folder: Path) -> ModuleType:
    """Import a module by its full name; `OwnCodeError` says what its own code raised, and where.

    No person was read yet, so that the text of that error may be told.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise _failed(reference, error, folder) from None
        what = "there is no such module, neither beside the policy nor installed"
        fix = "correct it, or write file.py:Name for a file in the policy's folder"
        raise OwnCodeError(reference, what, fix) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever own code may raise
        raise _failed(reference, error, folder) from None


def _failed(reference: str, error: BaseException, folder: Path) -> OwnCodeError:
    return OwnCodeError(reference, f"loading it failed: {tell_error(error, folder)}", "mend it")


def pick(reference: str, module: ModuleType, name: str) -> object:
    """Give what a module calls by a name; raises `OwnCodeError`."""
    found = getattr(module, name, None)
    if found is None:
        fix = suggest(name, vars(module), "correct the name")
        raise OwnCodeError(reference, f"there is no `{name}` in it", fix)
    return found


def tell_error(error: BaseException, folder: Path) -> str:
    """Tell an error of own code by its type, the line of that code, and its text.

    Its text may quote what the code was given: never of an error over people's rows.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    where = ""
    if own:
        where = f" at {Path(own[-1].filename).relative_to(folder)} line {own[-1].lineno}"
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}{where}{': ' if text else ''}{text}"


@dataclass(frozen=True)
class _Text(ExecutionLoader):
    """Runs the text of one module as it was read."""

    path: str
    text: str

    def get_filename(self, _name: str) -> str:
        return self.path

    def get_source(self, _name: str) -> str:
        return self.text


class _Finder(MetaPathFinder):
    """Finds modules of private packages among texts that were read, and nothing else."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[Path, Sources]] = {}

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Say how a module of a private package is loaded; folders without a text are packages."""
        package, _, inner = name.partition(".")
        if package not in self.sources:
            return None
        folder, sources = self.sources[package]
        place = inner.replace(".", "/")
        module, init = f"{place}.py", f"{place}/__init__.py".removeprefix("/")
        file = next((file for file in (module, init) if file in sources), None)
        if file is None and place and not any(path.startswith(f"{place}/") for path in sources):
            return None
        loader = _Text(str(folder / (file or init)), sources[file] if file else "")
        is_package = file != module
        return ModuleSpec(name, loader, origin=loader.path, is_package=is_package)


_finder: Final = _Finder()
sys.meta_path.append(_finder)


@contextmanager
def written_sources(types: Iterable[str], within: Path) -> Iterator[list[str] | None]:
    """Write out the own code that some types (by full name) come from, as packages to go along.

    Gives the packages' folders, None without any; they are in a folder of `within`, and gone
    afterwards.
    """
    with TemporaryDirectory(dir=within) as place:
        packages = []
        for package in sorted(top_levels(types)):
            for path, text in (_known_sources(package) or {}).items():
                file = Path(place, package, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
                packages.append(str(Path(place, package)))
        yield list(dict.fromkeys(packages)) or None


def requirements(types: Iterable[str]) -> list[str]:
    """Name the distributions, as installed here, that loading a model of these types needs."""
    imported = set[str]()
    for package in top_levels(types):
        texts = _known_sources(package)
        imported |= {package} if texts is None else set(find_imported(texts.values()))
    # Reading what each distribution holds takes a second; most models need no more than `ALWAYS`,
    # and of ours what stands on this floor.
    imported.discard(__name__.partition(".")[0])
    there = packages_distributions() if imported else {}
    needed = {there[name][0] for name in imported if name in there}
    return [f"{package}=={version(package)}" for package in (*ALWAYS, *sorted(needed - {*ALWAYS}))]


def top_levels(types: Iterable[str]) -> set[str]:
    """Give the top-level packages of full names."""
    return {name.partition(".")[0] for name in types}


def find_imported(texts: Iterable[str]) -> Iterator[str]:
    """Name the top-level packages that some Python texts import by their full names."""
    for text in texts:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield from top_levels(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield from top_levels([node.module])
