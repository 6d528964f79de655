"""What claims about searches say: those of the encoder's matrices, at the operating point."""

from __future__ import annotations

from collections.abc import Callable

from codesign.measure.ratios import Interval
from codesign.study.evidence import Evidence
from codesign.study.searched import lead, margin, standing


def ahead_of_chance(strategy: str) -> Callable[[Evidence], Interval]:
    """Effect: how many times further from the best of a space random searches are, on average over equal trials."""
    return lambda evidence: lead(evidence.records("search"), strategy)


def rank(strategy: str) -> Callable[[Evidence], Interval]:
    """Effect: share of its space that the pick of a search is at least as fast as."""
    return lambda evidence: standing(evidence.records("search"), strategy)


#: Claim id -> statement, effect, threshold and unit.
SEARCH_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float, str], ...] = (
    ("search-model", "A search that follows our cost model is nearer to the best of its space than chance, at equal "
     "trials, from nothing.", ahead_of_chance("model"), 1.0, "ratio"),
    ("search-taught", "So is one whose model has learnt from the encoder's other matrix sizes, by a factor of two at "
     "least.", ahead_of_chance("taught"), 2.0, "ratio"),
    ("search-pick", "The pick of a search from nothing is at least as fast as 95% of its space.",
     rank("model"), 0.95, "share"),
    ("tuning-time", "Tuning all tasks of one encoder from nothing comes within 5% of its final kernel time in three "
     "minutes.", margin, 1.0, "ratio"),
)  # fmt: skip
