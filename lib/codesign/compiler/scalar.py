"""Elementwise functions that vectorise: TVM's own ``exp`` and ``erf`` become one scalar library call per element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from codesign.compiler.tvm_compat import tirx

Expr = Any  # a float32 TensorIR expression

#: Cephes ``expf``: minimax polynomial of (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
#: Odd and even polynomials of a rational minimax approximation of erf on [-4, 4], as in Eigen's ``generic_fast_erf``;
#: beyond, erf is 1 in float32.
_ERF_END = 4.0
_ERF_ODD = (
    *(-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05),
    *(-7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02),
)
_ERF_EVEN = (
    *(-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03),
    *(-7.37332916720468e-03, -1.42647390514189e-02),
)


def f32(value: float) -> Expr:
    """A float32 constant."""
    return tirx.const(value, "float32")


def rounded(x: Expr, dtype: str) -> Expr:
    """Nearest whole number, of two the even one."""
    return tirx.nearbyint(x).astype("int32").astype(dtype)


def _let(value: Expr, body: Callable[[Expr], Expr]) -> Expr:
    """Name a value that is used more than once: without it the expression doubles at every use."""
    name = tirx.Var("v", "float32")
    return tirx.Let(name, value, body(name))


def _horner(x: Expr, coefficients: tuple[float, ...]) -> Expr:
    total = f32(coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + f32(coefficient)
    return total


def exp(x: Expr) -> Expr:
    """exp(x) within 2 ulp for float32 ``x``; below -87.3 it stays at the smallest normal number."""
    clamped = tirx.max(tirx.min(x, f32(88.0)), f32(-87.3))
    return _let(clamped, lambda x: _let(tirx.floor(x * f32(1.44269504088896341) + f32(0.5)), lambda n: _exp(x, n)))


def _exp(x: Expr, n: Expr) -> Expr:
    """exp(x) = 2^n exp(r) with r = x - n ln(2), |r| <= ln(2)/2."""
    power = tirx.reinterpret("float32", (n.astype("int32") + tirx.const(127, "int32")) << tirx.const(23, "int32"))
    # ln(2) in two parts, so that n * ln(2) loses no bits (Cephes)
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)
    return _let(r, lambda r: (_horner(r, _EXP) * (r * r) + r + f32(1.0)) * power)


def erf(x: Expr) -> Expr:
    """erf(x) for float32 ``x``, absolute error below 1e-6; one division and no exp."""

    def rational(x: Expr) -> Expr:
        return _let(x * x, lambda square: x * _horner(square, _ERF_ODD) / _horner(square, _ERF_EVEN))

    return _let(tirx.max(tirx.min(x, f32(_ERF_END)), f32(-_ERF_END)), rational)


def gelu(x: Expr) -> Expr:
    """Exact GELU, x * Phi(x) (Hendrycks & Gimpel 2016), as in BERT."""
    return _let(x, lambda x: x * f32(0.5) * (erf(x * f32(0.70710678118654752)) + f32(1.0)))
