"""Layer normalisation down the columns: whole vectors of tokens, three passes over a tile that fits the cache."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from codesign.compiler.operators import LayerNorm
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class ColumnTile(Family):
    """Decisions: ``vectors`` of tokens in a tile."""

    name: ClassVar[str] = "column_tile"
    operators: ClassVar[tuple[type, ...]] = (LayerNorm,)

    def space(self, operator: LayerNorm, spec: TargetSpec) -> Space | str:
        if operator.slab % spec.lanes:
            return f"{operator.slab} token columns are not whole vectors of {spec.lanes}"
        return Space({"vectors": (2, 4, 1, 3)})

    def valid(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> bool:
        return operator.slab % (decisions["vectors"] * spec.lanes) == 0

    def generate(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        columns = decisions["vectors"] * spec.lanes
        tiles, in_slab = operator.tokens // columns, operator.slab // columns
        share = -(-tiles // spec.threads)
        mean_of = f32(1.0 / operator.features)
        with primfunc(operator) as ((x, gamma, beta, y), finish), T.parallel(0, spec.threads) as p:
            mean = Registers(1, decisions["vectors"], spec.lanes)
            scale = Registers(1, decisions["vectors"], spec.lanes)
            with T.serial(0, tirx.max(tirx.min(share, tiles - p * share), 0)) as t:
                slab, first = (p * share + t) // in_slab, (p * share + t) % in_slab * columns

                def element(f: Any, at: At, slab: Any = slab, first: Any = first) -> Any:
                    return x[slab, f, first + at.column]

                def add(f: Any, at: At) -> None:
                    mean[at] = mean[at] + element(f, at)

                def add_square(f: Any, at: At) -> None:
                    centred = element(f, at) - mean[at]
                    scale[at] = scale[at] + centred * centred

                def finish_scale(at: At) -> None:
                    scale[at] = f32(1.0) / tirx.sqrt(scale[at] * mean_of + f32(operator.epsilon))

                def write(f: Any, at: At, slab: Any = slab, first: Any = first) -> None:
                    value = (element(f, at) - mean[at]) * scale[at] * gamma[f] + beta[f]
                    T.buffer_store(y, value, [slab, f, first + at.column])

                mean.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    mean.each(partial(add, f))
                mean.each(lambda at: mean.__setitem__(at, mean[at] * mean_of))
                scale.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    scale.each(partial(add_square, f))
                scale.each(finish_scale)
                with T.serial(0, operator.features) as f:
                    scale.each(partial(write, f))
        return finish()
