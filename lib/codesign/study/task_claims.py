"""What claims about task identity say. Thresholds were chosen before anything was counted."""

from __future__ import annotations

from collections.abc import Callable

from codesign.measure.ratios import Interval
from codesign.study.evidence import Evidence
from codesign.study.identified import ALIKE, REUSE_AT_LEAST, alike, reuse

#: Claim id -> statement, effect and threshold.
TASK_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float], ...] = (
    ("task-reuse", "A global budget makes at least 4 times as many sparse tasks as a uniform one, for every block "
     "shape, of BERT-base with random weights and of MiniLM.", reuse, REUSE_AT_LEAST),
    ("task-static", "With stored blocks padded to multiples of 5% of a matrix, a uniform budget has at least 80% of "
     "the sparse tasks of a global one.", alike, ALIKE),
)  # fmt: skip

#: Effects that are shares of a whole, and not how many times one thing is another.
SHARES = (alike,)
