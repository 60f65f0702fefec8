"""No text of a policy makes a link, a picture or a tag where Markdown is shown."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import mistune
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tasks.account.markdown import escape_markdown
from tasks.account.projection import note_lines
from tasks.account.published import Figure, Summary
from tasks.account.summary import summarize
from tasks.pages.artifacts import check_rows, missing_lines, story_lines
from tasks.pages.model_card import list_cards, write_markdown
from tests.recorded_runs import compared_run, make_entries

HOSTILE = (
    '<img src="http://evil.example.com/a"> ![b](http://evil.example.com/b) '
    "[c](javascript:alert(1)) [d]: http://evil.example.com/d http://evil.example.com/e "
    "www.evil.example.com/f <http://evil.example.com/g> g@evil.example.com ![h][d] `i` | **j**"
)
MAKES_SOMETHING = {"image", "link_open", "html_inline", "html_block"}
"""What no text of a policy may make."""


def parts(markdown: str) -> list[Token]:
    """Read Markdown as CommonMark does, with tables; give everything in it."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [part for token in tokens for part in (token, *(token.children or []))]


def made(markdown: str) -> list[str]:
    """Give what it shows that is no word, also to a reader that makes links of bare addresses."""
    page = mistune.create_markdown(escape=False, plugins=["url", "table"])(markdown)
    assert isinstance(page, str)
    tags = [tag for tag in ("<a ", "<img", "<script") if tag in page]
    return tags + [part.type for part in parts(markdown) if part.type in MAKES_SOMETHING]


def words(markdown: str) -> str:
    """Give its words."""
    told = ("text", "text_special", "code_inline")
    return "".join(part.content for part in parts(markdown) if part.type in told)


def test_the_hostile_text_would_make_something() -> None:
    """The control."""
    assert {"<a ", "<img", *MAKES_SOMETHING} - {"html_block"} <= set(made(f"> {HOSTILE}"))


@given(st.text() | st.text("[]()!<>`*_|\\&:/@.wh#~{}\n "))
def test_every_text_is_shown_as_it_stands(text: str) -> None:
    """On one line, and it makes nothing."""
    shown = f"of {escape_markdown(text)}"
    assert made(shown) == []
    expected = " ".join(f"of {text}".split())
    assert unescape(words(shown)) == unescape(expected.replace("\0", "\ufffd"))


def hostile_run() -> Summary:
    """A run in which every text of the policy that Markdown shows is hostile."""
    summary = summarize(*compared_run())
    assert summary.representation is not None
    (column, *_) = summary.representation.columns
    labels = tuple(replace(row, label=HOSTILE) for row in column.labels)
    return replace(
        summary,
        title=HOSTILE,
        reason=HOSTILE,
        controller=HOSTILE,
        contact=HOSTILE,
        made_up=HOSTILE,
        people=(Figure(HOSTILE, HOSTILE, None),),
        excluded=(Figure(HOSTILE, HOSTILE, None),),
        outlets=tuple(replace(one, recipient=HOSTILE, claim=HOSTILE) for one in summary.outlets),
        fates=tuple(replace(fate, note=HOSTILE, treatment=HOSTILE) for fate in summary.fates),
        checks=tuple(replace(one, measured=HOSTILE, asked=HOSTILE) for one in summary.checks),
        links=(),
        representation=replace(
            summary.representation, source=HOSTILE, columns=(replace(column, labels=labels),)
        ),
    )


@pytest.mark.parametrize("page", ["story", "missing", "checks", "card", "note"])
def test_a_page_shows_a_hostile_policy_as_words(page: str) -> None:
    """Prefect's three, a model's card, and the top of a run's page in MLflow."""
    summary = hostile_run()
    if page == "card":
        text = "\n".join(write_markdown(summary, outlet) for outlet in list_cards(summary))
    elif page == "note":
        _, policy, _ = compared_run()
        reason = make_entries(("decision", "refused", {"reason": HOSTILE}))
        title = policy.model_copy(update={"title": HOSTILE})
        text = "\n".join(note_lines(title, reason, "refused"))
    elif page == "checks":
        text = "\n\n".join(cell for row in check_rows(summary) for cell in row.values())
    else:
        lines = story_lines if page == "story" else missing_lines
        text = "\n".join(lines(summary))
    assert "evil" in text
    assert made(text) == []
    told = [part.content for part in parts(text) if part.type == "text"]
    assert not [words for words in told if "://" in words or "www." in words or "@" in words]
