"""Correctness under search: schedules drawn at random, with patterns drawn at random, against dense double precision.

A compiled linear has a fixed number of stored blocks and takes its pattern as an argument. So every kernel meets many
patterns: even ones, full block-rows or block-columns among empty ones, triangles, and rows of very different weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from codesign import machine
from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.expand import annotate, expand
from codesign.compiler.operators import Attention, LayerNorm, Linear, Operator, ToFeatureMajor, ToTokenMajor, pack
from codesign.compiler.operators.base import as_matrix, as_slabs
from codesign.compiler.operators.linear import strip_of
from codesign.compiler.schedules import Decisions, Family, families_for
from codesign.compiler.tvm_compat import Schedule, tvm
from codesign.study.soak.tally import Tally

#: Of the largest output: float32 sums of some hundred terms, in another order.
TOLERANCE = 2e-5
#: Kernels of a round, and patterns that each linear meets.
LINEARS, PATTERNS, OTHERS = 16, 48, 6
_EPILOGUES = ("bias", "bias_gelu", "bias_residual")
_BLOCKS = ("1x1", "1x3", "3x1", "4x1", "4x4", "7x5", "8x1", "1x16", "16x1", "16x4", "32x1", "5x37", "32x32", "48x2")
_SEQS = (1, 5, 13, 16, 31, 32, 37, 48, 61)

Rng = np.random.Generator
Call = Callable[..., None]


def one_round(seed: int) -> list[Tally]:
    """Compile `LINEARS` linears and `OTHERS` other operators, and try each many times.

    Returns
    -------
    list[Tally]
        One for each schedule family; its settings count kernels, stored patterns by their kind and empty block-rows.
    """
    rng = np.random.default_rng(seed)
    tallies: dict[str, Tally] = {}
    specs = _specs()
    for _ in range(LINEARS):
        spec = specs[rng.integers(len(specs))]
        linear = draw_linear(rng, spec)
        for family, decisions in draw_points(rng, linear, spec):
            _try_linear(rng, linear, kernel(linear, family, decisions, spec), _tally(tallies, family), decisions)
    for _ in range(OTHERS):
        spec = specs[rng.integers(len(specs))]
        for operator in draw_others(rng, spec):
            for family, decisions in draw_points(rng, operator, spec):
                _try_other(rng, operator, kernel(operator, family, decisions, spec), _tally(tallies, family), decisions)
    return list(tallies.values())


def _specs() -> list[TargetSpec]:
    """Every instruction set and number of threads that this machine has."""
    isas = ["native", "avx2"] if "avx512f" in machine.describe().isa else ["native"]
    return [target_spec(threads, isa) for isa in isas for threads in range(1, min(machine.describe().cores, 2) + 1)]


def draw_linear(rng: Rng, spec: TargetSpec) -> Linear:
    """Any matrix, block, density, epilogue, and division of tokens among slabs and threads."""
    block = BlockShape.parse(str(rng.choice(_BLOCKS)))
    outputs, inputs = (int(rng.integers(1, 97)) for _ in range(2))
    grid = block.grid((outputs, inputs))
    whole = grid[0] * grid[1]
    density = rng.choice([0.0, 0.05, 0.2, 0.5, 0.9, 1.0])
    slabs, vectors = int(rng.choice([1, 2, 3, 4])), int(rng.integers(1, 5))
    slab = vectors * spec.lanes
    if block.rows % spec.lanes == 0 and rng.random() < 0.5:  # token-major: slabs of one token
        outputs, slabs, slab = -(-outputs // spec.lanes) * spec.lanes, int(rng.integers(1, 62)), 1
        grid = block.grid((outputs, inputs))
        whole = grid[0] * grid[1]
    token_shares = int(rng.choice([share for share in range(1, spec.threads + 1) if slabs % share == 0]))
    return Linear(
        outputs=outputs,
        inputs=inputs,
        tokens=slabs * slab,
        rows=block.rows,
        cols=block.cols,
        nnz=min(whole, round(whole * density)),
        shares=max(1, spec.threads // token_shares),
        epilogue=str(rng.choice(_EPILOGUES)),
        slab=slab,
        token_shares=token_shares,
        strip=strip_of(block.rows, slab // spec.lanes) if slab > 1 and rng.random() < 0.5 else block.rows,
    )


def draw_others(rng: Rng, spec: TargetSpec) -> list[Operator]:
    """Draw one of each other operator that has a schedule family, for one random sequence length."""
    batch, seq = int(rng.integers(1, 4)), int(rng.choice(_SEQS))
    padded = -(-seq // spec.lanes) * spec.lanes
    slab = int(rng.choice([s for s in range(spec.lanes, padded + 1, spec.lanes) if padded % s == 0]))
    features = int(rng.integers(1, 70))
    head_dim = spec.lanes * int(rng.integers(1, 4))
    return [
        Attention(batch, seq, seq, int(rng.integers(1, 4)), head_dim, slab=1),
        LayerNorm(features=head_dim, tokens=batch * seq, epsilon=1e-12, slab=1),
        Attention(batch, seq, padded, int(rng.integers(1, 4)), int(rng.choice([4, 8, 12, 64])), slab),
        LayerNorm(features=features, tokens=batch * padded, epsilon=1e-12, slab=slab),
        ToFeatureMajor(batch, seq, padded, features, slab),
        ToTokenMajor(batch, seq, padded, features, slab),
    ]


def draw_points(rng: Rng, operator: Operator, spec: TargetSpec) -> list[tuple[Family, Decisions]]:
    """Draw one random valid point of every family that can compute the operator."""
    found = [(family, family.points(operator, spec)) for family in families_for(operator)]
    return [(family, points[rng.integers(len(points))]) for family, points in found if points]


def kernel(operator: Operator, family: Family, decisions: Decisions, spec: TargetSpec) -> Call:
    """Compile a point as the tuner does: annotated, then expanded."""
    schedule = Schedule(tvm.IRModule({"main": operator.unscheduled()}))
    annotate(schedule, families_for(operator).index(family), dict(decisions))
    built = tvm.compile(expand(schedule.mod, spec), target=spec.target)
    call: Call = built["main"]
    return call


def stored(rng: Rng, kind: str, grid: tuple[int, int], nnz: int) -> np.ndarray:
    """Lay ``nnz`` blocks out: bool [block-rows, block-columns]. Cells with the highest scores are stored."""
    rows, cols = (np.arange(extent)[:, None] if axis == 0 else np.arange(extent) for axis, extent in enumerate(grid))
    score = rng.random(grid)
    match kind:
        case "full rows":  # one after another, so that all others are empty
            score += 2.0 * rng.permutation(grid[0])[:, None]
        case "full columns":
            score += 2.0 * rng.permutation(grid[1])
        case "triangle":
            score += 2.0 * (rows / grid[0] > cols / grid[1])
        case "corner":
            score += 4.0 * np.maximum(rows / grid[0], cols / grid[1])
        case "uneven":
            score *= rng.random(grid[0])[:, None] ** 4
    found = np.zeros(grid, bool)
    found.flat[np.argsort(score, axis=None)[grid[0] * grid[1] - nnz :]] = True
    return found


KINDS = ("even", "full rows", "full columns", "triangle", "corner", "uneven")


def _try_linear(rng: Rng, operator: Linear, call: Call, tally: Tally, decisions: Decisions) -> None:
    block, shape = BlockShape(operator.rows, operator.cols), (operator.outputs, operator.inputs)
    tally.add("kernels")
    for number in range(PATTERNS):
        kind = KINDS[number % len(KINDS)]
        layout = stored(rng, kind, block.grid(shape), operator.nnz)
        mask = np.kron(layout, np.ones((block.rows, block.cols), bool))[: shape[0], : shape[1]]
        weight = np.where(mask, rng.uniform(0.1, 2.0, shape) * rng.choice([-1.0, 1.0], shape), 0).astype(np.float32)
        matrix = BSRMatrix.from_dense(weight, block)
        x = rng.standard_normal((operator.inputs, operator.tokens)).astype(np.float32)
        bias, residual = (rng.standard_normal((operator.outputs, n)).astype(np.float32) for n in (1, operator.tokens))
        slabs = [as_slabs(array, operator.slab) for array in (x, residual)]
        after = slabs[1:] if operator.epilogue == "bias_residual" else []
        want = _dense(weight, x, bias, residual, operator.epilogue)
        got = run(call, [slabs[0], *pack(matrix, *operator.packing()).arrays(), bias[:, 0], *after], operator)
        tally.count += 1
        tally.add(kind)
        tally.add("empty block-rows", int((~layout.any(axis=1)).sum()))
        if not right(as_matrix(got), want):
            tally.wrong += 1
            tally.defects.append(f"{operator.attributes()} {decisions}, pattern {kind}: wrong result")


def _dense(weight: np.ndarray, x: np.ndarray, bias: np.ndarray, residual: np.ndarray, epilogue: str) -> np.ndarray:
    """Compute the same from the dense weight in double precision, knowing nothing of blocks."""
    y = weight.astype(np.float64) @ x.astype(np.float64) + bias
    if epilogue == "bias_gelu":
        y = y * 0.5 * (1.0 + np.vectorize(math.erf)(y / math.sqrt(2.0)))
    return y + residual if epilogue == "bias_residual" else y


def _try_other(rng: Rng, operator: Operator, call: Call, tally: Tally, decisions: Decisions) -> None:
    tally.add("kernels")
    for _ in range(8):
        inputs = operator.example_inputs(rng)
        got, want = run(call, inputs, operator), operator.oracle(*inputs)
        if isinstance(operator, Attention):  # what padded queries get is nobody's business
            real = np.tile(np.arange(operator.seq_padded) < operator.seq, operator.batch)
            got, want = as_matrix(got)[:, real], as_matrix(want)[:, real]
        tally.count += 1
        if not right(got, want, _condition(operator, inputs)):
            tally.wrong += 1
            tally.defects.append(f"{operator.attributes()} {decisions}: wrong result")


def run(call: Call, inputs: list[np.ndarray], operator: Operator) -> np.ndarray:
    """Call a kernel; the output starts as NaN, so that nothing unwritten passes."""
    out = tvm.runtime.tensor(np.full(operator.arguments()[-1].shape, np.nan, np.float32))
    call(*[tvm.runtime.tensor(array) for array in inputs], out)
    result: np.ndarray = out.numpy()
    return result


def _condition(operator: Operator, inputs: list[np.ndarray]) -> float:
    """How much larger an output's relative error may be than an input's: 1, but for the layer norm of alike features.

    There (x - mean) is what is left of two large numbers, and is divided by the deviation.
    """
    if not isinstance(operator, LayerNorm):
        return 1.0
    x = as_matrix(inputs[0]).astype(np.float64)
    return max(1.0, float((np.abs(x).max(0) / np.sqrt(x.var(0) + operator.epsilon)).max()))


def right(got: np.ndarray, want: np.ndarray, condition: float = 1.0) -> bool:
    """Whether no element is off by more than `TOLERANCE`, of which `condition` times as much is allowed."""
    return bool(np.abs(got - want).max() <= TOLERANCE * condition * max(1.0, float(np.abs(want).max())))


def _tally(tallies: dict[str, Tally], family: Family) -> Tally:
    fault = "random patterns" if Linear in family.operators else "random inputs"
    return tallies.setdefault(family.name, Tally(family.name, fault))
