"""Rounding of activations, down their columns: whole vectors of tokens, by the thread that will read them."""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import Rounded, TokenSteps
from codesign.compiler.operators.base import primfunc
from codesign.compiler.operators.rounding import larger, least, step_of
from codesign.compiler.scalar import f32, rounded
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, serial_unrolled, units_of
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class RoundingTile(Family):
    """Decisions: ``vectors`` of tokens in a tile; ``unroll``, features that follow each other without a jump."""

    name: ClassVar[str] = "rounding_tile"
    operators: ClassVar[tuple[type, ...]] = (TokenSteps, Rounded)

    def space(self, operator: TokenSteps | Rounded, spec: TargetSpec) -> Space | str:
        if operator.slab % spec.lanes:
            return f"{operator.slab} token columns are not whole vectors of {spec.lanes}"
        return Space({"vectors": (4, 2, 1, 3), "unroll": (4, 1)})

    def valid(self, operator: TokenSteps | Rounded, spec: TargetSpec, decisions: Decisions) -> bool:
        return operator.slab % (decisions["vectors"] * spec.lanes) == 0

    def generate(self, operator: TokenSteps | Rounded, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        columns = decisions["vectors"] * spec.lanes
        in_slab = operator.slab // columns
        with primfunc(operator) as (buffers, finish), T.parallel(0, spec.threads) as p:
            tile = Registers(1, decisions["vectors"], spec.lanes)
            with units_of(p, operator.tokens // columns, spec.threads) as unit:
                slab, first = unit // in_slab, unit % in_slab * columns
                if isinstance(operator, TokenSteps):
                    _steps(buffers, tile, slab, first, operator.features, decisions["unroll"])
                else:
                    _round(buffers, tile, slab, first, operator.features, decisions["unroll"])
        return finish()


def _steps(buffers: list[Any], tile: Registers, slab: Any, first: Any, features: int, unroll: int) -> None:
    """Find the steps of a tile of tokens."""
    x, steps = buffers
    tile.fill(least())

    def look(f: Any) -> None:
        tile.update(lambda value, at: larger(value, x[slab, f, first + at.column]))

    serial_unrolled(features, unroll, look)
    tile.each(lambda at: T.buffer_store(steps, tile[at] * step_of(), [slab, first + at.column]))


def _round(buffers: list[Any], tile: Registers, slab: Any, first: Any, features: int, unroll: int) -> None:
    """Round the activations of a tile of tokens."""
    x, steps, y = buffers
    tile.update(lambda _, at: f32(1.0) / steps[slab, first + at.column])

    def write(f: Any) -> None:
        def one(at: At) -> None:
            counted = rounded(x[slab, f, first + at.column] * tile[at], "int16")
            T.buffer_store(y, counted, [slab, f, first + at.column])

        tile.each(one)

    serial_unrolled(features, unroll, write)
