"""What the ledger decides: where time goes, and what the width of vectors changes. Thresholds came before numbers."""

from __future__ import annotations

from collections.abc import Callable

from codesign.measure.ratios import Interval
from codesign.study.evidence import Evidence
from codesign.study.profile_views import inside, largest, together
from codesign.study.vector_views import least_gain, same_shape

_ALL = "80% of all encoder weights pruned in 4x1, 32x1 or 1x1 blocks"

#: Claim id -> statement, effect, threshold and unit.
LEDGER_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float, str], ...] = (
    ("outside-linears", f"At least 80% of the time in kernels goes to linears, {_ALL}.",
     inside(together), 0.8, "share"),
    ("outside-linears-each", f"No one kind of kernel but linears takes more than 20% of the time, {_ALL}.",
     inside(largest), 0.8, "share"),
    ("lanes", "AVX-512 makes every encoder, dense or pruned throughout, at least 1.5 times as fast as AVX2.",
     least_gain, 1.5, "ratio"),
    ("lanes-shape", "The block shape that is fastest with AVX-512 is fastest with AVX2, too (all weights pruned).",
     same_shape, 1.0, "ratio"),
)  # fmt: skip
