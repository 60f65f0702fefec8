"""The file of a model, taken apart: every number, word and byte that its recipient would hold.

Reads the bytes that would leave, not the object that they were made of, and by no code that made
them: a zip with one tree of nodes (`schema.json`, as skops writes it) and a member for each array.
Numbers that stand one by one (in lists, mappings and attributes) are put together in the order of
the file, for each attribute and for each object. What cannot be read is named, so that nobody
takes it for searched: nodes of an unknown kind, bytes, members that no node names, comments, and
whatever lies between the members. Knows nothing of people.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Path: TypeAlias = tuple[str | int, ...]
"""How Python gets there from the model: attributes, keys and places in lists."""
Node: TypeAlias = dict[str, object]
Named: TypeAlias = "dict[str, NDArray[np.generic]]"
"""An array of records, by the names of its fields."""

KINDS: Final = frozenset({
    "BytearrayNode", "BytesNode", "ConstructorFromReduceNode", "DTypeNode", "DefaultDictNode",
    "DictNode", "FunctionNode", "JsonNode", "ListNode", "LossNode", "MaskedArrayNode", "MethodNode",
    "NdArrayNode", "ObjectNode", "OperatorFuncNode", "PartialNode", "RandomGeneratorNode",
    "RandomStateNode", "SetNode", "SliceNode", "SparseMatrixNode", "TreeNode", "TupleNode",
    "TypeNode",
})  # fmt: skip
"""The kinds of nodes whose whole content the walk below reaches."""
ABOUT: Final = frozenset({"__class__", "__module__", "__loader__", "__id__", "is_json", "type"})
"""What a node says about itself, in words of the format."""
OF_ROOT: Final = ABOUT | {"protocol", "_skops_version"}
BITS, BITS_OF_GENERATOR = 64, 128
"""The longest whole numbers that are read as one number; a generator's state is longer."""
LOOSE: Final = 1_000
"""Numbers of an array that also count as standing one by one, beside what surrounds them."""
DENSE: Final = 50_000_000
"""Cells of the largest sparse matrix that is read."""
POINTERS: Final = frozenset({"left_child", "left"})
"""Fields by which the nodes of a tree are known."""
LOCAL, CENTRAL, END, LONG_SIZES = 30, 46, 22, 20
"""Bytes of a zip's headers before their names, and of a member's sizes if they are kept long."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array, or numbers that stand one by one, with the place where they are held."""

    path: Path
    values: NDArray[np.generic]
    of_tree: bool = False
    """Whether they are of a tree's nodes, whose number comes as it comes."""
    gathered: bool = False
    """Whether they stand in several places, so that how many there are is nobody's length."""


@dataclass(slots=True)
class Contents:
    """All that a model's file holds."""

    numbers: list[Numbers] = field(default_factory=list)
    words: dict[str, Path] = field(default_factory=dict)
    """Each word, and where it was first met."""
    types: set[tuple[str, str]] = field(default_factory=set)
    """Modules with the types and functions in them that the file names."""
    single: list[tuple[Path, float]] = field(default_factory=list)
    """Numbers that stand for themselves, but for those of trees."""
    lengths: list[tuple[Path, int]] = field(default_factory=list)
    """How long each list and mapping is."""
    unread: list[tuple[Path, str]] = field(default_factory=list)
    """What could not be read, and why."""


def read_contents(content: bytes) -> Contents:
    """Take a model's file apart; what is not understood is listed as unread."""
    found = Contents()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if not is_all_members(file, content):
                found.unread.append(((), "bytes outside of its parts"))
            members = {info.filename: file.read(info) for info in file.infolist()}
            twice = len(members) < len(file.infolist())
        schema = json.loads(members.pop("schema.json"), object_pairs_hook=unique_pairs)
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, NotImplementedError):
        found.unread.append(((), "a file that is not a model as tutela saves one"))
        return found
    if twice:
        found.unread.append(((), "parts of the same name"))
    walk = _Walk(found, members)
    walk.read(schema, ())
    if walk.unnamed:
        found.unread.append(((), "parts of the file that nothing in it names"))
    return found


def is_all_members(file: zipfile.ZipFile, content: bytes) -> bool:
    """Say whether a zip's bytes are its members and their plain headers, and nothing else."""
    place = 0
    for info in sorted(file.infolist(), key=lambda one: one.header_offset):
        if info.header_offset != place or info.extra or info.comment or info.flag_bits & 0b1000:
            return False
        name, extra = struct.unpack("<HH", content[place + 26 : place + LOCAL])
        if extra not in {0, LONG_SIZES}:
            return False
        place += LOCAL + name + extra + info.compress_size
    named = sum(CENTRAL + len(info.filename.encode()) for info in file.infolist())
    return not file.comment and len(content) == place + named + END


def unique_pairs(pairs: list[tuple[str, object]]) -> Node:
    """Give a mapping; ValueError where a key stands twice, of which one would go unread."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


class _Walk:
    """Goes through the nodes of one file and gathers what they hold."""

    def __init__(self, found: Contents, members: dict[str, bytes]) -> None:
        self.found, self.members = found, members
        self.unnamed = set(members)
        self.bits, self.of_tree = BITS, False

    def read(self, node: object, path: Path) -> list[float]:
        """Read a node and all below it; give the numbers that stand there one by one."""
        if not (isinstance(node, dict) and node.get("__loader__") in KINDS):
            return self.give_up(path, "a kind of content that the search does not know")
        kind = node["__loader__"]
        self.found.types.add((str(node.get("__module__")), str(node.get("__class__"))))
        own = {key: value for key, value in node.items() if key not in (ABOUT if path else OF_ROOT)}
        match kind, list(own):
            case "JsonNode", ["content"]:
                return self.read_plain(own["content"], path)
            case "NdArrayNode" | "SparseMatrixNode", ["file"]:
                return self.read_member(kind, own["file"], path)
            case "BytesNode" | "BytearrayNode", ["file"]:
                return self.give_up(path, "bytes") if self.take(own["file"]) else []
            case "RandomStateNode" | "RandomGeneratorNode", _:
                return self.read_within(own, path, bits=BITS_OF_GENERATOR)
            case "TreeNode", _:
                self.read_within(own, path, of_tree=True)
                return []
            case _:
                return self.read_parts(own, path, keyed=kind == "DictNode")

    def read_within(
        self, own: Node, path: Path, *, bits: int = BITS, of_tree: bool = False
    ) -> list[float]:
        """Read what a node holds, of which other rules hold than of what is around it."""
        before = self.bits, self.of_tree
        self.bits, self.of_tree = bits, of_tree
        gathered = self.read_parts(own, path)
        self.bits, self.of_tree = before
        return gathered

    def read_parts(self, own: Node, path: Path, *, keyed: bool = False) -> list[float]:
        """Read what a node holds beside what it says about itself, in the order of the file.

        Loose numbers of several parts are put together: those of a list, or of an object.
        """
        gathered = list[list[float]]()
        for key, value in own.items():
            several = isinstance(value, dict | list) and not is_node(value)
            if several:
                self.found.lengths.append((path, len(cast("list[object]", value))))
            for name, part in list_parts(value):
                of_data = (keyed and key == "content") or isinstance(name, int)
                there = path if name is None or not of_data else (*path, name)
                if keyed and isinstance(name, str):
                    gathered.append(self.read_key(name, there))
                gathered.append(self.read_part(part, there))
        loose = [number for each in gathered for number in each]
        if len(loose) > 1 and sum(map(bool, gathered)) > 1:
            widths = {len(each) for each in gathered if each}
            # Lists in a list, each as long as the others, are a table.
            table = len(widths) == 1 and widths != {1} and not keyed
            shape = (-1, *widths) if table else (-1,)
            self.found.numbers.append(Numbers(path, np.array(loose).reshape(shape), gathered=True))
        return loose

    def read_part(self, part: object, path: Path) -> list[float]:
        """Read what stands in a node: another one, or as a slice has it a plain value."""
        match part:
            case None:
                return []
            case str():
                self.note_word(part, path)
                return []
            case int() | float():
                return self.read_plain(json.dumps(part), path)
            case _:
                return self.read(part, path)

    def read_key(self, name: str, path: Path) -> list[float]:
        """Read a key or the name of an attribute: a number in digits, or a word."""
        try:
            return [float(name)]
        except ValueError:
            self.note_word(name, path)
            return []

    def read_plain(self, content: object, path: Path) -> list[float]:
        """Read a number or a word as JSON has it; a number of too many bits hides more."""
        try:
            value = json.loads(cast("str", content))
        except (TypeError, ValueError):
            return self.give_up(path, "text that is not JSON")
        match value:
            case None:
                return []
            case str():
                self.note_word(value, path)
                return []
            case int() if value.bit_length() > self.bits:
                return self.give_up(path, "a number of too many bits")
            case int() | float():
                if not self.of_tree:
                    self.found.single.append((path, float(value)))
                return [float(value)]
            case _:
                return self.give_up(path, "text that holds more than one value")

    def read_member(self, kind: str, name: object, path: Path) -> list[float]:
        """Read an array from the member of the file that holds it."""
        data = self.take(name)
        if data is None:
            return self.give_up(path, "an array that is not there")
        try:
            values = read_sparse(data) if kind == "SparseMatrixNode" else read_array(data)
        except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            return self.give_up(path, "an array that cannot be read")
        return self.add_array(values, path)

    def add_array(self, values: NDArray[np.generic], path: Path) -> list[float]:
        """Take in an array by what it is of; give its numbers if there are few."""
        match values.dtype.kind:
            case "U" | "S":
                for word in np.unique(values.astype(str)):
                    self.note_word(str(word), path)
                self.found.lengths += [(path, size) for size in values.shape]
                return []
            case "V" if values.dtype.names:
                of_tree = bool(POINTERS & set(values.dtype.names))
                for name in values.dtype.names:
                    if not self.of_tree:
                        self.note_word(name, (*path, name))
                    self.found.numbers.append(
                        Numbers((*path, name), cast("Named", values)[name], of_tree)
                    )
                return []
            case "b" | "i" | "u" | "f":
                self.found.numbers.append(Numbers(path, values, self.of_tree))
            case "M" | "m":
                values = values.astype(np.int64)
                self.found.numbers.append(Numbers(path, values))
            case "c":
                values = np.stack([values.real, values.imag], axis=-1)
                self.found.numbers.append(Numbers(path, values))
            case _:
                return self.give_up(path, "an array of what are no numbers")
        small = values.size <= LOOSE and not self.of_tree
        return [float(value) for value in values.ravel()] if small else []

    def take(self, name: object) -> bytes | None:
        """Give the member of a name, which is named now; None without one."""
        self.unnamed.discard(cast("str", name))
        return self.members.get(cast("str", name))

    def note_word(self, word: str, path: Path) -> None:
        """Note a word where it is met first."""
        self.found.words.setdefault(word, path)

    def give_up(self, path: Path, why: str) -> list[float]:
        """Note that something was not read."""
        self.found.unread.append((path, why))
        return []


def is_node(value: object) -> bool:
    """Say whether a value is a node, which says what it is."""
    return isinstance(value, dict) and "__loader__" in value


def list_parts(value: object) -> Iterator[tuple[str | int | None, object]]:
    """List what stands under a key of a node: one part, or several by their names or places."""
    if is_node(value) or not isinstance(value, dict | list):
        yield None, value
    elif isinstance(value, dict):
        yield from value.items()
    else:
        yield from enumerate(value)


def read_array(data: bytes) -> NDArray[np.generic]:
    """Read an array as numpy saves it; ValueError if anything follows it."""
    stream = io.BytesIO(data)
    values: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.tell() != len(data):
        raise ValueError
    return values


def read_sparse(data: bytes) -> NDArray[np.generic]:
    """Read a sparse matrix with all its zeros; ValueError for one that is too large."""
    from scipy.sparse import load_npz

    with zipfile.ZipFile(io.BytesIO(data)) as file:
        known = {f"{name}.npy" for name in
                 ("data", "indices", "indptr", "row", "col", "coords", "offsets", "shape",
                  "format", "_is_array")}  # fmt: skip
        if not (
            is_all_members(file, data) and {info.filename for info in file.infolist()} <= known
        ):
            raise ValueError
    matrix = load_npz(io.BytesIO(data))
    if prod(matrix.shape) > DENSE:
        raise ValueError
    values: NDArray[np.generic] = matrix.toarray()
    return values
