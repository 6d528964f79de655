"""Between token-major ``[batch, seq, features]`` and feature-major slabs: once at each end of the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator, activations, as_matrix, as_slabs
from codesign.compiler.scalar import f32
from codesign.compiler.tvm_compat import T, tirx


@dataclass(frozen=True)
class _Layout(Operator):
    """Sizes of a layout change.

    ``seq_padded`` is what a sequence takes in feature-major columns; padding is written as zeros and never read back.
    ``slab`` counts the tokens of a slab and divides ``seq_padded``.
    """

    batch: int
    seq: int
    seq_padded: int
    features: int
    slab: int

    @property
    def _token_major(self) -> tuple[int, int, int]:
        return self.batch, self.seq, self.features

    def _feature_major(self, name: str) -> Argument:
        return activations(name, self.features, self.batch * self.seq_padded, self.slab)

    def slab_of(self, b: Any, s: Any) -> Any:
        """Slab that holds token ``s`` of sequence ``b``; within it, the token is ``s % slab``."""
        return b * (self.seq_padded // self.slab) + s // self.slab


class ToFeatureMajor(_Layout):
    """``y[slab of (b, s), f, s % slab] = x[b, s, f]``, zero in the padding."""

    kind: ClassVar[str] = "to_feature_major"

    def arguments(self) -> list[Argument]:
        return [Argument("x", self._token_major), self._feature_major("y")]

    def body(self, *buffers: Any) -> None:
        x, y = buffers
        with T.serial(0, self.features) as f, T.serial(0, self.batch) as b, T.serial(0, self.seq_padded) as s:
            value = x[b, tirx.min(s, self.seq - 1), f]
            padded = tirx.if_then_else(s < self.seq, value, f32(0.0))
            T.buffer_store(y, padded, [self.slab_of(b, s), f, s % self.slab])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        padded = np.pad(inputs[0], ((0, 0), (0, self.seq_padded - self.seq), (0, 0)))
        return as_slabs(padded.reshape(-1, self.features).T.astype(np.float64), self.slab)


class ToTokenMajor(_Layout):
    """``y[b, s, f] = x[slab of (b, s), f, s % slab]``."""

    kind: ClassVar[str] = "to_token_major"

    def arguments(self) -> list[Argument]:
        return [self._feature_major("x"), Argument("y", self._token_major)]

    def body(self, *buffers: Any) -> None:
        x, y = buffers
        with T.serial(0, self.batch) as b, T.serial(0, self.seq) as s, T.serial(0, self.features) as f:
            T.buffer_store(y, x[self.slab_of(b, s), f, s % self.slab], [b, s, f])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        columns = as_matrix(inputs[0]).T.reshape(self.batch, self.seq_padded, self.features)
        return columns[:, : self.seq].astype(np.float64)
