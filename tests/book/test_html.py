"""Promises of the built pages: whole, self-contained, stamped, and readable without eyes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADING = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(str(tag["id"]) for tag in soup(page).find_all(id=True))


def test_no_hole_is_left(page: Path) -> None:
    assert not soup(page).select(".problematic, .system-message")
    assert not re.search(r"\{(?:num|paper|glue)[^}]*\}`", soup(page).get_text())


def test_every_image_has_words(page: Path) -> None:
    for image in soup(page).find_all("img"):
        assert str(image.get("alt", "")).strip(), image
    for figure in soup(page).select("figure.drawing .panels"):
        assert figure["role"] == "img"
        assert len(str(figure["aria-label"])) > 40


def test_nothing_is_loaded_from_another_site(page: Path) -> None:
    for name, attribute in LOADING.items():
        for tag in soup(page).find_all(name):
            assert not urlsplit(str(tag.get(attribute, ""))).netloc, tag
    inline = " ".join(str(tag.string) for tag in soup(page).find_all(["style", "script"]) if tag.string)
    assert not re.search(r"(?:url\(|@import|import\(|fetch\()\s*['\"]?https?:", inline)


def test_no_style_sheet_loads_from_another_site(html: Path) -> None:
    for sheet in html.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_links_lead_somewhere(page: Path, html: Path) -> None:
    for tag in soup(page).find_all("a", href=True):
        link = urlsplit(str(tag["href"]))
        if link.scheme or link.netloc:
            continue
        target = (page.parent / unquote(link.path)).resolve() if link.path else page
        assert target.is_file(), tag
        assert target.is_relative_to(html.resolve())
        if link.fragment and target.suffix == ".html":
            assert not unquote(link.fragment) or unquote(link.fragment) in anchors(target), tag


def test_the_stamp_is_on_the_page(page: Path) -> None:
    stamp = soup(page).select_one(".stamp")
    assert stamp is not None
    assert re.search(r"commit \w+.* profile \w+ · \d{4}-\d\d-\d\d|Nothing has been measured", stamp.get_text())


def test_formulas_are_mathml(html: Path) -> None:
    paper = soup(html / "paper.html")
    assert len(paper.find_all("math")) >= 4
    assert "MathJax" not in str(paper)


def test_search_finds_a_block_shape(html: Path) -> None:
    assert '"32x1"' in (html / "searchindex.js").read_text(encoding="utf-8")
