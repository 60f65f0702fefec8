"""Text as Markdown shows it: whatever a policy or a message says is read as words, never as signs.

The pages of Prefect and MLflow show Markdown, and a picture in it would be fetched by everybody who
looks. It knows no page and no run.
"""

from __future__ import annotations

import re
from typing import Final

SIGNS: Final = re.compile(r"[\\`*_{}\[\]|~]")
"""What makes links, pictures, code, emphasis and cells of a table."""
IN_NAMES: Final = re.compile(r"(?<=[^\W\d_])\.(?=[^\W\d_])")
"""A dot between letters, as in the name of a host, which some readers make a link of."""


def escape_markdown(text: str) -> str:
    """Write a text as Markdown shows it, on one line: no tag, link, picture or cell of its own."""
    line = " ".join(text.split())
    plain = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    words = IN_NAMES.sub(r"\\.", SIGNS.sub(r"\\\g<0>", plain))
    # An address without any sign about it is a link to some readers.
    return words.replace("://", "&#58;//").replace("@", "&#64;")
