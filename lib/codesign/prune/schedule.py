"""Sparsity over time."""

from __future__ import annotations

from codesign.errors import InputError

#: ``one-shot`` prunes before the first step; ``cubic`` fast at first and slower as fewer weights are left.
SCHEDULES = ("one-shot", "cubic")


def cubic(step: int, steps: int, sparsity: float) -> float:
    """Sparsity after ``step`` of ``steps`` steps: s (1 - (1 - t)^3), with t the share of steps done.

    This is equation 1 of Zhu and Gupta (2017) from an initial sparsity of zero; ``sparsity`` from the last step on.

    Raises
    ------
    InputError
        If ``steps`` is below 1.
    """
    if steps < 1:
        raise InputError("steps", steps, "at least 1", 1)
    left = 1 - min(max(step, 0), steps) / steps
    return sparsity * (1 - left**3)
