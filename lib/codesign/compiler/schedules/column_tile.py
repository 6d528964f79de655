"""Layer normalisation down the columns: whole vectors of tokens, three passes over a tile that fits the cache."""

from __future__ import annotations

from typing import Any, ClassVar

from codesign.compiler.operators import LayerNorm
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import Registers, f32
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class ColumnTile(Family):
    """Decisions: ``vectors`` of tokens in a tile."""

    name: ClassVar[str] = "column_tile"
    operators: ClassVar[tuple[type, ...]] = (LayerNorm,)

    def space(self, operator: LayerNorm, spec: TargetSpec) -> Space | str:
        if operator.tokens % spec.lanes:
            return f"{operator.tokens} token columns are not whole vectors of {spec.lanes}"
        return Space({"vectors": (2, 4, 1)})

    def valid(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> bool:
        return operator.tokens % (decisions["vectors"] * spec.lanes) == 0

    def generate(self, operator: LayerNorm, spec: TargetSpec, decisions: Decisions) -> tirx.PrimFunc:
        columns = decisions["vectors"] * spec.lanes
        tiles = operator.tokens // columns
        share = -(-tiles // spec.threads)
        mean_of = f32(1.0 / operator.features)
        with primfunc(operator) as ((x, gamma, beta, y), finish), T.parallel(0, spec.threads) as p:
            mean = Registers(1, decisions["vectors"], spec.lanes)
            scale = Registers(1, decisions["vectors"], spec.lanes)
            with T.serial(0, tirx.max(tirx.min(share, tiles - p * share), 0)) as t:
                first = (p * share + t) * columns

                def centred(s: Any, f: Any, m: Any, first: Any = first) -> Any:
                    return x[f, first + m] - mean.buffer[s]

                mean.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    mean.each(lambda s, _, m, __: T.buffer_store(mean.buffer, mean.buffer[s] + x[f, first + m], [s]))
                mean.each(lambda s, *_: T.buffer_store(mean.buffer, mean.buffer[s] * mean_of, [s]))
                scale.fill(f32(0.0))
                with T.serial(0, operator.features) as f:
                    scale.each(
                        lambda s, _, m, __: T.buffer_store(
                            scale.buffer, scale.buffer[s] + centred(s, f, m) * centred(s, f, m), [s]
                        )
                    )
                one, epsilon = f32(1.0), f32(operator.epsilon)
                scale.each(
                    lambda s, *_: T.buffer_store(
                        scale.buffer, one / tirx.sqrt(scale.buffer[s] * mean_of + epsilon), [s]
                    )
                )
                with T.serial(0, operator.features) as f:
                    scale.each(
                        lambda s, _, m, __: T.buffer_store(
                            y, centred(s, f, m) * scale.buffer[s] * gamma[f] + beta[f], [f, first + m]
                        )
                    )
        return finish()
