"""Between token-major ``[batch, seq, features]`` and feature-major ``[features, tokens]``: once at each end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.operators.base import Argument, Operator
from codesign.compiler.tvm_compat import T, tirx


@dataclass(frozen=True)
class _Layout(Operator):
    """Sizes of a layout change.

    ``seq_padded`` is what a sequence takes in feature-major columns; padding is written as zeros and never read back.
    """

    batch: int
    seq: int
    seq_padded: int
    features: int

    @property
    def _token_major(self) -> tuple[int, int, int]:
        return self.batch, self.seq, self.features

    @property
    def _feature_major(self) -> tuple[int, int]:
        return self.features, self.batch * self.seq_padded


class ToFeatureMajor(_Layout):
    """``y[f, b * seq_padded + s] = x[b, s, f]``, zero in the padding."""

    kind: ClassVar[str] = "to_feature_major"

    def arguments(self) -> list[Argument]:
        return [Argument("x", self._token_major), Argument("y", self._feature_major)]

    def body(self, *buffers: Any) -> None:
        x, y = buffers
        with T.serial(0, self.features) as f, T.serial(0, self.batch) as b, T.serial(0, self.seq_padded) as s:
            value = x[b, tirx.min(s, self.seq - 1), f]
            padded = tirx.if_then_else(s < self.seq, value, tirx.const(0.0, "float32"))
            T.buffer_store(y, padded, [f, b * self.seq_padded + s])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        padded = np.pad(inputs[0], ((0, 0), (0, self.seq_padded - self.seq), (0, 0)))
        return padded.reshape(-1, self.features).T.astype(np.float64)


class ToTokenMajor(_Layout):
    """``y[b, s, f] = x[f, b * seq_padded + s]``."""

    kind: ClassVar[str] = "to_token_major"

    def arguments(self) -> list[Argument]:
        return [Argument("x", self._feature_major), Argument("y", self._token_major)]

    def body(self, *buffers: Any) -> None:
        x, y = buffers
        with T.serial(0, self.batch) as b, T.serial(0, self.seq) as s, T.serial(0, self.features) as f:
            T.buffer_store(y, x[f, b * self.seq_padded + s], [b, s, f])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        columns = inputs[0].T.reshape(self.batch, self.seq_padded, self.features)
        return columns[:, : self.seq].astype(np.float64)
