"""Schedule families: each answers, for one operator, *how* it may be computed. One family a file."""

from __future__ import annotations

from codesign.compiler.schedules import (
    attention_tile,
    column_tile,
    layout_tile,
    row_tile,
    token_major_attention,
    token_major_linear,
    token_major_norm,
    token_tile,
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
    token_tile.TokenTile(),
    row_tile.RowTile(),
    attention_tile.AttentionTile(),
    column_tile.ColumnTile(),
    layout_tile.LayoutTile(),
    token_major_linear.TokenMajorLinear(),
    token_major_attention.TokenMajorAttention(),
    token_major_norm.TokenMajorNorm(),
)

__all__ = ["Decisions", "Family", "Space", "applicable", "families_for", "find_family", "refusals"]
