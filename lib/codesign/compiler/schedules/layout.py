"""Layout changes in square tiles, so that both sides touch whole cache lines."""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import ToFeatureMajor, ToTokenMajor
from codesign.compiler.operators.base import primfunc
from codesign.compiler.scalar import f32
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class LayoutTile(Family):
    """Decisions: ``edge`` of a tile, in elements."""

    name: ClassVar[str] = "layout_tile"
    operators: ClassVar[tuple[type, ...]] = (ToFeatureMajor, ToTokenMajor)

    def space(self, operator: ToFeatureMajor | ToTokenMajor, spec: TargetSpec) -> Space | str:
        return Space({"edge": (spec.lanes, 2 * spec.lanes, spec.lanes // 2)})

    def generate(self, operator: Any, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        edge = decisions["edge"]
        tiles_f, tiles_s = -(-operator.features // edge), -(-operator.seq_padded // edge)
        with primfunc(operator) as ((x, y), finish):
            tiles = T.parallel(0, tiles_f), T.serial(0, operator.batch), T.serial(0, tiles_s)
            with tiles[0] as tf, tiles[1] as b, tiles[2] as ts, T.serial(0, edge) as df, T.serial(0, edge) as ds:
                f, s = tf * edge + df, ts * edge + ds
                slab, column, real = operator.slab_of(b, s), s % operator.slab, s < operator.seq
                with T.If(tirx.all(f < operator.features, s < operator.seq_padded)), T.Then():
                    if isinstance(operator, ToFeatureMajor):
                        value = x[b, tirx.min(s, operator.seq - 1), f]
                        T.buffer_store(y, tirx.if_then_else(real, value, f32(0.0)), [slab, f, column])
                    else:
                        with T.If(real), T.Then():
                            T.buffer_store(y, x[slab, f, column], [b, s, f])
        return finish()
