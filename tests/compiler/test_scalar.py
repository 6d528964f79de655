"""exp, erf and GELU in TensorIR against NumPy in double precision, vectorised as kernels use them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.compiler.conftest import run

from codesign.compiler import TargetSpec, scalar
from codesign.compiler.tvm_compat import IRBuilder, T, tirx


def elementwise(function: Callable[[Any], Any], count: int, lanes: int) -> tirx.PrimFunc:
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        x, y = T.arg("x", T.buffer((count,), "float32")), T.arg("y", T.buffer((count,), "float32"))
        with T.sblock("root"), T.serial(0, count // lanes) as i, T.vectorized(0, lanes) as v:
            T.buffer_store(y, function(x[i * lanes + v]), [i * lanes + v])
    return builder.get()


def apply(function: Callable[[Any], Any], x: np.ndarray, spec: TargetSpec) -> np.ndarray:
    return run(elementwise(function, len(x), spec.lanes), [x], x.shape, spec)


def test_exp_is_within_two_units_in_the_last_place(spec: TargetSpec) -> None:
    x = np.linspace(-87.0, 87.0, 1 << 16, dtype=np.float32)
    want = np.exp(x.astype(np.float64))
    error = np.abs(apply(scalar.exp, x, spec) - want) / np.spacing(want.astype(np.float32))
    assert error.max() <= 2.0


def test_exp_of_a_masked_score_is_finite_and_negligible(spec: TargetSpec) -> None:
    x = np.full(spec.lanes, np.finfo(np.float32).min, np.float32)
    x[1::2] = -np.inf
    got = apply(scalar.exp, x, spec)
    assert np.isfinite(got).all()
    assert got.max() < 1e-37


@pytest.mark.parametrize("name", ["erf", "gelu"])
def test_erf_and_gelu_are_within_one_in_a_million(name: str, spec: TargetSpec) -> None:
    x = np.linspace(-8.0, 8.0, 1 << 16, dtype=np.float32)
    erf = np.array([math.erf(v) for v in x.astype(np.float64) / (1.0 if name == "erf" else math.sqrt(2.0))])
    want = erf if name == "erf" else x * 0.5 * (1.0 + erf)
    assert np.abs(apply(getattr(scalar, name), x, spec) - want).max() <= 1e-6
