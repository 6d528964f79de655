"""What claims about task identity and budgets say. Thresholds were chosen before anything was counted or measured."""

from __future__ import annotations

from collections.abc import Callable

from codesign.measure.ratios import Interval
from codesign.study.evidence import Evidence
from codesign.study.identified import ALIKE, REUSE_AT_LEAST, alike, reuse
from codesign.study.spent import CLOSER, SAME, ahead, no_difference

#: Claim id -> statement, effect and threshold.
TASK_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float], ...] = (
    ("task-reuse", "A global budget makes at least 4 times as many sparse tasks as a uniform one, for every block "
     "shape, of BERT-base with random weights and of MiniLM.", reuse, REUSE_AT_LEAST),
    ("task-static", "With stored blocks padded to multiples of 5% of a matrix, a uniform budget has at least 80% of "
     "the sparse tasks of a global one.", alike, ALIKE),
    ("budget-reuse", "With the same trials in total, a uniform budget ends at least 2% closer to its best latency than "
     "a global one (attention linears of MiniLM).", ahead("total"), CLOSER),
    ("budget-kernels", "With the same trials for each task, the two end within 2% of each other.", no_difference, SAME),
)  # fmt: skip

#: Effects that are shares of a whole, and not how many times one thing is another.
SHARES = (alike, no_difference)
