"""One linear layer from its pruned weights to machine code: everything that is read on the way, in one record.

The layer is the first that a scope prunes, with the schedule that tuning chose for it, compiled by itself and run on
its own weights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from codesign.bsr import BSRMatrix
from codesign.compiler import MissingTask, TargetSpec, open_database, target_spec
from codesign.compiler.layout import layout_for
from codesign.compiler.operators import Linear, pack
from codesign.compiler.operators.base import as_matrix, as_slabs
from codesign.compiler.operators.packing import PackedLinear
from codesign.compiler.schedules import Decisions, find_family
from codesign.compiler.space import expand
from codesign.compiler.tasks import best_decisions, task_of
from codesign.compiler.tvm_compat import tirx, tvm
from codesign.isa import NATIVE
from codesign.records import Record
from codesign.study.assembly import code_bytes, count, inner_loop
from codesign.study.chain import Study
from codesign.study.points import Point
from codesign.study.pruned import example_weights
from codesign.study.tuning import committed_database, database

#: Scope -> its first linear, and what follows the product inside the kernel.
FIRST = {
    "attention": ("encoder.layer.0.attention.self.query", "bias"),
    "ffn": ("encoder.layer.0.intermediate.dense", "bias_gelu"),
}
FIRST["all"] = FIRST["attention"]
#: Block-rows whose pattern is kept, from the first on; which of them is looked at; and how many of its blocks and rows.
PATTERN_ROWS, BLOCK_ROW, HEAD = 24, 1, 8


def compile_one_matrix(point: Point) -> dict[str, Any]:
    """Compile the first pruned matrix of a point, without tuning, and run it on random activations.

    Returns
    -------
    dict[str, Any]
        ``shape`` of the weight, (out, in); ``density``, the share of blocks that are stored; ``before`` and ``after``,
        TensorIR: the definition that the tuner sees, and the loops of the first schedule that fits; ``max_abs_err``,
        the largest difference from PyTorch.
    """
    weight, spec = example_weights([point])[point.block], target_spec(point.threads)
    matrix, operator = _layer(weight, point, spec, "bias")
    before = operator.unscheduled()
    after = expand(tvm.IRModule({"main": before}), spec)["main"]
    (x, *_, bias), y = _run(compiled(after, spec), operator, pack(matrix, *operator.packing()), point.seed)
    expected = torch.nn.functional.linear(*map(torch.from_numpy, (as_matrix(x).T, weight, bias))).T
    error = float(np.abs(as_matrix(y) - expected.numpy()).max())
    about = {"shape": weight.shape, "density": matrix.density, "max_abs_err": error}
    return about | {"before": before.script(), "after": after.script()}


def ensure_listed(study: Study, points: Sequence[Point]) -> list[Record]:
    """Compile the first linear of every point that still needs it; return the `listing` record of each, in order.

    Parameters
    ----------
    points
        Pruned points of one scope.

    Raises
    ------
    MissingTask
        If the tuning database lacks the layer.
    MissingRecord
        Reading committed results, if they lack a point.
    """
    for point in study.left(points, "listing", lambda point: study.found("listing", point.fields())):
        study.append("listing", point.fields(), _listing(study, point, example_weights([point])[point.block]))
    return [study.newest("listing", point.fields()) for point in points]


def _listing(study: Study, point: Point, weight: np.ndarray) -> dict[str, Any]:
    spec = target_spec(point.threads)
    name, epilogue = FIRST[point.scope]
    matrix, operator = _layer(weight, point, spec, epilogue)
    family, decisions = chosen(study, operator, spec)
    after = scheduled(operator, spec, family, decisions)
    executable, packed = compiled(after, spec), pack(matrix, *operator.packing())
    inputs, y = _run(executable, operator, packed, point.seed)
    return {
        "isa": NATIVE,
        "target": spec.key,
        "layer": name,
        "operator": json.loads(operator.attributes()),
        **arrays(matrix, packed),
        "family": family,
        "decisions": decisions,
        "before": operator.unscheduled().script(),
        "after": after.script(),
        **loop_of(executable),
        "max_abs_err": float(np.abs(y - operator.oracle(*inputs)).max()),
    }


def _layer(weight: np.ndarray, point: Point, spec: TargetSpec, epilogue: str) -> tuple[BSRMatrix, Linear]:
    """Return a pruned matrix of a point, and its layer as an encoder has it."""
    assert point.shape is not None, "a dense point has no pruned matrix"
    matrix = BSRMatrix.from_dense(weight, point.shape)
    layout = layout_for(point.batch, point.seq, spec)
    return matrix, layout.linear(matrix.shape, matrix.block, matrix.nnz_blocks, epilogue)


def _run(executable: Any, operator: Linear, packed: PackedLinear, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Run a compiled layer on random activations; return what went in and what came out."""
    rng = np.random.default_rng(seed)
    x = as_slabs(rng.standard_normal((operator.inputs, operator.tokens), np.float32), operator.slab)
    inputs = [x, *packed, rng.standard_normal(operator.outputs, np.float32)]
    y = tvm.runtime.tensor(np.full(operator.arguments()[-1].shape, np.nan, np.float32))
    executable["main"](*map(tvm.runtime.tensor, inputs), y)
    return inputs, y.numpy()


def chosen(study: Study, operator: Linear, spec: TargetSpec) -> tuple[str, Decisions]:
    """Return the family and decisions that tuning chose for an operator, on this machine or else in committed records.

    Raises
    ------
    MissingTask
        If it knows nothing.
    InputError
        If there is neither, or it is for another target.
    """
    folder, task = database(study, spec), task_of(operator)
    if not folder.exists():
        folder = committed_database(study, spec) or folder
    best = best_decisions(open_database(folder, spec), task)
    if best is None:
        raise MissingTask(f"task {task.name} ({task.digest}) is not in {folder}: tune it with notebook 03_tune")
    return best.pop("family"), best


def scheduled(operator: Linear, spec: TargetSpec, family: str, decisions: Decisions) -> tirx.PrimFunc:
    """Return the loops that a family emits."""
    return find_family(family).generate(operator, spec, decisions).with_attr("global_symbol", "main")


def compiled(function: tirx.PrimFunc, spec: TargetSpec) -> Any:
    """Compile one function for a target."""
    return tvm.compile(tvm.IRModule({"main": function}), target=spec.target)


def loop_of(executable: Any) -> dict[str, Any]:
    """Return the fields of a record that hold the inner loop of a compiled kernel, its counts and its bytes."""
    from tvm.support.cc import get_cc  # the compiler that links every kernel

    assembly = str(executable.mod.inspect_source("asm"))
    loop = inner_loop(assembly)
    return {
        "loop": list(loop.lines),
        "counts": count(loop.lines),
        "loop_bytes": code_bytes(assembly, loop, get_cc()),
    }


def arrays(matrix: BSRMatrix, packed: PackedLinear) -> dict[str, Any]:
    """Return the fields of a record that show a matrix: the arrays, and the pattern of the first block-rows.

    A row of the pattern is hexadecimal, a bit for each block-column, the first one highest. The heads of indices and
    data begin with the first block of ``block_row``; of each block they have the first rows of its first column, at
    most a strip.
    """
    block_row = min(BLOCK_ROW, matrix.grid[0] - 1)
    begin, strips = matrix.indptr[block_row], matrix.block.rows // packed.data.shape[2]
    heads = {
        "indptr": packed.indptr[:HEAD],
        "indices": packed.indices[begin : begin + HEAD],
        "data": packed.data[begin * strips : begin * strips + HEAD, 0, :HEAD].astype(float).round(4),
    }
    whole = {"data": packed.data, "indices": packed.indices, "indptr": packed.indptr, "bounds": packed.bounds}
    stored = np.zeros((min(PATTERN_ROWS, matrix.grid[0]), matrix.grid[1]), bool)
    for row, line in enumerate(stored):
        line[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]] = True
    return {
        "arrays": {name: {"dtype": str(array.dtype), "shape": list(array.shape)} for name, array in whole.items()},
        "block_row": block_row,
        "heads": {name: head.tolist() for name, head in heads.items()},
        "pattern": [np.packbits(line).tobytes().hex() for line in stored],
    }
