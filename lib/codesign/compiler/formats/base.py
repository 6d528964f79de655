"""What the compiler asks of a number format."""

from __future__ import annotations

import math
from dataclasses import dataclass

from codesign.compiler.instructions import Dot


@dataclass(frozen=True)
class NumberFormat:
    """What weights, activations and their sums are made of.

    Activations lie feature by feature in every format. One that takes several inputs at once finds them side by side in
    each lane of a register: a kernel interleaves so many features on their way in.

    Parameters
    ----------
    name
        As in records.
    weights, activations, sums
        Types of what is stored, and of what products are added up in.
    depth
        Inputs that a lane takes at once.
    tolerance
        How far a result may be off, relative to the largest.
    dot
        The instruction that multiplies and adds them; None is a multiply-add of one input.
    """

    name: str
    weights: str
    activations: str
    sums: str
    depth: int
    tolerance: float
    dot: Dot | None = None

    @property
    def scaled(self) -> bool:
        """Whether values are whole numbers, and sums are scaled: by a factor of the output, and one of the token."""
        return self.sums == "int32"

    def joined(self, cols: int) -> int:
        """Blocks of ``cols`` inputs that are stored as one, side by side, to be whole lanes."""
        return math.lcm(cols, self.depth) // cols
