"""Multi-head attention over feature-major activations: no transposes, everything vectorises over query tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator, activations, as_matrix, as_slabs
from codesign.compiler.scalar import f32
from codesign.compiler.tvm_compat import T, tirx

#: Bias of a padded key: as masked keys in the exported encoder.
MASKED = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Attention(Operator):
    """softmax(Q^T K * scale + bias) V for every head.

    Parameters
    ----------
    batch, seq
        True batch and sequence length.
    seq_padded
        Columns a sequence takes in the activations.
    heads, head_dim
        Heads and features of a head; ``heads * head_dim`` rows of the activations.
    slab
        Tokens in a slab of the activations, a divisor of ``seq_padded``.
    """

    batch: int
    seq: int
    seq_padded: int
    heads: int
    head_dim: int
    slab: int
    kind: ClassVar[str] = "attention"

    @property
    def slabs(self) -> int:
        """Slabs of a sequence."""
        return self.seq_padded // self.slab

    @property
    def tokens(self) -> int:
        """Columns of the activations."""
        return self.batch * self.seq_padded

    @property
    def scale(self) -> float:
        """1 / sqrt(head_dim) (Vaswani et al. 2017)."""
        return float(self.head_dim) ** -0.5

    @property
    def flops(self) -> int:
        return 4 * self.batch * self.heads * self.seq * self.seq * self.head_dim

    def arguments(self) -> list[Argument]:
        sizes = self.heads * self.head_dim, self.tokens, self.slab
        heads = [activations(name, *sizes) for name in ("query", "key", "value")]
        return [*heads, Argument("bias", (self.batch, self.seq)), activations("y", *sizes)]

    def key_bias(self, bias: Any, b: Any, j: Any, padded: int = 0) -> Any:
        """Additive bias of key ``j`` of ``padded`` keys (0: as the activations), which may lie in the padding."""
        if self.seq == (padded or self.seq_padded):
            return bias[b, j]
        return tirx.if_then_else(j < self.seq, bias[b, tirx.min(j, self.seq - 1)], f32(MASKED))

    def body(self, *buffers: Any) -> None:
        query, key, value, bias, y = buffers
        zero = f32(0.0)
        scores = T.alloc_buffer((self.seq_padded,), "float32")
        state = T.alloc_buffer((2,), "float32")
        with T.serial(0, self.batch) as b, T.serial(0, self.heads) as h, T.serial(0, self.seq_padded) as i:
            mine, m = b * self.slabs + i // self.slab, i % self.slab
            T.buffer_store(state, f32(MASKED), [0])
            T.buffer_store(state, zero, [1])
            with T.serial(0, self.seq_padded) as j:
                T.buffer_store(scores, zero, [j])
                with T.serial(0, self.head_dim) as d:
                    f = h * self.head_dim + d
                    T.buffer_store(scores, scores[j] + query[mine, f, m] * self.token(key, b, f, j), [j])
                biased = scores[j] * f32(self.scale) + self.key_bias(bias, b, j)
                T.buffer_store(scores, biased, [j])
                T.buffer_store(state, tirx.max(state[0], scores[j]), [0])
            with T.serial(0, self.seq_padded) as j:
                T.buffer_store(scores, tirx.exp(scores[j] - state[0]), [j])
                T.buffer_store(state, state[1] + scores[j], [1])
            with T.serial(0, self.head_dim) as d:
                f = h * self.head_dim + d
                T.buffer_store(y, zero, [mine, f, m])
                with T.serial(0, self.seq_padded) as j:
                    T.buffer_store(y, y[mine, f, m] + scores[j] * self.token(value, b, f, j), [mine, f, m])
                T.buffer_store(y, y[mine, f, m] / state[1], [mine, f, m])

    def token(self, buffer: Any, b: Any, f: Any, j: Any) -> Any:
        """Feature ``f`` of token ``j`` of sequence ``b``."""
        return buffer[b * self.slabs + j // self.slab, f, j % self.slab]

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        *heads, bias = inputs
        query, key, value = (as_matrix(a).astype(np.float64) for a in heads)
        shape = (self.heads, self.head_dim, self.batch, self.seq_padded)
        query, key, value = (a.reshape(shape) for a in (query, key, value))
        scores = np.einsum("hdbi,hdbj->bhij", query, key) * self.scale
        scores[..., : self.seq] += bias[:, None, None, :]
        scores[..., self.seq :] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        y = np.einsum("bhij,hdbj->hdbi", weights, value)
        return as_slabs(y.reshape(self.heads * self.head_dim, self.tokens), self.slab)
