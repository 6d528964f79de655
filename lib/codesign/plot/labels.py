"""Placing labels so that none covers another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return positions near ``places``, in the same order of height, at least ``gap`` apart."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for below, above in itertools.pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved
