"""Writes what is made from the code: references in pages, the names in `api.md`, JSON schemas.

Every sentence of the reference stands in the code: docstrings of models and fields, the closed
lists of words, and the rules by which `tutela check` refuses. What stands above the mark in
a page, or outside of its two marks, is written by hand and kept. Tests compare; after a change of
the grammar, of a step, of what `evidence.json` holds, or of a stable name, run
`python docs/make_reference.py`.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, get_args

from expectations.coherence.rules import RULES
from expectations.explanations import RULES_OF_CHECK, read_explanations, rule_sentences
from expectations.expressions import expressions
from expectations.expressions.expressions import ColumnType
from expectations.policy import legal_basis, vocabulary
from expectations.policy.outlets import Coarsened
from expectations.policy.policy import Policy
from expectations.policy.treatments import TREATMENTS as TREATMENT_FORMS
from expectations.policy_file import PACKAGED, policy_schema, read_policy
from ledgers.vault.stages import MARKERS
from tasks.account.summary import evidence_schema

Schema = Mapping[str, Any]
PAGE: Final = Path(__file__).with_name("policy.md")
TREATMENTS: Final = PAGE.with_name("treatments.md")
REFUSALS: Final = PAGE.with_name("refusals.md")
ROOT: Final = PAGE.parent.parent
FLOWS: Final = ROOT / "flows" / "README.md"
SCHEMAS: Final = {
    ROOT / "expectations" / "policy" / "policy.schema.json": policy_schema,
    ROOT / "tasks" / "account" / "evidence.schema.json": evidence_schema,
}
MARK: Final = "<!-- made by make_reference.py from here on: do not edit below -->"
BEGIN, END = "<!-- made by make_reference.py -->", "<!-- end -->"
WORD_ROOMS: Final = (vocabulary, legal_basis, expressions)
"""Where the closed lists of words stand."""
KINDS: Final = ("kind", "rule")
PLAIN: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
}
BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "minItems": "at least {} of them",
    "minProperties": "at least {} of them",
    "pattern": "like `{}`",
}


def make_page(written: str) -> str:
    """Give the whole page: what was written by hand up to the mark, and the reference after it."""
    return renew(fill(written, example_lines), reference_lines)


def renew(written: str, lines: Callable[[], Iterator[str]]) -> str:
    """Give a page with what stands below its mark made anew."""
    by_hand, mark, _ = written.partition(MARK)
    if not mark:
        raise SystemExit(f"a page lacks its mark: put `{MARK}` where the reference begins")
    return "\n".join([f"{by_hand}{MARK}\n", *lines(), ""])


def fill(written: str, lines: Callable[[], Iterator[str]]) -> str:
    """Give a page with what stands between its two marks made anew."""
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"a page lacks its marks: put `{BEGIN}` and `{END}` around what is made")
    return "\n".join([f"{before}{BEGIN}\n", *lines(), "", f"{END}{after}"])


def reference_lines() -> Iterator[str]:
    """Give the reference, line by line."""
    schema = Policy.model_json_schema(by_alias=True)
    forms: dict[str, Schema] = schema["$defs"]
    yield "## Reference"
    yield "\nA key that is not listed is refused, and so is a word that is not listed.\n"
    yield from form_lines("Policy", schema, forms)
    for name in in_order(schema, forms):
        form = forms[name]
        yield from word_lines(name) if "enum" in form else form_lines(name, form, forms)
    yield from fit_lines()
    yield "### Expressions\n"
    first, *_, last = (inspect.getdoc(expressions) or "").split("\n\n")
    yield f"{first}\n\n{last}\n"
    yield "### What does not fit together\n"
    yield "`tutela check` refuses a policy, before anything is read, if one of these is not true:\n"
    yield from (f"- {(inspect.getdoc(rule) or '').partition(chr(10) * 2)[0]}" for rule in RULES)


def treatment_lines() -> Iterator[str]:
    """Say of each treatment what it does, to which columns, and what it leaves possible."""
    yield "## Treatments of a column\n"
    for kind, form in TREATMENT_FORMS.items():
        yield f"### {kind}\n\n{said_of(form)}\n"
        fits = ", ".join(t for t in ColumnType if t in form.facts.fits)
        yield f"- **For columns of type** {fits}."
        yield f"- **What an attacker who sees it can still do**: {form.facts.remains}."
        yield f"- **Written as** in [the reference](policy.md#{form.__name__.lower()}).\n"
    yield "## Treatments in a table outlet\n"
    for form in get_args(get_args(Coarsened)[0]):
        kind = form.model_fields["kind"].annotation.__args__[0]
        yield f"### {kind}\n\n{said_of(form)}\n"
        yield f"- **Written as** in [the reference](policy.md#{form.__name__.lower()}).\n"


def choice_lines() -> Iterator[str]:
    """Say which treatment to take for which column."""
    yield "| the column | take |\n|---|---|"
    yield "| is not needed for the purpose | nothing: leave it out, and it is never read |"
    for kind, form in TREATMENT_FORMS.items():
        yield f"| {form.facts.suits} | [`{kind}`](#{kind}) |"


def example_lines() -> Iterator[str]:
    """Name the policies that come with the project, each with its title."""
    for file in sorted(PACKAGED.glob("*.yaml")):
        policy = read_policy(file.stem).policy
        yield f"- [`{policy.name}`](../expectations/policies/{file.name}): {policy.title}."


def step_lines() -> Iterator[str]:
    """Describe every step in a row of a table, in the order of what they give."""
    yield "| step | module | gives | what it does |\n|---|---|---|---|"
    stages, rows = [marker.__name__ for marker in MARKERS.values()], list[tuple[int, str]]()
    for file in sorted((ROOT / "tasks").rglob("*.py")):
        text = file.read_text("utf-8")
        functions = re.findall(
            r"^@step\(.*?gives=(\w+)\)\ndef (\w+)", text, re.MULTILINE | re.DOTALL
        )
        tree = {getattr(node, "name", ""): node for node in ast.parse(text).body}
        for stage, name in functions:
            function = tree[name]
            assert isinstance(function, ast.FunctionDef)
            kept = function.returns and ast.unparse(function.returns) != "None"
            said = " ".join((ast.get_docstring(function) or "").partition("\n\n")[0].split())
            gives = f"`{stage}`" if kept else "nothing kept"
            place = file.relative_to(ROOT).as_posix()
            rows.append((stages.index(stage), f"| `{name}` | `{place}` | {gives} | {said} |"))
    yield from (row for _, row in sorted(rows))


def refusal_lines() -> Iterator[str]:
    """Describe every check and refusal, as `tutela explain` does."""
    known, group = read_explanations(), ""
    for one in known.values():
        if one.group != group:
            group = one.group
            yield f"## {group.capitalize()}\n"
        yield f"### {one.name}\n"
        if one.printed and one.group != RULES_OF_CHECK:
            yield f"Printed as {', '.join(f'`{form}`' for form in one.printed)}.\n"
        yield f"{one.means}\n"
        yield f"- **Why it matters**: {one.matters}"
        yield f"- **How it is measured**: {one.measured}"
        yield f"- **What it cannot show**: {one.blind}"
        yield f"- **What usually helps**: {one.helps}"
        yield f"- **Source**: {one.source}\n"
    yield "### The other rules of check\n"
    for name, sentence in rule_sentences().items():
        if name not in known:
            yield f"- *{name}*: {sentence}"


def said_of(form: type) -> str:
    """Give the docstring of a form as paragraphs."""
    return "\n\n".join(
        " ".join(part.split()) for part in (inspect.getdoc(form) or "").split("\n\n")
    )


def in_order(schema: Schema, forms: Mapping[str, Schema]) -> list[str]:
    """Name the forms in the order in which a reader meets them."""
    met: list[str] = []

    def visit(part: object) -> None:
        if isinstance(part, Mapping):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in met:
                met.append(name)
                visit(forms[name].get("properties"))
            for key, inner in part.items():
                if key not in {"$defs", "discriminator"}:
                    visit(inner)
        elif isinstance(part, list):
            for inner in part:
                visit(inner)

    visit(schema.get("properties"))
    return met


def form_lines(name: str, form: Schema, forms: Mapping[str, Schema]) -> Iterator[str]:
    """Describe one part of a policy: what it is, and its keys."""
    keys: Mapping[str, Schema] = form["properties"]
    kind = next((f"`{key}: {keys[key]['const']}`. " for key in KINDS if key in keys), "")
    yield f"### {name}\n"
    yield f"{kind}{form['description']}\n"
    rest = {key: value for key, value in keys.items() if key not in KINDS}
    if rest:
        yield "| key | value | when absent | meaning |\n|---|---|---|---|"
        for key, value in rest.items():
            absent = "refused" if key in form.get("required", ()) else default_of(value)
            meaning = " ".join(value.get("description", "").split())
            yield f"| `{key}` | {type_of(value, forms)} | {absent} | {meaning} |"
        yield ""


def word_lines(name: str) -> Iterator[str]:
    """List the words of one closed list."""
    words: type[StrEnum] = next(vars(room)[name] for room in WORD_ROOMS if name in vars(room))
    yield f"### {name}\n"
    yield f"{inspect.getdoc(words)}\n"
    for word in words:
        special = ", a special category (Art. 9 GDPR)" if getattr(word, "special", False) else ""
        said = word.name.lower().replace("_", " ")
        spelled = str(word).lower().replace("_", "")
        meaning = "" if said.replace(" ", "") in spelled else f": {said}"
        yield f"- `{word}`{meaning}{special}"
    yield ""


def fit_lines() -> Iterator[str]:
    """Say which treatment can be applied to a column of which type."""
    yield "### Which treatment fits which type\n"
    yield f"| treatment | {' | '.join(ColumnType)} |\n|---|{'---|' * len(ColumnType)}"
    for kind, form in TREATMENT_FORMS.items():
        fits = ("yes" if t in form.facts.fits else "" for t in ColumnType)
        yield f"| `{kind}` | {' | '.join(fits)} |"
    yield ""


def default_of(value: Schema) -> str:
    """Say what an absent key means."""
    default = value.get("default")
    return "nothing" if default in (None, []) else f"`{str(default).lower()}`"


def type_of(value: Schema, forms: Mapping[str, Schema]) -> str:
    """Say in words what a key's value may be, with links to the forms that it may have."""
    match value:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            keys = forms[name].get("properties", {})
            word = next((keys[key]["const"] for key in KINDS if key in keys), name)
            return f"[{word}](#{name.lower()})"
        case {"const": constant}:
            return f"`{constant}`"
        case {"enum": list(words)}:
            return ", ".join(f"`{word}`" for word in words)
        case {"oneOf": list(options)} | {"anyOf": list(options)}:
            named = [type_of(option, forms) for option in options if option.get("type") != "null"]
            return ", ".join(dict.fromkeys(named))
        case {"items": dict(inner)}:
            return f"list of {type_of(inner, forms)}{bounds_of(value)}"
        case {"additionalProperties": dict(inner)}:
            return f"by name: {type_of(inner, forms)}{bounds_of(value)}"
        case {"patternProperties": dict(patterns)}:
            (inner,) = patterns.values()
            return f"by name: {type_of(inner, forms)}{bounds_of(value)}"
        case _:
            return PLAIN[value["type"]] + bounds_of(value)


def bounds_of(value: Schema) -> str:
    """Say within which bounds a value must lie."""
    said = [text.format(value[key]) for key, text in BOUNDS.items() if key in value]
    return f", {', '.join(said)}" if said else ""


PARTS: Final[tuple[tuple[Path, Callable[[str], str]], ...]] = (
    (PAGE, make_page),
    (TREATMENTS, lambda written: renew(fill(written, choice_lines), treatment_lines)),
    (REFUSALS, lambda written: renew(written, refusal_lines)),
    (FLOWS, lambda written: fill(written, step_lines)),
)
"""Each page that is made in part, and how it is made anew from what is written."""


if __name__ == "__main__":
    import make_api  # beside this file

    make_api.PAGE.write_text(make_api.make_page(), encoding="utf-8")
    for page, make in PARTS:
        page.write_text(make(page.read_text(encoding="utf-8")), encoding="utf-8")
    for schema_file, make_schema in SCHEMAS.items():
        schema_file.write_text(json.dumps(make_schema(), indent=2) + "\n", encoding="utf-8")
