"""Text in YAML as a policy is written by hand: plain words, flow lists that fold, comments.

It knows no policy. What it writes is read back alike by `expectations/plain_yaml` and by any
reader of YAML 1.1 or 1.2: a word that one of them takes for a truth, a number or a date is quoted.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

WIDTH: Final = 100
Value: TypeAlias = "str | bool | int | float | Sequence[Value] | Mapping[str, Value]"
_PLAIN: Final = re.compile(r"[\w$/](?:(?::(?=\w)|[\w .+/()@;$€%<>~-])*[\w.+/)%])?")
_NOT_WORDS: Final = re.compile(
    r"true|false|yes|no|on|off|y|n|null|0x[0-9a-f]+|0o?[0-7]+|[\d_.]+(?:e[+-]?\d*)?"
    r"|\d{4}-\d{1,2}-\d{1,2}.*|[\d:]+",
    re.IGNORECASE,
)


def scalar(value: str | bool | float) -> str:
    """Write one value: a text plain where every reader takes it for one, else in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value)
    plain = _PLAIN.fullmatch(value) and not _NOT_WORDS.fullmatch(value)
    return value if plain and value.isprintable() else _quoted(value)


def _quoted(text: str) -> str:
    """Quote a text; a character that a line of YAML cannot hold is escaped."""
    held = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(c if c.isprintable() else f"{chr(92)}U{ord(c):08x}" for c in held)}"'


def number(value: float) -> str:
    """Write a number as people do: 30 and not 30.0, 1000000 and not 1e+06."""
    return f"{value:.10g}"


def flow(value: Value) -> str:
    """Write a value on one line, lists in brackets and keys in braces."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{scalar(key)}: {flow(part)}' for key, part in value.items())}}}"
    if isinstance(value, str | bool | int | float):
        return scalar(value)
    return f"[{', '.join(map(flow, value))}]"


def entry(key: str, value: Value, indent: int = 0) -> Iterator[str]:
    """Give the lines of `key: value`, folded inside its brackets where it is too long."""
    text = f"{scalar(key)}: {flow(value)}"
    room = WIDTH - indent
    if len(text) <= room or isinstance(value, str | bool | int | float):
        yield " " * indent + text
    else:
        yield from fold(text, indent)


def fold(text: str, indent: int) -> Iterator[str]:
    """Break a flow text after commas that stand in no quotes, and hang what follows by two."""
    line = " " * indent
    for part in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+,?', text):
        if len(line) + len(part) > WIDTH and line.strip():
            yield line.rstrip()
            line = " " * (indent + 2) + part.lstrip()
        else:
            line += part
    yield line.rstrip()


def comment(text: str, indent: int = 0) -> Iterator[str]:
    """Give the lines of a comment; what it says of unprintable characters is left out."""
    mark = " " * indent + "# "
    clean = "".join(c if c.isprintable() else " " for c in text)
    yield from textwrap.wrap(
        clean, WIDTH, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False
    )


def commented_out(lines: Sequence[str], indent: int) -> Iterator[str]:
    """Put a comment's mark before lines, so that taking `# ` out of each puts them in force."""
    for line in lines:
        yield f"{' ' * indent}# {line[indent:]}"
