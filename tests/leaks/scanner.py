"""The project's leak scanner: a byte search of everything under some folders for planted strings.

A test plants *canaries* (strings that occur nowhere else) in the data, runs the product, and asks
here whether any byte that was written holds one of them: as it is, as a format would spell it,
encoded, digested without a key, or packed into a container. Nothing is unpickled or executed.

What it does not know: a value that was encrypted, digested with a key or a salt, rounded, cut in
two or spelt in another way (other Unicode normal forms, base64 that holds one of these mixed-case
inside a shorter run than 40 characters, text split over two freed SQLite pages). A container that
cannot be decoded is searched raw and listed by `survey` as *opaque*; `scan` says nothing about it.
It holds each file in memory about four times.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import ahocorasick_rs

from tests.leaks.containers import BROKEN, OPENERS, Pieces, decode_runs, read_rows, recognize

SHORTEST = 6
BETWEEN = b"\x00\xff\xfe\x00"
DEEPEST = 12
CHARSETS = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1")
DIGESTS = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True, order=True)
class Hit:
    """One canary (by its index) found in one file; names that hold a canary are masked."""

    file: Path
    container: str
    canary_index: int
    encoding: str


@dataclass(frozen=True, order=True)
class Opaque:
    """A container that was searched raw but not decoded: encrypted, broken or too deep."""

    file: Path
    container: str
    reason: str


@dataclass(frozen=True)
class Survey:
    """What a search found and what it could not look into."""

    hits: list[Hit]
    opaque: list[Opaque]


def scan(
    directories: Sequence[Path], canaries: Sequence[str], *, ignore: Sequence[Path] = ()
) -> list[Hit]:
    """Find the canaries in every file under the directories, except under `ignore`.

    Raises ValueError for no canary or one under 6 characters (it would match by chance), and
    FileNotFoundError for a directory that is not there (its silence would prove nothing).
    """
    return survey(directories, canaries, ignore=ignore).hits


def survey(
    directories: Sequence[Path], canaries: Sequence[str], *, ignore: Sequence[Path] = ()
) -> Survey:
    """Do what `scan` does, and also list what could not be decoded."""
    search = _Search(_Patterns(canaries))
    ignored = [other.resolve() for other in ignore]
    # The list is made first: opening a database makes a temporary file, perhaps in the same tree.
    for path in [path for directory in directories for path in search.walk(directory)]:
        place = path.parent.resolve() / path.name
        if not any(place.is_relative_to(other) for other in ignored):
            search.read(path)
    return Survey(sorted(search.hits), sorted(search.opaque))


# --- Patterns ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mark:
    """What a pattern stands for; `exact` bytes must match in case, None when case is free."""

    canary: int
    encoding: str
    exact: bytes | None


class _Patterns:
    """Every spelling of every canary in one Aho-Corasick automaton over lower-cased bytes."""

    def __init__(self, canaries: Sequence[str]) -> None:
        if not canaries or any(len(canary.strip()) < SHORTEST for canary in canaries):
            raise ValueError(
                f"give canaries of at least {SHORTEST} characters: others hit by chance"
            )
        marks: dict[bytes, dict[tuple[int, bytes | None], _Mark]] = defaultdict(dict)
        for index, canary in enumerate(canaries):
            for encoding, pattern, cased in _encode(canary):
                exact = pattern if cased else None
                # Spellings often coincide: the first, plainest name is kept.
                marks[pattern.lower()].setdefault((index, exact), _Mark(index, encoding, exact))
        self._marks = [list(same.values()) for same in marks.values()]
        self._automaton = ahocorasick_rs.BytesAhoCorasick(list(marks))

    def find(self, data: bytes) -> set[tuple[int, str]]:
        """Return the (canary index, encoding) pairs in the bytes."""
        matches = self._automaton.find_matches_as_indexes(data.lower(), overlapping=True)
        return {
            (mark.canary, mark.encoding)
            for number, start, end in matches
            for mark in self._marks[number]
            if mark.exact is None or data[start:end] == mark.exact
        }

    def mask(self, name: str) -> str:
        """Return a file, member, table or column name without the canaries it may hold."""
        found = self.find(name.encode("utf-8", "surrogateescape"))
        return "+".join(f"<canary {index}>" for index in sorted({i for i, _ in found})) or name


def _encode(canary: str) -> Iterator[tuple[str, bytes, bool]]:
    """Yield (encoding, pattern, whether case counts) for one canary."""
    text = canary.strip()
    for cased in dict.fromkeys((text, text.lower(), text.upper())):
        for form, spelling in _spell(cased).items():
            for charset in CHARSETS:
                label = form if charset == "utf-8" else f"{form}, {charset}"
                raw = spelling.encode(charset, "ignore")
                if raw.decode(charset) != spelling:
                    continue
                yield label, raw, False
                if form == "plain":
                    yield f"hex({label})", raw.hex().encode(), False
                    yield from _align(label, raw)
    for said in dict.fromkeys((canary, canary.lower(), text, text.lower())):
        for name in DIGESTS:
            digest = hashlib.new(name, said.encode(), usedforsecurity=False).digest()
            yield name, digest.hex().encode(), False
            yield f"{name}, raw", digest, True
            yield from _align(name, digest)


def _spell(text: str) -> dict[str, str]:
    """Return the text as it is and as JSON, Python, URLs and HTML escape it."""
    escaped = json.dumps(text)[1:-1]
    marked = html.escape(text)
    return {
        "plain": text,
        "json": escaped,
        "json, unescaped letters": json.dumps(text, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(escaped)[1:-1],
        "python": text.encode("unicode_escape").decode(),
        "url": quote(text, safe=""),
        "url path": quote(text),
        "url form": quote_plus(text),
        "html": marked,
        "html, numbered quotes": marked.replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        "html, numbered letters": marked.encode("ascii", "xmlcharrefreplace").decode(),
    }


def _align(label: str, raw: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Yield the base64 characters that `raw` fixes, whatever stands before and after it."""
    for before in range(3):
        bits_before, bits = 8 * before, 8 * (before + len(raw))
        encoded = base64.b64encode(bytes(before) + raw)[-(-bits_before // 6) : bits // 6]
        yield f"base64({label})", encoded, True
        yield f"base64({label})", encoded.translate(bytes.maketrans(b"+/", b"-_")), True


# --- Search --------------------------------------------------------------------------------------


@dataclass
class _Search:
    """Walks into files and containers and collects what it finds."""

    patterns: _Patterns
    hits: set[Hit] = field(default_factory=set)
    opaque: set[Opaque] = field(default_factory=set)

    def walk(self, directory: Path) -> Iterator[Path]:
        """Yield a directory (or file) and every path below it; links are not followed."""
        if not directory.exists():
            raise FileNotFoundError("a directory to scan does not exist: create it or leave it out")
        yield directory
        for folder, folders, files in os.walk(directory, onerror=self._skip):
            yield from (Path(folder, name) for name in sorted(folders + files))

    def _skip(self, error: OSError) -> None:
        self._give_up(Path(error.filename), [], type(error).__name__)

    def read(self, path: Path) -> None:
        """Search a path's name and, of a regular file, its content."""
        self._record(path, ["name"], self.patterns.find(bytes(Path(path.name))))
        try:
            if path.is_symlink():
                self._record(path, ["link"], self.patterns.find(bytes(path.readlink())))
            elif path.is_file():
                self._examine(path, [], [data := path.read_bytes()])
                log = path.with_name(path.name + "-wal")
                if log.is_file():
                    self._open(
                        path, ["with its log"], partial(read_rows, log=log.read_bytes()), data
                    )
        except OSError as error:
            self._give_up(path, [], type(error).__name__)

    def _examine(self, path: Path, inside: list[str], pieces: list[bytes]) -> None:
        """Search pieces of bytes, their base64 runs, and the containers among them."""
        joined = BETWEEN.join(pieces)
        self._record(path, inside, self.patterns.find(joined))
        runs = list(decode_runs(joined))
        kinds = [(kind, piece) for piece in pieces if (kind := recognize(piece))]
        if (runs or kinds) and len(inside) >= DEEPEST:
            self._give_up(path, inside, "nested too deep")
            return
        if runs:
            self._examine(path, [*inside, "base64"], runs)
        for kind, piece in kinds:
            self._open(path, [*inside, kind], OPENERS[kind], piece)

    def _open(
        self, path: Path, inside: list[str], opener: Callable[[bytes], Pieces], data: bytes
    ) -> None:
        try:
            for name, pieces in opener(data):
                self._examine(path, [*inside, self.patterns.mask(name)], pieces)
        except BROKEN as error:
            self._give_up(path, inside, type(error).__name__)

    def _record(self, path: Path, inside: list[str], found: set[tuple[int, str]]) -> None:
        for index, encoding in found:
            self.hits.add(Hit(self._mask(path), " > ".join(inside), index, encoding))

    def _give_up(self, path: Path, inside: list[str], reason: str) -> None:
        self.opaque.add(Opaque(self._mask(path), " > ".join(inside), reason))

    def _mask(self, path: Path) -> Path:
        return Path(*map(self.patterns.mask, path.parts))
