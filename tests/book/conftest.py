"""The built book, and a browser to look at it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from codesign.study.places import BOOK

sys.path.insert(0, str(BOOK / "_ext"))

HTML = Path(os.environ.get("CODESIGN_BOOK_HTML", BOOK / "_build" / "html"))


def pages() -> list[Path]:
    """Every page of the built book, those of the theme (search, index) included."""
    return sorted(page for page in HTML.rglob("*.html") if "_static" not in page.parts) if HTML.is_dir() else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes ``page`` every page of the built book; it is skipped where none is built."""
    if "page" in metafunc.fixturenames:
        unbuilt = [pytest.param(None, marks=pytest.mark.skip(reason="the book is not built: make book"))]
        built = [pytest.param(page, id=page.relative_to(HTML).as_posix()) for page in pages()]
        metafunc.parametrize("page", built or unbuilt)


@pytest.fixture(scope="session")
def html() -> Path:
    """Folder of the built book."""
    if not pages():
        pytest.skip("the book is not built: make book")
    return HTML


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found
