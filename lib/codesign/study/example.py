"""One pruned matrix through the compiler, small enough to read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from codesign.bsr import BSRMatrix
from codesign.compiler.expand import expand
from codesign.compiler.operators import pack
from codesign.compiler.operators.base import as_matrix, as_slabs
from codesign.compiler.slabs import slabs_for
from codesign.compiler.storage import linear_over
from codesign.compiler.target import target_spec
from codesign.compiler.tvm_compat import tvm
from codesign.study.points import Point
from codesign.study.pruned import example_weights


@dataclass(frozen=True)
class Example:
    """A linear layer before and after scheduling, and how far its result is from PyTorch's.

    Parameters
    ----------
    shape
        Of the weight, (out, in).
    density
        Share of blocks that are stored.
    before, after
        TensorIR: the definition that the tuner sees, and the loops of the first schedule that fits.
    max_abs_err
        Largest difference from PyTorch with the same weight and random activations.
    """

    shape: tuple[int, int]
    density: float
    before: str
    after: str
    max_abs_err: float


def compile_one_matrix(point: Point) -> Example:
    """Compile the first pruned matrix of a point, without tuning, and run it on random activations."""
    assert point.shape is not None, "a dense point has no pruned matrix"
    weight = example_weights([point])[point.block]
    matrix = BSRMatrix.from_dense(weight, point.shape)
    spec = target_spec(point.threads)
    slabs = slabs_for(point.batch, point.seq, spec)
    linear = linear_over(slabs, point.batch, matrix.shape, matrix.block, matrix.nnz_blocks, "bias", spec)
    before = linear.unscheduled()
    after = expand(tvm.IRModule({"main": before}), spec)
    rng = np.random.default_rng(point.seed)
    x = rng.standard_normal((linear.inputs, linear.tokens), np.float32)
    bias = rng.standard_normal(linear.outputs, np.float32)
    y = tvm.runtime.empty(linear.arguments()[-1].shape, "float32")
    arrays = [as_slabs(x, linear.slab), *pack(matrix, *linear.packing()).arrays(), bias]
    tvm.compile(after, target=spec.target)["main"](*map(tvm.runtime.tensor, arrays), y)
    expected = torch.nn.functional.linear(*map(torch.from_numpy, (x.T, weight, bias))).T
    error = float(np.abs(as_matrix(y.numpy()) - expected.numpy()).max())
    return Example(weight.shape, matrix.density, before.script(), after["main"].script(), error)
