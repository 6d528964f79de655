"""Layer normalisation over the features of feature-major activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator
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
    """

    features: int
    tokens: int
    epsilon: float
    kind: ClassVar[str] = "layer_norm"

    def arguments(self) -> list[Argument]:
        activations = (self.features, self.tokens)
        vector = (self.features,)
        return [
            Argument("x", activations),
            Argument("gamma", vector),
            Argument("beta", vector),
            Argument("y", activations),
        ]

    def body(self, *buffers: Any) -> None:
        x, gamma, beta, y = buffers
        zero, share = tirx.const(0.0, "float32"), tirx.const(1.0 / self.features, "float32")
        state = T.alloc_buffer((2,), "float32")
        with T.serial(0, self.tokens) as m:
            T.buffer_store(state, zero, [0])
            T.buffer_store(state, zero, [1])
            with T.serial(0, self.features) as f:
                T.buffer_store(state, state[0] + x[f, m] * share, [0])
            with T.serial(0, self.features) as f:
                T.buffer_store(state, state[1] + (x[f, m] - state[0]) * (x[f, m] - state[0]) * share, [1])
            with T.serial(0, self.features) as f:
                normal = (x[f, m] - state[0]) / tirx.sqrt(state[1] + tirx.const(self.epsilon, "float32"))
                T.buffer_store(y, normal * gamma[f] + beta[f], [f, m])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, gamma, beta = (a.astype(np.float64) for a in inputs)
        centred = x - x.mean(0)
        return centred / np.sqrt((centred**2).mean(0) + self.epsilon) * gamma[:, None] + beta[:, None]
