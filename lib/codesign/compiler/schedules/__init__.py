"""Schedule families: each answers, for one operator, *how* it may be computed. Those of one operator share a file."""

from __future__ import annotations

from codesign.compiler.schedules import (
    attention,
    layout,
    linear,
    norm,
    rounding,
)
from codesign.compiler.schedules.base import (
    Decisions,
    Family,
    Space,
    applicable,
    families_for,
    find_family,
    refusals,
    register,
)

register(
    linear.TokenTile(),
    linear.RowTile(),
    attention.AttentionTile(),
    norm.ColumnTile(),
    layout.LayoutTile(),
    linear.TokenMajorLinear(),
    attention.TokenMajorAttention(),
    norm.TokenMajorNorm(),
    rounding.RoundingTile(),
)

__all__ = ["Decisions", "Family", "Space", "applicable", "families_for", "find_family", "refusals"]
