"""Text as Markdown shows it: whatever a policy or a message says is read as words, never as signs.

The pages of Prefect and MLflow show Markdown, and a picture in it would be fetched by everybody who
looks. It knows no page and no run.
"""

from __future__ import annotations

import re
from typing import Final

SIGNS: Final = re.compile(r"[\\`*_{}\[\]|~]")
"""What makes links, pictures, code, emphasis and cells of a table."""
WORDS: Final = re.compile(r"([`|\s])")
ADDRESS: Final = re.compile(r"://|www\.|@", re.IGNORECASE)
"""What many readers make a link of without any sign about it, but not in code."""


def escape_markdown(text: str) -> str:
    """Write a text as Markdown shows it, on one line: no tag, link, picture or cell of its own."""
    return "".join(
        f"`{word}`" if ADDRESS.search(word) else escape_word(word)
        for word in WORDS.split(" ".join(text.split()))
    )


def escape_word(word: str) -> str:
    """Write what is no address."""
    plain = word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SIGNS.sub(r"\\\g<0>", plain)
