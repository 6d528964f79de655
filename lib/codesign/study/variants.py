"""One kernel, many weights: the same library timed while only what is inside the blocks, or where they lie, changes.

All variants take turns in the *same* buffers, so that no variant has luckier addresses than another. Every block-row
stores equally many blocks in every variant, so that the balance of the threads does not change either. No weight is
denormal: the smallest one is far from where the processor slows down. Workers import this file, without PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler.formats import FP32
from codesign.compiler.operators import Linear, operator_from
from codesign.compiler.operators.packing import PackedLinear, pack
from codesign.compiler.trial import COLD_BYTES, WEIGHTS, argument_sets, check, seconds_a_call
from codesign.compiler.tvm_compat import tvm
from codesign.errors import InputError

#: Consecutive block-rows that store the same columns in the variant "shared".
GROUP = 8
#: Weights smaller than this are replaced by one.
SMALLEST = 1e-6


@dataclass(frozen=True)
class Variant:
    """Weights that one kernel is given.

    Parameters
    ----------
    inside
        "full": no zero inside a block. Otherwise half of each block is zero: in "one pattern", one of "16 patterns",
        or "all different", as many as there are for the shape.
    where
        Which columns a block-row stores: "random" ones; "shared" by `GROUP` consecutive block-rows; "banded", side by
        side along the diagonal.
    control
        "A/A" for the second entry of the baseline.
    """

    inside: str = "full"
    where: str = "random"
    control: str | None = None


BASE, CONTROL = Variant(), Variant(control="A/A")
INSIDE = (Variant("one pattern"), Variant("16 patterns"), Variant("all different"))
WHERE = (Variant(where="shared"), Variant(where="banded"))
VARIANTS = (BASE, CONTROL, *INSIDE, *WHERE)


def weights(operator: Linear, variant: Variant, seed: int) -> PackedLinear:
    """Make the weights of a variant; what two variants have in common is the same in both.

    Raises
    ------
    InputError
        If blocks do not tile the matrix.
    """
    block = BlockShape(operator.rows, operator.cols)
    if operator.outputs % block.rows or operator.inputs % block.cols:
        size = f"{operator.outputs}x{operator.inputs}"
        raise InputError("block", str(block), f"a block shape that tiles {size} without a rest")
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((operator.nnz, block.rows, block.cols), np.float32)
    data[np.abs(data) < SMALLEST] = 1.0
    if variant.inside != "full":
        drawn = {"one pattern": 1, "16 patterns": 16, "all different": operator.nnz}[variant.inside]
        data *= masks(drawn, operator.nnz, block, rng)
    rows, columns = block.grid((operator.outputs, operator.inputs))
    counts = np.full(rows, operator.nnz // rows) + (np.arange(rows) < operator.nnz % rows)
    indices = np.concatenate(place(counts, columns, variant.where, seed)).astype(np.int32)
    indptr = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
    matrix = BSRMatrix(data, indices, indptr, (operator.outputs, operator.inputs), block)
    return pack(matrix, *operator.packing())


def masks(drawn: int, nnz: int, block: BlockShape, rng: np.random.Generator) -> np.ndarray:
    """Draw patterns that keep half of a block and give them out in turn, float32[nnz, rows, cols].

    Drawn patterns may coincide: a small block has few.
    """
    kept = max(1, block.area // 2)
    order = rng.random((drawn, block.area)).argsort(axis=1)
    patterns = np.zeros((drawn, block.area), np.float32)
    np.put_along_axis(patterns, order[:, :kept], 1.0, axis=1)
    return patterns[np.arange(nnz) % drawn].reshape(nnz, block.rows, block.cols)


def place(counts: np.ndarray, columns: int, where: str, seed: int) -> list[np.ndarray]:
    """Choose the block-columns of each block-row, ascending: so many of them as ``counts`` says."""
    rng = np.random.default_rng([seed, 1])
    if where == "banded":
        centres = np.linspace(0, columns, len(counts))
        starts = np.clip(np.round(centres - counts / 2), 0, columns - counts).astype(int)
        return [np.arange(start, start + count) for start, count in zip(starts, counts, strict=True)]
    step = GROUP if where == "shared" else 1
    orders = [rng.permutation(columns) for _ in range(-(-len(counts) // step))]
    return [np.sort(orders[row // step][:count]) for row, count in enumerate(counts)]


def distinct(packed: PackedLinear) -> int:
    """Count the different patterns of zeros inside the blocks."""
    return len(np.unique((packed.data != 0).reshape(len(packed.data), -1), axis=0))


def time_variants(library: Path, seed: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Check and time a built kernel with each variant's weights in turn, in a worker that `runner` has started.

    Parameters
    ----------
    library
        From `codesign.compiler.bench.Bench.build`.
    seed
        Of weights, activations, and of the order in each round.
    rounds, seconds
        In each round every variant gets one hot and one cold sample, of at least so many seconds.

    Returns
    -------
    list[dict]
        Fields of the record of each of `VARIANTS`: samples in ns a call, and what its weights are like.

    Raises
    ------
    ArithmeticError
        If a result is wrong.
    """
    operator = operator_from((library.parent / "operator.json").read_text())
    assert isinstance(operator, Linear), "only weights of linears vary"
    function = tvm.runtime.load_module(str(library))["main"]
    x, *_, bias = operator.example_inputs(np.random.default_rng(seed))[:6]
    made = [weights(operator, variant, seed) for variant in VARIANTS]
    expected = [operator.oracle(x, *packed, bias) for packed in made]
    size = made[0].data.nbytes + made[0].indices.nbytes
    sets, out = argument_sets([x, *made[0], bias], -(-COLD_BYTES // size)), tvm.runtime.empty(expected[0].shape)
    hot: list[list[float]] = [[] for _ in VARIANTS]
    cold: list[list[float]] = [[] for _ in VARIANTS]
    errors = [0.0] * len(VARIANTS)

    def sample(sets: Sequence[list[Any]], least: float) -> float:
        return round(seconds_a_call(function, sets, out, least) * 1e9, 1)

    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        for turn in rng.permutation(len(VARIANTS)):
            for arguments in sets:
                for tensor, array in zip(arguments[WEIGHTS], made[turn], strict=False):
                    tensor.copyfrom(array)
            errors[turn] = max(errors[turn], check(function, sets[0], out, expected[turn], FP32.tolerance))
            sample(sets[:1], seconds / 2)  # thrown away: the weights have just been written
            hot[turn].append(sample(sets[:1], seconds))
            sample(sets, 0.0)
            cold[turn].append(sample(sets, seconds))
    return [
        {
            "hot_ns": warm,
            "cold_ns": rotated,
            "max_abs_err": error,
            "rotated_bytes": size * len(sets),
            "distinct_patterns": distinct(packed),
            "element_density": float((packed.data != 0).mean()),
        }
        for warm, rotated, error, packed in zip(hot, cold, errors, made, strict=True)
    ]
