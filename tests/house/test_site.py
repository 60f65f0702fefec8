"""The documents as a site: built without a warning, whole, and loading nothing from elsewhere."""

from __future__ import annotations

import html
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import tutela

ROOT = Path(__file__).parents[2]
LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""By which attribute an element loads something when its page is opened."""

Tag = tuple[str, dict[str, str]]


class Tags(HTMLParser):
    """The elements of one page, each with its attributes, and the text of scripts and styles."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[Tag] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, elsewhere."""
    place = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", place],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return place


def pages(site: Path) -> list[Path]:
    """Give every page but the one that is shown for a wrong address."""
    return sorted(page for page in site.rglob("*.html") if page.name != "404.html")


def loaded(page: Path) -> Iterator[str]:
    """Name what a page loads when it is opened."""
    for tag, attributes in Tags(page).found:
        if tag in LOADS and LOADS[tag] in attributes:
            yield attributes[LOADS[tag]]


def local(page: Path, address: str) -> Path:
    """Give the file that a relative address on a page means."""
    return (page.parent / unquote(urldefrag(address).url)).resolve()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    """Every script, style, picture and icon is a file of the site, and is there."""
    for page in site.rglob("*.html"):
        for address in loaded(page):
            if page.name != "404.html":  # whose addresses are of the server's root
                assert local(page, address).is_file(), f"{page.name}: {address}"
            assert not re.match(r"(https?:)?//", address), f"{page.name}: {address}"


def test_no_style_and_no_script_names_a_place_to_load_from(site: Path) -> None:
    """Neither those in files nor those in pages; addresses that only link are left aside."""
    named = re.compile(r"url\(\s*['\"]?(?:https?:)?//|unpkg\.com|cdn\.|googleapis|gstatic")
    texts = [*site.rglob("*.css"), *site.rglob("*.js"), *site.rglob("*.html")]
    assert len(texts) > 20
    assert [text.name for text in texts if named.search(text.read_text("utf-8"))] == []


def test_every_page_is_reached_from_the_menu(site: Path) -> None:
    """The menu of the first page leads to each of the others, and nowhere else."""
    start = site / "index.html"
    led = {
        local(start, attributes["href"])
        for tag, attributes in Tags(start).found
        if tag == "a"
        and "md-nav__link" in attributes.get("class", "")
        and not attributes["href"].startswith("#")
    }
    assert led == {page.resolve() for page in pages(site)}


def test_every_picture_of_the_site_is_shown_and_says_what_it_shows(site: Path) -> None:
    """No picture is carried along unused, and each has words for who cannot see it."""
    shown = set()
    for page in pages(site):
        for tag, attributes in Tags(page).found:
            if tag == "img":
                assert attributes.get("alt"), f"{page.name}: {attributes['src']}"
                shown.add(local(page, attributes["src"]))
    assert shown >= {
        picture for picture in (site / "pictures").iterdir() if picture.name != "shield.svg"
    }


def test_what_is_no_page_stays_out(site: Path) -> None:
    """The scripts beside the documents are not published with them."""
    assert list(site.rglob("*.py")) == []


def test_no_link_of_a_page_was_left_as_it_is_written(site: Path) -> None:
    """A link to a Markdown file, or a fence that was not understood, would stand there as text."""
    for page in pages(site):
        text = page.read_text("utf-8")
        assert "```" not in text, page.name
        assert not re.search(r'href="[^":]+\.md["#]', text), page.name


def test_the_search_works_in_pages_that_are_opened_as_files(site: Path) -> None:
    """The index is a script, and a frame takes the worker's place; both come with the site."""
    assert (site / "search" / "search_index.js").read_text("utf-8").startswith("var __index = {")
    for page in pages(site):
        assert any(address.endswith("iframe-worker.js") for address in loaded(page)), page.name


def test_the_page_of_names_shows_their_docstrings(site: Path) -> None:
    """All of each: what it is for, what it asks, and the example."""
    shown = re.sub(r"<[^>]+>|\s+", "", (site / "api.html").read_text("utf-8"))
    for name in ("run", "k_anonymize", "Refusal"):
        said = inspect.cleandoc(getattr(tutela, name).__doc__ or "").replace("`", "")
        assert html.escape(re.sub(r"\s+", "", said), quote=False) in shown, name
