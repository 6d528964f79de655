"""Layer normalisation in three passes: down the columns of feature-major activations, along token-major ones."""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import LayerNorm
from codesign.compiler.operators.base import primfunc
from codesign.compiler.scalar import f32
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, total, units_of
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class ColumnTile(Family):
    """Whole vectors of tokens, whose tile fits the cache. Decisions: ``vectors`` of tokens in a tile."""

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
        in_slab, mean_of = operator.slab // columns, f32(1.0 / operator.features)
        with primfunc(operator) as ((x, gamma, beta, y), finish), T.parallel(0, spec.threads) as p:
            mean = Registers(1, decisions["vectors"], spec.lanes)
            scale = Registers(1, decisions["vectors"], spec.lanes)
            with units_of(p, operator.tokens // columns, spec.threads) as tile:
                slab, first = tile // in_slab, tile % in_slab * columns

                def centred(f: Any, at: At) -> Any:
                    return x[slab, f, first + at.column] - mean[at]

                mean.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    mean.update(lambda value, at: value + x[slab, f, first + at.column])
                mean.update(lambda value, at: value * mean_of)
                scale.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    scale.update(lambda value, at: value + centred(f, at) * centred(f, at))
                scale.update(lambda value, at: f32(1.0) / tirx.sqrt(value * mean_of + f32(operator.epsilon)))
                with T.serial(0, operator.features) as f:

                    def write(at: At) -> None:
                        value = centred(f, at) * scale[at] * gamma[f] + beta[f]
                        T.buffer_store(y, value, [slab, f, first + at.column])

                    scale.each(write)
        return finish()


class TokenMajorNorm(Family):
    """Along the features of one token after the other. Decisions: ``vectors`` of features summed side by side."""

    name: ClassVar[str] = "token_major_norm"
    operators: ClassVar[tuple[type, ...]] = (LayerNorm,)

    def space(self, operator: LayerNorm, spec: TargetSpec) -> Space | str:
        if operator.slab != 1:
            return f"activations lie feature-major, in slabs of {operator.slab} tokens"
        if operator.features % spec.lanes:
            return f"{operator.features} features are not whole vectors of {spec.lanes}"
        return Space({"vectors": (4, 2, 8, 3, 1)})

    def valid(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> bool:
        return operator.features % (decisions["vectors"] * spec.lanes) == 0

    def generate(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        step = decisions["vectors"] * spec.lanes
        steps, mean_of = operator.features // step, f32(1.0 / operator.features)
        with primfunc(operator) as ((x, gamma, beta, y), finish), T.parallel(0, spec.threads) as p:
            sums = Registers(1, decisions["vectors"], spec.lanes)
            state = T.alloc_buffer((2,), "float32")
            with units_of(p, operator.tokens, spec.threads) as token:

                def centred(f: Any) -> Any:
                    return x[token, f, 0] - state[0]

                sums.fill(f32(0.0))
                with T.serial(0, steps) as k:
                    sums.update(lambda value, at: value + x[token, k * step + at.column, 0])
                T.buffer_store(state, total(sums) * mean_of, [0])
                sums.fill(f32(0.0))
                with T.serial(0, steps) as k:
                    sums.update(lambda value, at: value + centred(k * step + at.column) * centred(k * step + at.column))
                variance = total(sums) * mean_of + f32(operator.epsilon)
                T.buffer_store(state, f32(1.0) / tirx.sqrt(variance), [1])
                with T.serial(0, steps) as k:

                    def write(at: At) -> None:
                        f = k * step + at.column
                        T.buffer_store(y, centred(f) * state[1] * gamma[f] + beta[f], [token, f, 0])

                    sums.each(write)
        return finish()
