"""Layer normalisation of token-major activations: along the features of one token after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from codesign.compiler.operators import LayerNorm
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules.base import Decisions, Family, Space
from codesign.compiler.schedules.emit import At, Registers, f32, total
from codesign.compiler.target import TargetSpec
from codesign.compiler.tvm_compat import T, tirx


class TokenMajorNorm(Family):
    """Decisions: ``vectors`` of features that are summed side by side."""

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
        share = -(-operator.tokens // spec.threads)
        mean_of = f32(1.0 / operator.features)
        with primfunc(operator) as ((x, gamma, beta, y), finish), T.parallel(0, spec.threads) as p:
            sums = Registers(1, decisions["vectors"], spec.lanes)
            state = T.alloc_buffer((2,), "float32")

            def over_features(visit: Callable[[Any, At], None]) -> None:
                with T.serial(0, operator.features // step) as f:
                    sums.each(lambda at: visit(f * step + at.column, at))

            with T.serial(0, tirx.max(tirx.min(share, operator.tokens - p * share), 0)) as t:
                token = p * share + t

                def add(f: Any, at: At, token: Any = token) -> None:
                    sums[at] = sums[at] + x[token, f, 0]

                def add_square(f: Any, at: At, token: Any = token) -> None:
                    centred = x[token, f, 0] - state[0]
                    sums[at] = sums[at] + centred * centred

                def write(f: Any, at: At, token: Any = token) -> None:
                    T.buffer_store(y, (x[token, f, 0] - state[0]) * state[1] * gamma[f] + beta[f], [token, f, 0])

                sums.fill(f32(0.0))
                over_features(add)
                T.buffer_store(state, total(sums) * mean_of, [0])
                sums.fill(f32(0.0))
                over_features(add_square)
                variance = total(sums) * mean_of + f32(operator.epsilon)
                T.buffer_store(state, f32(1.0) / tirx.sqrt(variance), [1])
                over_features(write)
        return finish()
