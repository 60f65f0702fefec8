"""Makes a site of documents that are written for a code host; MkDocs calls it as a hook.

Brings in the documents that live outside `docs/`, leads links to their pages under the names that
these have in the menu, takes links to files that have no page for plain words, and shows the name
of a file above what it holds.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent
BROUGHT: Final = {"security.md": ROOT / "SECURITY.md", "changelog.md": ROOT / "CHANGELOG.md"}
"""Pages of the site whose text stands beside the code."""
FENCED: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
FILE: Final = re.compile(r"[\w/.-]+\.md")
NAMED: Final = re.compile(r"^```(csv|json) (\S+)$", re.MULTILINE)
MARKED: Final = re.compile(r"^```yaml (?:part|excerpt)$", re.MULTILINE)
ELSEWHERE: Final = "https://unpkg.com/"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the documents from beside the code."""
    for page, source in BROUGHT.items():
        files.append(File.generated(config, page, content=source.read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Give a page's text as the site needs it; code is left alone, but for the line above it."""
    del config
    place = page.file.src_uri
    parts = FENCED.split(markdown)
    return "".join(
        MARKED.sub("```yaml", NAMED.sub(r'```\1 title="\2"', part))
        if part.startswith("```")
        else LINK.sub(lambda link: lead(link, place, files), part)
        for part in parts
    )


def lead(link: re.Match[str], place: str, files: Files) -> str:
    """Lead one link of the page at `place` to a page of the site, or make words of it."""
    words, target = link.groups()
    path, mark, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return link[0]
    source = BROUGHT.get(place, DOCS / place)
    led = page_of((source.parent / path).resolve(), files)
    if led is None:
        return words
    if FILE.fullmatch(words) and led.page and led.page.title:
        words = str(led.page.title)
    path = posixpath.relpath(led.src_uri, posixpath.dirname(place) or ".")
    return f"[{words}]({path}{mark}{anchor})"


def page_of(file: Path, files: Files) -> File | None:
    """Give what the site has of a file of the project, if it has it."""
    brought = next((page for page, source in BROUGHT.items() if source == file), None)
    if brought is None and file.is_relative_to(DOCS):
        brought = file.relative_to(DOCS).as_posix()
    return files.get_file_from_path(brought) if brought else None


def on_post_build(*, config: MkDocsConfig) -> None:
    """Take out of the theme's scripts the addresses that old browsers would load from."""
    for script in Path(config.site_dir).rglob("*.js"):
        text = script.read_text("utf-8")
        if ELSEWHERE in text:
            script.write_text(text.replace(ELSEWHERE, ""), encoding="utf-8")
