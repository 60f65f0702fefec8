"""A model's file is taken apart to the last byte, and what is not understood is said so."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from scipy import sparse

from tasks.attack.serialized import Contents, read_contents

Zip = zipfile.ZipFile


def read(value: object) -> Contents:
    """Read a mapping that holds a value, as skops writes it."""
    return read_contents(skops.io.dumps({"kept": value}))


def arrays(found: Contents) -> dict[tuple[str | int, ...], list[object]]:
    """Give what was read of numbers, by place."""
    return {one.path: one.values.tolist() for one in found.numbers}


@pytest.mark.parametrize(
    ("value", "there"),
    [
        (np.arange(3), [0, 1, 2]),
        (np.float16(0.5), 0.5),
        (sparse.csr_matrix([[0, 1], [2, 0]]), [[0, 1], [2, 0]]),
        ([1, 2.5, True], [1, 2.5, 1]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((1, {"a": 2}, [3]), [1, 2, 3]),
        ({1: 5, 2.5: 6}, [1, 5, 2.5, 6]),
        ({1, 2}, [1, 2]),
        (np.array([1, None, 3], dtype=object), [1, 3, 3]),
        (np.ma.masked_array([1.0, 2.0], [True, False]), [[1, 2], [1, 0]]),
        (partial(print, 1, 2), [1, 2]),
        (slice(1, 2, 3), [1, 2, 3]),
        (np.array([1 + 2j]), [[1, 2]]),
        (np.array(["2001-01-01"], dtype="datetime64[D]"), [11323]),
    ],
    ids=["array", "scalar", "sparse", "list", "table of lists", "nested", "numbers as keys", "set",
         "objects", "masked", "partial", "slice", "complex", "dates"],
)  # fmt: skip
def test_numbers_are_read_wherever_they_stand(value: object, there: object) -> None:
    """In arrays of every kind, and one by one, put together in their order."""
    found = read(value)
    assert there in arrays(found).values()
    assert found.unread == []


def test_the_fields_of_records_are_read_one_by_one() -> None:
    """And nodes of trees are known by where they lead."""
    nodes = np.array([(1, 0.5)], dtype=[("left_child", int), ("threshold", float)])
    found = read(nodes)
    assert arrays(found) == {("kept", "left_child"): [1], ("kept", "threshold"): [0.5]}
    assert all(one.of_tree for one in found.numbers)


@pytest.mark.parametrize(
    "value",
    ["Zyxwort", ["Zyxwort"], {"Zyxwort": 1}, np.array(["Zyxwort"]), {1: ("a", "Zyxwort")},
     np.array(["Zyxwort"], dtype=object), np.zeros(1, dtype=[("Zyxwort", int)])],
    ids=["word", "list", "key", "array", "nested", "objects", "field"],
)  # fmt: skip
def test_words_are_read_wherever_they_stand(value: object) -> None:
    """Values, keys, and names of fields."""
    assert "Zyxwort" in read(value).words


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), 2**100], ids=["bytes", "more", "long"])
def test_what_could_hide_anything_is_not_taken_for_searched(value: object) -> None:
    """Bytes, and numbers of more bits than a number has."""
    assert [path for path, _ in read(value).unread] == [("kept",)]


def test_the_state_of_a_generator_may_be_a_long_number() -> None:
    """It has 128 bits by design."""
    assert read(np.random.default_rng(1)).unread == []


Alter = Callable[[dict[str, bytes]], object]


def change(content: bytes, alter: Alter, comment: bytes = b"") -> bytes:
    """Give a file with some of its members changed, and a comment."""
    with Zip(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    alter(members)
    made = io.BytesIO()
    with Zip(made, "w") as file:
        file.comment = comment
        for name, data in members.items():
            file.writestr(name, data)
    return made.getvalue()


MODEL = skops.io.dumps({"kept": np.arange(3)})


def rewrite(old: str, new: str) -> Alter:
    """Replace something in the tree of nodes."""

    def alter(members: dict[str, bytes]) -> None:
        text = members["schema.json"].decode()
        assert old in text
        members["schema.json"] = text.replace(old, new).encode()

    return alter


def follow(members: dict[str, bytes]) -> None:
    """Let something follow an array in its member."""
    (name,) = (name for name in members if name.endswith(".npy"))
    members[name] += b"more"


@pytest.mark.parametrize(
    "content",
    [
        change(MODEL, lambda members: members.update(other=b"more")),
        change(MODEL, lambda _: None, comment=b"more"),
        change(MODEL, rewrite('"DictNode"', '"NewNode"')),
        change(MODEL, rewrite('"kept": {', '"kept": {}, "kept": {')),
        change(MODEL, follow),
        b"more" + MODEL,
        MODEL + b"more",
        b"no zip",
        change(MODEL, lambda members: members.pop("schema.json")),
    ],
    ids=["a part that nothing names", "a comment", "an unknown kind", "a key twice",
         "after an array", "before the file", "after the file", "another file", "no tree"],
)  # fmt: skip
def test_whatever_else_is_in_the_file_is_not_taken_for_searched(content: bytes) -> None:
    """Each would leave with the model."""
    assert read_contents(MODEL).unread == []
    assert read_contents(content).unread


def test_a_place_is_named_as_python_reaches_it() -> None:
    """By attributes, keys and places in lists."""
    found = read({"a": [0, {"b": np.arange(2)}]})
    assert ("kept", "a", 1, "b") in arrays(found)


def test_numbers_of_many_small_arrays_are_put_together() -> None:
    """One array a person is a table of people."""
    rows: list[NDArray[np.float64]] = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    assert arrays(read(rows))["kept",] == [[1, 2], [3, 4]]
    assert json.dumps(arrays(read(rows))["kept",])
