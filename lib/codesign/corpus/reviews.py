"""Sentences of reviews that people have rated, from -4 to 4, read in place from a pinned archive.

Hutto and Gilbert (2014) had each sentence rated by some twenty people. Sentences and ratings come with the source
distribution of their package vaderSentiment; the wheel lacks them. Film reviews are learnt from and asked about; those
of Amazon's customers are another domain, which is only asked about.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import sys
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.errors import InputError

#: Where `make setup` puts the source distribution that ``requirements-data.lock`` pins.
ARCHIVE = Path(sys.prefix) / "share" / "codesign" / "vaderSentiment-3.3.2.tar.gz"
MOVIES, AMAZON = "movies", "amazon"
#: Domain -> how the names of its files begin.
_FILES = {MOVIES: "movieReviewSnippets", AMAZON: "amazonReviewSnippets"}
#: Shares of the sentences that are asked: while settings are chosen, and at last.
DEV, TEST = 0.05, 0.19
_SPLITS = 10


@dataclass(frozen=True)
class Review:
    """A sentence, and what each of its raters gave it."""

    text: str
    ratings: tuple[int, ...]

    @property
    def rating(self) -> float:
        """The mean, which is exactly 0 where it is."""
        return sum(self.ratings) / len(self.ratings)


@functools.cache
def reviews(domain: str) -> tuple[Review, ...]:
    """Read the sentences of a domain, each once, in the order of the archive.

    Raises
    ------
    InputError
        If the archive is not there.
    """
    ratings = {number: tuple(json.loads(given)) for number, *_, given in _rows(domain, "anonDataRatings")}
    found: dict[str, Review] = {}
    for number, _, sentence in _rows(domain, "GroundTruth"):
        text = " ".join(sentence.split())
        found.setdefault(text.casefold(), Review(text, ratings[number]))
    return tuple(found.values())


def _rows(domain: str, what: str) -> list[list[str]]:
    """Fields of each line of a file of the archive, which holds an archive."""
    if not ARCHIVE.exists():
        raise InputError("task", "reviews", f"{ARCHIVE}, which `make setup` brings")
    folder = ARCHIVE.name.removesuffix(".tar.gz")
    with tarfile.open(ARCHIVE) as outer:
        packed = outer.extractfile(f"{folder}/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=packed) as inner:
            file = inner.extractfile(f"hutto_ICWSM_2014/{_FILES[domain]}_{what}.txt")
            assert file is not None, "a plain file"
            lines = file.read().decode("utf-8-sig").split("\n")
    return [line.rstrip("\r").split("\t") for line in lines if line.strip()]


def split(found: Iterable[Review]) -> dict[str, list[Review]]:
    """Divide sentences into ``train``, ``dev`` and ``test`` by a hash of their text, in the order of the hashes."""
    sides: dict[str, list[Review]] = {"train": [], "dev": [], "test": []}
    for review in sorted(found, key=lambda review: _place(review.text)):
        place = _place(review.text)
        sides["test" if place < TEST else "dev" if place < TEST + DEV else "train"].append(review)
    return sides


def _place(text: str) -> float:
    """Return a number from 0 to below 1 that follows from a text."""
    return int(hashlib.sha256(text.casefold().encode()).hexdigest()[:12], 16) / 16**12


@dataclass(frozen=True)
class Raters:
    """How well one half of the raters of each sentence predicts the other half.

    ``sign`` is how often the means of the halves have the same sign, where that of the second is not 0; a first half
    that says 0 counts as half right. Halves are fewer than all, so a model that predicts the mean of all may do better.
    ``pearson`` is the correlation of the two means.
    """

    sign: float
    pearson: float

    @property
    def ceiling(self) -> float:
        """The highest correlation with the mean of all raters that a prediction can have.

        By Spearman and Brown, the means of two panels as large as all raters correlate by 2r / (1 + r). That is the
        share of the mean's variance that is not noise of raters; its square root is the correlation of the mean with
        what endlessly many raters would say, which is all that can be predicted.
        """
        return math.sqrt(2 * self.pearson / (1 + self.pearson))


def raters(found: Sequence[Review], seed: int = 0) -> Raters:
    """Compare random halves of the raters; of an odd number, one is left out."""
    rng = np.random.default_rng(seed)
    signs, correlations = [], []
    for _ in range(_SPLITS):
        drawn = [rng.permutation(review.ratings) for review in found]
        halves = [(each[: len(each) // 2].mean(), each[-(len(each) // 2) :].mean()) for each in drawn]
        one, other = np.array(halves).T
        signs.append((np.sign(one) * np.sign(other) + 1)[other != 0].mean() / 2)
        correlations.append(np.corrcoef(one, other)[0, 1])
    return Raters(float(np.mean(signs)), float(np.mean(correlations)))
