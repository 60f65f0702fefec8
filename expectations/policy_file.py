"""Reading a policy from its file: plain YAML, no duplicate keys, every problem with its line.

What is wrong is collected, not met one at a time: first all that is wrong with the form, and
where the form is right all that is wrong between the parts. Nothing here reads data.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from expectations.coherence.rules import find_problems
from expectations.errors import PolicyError, Problem, find_nearest, suggest
from expectations.policy.named_files import list_named, put_files
from expectations.policy.plain_yaml import Location, Plain, compose, line_of, read_yaml, value_at
from expectations.policy.policy import COLUMN, NAME, Policy
from expectations.policy.retention import Retention
from expectations.policy.spans import LONG
from expectations.policy.training import Training
from expectations.policy.vocabulary import SPECIAL, Category

if TYPE_CHECKING:
    from pydantic import ValidationError

BOUNDS: Final = {"lt": "below", "le": "at most", "gt": "above", "ge": "at least"}
FORMS: Final = {
    NAME: "use 3 to 40 lower-case letters, digits and hyphens, beginning with a letter and not "
    "ending with a hyphen",
    COLUMN: "use 1 to 63 lower-case letters, digits and `_`, beginning with a letter",
    LONG: "write a whole number of days, months or years, such as `180 days`",
}
"""What a pattern asks for, in words."""
NOWHERE: Final = "there is no such file, and no policy of that name comes with tutela"
PACKAGED: Final = Path(__file__).parent / "policies"
MEANT: Final = {"dpv-pd:Sex": Category.GENDER}
"""Words of DPV that are not on a list, and the one that is meant; as letters go another is near."""


@dataclass(frozen=True)
class PolicyFile:
    """A policy as it was read: the parsed form, the very text, and where it stands."""

    policy: Policy
    text: str
    path: Path
    hierarchies: str = ""
    """The digest of all that stands in files of its own; empty without any."""

    @property
    def sha256(self) -> str:
        """The digest of the text, and of files beside it; a run names its policy by it."""
        return hashlib.sha256((self.text + self.hierarchies).encode()).hexdigest()

    @property
    def folder(self) -> Path:
        """The folder from which the policy's relative paths are read."""
        return self.path.parent

    def read_whole(self) -> Policy:
        """Read the text again: all of it, where `policy` is a part, or of another source."""
        return parse_policy(self.text, str(self.path), self.folder)


def find_undecided(text: str) -> tuple[int, ...]:
    """Give the lines of a policy's text that are marked as still to be decided."""
    lines = enumerate(text.split("\n"), start=1)
    return tuple(number for number, line in lines if re.match(r" *# DECIDE\b", line))


def find_policy(name_or_path: str, own: Path | None = None) -> Path:
    """Find a policy by its name among one's own, or those that come with tutela, or by its path.

    A name is looked for first, so that a file that happens to lie beside a worker hides none.
    Raises `PolicyError` when nothing is there, which says where was looked.
    """
    folders = [folder for folder in (own, PACKAGED) if folder is not None]
    try:
        if re.fullmatch(NAME, name_or_path):
            for folder in folders:
                if (named := folder / f"{name_or_path}.yaml").is_file():
                    return named.resolve()
        path = Path(name_or_path)
        if path.is_file():
            return path.resolve()
        what = "it is a folder" if path.is_dir() else NOWHERE
    except OSError as error:
        problem = Problem(
            "policy", f"the path cannot be checked ({error.strerror})", "check the path"
        )
        raise PolicyError(name_or_path, [problem]) from None
    names = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    there = f", put it into {own} to find it by its name" * (own is not None)
    fix = f"give the path of a YAML file{there}, or one of {', '.join(names)}"
    raise PolicyError(name_or_path, [Problem("policy", what, fix)])


def read_policy(name_or_path: str, own: Path | None = None) -> PolicyFile:
    """Read, parse and cross-check a policy; raises `PolicyError` with every problem found.

    Names are looked for in `own`, a folder of one's own policies, first. Who gives a name gets the
    policy of that name: a file in there is called as its policy is.
    """
    path = find_policy(name_or_path, own)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = Problem("file", f"byte {error.start} is not UTF-8", "save the file as UTF-8")
        raise PolicyError(str(path), [problem]) from None
    except OSError as error:
        problem = Problem("file", f"it cannot be read ({error.strerror})", "check its rights")
        raise PolicyError(str(path), [problem]) from None
    policy = parse_policy(text, str(path), path.parent)
    file = PolicyFile(policy, text, path, digest_files(policy))
    if own is not None and path.parent == own.resolve() and policy.name != path.stem:
        what = f"`{policy.name}` is not what the file is called"
        fix = f"write `name: {path.stem}`, or rename the file to {policy.name}.yaml"
        raise PolicyError(str(path), locate(file, [Problem("name", what, fix)]))
    return file


def digest_files(policy: Policy) -> str:
    """Give the digest of what a policy names by files, wherever it does; empty without any."""
    lines = list_named(policy.model_dump(mode="json"))
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest() if lines else ""


def locate(file: PolicyFile, problems: Iterable[Problem]) -> list[Problem]:
    """Give problems that were found later the line of the policy on which each stands."""
    return _place(compose(file.text, str(file.path)), problems)


def parse_policy(text: str, file: str = "policy.yaml", folder: Path = Path()) -> Policy:
    """Parse a policy's text; raises `PolicyError` with every problem found.

    What it names by a relative file, such as hierarchies and codes, is read from `folder`.
    """
    from pydantic import ValidationError

    tree, plain = read_yaml(text, file)
    faults = [
        *put_files(plain, folder),
        *find_missing_retention(plain),
    ]
    try:
        policy = Policy.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        # The grammar would miss the lines that a faulty file did not give.
        known = {fault.path.rpartition(".")[0] for fault in faults}
        told = [problem for problem in explain(error, tree, plain) if problem.path not in known]
        raise PolicyError(file, [*_place(tree, faults), *told]) from None
    if found := [*faults, *find_problems(policy)]:
        raise PolicyError(file, _place(tree, found))
    return policy


def find_missing_retention(plain: Plain) -> Iterator[Problem]:
    """Tell of a policy that says by neither form how long things are kept."""
    if isinstance(plain, dict) and not {"retention", "retention_days"} & plain.keys():
        fix = "add `retention_days:`, or `retention:` with `goods:` and `because:`"
        yield Problem("retention_days", "is missing", fix)


def read_retention(text: str) -> Retention | None:
    """Give how long a policy of any version lets things be kept; None where that cannot be read."""
    from pydantic import ValidationError

    with suppress(PolicyError, ValidationError):
        plain = read_yaml(text, "policy.yaml")[1]
        said = plain.get("retention") if isinstance(plain, dict) else None
        if isinstance(plain, dict) and isinstance(days := plain.get("retention_days"), int):
            said = {"goods": f"{days} days", "because": "retention_days"}
        return Retention.model_validate(said)
    return None


def _place(tree: yaml.Node, problems: Iterable[Problem]) -> list[Problem]:
    """Give each problem the line on which it stands."""
    return [replace(p, line=line_of(tree, tuple(p.path.split(".")))) for p in problems]


def explain(error: ValidationError, tree: yaml.Node, plain: Plain) -> Iterator[Problem]:
    """Turn pydantic's findings into problems with line, path and a way to mend them.

    Of one place the first finding counts: where several forms are allowed, pydantic tells for each
    why it is not that one.
    """
    seen: set[Location] = set()
    for found in error.errors(include_url=False, include_input=False):
        kind, context = found["type"], found.get("ctx", {})
        location = real_location(plain, found["loc"], absent=kind == "missing")
        another_form = kind == "literal_error" and isinstance(value_at(plain, location), dict)
        if location in seen or another_form:
            continue
        seen.add(location)
        what, fix = say(kind, str(found["msg"]), context, location, plain)
        path = ".".join(map(str, location)) or "policy"
        yield Problem(path, what, fix, line_of(tree, location))


def say(
    kind: str, message: str, context: Mapping[str, object], location: Location, plain: Plain
) -> tuple[str, str]:
    """Word one finding as what is wrong and how to mend it."""
    match kind:
        case "missing":
            return "is missing", f"add `{location[-1]}:`"
        case "extra_forbidden":
            return "is not a known key", say_key(location)
        case "enum" | "literal_error" | "union_tag_invalid":
            return say_word(context, location, plain)
        case "union_tag_not_found":
            key = str(context.get("discriminator")).strip("'")
            return f"`{key}` is missing", f"add `{key}:` to say which kind it is"
        case "string_pattern_mismatch":
            pattern = str(context.get("pattern"))
            return "has a form that is not allowed", FORMS.get(pattern, f"it must match {pattern}")
        case "string_type":
            return "is not text", "put it in quotes to make it text"
        case "int_type" | "int_parsing" | "int_from_float":
            return "must be a whole number", "write one, without quotes or decimals"
        case "float_type" | "float_parsing":
            return "must be a number", "write one, without quotes"
        case "bool_type" | "bool_parsing":
            return "must be true or false", "write one of them, without quotes"
        case "less_than" | "less_than_equal" | "greater_than" | "greater_than_equal":
            key, bound = next(iter(context.items()))
            people = ", and below one in the number of people" * (location[-1:] == ("delta",))
            return f"is not {BOUNDS[key]} {bound}", f"give a number {BOUNDS[key]} {bound}{people}"
        case "value_error":
            what, _, fix = message.removeprefix("Value error, ").partition("; ")
            return what, fix
        case _:
            return message[:1].lower() + message[1:], "see the policy reference"


def say_key(location: Location) -> str:
    """Say what to do with a key that is not known where it stands."""
    key, training = str(location[-1]), location[:-1] == ("training",)
    if training:
        own = f"if it is the model's own, write `parameters: {{{key}: …}}`; else take it out"
        return suggest(key, Training.model_fields, own)
    return suggest(key, [other for other in known_keys() if other != key], "take it out")


def say_word(context: Mapping[str, object], location: Location, plain: Plain) -> tuple[str, str]:
    """Say that a word is not on its list, with the list and the one that was perhaps meant."""
    expected = str(context.get("expected") or context.get("expected_tags"))
    words = re.findall(r"'([^']+)'", expected) or [expected]
    key = str(context.get("discriminator", "")).strip("'")
    given = str(value_at(plain, (*location, key) if key else location))
    near = MEANT.get(given) or find_nearest(given, words)
    # That a column is of a special category is for its author to say, never for us to suggest.
    hint = f"did you mean `{near}`? " if near and near not in SPECIAL else ""
    return "is not a known word", f"{hint}one of {', '.join(words)}"


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


def policy_schema() -> dict[str, object]:
    """Make the JSON Schema (draft 2020-12) of a policy, for editors; committed beside this file."""
    schema = Policy.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
