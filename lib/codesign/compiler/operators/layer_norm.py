"""Layer normalisation over the features of feature-major activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator, activations, as_matrix, as_slabs
from codesign.compiler.scalar import f32
from codesign.compiler.tvm_compat import T, tirx


@dataclass(frozen=True)
class LayerNorm(Operator):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta for each token (Ba et al. 2016).

    Parameters
    ----------
    features, tokens
        Shape of the activations.
    epsilon
        Added to the variance.
    slab
        Tokens in a slab of the activations.
    """

    features: int
    tokens: int
    epsilon: float
    slab: int
    kind: ClassVar[str] = "layer_norm"

    def arguments(self) -> list[Argument]:
        sizes = self.features, self.tokens, self.slab
        vectors = [Argument(name, (self.features,)) for name in ("gamma", "beta")]
        return [activations("x", *sizes), *vectors, activations("y", *sizes)]

    def body(self, *buffers: Any) -> None:
        x, gamma, beta, y = buffers
        zero, share = f32(0.0), f32(1.0 / self.features)
        state = T.alloc_buffer((2,), "float32")
        with T.serial(0, self.tokens // self.slab) as s, T.serial(0, self.slab) as m:
            T.buffer_store(state, zero, [0])
            T.buffer_store(state, zero, [1])
            with T.serial(0, self.features) as f:
                T.buffer_store(state, state[0] + x[s, f, m] * share, [0])
            with T.serial(0, self.features) as f:
                T.buffer_store(state, state[1] + (x[s, f, m] - state[0]) * (x[s, f, m] - state[0]) * share, [1])
            with T.serial(0, self.features) as f:
                normal = (x[s, f, m] - state[0]) / tirx.sqrt(state[1] + f32(self.epsilon))
                T.buffer_store(y, normal * gamma[f] + beta[f], [s, f, m])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, gamma, beta = (a.astype(np.float64) for a in (as_matrix(inputs[0]), *inputs[1:]))
        centred = x - x.mean(0)
        y = centred / np.sqrt((centred**2).mean(0) + self.epsilon) * gamma[:, None] + beta[:, None]
        return as_slabs(y, self.slab)
