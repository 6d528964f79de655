"""Sentences for inputs: real English that every install of this project has, the docstrings of pinned packages."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator

from codesign.corpus.sources import docstrings, root_of
from codesign.errors import InputError

#: Packages whose sources are read (never imported); large, well written, and direct dependencies.
PACKAGES = ("numpy", "matplotlib")

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
# Words, numbers and ordinary punctuation; anything else is markup, code or a formula.
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;'()-]{40,200}[.?!]")
_MIN_WORDS = 8


def sentences(count: int) -> list[str]:
    """Draw sentences, the same ones in every environment made from the lock file.

    Parameters
    ----------
    count
        At least 1. A longer draw starts with the shorter one.

    Raises
    ------
    InputError
        If ``count`` is below 1 or there are fewer sentences.
    """
    available = _all_sentences()
    if not 1 <= count <= len(available):
        raise InputError("count", count, f"1 to {len(available)}", min(max(count, 1), len(available)))
    return list(available[:count])


@functools.cache
def _all_sentences() -> tuple[str, ...]:
    """Every sentence once, in the order of its digest: shuffled, without depending on files or their order."""
    texts = (text for package in PACKAGES for _, text in docstrings(root_of(package), skip=("tests",)))
    found = {sentence for text in texts for sentence in _split(text)}
    return tuple(sorted(found, key=lambda sentence: hashlib.sha256(sentence.encode()).digest()))


def _split(docstring: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", docstring):
        if any(line.startswith((" ", ">", "-", "=", ".", "*")) for line in paragraph.splitlines()):
            continue  # an example, a list, a heading or a directive
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            if _PROSE.fullmatch(sentence) and sentence.count(" ") >= _MIN_WORDS:
                yield sentence
