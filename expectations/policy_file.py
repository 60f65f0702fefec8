"""Reading a policy from its file: YAML 1.2 words, no duplicate keys, every problem with its line.

What is wrong is collected, not met one at a time: first all that is wrong with the form, and
where the form is right all that is wrong between the parts. Nothing here reads data.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from expectations.coherence import find_problems
from expectations.errors import PolicyError, Problem
from expectations.policy import Policy

PACKAGED: Final = Path(__file__).parent / "policies"
Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]
Location = tuple[int | str, ...]


@dataclass(frozen=True)
class PolicyFile:
    """A policy as it was read: the parsed form, the very text, and where it stands."""

    policy: Policy
    text: str
    path: Path

    @property
    def sha256(self) -> str:
        """The digest of the file's text, by which a run names its policy."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """The folder from which the policy's relative paths are read."""
        return self.path.parent


def find_policy(name_or_path: str) -> Path:
    """Find a policy by its path, or by the name of one that comes with the project.

    Raises `PolicyError` when neither is there.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path.resolve()
    packaged = PACKAGED / f"{name_or_path}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", name_or_path) and packaged.is_file():
        return packaged
    names = sorted(file.stem for file in PACKAGED.glob("*.yaml"))
    problem = Problem(
        "policy",
        "there is no such file, and no policy of that name comes with tutela",
        f"give the path of a YAML file, or one of {', '.join(names)}",
    )
    raise PolicyError(name_or_path, [problem])


def read_policy(name_or_path: str) -> PolicyFile:
    """Read, parse and cross-check a policy; raises `PolicyError` with every problem found."""
    path = find_policy(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = Problem("file", f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        raise PolicyError(str(path), [problem]) from None
    except OSError as error:
        problem = Problem("file", f"it cannot be read ({error.strerror})", "check its rights")
        raise PolicyError(str(path), [problem]) from None
    return PolicyFile(parse_policy(text, str(path)), text, path)


def parse_policy(text: str, file: str = "policy.yaml") -> Policy:
    """Parse a policy's text; raises `PolicyError` with every problem found."""
    from pydantic import ValidationError

    tree = compose(text, file)
    plain, problems = to_plain(tree)
    if problems:
        raise PolicyError(file, problems)
    try:
        policy = Policy.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        raise PolicyError(file, list(explain(error, tree, plain))) from None
    found = find_problems(policy)
    if found:
        located = [
            Problem(p.path, p.what, p.fix, line_of(tree, tuple(p.path.split(".")))) for p in found
        ]
        raise PolicyError(file, located)
    return policy


class StrictLoader(yaml.SafeLoader):
    """YAML with the scalars of version 1.2's core schema: `no` is a word and `1e-5` a number."""



StrictLoader.yaml_implicit_resolvers = {}


for _tag, _pattern, _starts in (
    ("null", r"(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"(?:true|false)$", list("tf")),
    ("int", r"[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _starts)


def compose(text: str, file: str) -> yaml.Node:
    """Build the YAML node tree; raises `PolicyError` where the text is not one YAML document."""
    try:
        node = yaml.compose(text, Loader=StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        what = getattr(error, "problem", None) or "it is not one YAML document"
        fix = "check indentation, colons and quotes there"
        raise PolicyError(file, [Problem("yaml", what, fix, line)]) from None
    if not isinstance(node, yaml.MappingNode):
        fix = "begin with `tutela: 1` and the keys that the policy reference lists"
        raise PolicyError(file, [Problem("yaml", "a policy is a mapping of keys", fix, 1)])
    return node


def to_plain(tree: yaml.Node) -> tuple[Plain, list[Problem]]:
    """Turn the node tree into plain values; duplicate keys, tags and aliases are problems."""
    problems: list[Problem] = []

    def convert(node: yaml.Node, path: str) -> Plain:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [convert(item, f"{path}.{n}") for n, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            keys = [str(key.value) for key, _ in node.value]
            for n in range(len(keys)):
                if keys[n] in keys[:n]:
                    at = node.value[n][0].start_mark.line + 1
                    problems.append(
                        Problem(join(path, keys[n]), "the key stands twice", "keep one", at)
                    )
            return {
                key: convert(value, join(path, key))
                for key, (_, value) in zip(keys, node.value, strict=True)
            }
        if node.tag.removeprefix("tag:yaml.org,2002:") not in SCALARS:
            problems.append(
                Problem(path, "tags such as !name are not read", "take the tag out", line)
            )
            return None
        return scalar(node)

    return convert(tree, ""), problems


SCALARS: Final = frozenset({"null", "bool", "int", "float", "str"})


def scalar(node: yaml.Node) -> Plain:
    """Give a scalar node's value."""
    text = str(node.value)
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text == "true"
        case "int":
            return int(text)
        case "float":
            return float(text)
        case _:
            return text


def join(path: str, key: str) -> str:
    """Put a key behind a path."""
    return f"{path}.{key}" if path else key


def explain(error: Exception, tree: yaml.Node, plain: Plain) -> Iterator[Problem]:
    """Turn pydantic's findings into problems with line, path and a way to mend them."""
    from pydantic import ValidationError

    assert isinstance(error, ValidationError)
    for found in error.errors(include_url=False, include_input=False):
        kind, context = found["type"], found.get("ctx", {})
        location = real_location(plain, found["loc"], absent=kind == "missing")
        what, fix = say(kind, str(found["msg"]), context, location, plain)
        yield Problem(".".join(map(str, location)), what, fix, line_of(tree, location))


def say(
    kind: str, message: str, context: Mapping[str, object], location: Location, plain: Plain
) -> tuple[str, str]:
    """Word one finding as what is wrong and how to mend it."""
    if kind == "missing":
        return "is missing", f"add `{location[-1]}:`"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), known_keys(), 1)
        return "is not a key that is known here", (
            f"did you mean `{near[0]}`?" if near else "take it out, or see the policy reference"
        )
    if kind in {"enum", "literal_error", "union_tag_invalid"}:
        expected = str(context.get("expected") or context.get("expected_tags", ""))
        words = re.findall(r"'([^']+)'", expected)
        discriminator = str(context.get("discriminator", "")).strip("'")
        given = value_at(plain, (*location, discriminator) if discriminator else location)
        near = difflib.get_close_matches(str(given), words, 1, 0.6)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return "is not a word that is known here", f"{hint}one of {', '.join(words)}"
    if kind == "union_tag_not_found":
        discriminator = str(context.get("discriminator", "kind")).strip("'")
        return f"`{discriminator}` is missing", f"add `{discriminator}:` to say which kind it is"
    if kind == "string_pattern_mismatch":
        return "has a form that is not allowed", f"it must match {context.get('pattern')}"
    if kind == "value_error":
        what, _, fix = message.removeprefix("Value error, ").partition("; ")
        return what, fix
    return message[:1].lower() + message[1:], "see the policy reference"


@cache
def known_keys() -> tuple[str, ...]:
    """Every key that the grammar has anywhere."""
    schema = Policy.model_json_schema()
    parts = [schema, *schema["$defs"].values()]
    return tuple(sorted({key for part in parts for key in part.get("properties", {})}))


def real_location(plain: Plain, location: Location, *, absent: bool) -> Location:
    """Take the names of union members, which pydantic adds, out of a location.

    Where a key is `absent`, the last part is its name and is kept.
    """
    kept: list[int | str] = []
    here = plain
    for n, part in enumerate(location):
        if isinstance(here, dict) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif n < len(location) - 1 or not absent:
            continue
        kept.append(part)
    return tuple(kept)


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


def policy_schema() -> dict[str, object]:
    """The JSON schema of a policy, for editors; committed beside this file."""
    return Policy.model_json_schema(by_alias=True)
