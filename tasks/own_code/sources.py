"""Reads a file of one's own with every file beside it that it imports, and runs none of them.

Followed are relative imports, inside functions too. A module that is imported by its bare name
though it stands beside the policy is refused: under that name Python would look for it elsewhere,
and may find another. What is imported by a name that is put together while running is not seen.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TypeAlias

Sources: TypeAlias = "Mapping[str, str]"
"""Texts of Python files by their paths, relative to the policy's folder."""


class UnreadableError(Exception):
    """A file that cannot be read as Python, or imports what it would not get."""

    def __init__(self, what: str, fix: str) -> None:
        self.fix = fix
        super().__init__(what)


def read_sources(folder: Path, file: str) -> dict[str, str]:
    """Read a file and all that it imports relatively, by path from the folder.

    Raises `UnreadableError` for what is no Python, for links out of the folder, and for own modules
    imported by a bare name.
    """
    found: dict[str, str] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        if path not in found:
            refuse_links_out(folder, path)
            found[path] = read_text(folder / path, path)
            waiting += find_packages(folder, path)
            waiting += find_imports(folder, path, parse(found[path], path))
    return dict(sorted(found.items()))


def refuse_links_out(folder: Path, path: str) -> None:
    """Refuse a file that stands elsewhere, and is only linked to from the folder."""
    if not (folder / path).resolve().is_relative_to(folder.resolve()):
        fix = "put the file itself there, so that policy and code go together"
        raise UnreadableError(f"{path} leads out of the policy's folder by a link", fix)


def read_text(file: Path, path: str) -> str:
    """Read one file."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UnreadableError(f"{path} is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read ({error.strerror})", "check it") from None


def parse(text: str, path: str) -> ast.Module:
    """Parse one file's text."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        where = f"{path} line {error.lineno}"
        raise UnreadableError(f"{where}: {type(error).__name__}: {error.msg}", "fix it") from None
    except ValueError as error:
        raise UnreadableError(f"{path} is not Python: {error}", "fix it") from None


def find_packages(folder: Path, path: str) -> Iterator[str]:
    """Name the packages that a file stands in, which are run before it."""
    for above in list(PurePosixPath(path).parents)[:-1]:
        if (folder / above / "__init__.py").is_file():
            yield f"{above}/__init__.py"


def find_imports(folder: Path, path: str, tree: ast.Module) -> Iterator[str]:
    """Name the files beside the policy that a file imports."""
    here = PurePosixPath(path).parent
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = [here, *here.parents]
            if node.level <= len(above):
                base = above[node.level - 1] / (node.module or "").replace(".", "/")
                yield from find_files(folder, base)
                for alias in node.names:
                    yield from find_files(folder, base / alias.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            refuse_bare_names(folder, path, node)


def find_files(folder: Path, place: PurePosixPath) -> Iterator[str]:
    """Name the file of a module or package, if it is there."""
    for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
        if place.name and (folder / file).is_file():
            yield str(file)


def refuse_bare_names(folder: Path, path: str, node: ast.Import | ast.ImportFrom) -> None:
    """Refuse the import of a module beside the policy by a name that others have too."""
    named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
    for name in filter(None, named):
        own = [PurePosixPath(part) for part in (name.replace(".", "/"), name.partition(".")[0])]
        if any(True for place in own for _ in find_files(folder, place)):
            raise UnreadableError(
                f"{path} line {node.lineno} imports `{name}`, which is beside the policy, by "
                "its bare name",
                "import it relatively (from . import …): own code is loaded under a private name",
            )
