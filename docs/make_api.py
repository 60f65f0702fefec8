"""The list of stable names in docs/api.md, from the code: signature and docstring of each.

What stands outside of the markers is written by hand. `make_reference.py` writes the page.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import inspect
import re
from pathlib import Path

import tutela

PAGE = Path(__file__).parent / "api.md"
BEGIN, END = "<!-- made by make_reference.py -->\n", "<!-- end -->"
SECTIONS = {
    "Running": ("run", "check", "init", "runs", "Result"),
    "Tables": ("k_anonymize", "k_anonymity", "uniqueness", "measure"),
    "Consent": ("consent_standings",),
    "Models": (
        "PrivateLogisticRegression", "PrivateLinearRegression", "PrivateBoosting",
        "PrivateBoostingRegressor", "PrivateNetwork",
    ),
    "Expectations": tuple(name for name in tutela.__all__ if name.startswith("Expect")),
    "Errors": (
        "TutelaError", "UsageError", "HomeError", "PolicyError", "Problem", "SourceError",
        "Refusal", "ServiceError",
    ),
}  # fmt: skip
SECTIONS["More"] = tuple(
    name for name in tutela.__all__ if not any(name in names for names in SECTIONS.values())
)
SHORTER = (
    (r"\b(?:pd|pandas\.core\.frame)\.DataFrame\b", "DataFrame"),
    (r"(: )'([^']*)'", r"\1\2"),
    (r"\(0\.0, 0\.05, .*, 1\.0\)", "(0, 0.05, …, 1)"),
)
RESULT = (
    "verdict", "reason", "evidence", "checks", "ways", "model", "models", "table", "tables",
    "report", "run_id",
)  # fmt: skip


def write_list() -> str:
    """Give the sections with every stable name."""
    parts = []
    for title, names in filter(lambda section: section[1], SECTIONS.items()):
        parts += [f"\n## {title}\n", *(f"\n{write_name(name)}" for name in names)]
    return "".join(parts)


def write_name(name: str) -> str:
    """Give one name: its signature as Python, what it is for, and its example."""
    found = getattr(tutela, name)
    said = "\n\n".join(map(write_part, inspect.cleandoc(found.__doc__ or "").split("\n\n")))
    text = f"### `{name}`\n\n```python\n{write_signature(name, found)}\n```\n\n{said}\n"
    if name == "Result":
        lines = (f"- `{one}`: {getattr(found, one).__doc__}\n" for one in RESULT)
        text += "\n" + "".join(lines)
    return text


def write_part(part: str) -> str:
    """Give one part of a docstring: an example as it is typed, a paragraph on one line."""
    example = part.startswith(">>> ")
    return f"```python-console\n{part}\n```" if example else part.replace("\n", " ")


def write_signature(name: str, found: object) -> str:
    """Give how a name is called, a parameter a line where there are several."""
    if name == "Result":
        return "tutela.Result  # made by tutela.run"
    if name.startswith("Expect"):
        fields = found.__fields__  # type: ignore[attr-defined]  # pydantic's, by GX
        own = [one for one in found.success_keys if one in fields]  # type: ignore[attr-defined]
        shown = ", ".join(one if fields[one].required else f"{one}=…" for one in own)
        return f"tutela.{name}({shown})"
    if isinstance(found, type) and issubclass(found, Exception):
        kind = found.__mro__[1].__name__
        return f"class tutela.{name}({kind})  # exit_status {getattr(found, 'exit_status', '')}"
    signature = inspect.signature(found)  # type: ignore[arg-type]  # all that are left are called
    parameters = [str(one) for one in signature.parameters.values()]
    keyword = next(
        (n for n, one in enumerate(signature.parameters.values()) if one.kind is one.KEYWORD_ONLY),
        None,
    )
    if keyword is not None:
        parameters.insert(keyword, "*")
    given = "" if signature.return_annotation is signature.empty else signature.return_annotation
    arrow = f" -> {given}" if given and given != "None" else ""
    inner = "".join(f"\n    {one}," for one in parameters)
    text = f"tutela.{name}({inner}\n){arrow}" if len(parameters) > 1 else (
        f"tutela.{name}({', '.join(parameters)}){arrow}"
    )  # fmt: skip
    for old, new in SHORTER:
        text = re.sub(old, new, text)
    return text


def make_page() -> str:
    """Give the whole page with its list made anew."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}{write_list()}\n{END}{rest.partition(END)[2]}"
