"""Activations rounded to whole numbers, token by token: what a `Linear` in int8 reads.

Two operators, because one has one output: the step of each token, and the activations counted in steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from codesign.compiler.formats.int8 import LARGEST_ACTIVATION
from codesign.compiler.operators.base import Argument, Operator, activations
from codesign.compiler.scalar import f32, rounded
from codesign.compiler.tvm_compat import T, tirx

#: The least that a token's largest activation counts for: a token of zeros has a step, too.
_LEAST = 1e-30


@dataclass(frozen=True)
class _Rounding(Operator):
    """Sizes of activations in slabs of ``slab`` tokens."""

    features: int
    tokens: int
    slab: int

    def _activations(self, name: str) -> Argument:
        return activations(name, self.features, self.tokens, self.slab)

    def _steps(self) -> Argument:
        return Argument("steps", (self.tokens // self.slab, self.slab))


class TokenSteps(_Rounding):
    """``steps[s, m] = max |x[s, :, m]| / 32767``: what one counts for."""

    kind: ClassVar[str] = "token_steps"

    def arguments(self) -> list[Argument]:
        return [self._activations("x"), self._steps()]

    def body(self, *buffers: Any) -> None:
        x, steps = buffers
        with T.serial(0, self.tokens // self.slab) as s, T.serial(0, self.slab) as m:
            T.buffer_store(steps, f32(_LEAST), [s, m])
            with T.serial(0, self.features) as f:
                T.buffer_store(steps, larger(steps[s, m], x[s, f, m]), [s, m])
            T.buffer_store(steps, steps[s, m] * step_of(), [s, m])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        return np.maximum(np.abs(inputs[0]).max(1), _LEAST).astype(np.float64) / LARGEST_ACTIVATION


class Rounded(_Rounding):
    """``y[s, f, m] = round(x[s, f, m] * (1 / steps[s, m]))``, of two whole numbers the even one."""

    kind: ClassVar[str] = "rounded"

    def arguments(self) -> list[Argument]:
        return [self._activations("x"), self._steps(), Argument("y", self._activations("y").shape, "int16")]

    def body(self, *buffers: Any) -> None:
        x, steps, y = buffers
        loops = T.serial(0, self.tokens // self.slab), T.serial(0, self.features), T.serial(0, self.slab)
        with loops[0] as s, loops[1] as f, loops[2] as m:
            T.buffer_store(y, rounded(x[s, f, m] * (f32(1.0) / steps[s, m]), "int16"), [s, f, m])

    def oracle(self, *inputs: np.ndarray) -> np.ndarray:
        x, steps = inputs
        return np.rint(x * (np.float32(1) / steps)[:, None])  # in float32, as the kernel: to the bit

    def example_inputs(self, rng: np.random.Generator) -> list[np.ndarray]:
        x = super().example_inputs(rng)[0]
        return [x, TokenSteps(self.features, self.tokens, self.slab).oracle(x).astype(np.float32)]


def larger(known: Any, x: Any) -> Any:
    """Return the larger of what is known and the size of ``x``."""
    return tirx.max(known, tirx.abs(x))


def step_of() -> Any:
    """Return what the largest activation is to be multiplied by."""
    return f32(1.0 / LARGEST_ACTIVATION)


def least() -> Any:
    """Return the least that a largest activation counts for."""
    return f32(_LEAST)
