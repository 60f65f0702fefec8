"""What the pages on training and on attacks show is so: snippets run, excerpts are policies."""

from __future__ import annotations

import json
import re
from pathlib import Path

from expectations.policy.plain_yaml import read_yaml
from expectations.policy.training import PRIVATE_KINDS, Attacks

DOCS = Path(__file__).parents[3] / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Give a page's code blocks of one language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_snippet_of_the_training_page_runs() -> None:
    """One after the other, as they are read; their assertions are the test."""
    found, names = blocks("training.md", "python"), dict[str, object]()
    assert found
    for text in found:
        exec(compile(text, "training.md", "exec"), names)  # noqa: S102  # our own page


def test_the_excerpt_of_the_attacks_page_is_what_a_policy_may_say() -> None:
    """Every key and value fits the grammar."""
    (text,) = blocks("attacks.md", "yaml excerpt")
    _, plain = read_yaml(text, "attacks.md")
    assert isinstance(plain, dict)
    Attacks.model_validate_json(json.dumps(plain["attacks"]))


def test_every_private_kind_has_its_row_on_the_training_page() -> None:
    """Who chooses one finds what may be promised of it."""
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    missing = [kind for kind in PRIVATE_KINDS if f"| `{kind}` |" not in page]
    assert not missing, (
        f"docs/training.md: no row for {missing}; benchmarks/training.py measures it"
    )
