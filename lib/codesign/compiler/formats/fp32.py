"""float32, one input a lane."""

from __future__ import annotations

from codesign.compiler.formats.base import NumberFormat

#: The tolerance: sums of 3072 terms in another order differ by less.
FP32 = NumberFormat("fp32", "float32", "float32", "float32", depth=1, tolerance=1e-4)
