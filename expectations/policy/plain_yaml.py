"""Plain YAML: JSON's values with lines, no tags, no aliases, no key twice.

It knows no policy; what a value means is said by the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import yaml

from expectations.errors import PolicyError, Problem

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Location = tuple[int | str, ...]
LONGEST_NUMBER: Final = 400
"""Digits of a number; more are read as text, which no number is."""


class StrictLoader(yaml.SafeLoader):
    """YAML with JSON's plain words, as in version 1.2: `no` is a word and `1e-5` a number."""


StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _starts in (
    ("null", r"(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"(?:true|false)$", list("tf")),
    ("int", r"[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _starts)


def read_yaml(text: str, file: str) -> tuple[yaml.Node, Plain]:
    """Give the node tree, which knows the lines, and its plain values.

    Raises `PolicyError` with every tag and alias, or else with every key that stands twice.
    """
    tree = compose(text, file)
    problems = list(find_tags_and_aliases(text))
    if problems:
        raise PolicyError(file, problems)
    plain, problems = to_plain(tree)
    if problems:
        raise PolicyError(file, problems)
    return tree, plain


def compose(text: str, file: str) -> yaml.Node:
    """Build the YAML node tree; raises `PolicyError` where the text is not one YAML document."""
    try:
        node = yaml.compose(text, Loader=StrictLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = "it holds a character that YAML does not allow"
        raise PolicyError(file, [Problem("yaml", what, "take it out", line)]) from None
    except yaml.MarkedYAMLError as error:
        line = getattr(error.problem_mark, "line", 0) + 1
        fix = "check indentation, colons and quotes there"
        raise PolicyError(file, [Problem("yaml", str(error.problem), fix, line)]) from None
    except RecursionError:
        problem = Problem("yaml", "it is nested too deep", "a policy has a few levels only", 1)
        raise PolicyError(file, [problem]) from None
    if not isinstance(node, yaml.MappingNode):
        fix = "begin with `tutela: 1` and the keys that the policy reference lists"
        raise PolicyError(file, [Problem("yaml", "a policy is a mapping of keys", fix, 1)])
    return node


def find_tags_and_aliases(text: str) -> Iterator[Problem]:
    """Find what a policy may not hold though YAML can: tags, and parts repeated by an alias."""
    for event in yaml.parse(text, Loader=StrictLoader):
        line = getattr(event.start_mark, "line", 0) + 1
        if getattr(event, "tag", None) is not None:
            yield Problem("yaml", "tags such as !name are not read", "take the tag out", line)
        if isinstance(event, yaml.AliasEvent):
            yield Problem("yaml", "aliases such as *name are not read", "write it out", line)


def to_plain(tree: yaml.Node) -> tuple[Plain, list[Problem]]:
    """Turn the node tree into plain values; keys that stand twice or are no words are problems."""
    problems: list[Problem] = []

    def convert(node: yaml.Node, path: str) -> Plain:
        if isinstance(node, yaml.SequenceNode):
            return [convert(item, join(path, str(n))) for n, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return scalar(node)
        made: dict[str, Plain] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(Problem(path or "yaml", "a key is a word", "write a word", line))
                continue
            name = str(key.value)
            if name in made:
                what = "the key is there twice"
                problems.append(Problem(join(path, name), what, "keep one", line))
            made[name] = convert(value, join(path, name))
        return made

    return convert(tree, ""), problems


def scalar(node: yaml.Node) -> Plain:
    """Give a scalar node's value."""
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int" if len(text) <= LONGEST_NUMBER:
            return int(text)
        case "float" if len(text) <= LONGEST_NUMBER:
            return float(text)
        case _:
            return text


def join(path: str, key: str) -> str:
    """Put a key behind a path."""
    return f"{path}.{key}" if path else key


def value_at(plain: Plain, location: Location) -> Plain:
    """Give the value at a location, or None."""
    for part in location:
        if isinstance(plain, dict):
            plain = plain.get(str(part))
        elif isinstance(plain, list) and isinstance(part, int):
            plain = plain[part]
    return plain


def line_of(tree: yaml.Node, location: Location) -> int:
    """Give the line (from 1) of the deepest part of a location that the file has."""
    node, line = tree, 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and str(part).isdigit():
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line
