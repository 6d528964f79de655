"""Correctness under search: schedules drawn at random, with patterns drawn at random, against dense double precision.

A compiled linear has a fixed number of stored blocks and takes its pattern as an argument. So every kernel meets many
patterns: even ones, full block-rows or block-columns among empty ones, triangles, and rows of very different weight.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erf
from tests.soak.tally import Tally

from codesign import machine
from codesign.blocks import BlockShape
from codesign.bsr import BSRMatrix
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.operators import Attention, LayerNorm, Linear, Operator, ToFeatureMajor, ToTokenMajor, pack
from codesign.compiler.operators.base import as_matrix, as_slabs
from codesign.compiler.operators.linear import EPILOGUES
from codesign.compiler.operators.packing import strip_of
from codesign.compiler.schedules import Decisions, Family, families_for
from codesign.compiler.space import annotate, expand
from codesign.compiler.tvm_compat import Schedule, tvm

#: Of the largest output: float32 sums of some hundred terms, in another order.
TOLERANCE = 2e-5
#: Patterns that each linear of a round meets, and inputs of each other kernel.
PATTERNS, INPUTS = 48, 8
_BLOCKS = ("1x1", "1x3", "3x1", "4x1", "4x4", "7x5", "8x1", "1x16", "16x1", "16x4", "32x1", "5x37", "32x32", "48x2")
_SEQS = (1, 5, 13, 16, 31, 32, 37, 48, 61)
#: How stored blocks lie.
KINDS = ("even", "full rows", "full columns", "triangle", "corner", "uneven")

Rng = np.random.Generator
Call = Callable[..., None]


def one_round(seed: int, linears: int = 16, others: int = 6) -> list[Tally]:
    """Compile so many linears, and each of the other operators so many times, and try each many times.

    Returns
    -------
    list[Tally]
        One for each schedule family; its settings count kernels, stored patterns by their kind and empty block-rows.
    """
    rng = np.random.default_rng(seed)
    tallies: dict[str, Tally] = {}
    isas = ["native", "avx2"] if "avx512f" in machine.describe().isa else ["native"]
    specs = [target_spec(threads, isa) for isa in isas for threads in range(1, min(machine.describe().cores, 2) + 1)]
    draws = [lambda rng, spec: [draw_linear(rng, spec)]] * linears + [draw_others] * others
    for draw in draws:
        spec = specs[rng.integers(len(specs))]
        for operator in draw(rng, spec):
            linear = isinstance(operator, Linear)
            for family, decisions in draw_points(rng, operator, spec):
                fault = "random patterns" if linear else "random inputs"
                tally = tallies.setdefault(family.name, Tally(family.name, fault))
                tally.settings["kernels"] += 1
                call = kernel(operator, family, decisions, spec)
                for number in range(PATTERNS if linear else INPUTS):
                    kind = KINDS[number % len(KINDS)]
                    right = try_linear(rng, operator, call, kind, tally) if linear else try_other(rng, operator, call)
                    tally.count += 1
                    if not right:
                        tally.wrong += 1
                        tally.defects.append(f"{operator.attributes()} {decisions}, pattern {kind}: wrong result")
    return list(tallies.values())


def draw_linear(rng: Rng, spec: TargetSpec) -> Linear:
    """Any matrix, block, density, epilogue, and division of tokens among slabs and threads."""
    block = BlockShape.parse(str(rng.choice(_BLOCKS)))
    outputs, inputs = (int(rng.integers(1, 97)) for _ in range(2))
    slabs, slab = int(rng.choice([1, 2, 3, 4])), int(rng.integers(1, 5)) * spec.lanes
    if block.rows % spec.lanes == 0 and rng.random() < 0.5:  # token-major: slabs of one token
        outputs, slabs, slab = -(-outputs // spec.lanes) * spec.lanes, int(rng.integers(1, 62)), 1
    block_rows, block_columns = block.grid((outputs, inputs))
    density = rng.choice([0.0, 0.05, 0.2, 0.5, 0.9, 1.0])
    token_shares = int(rng.choice([share for share in range(1, spec.threads + 1) if slabs % share == 0]))
    return Linear(
        outputs=outputs,
        inputs=inputs,
        tokens=slabs * slab,
        rows=block.rows,
        cols=block.cols,
        nnz=round(block_rows * block_columns * density),
        shares=max(1, spec.threads // token_shares),
        epilogue=str(rng.choice(EPILOGUES)),
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
    return tvm.compile(expand(schedule.mod, spec), target=spec.target)["main"]


def stored(rng: Rng, kind: str, grid: tuple[int, int], nnz: int) -> np.ndarray:
    """Lay ``nnz`` blocks out: bool [block-rows, block-columns]. Cells with the highest scores are stored."""
    rows, cols = np.ogrid[: grid[0], : grid[1]]
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
    found.flat[np.argsort(score, axis=None)[score.size - nnz :]] = True
    return found


def weight_of(rng: Rng, layout: np.ndarray, block: BlockShape, shape: tuple[int, int]) -> np.ndarray:
    """Return a float32 weight of this shape that is zero outside of the stored blocks, and nowhere inside."""
    mask = np.kron(layout, np.ones((block.rows, block.cols), bool))[: shape[0], : shape[1]]
    return (mask * rng.uniform(0.1, 2.0, shape) * rng.choice([-1.0, 1.0], shape)).astype(np.float32)


def try_linear(rng: Rng, operator: Linear, call: Call, kind: str, tally: Tally | None = None) -> bool:
    """Whether a kernel computes with a pattern what the dense weight gives, in double precision and without blocks."""
    block, shape = BlockShape(operator.rows, operator.cols), (operator.outputs, operator.inputs)
    layout = stored(rng, kind, block.grid(shape), operator.nnz)
    if tally:
        tally.settings.update({kind: 1, "empty block-rows": int((~layout.any(axis=1)).sum())})
    weight = weight_of(rng, layout, block, shape)
    x, residual, bias = (
        rng.standard_normal((features, tokens)).astype(np.float32)
        for features, tokens in ((shape[1], operator.tokens), (shape[0], operator.tokens), (shape[0], 1))
    )
    packed = pack(BSRMatrix.from_dense(weight, block), *operator.packing())
    inputs = [as_slabs(x, operator.slab), *packed, bias[:, 0]]
    want = weight.astype(np.float64) @ x + bias
    if operator.epilogue == "bias_gelu":
        want = want * 0.5 * (1.0 + erf(want / np.sqrt(2.0)))
    if operator.epilogue == "bias_residual":
        want = want + residual
        inputs.append(as_slabs(residual, operator.slab))
    return right(as_matrix(run(call, inputs, operator)), want)


def try_other(rng: Rng, operator: Operator, call: Call) -> bool:
    """Whether a kernel computes what its operator says."""
    inputs = operator.example_inputs(rng)
    got, want = run(call, inputs, operator), operator.oracle(*inputs)
    if isinstance(operator, Attention):  # what padded queries get is nobody's business
        real = np.tile(np.arange(operator.seq_padded) < operator.seq, operator.batch)
        got, want = as_matrix(got)[:, real], as_matrix(want)[:, real]
    return right(got, want, condition(operator, inputs))


def run(call: Call, inputs: list[np.ndarray], operator: Operator) -> np.ndarray:
    """Call a kernel; the output starts as NaN, so that nothing unwritten passes."""
    out = tvm.runtime.tensor(np.full(operator.arguments()[-1].shape, np.nan, np.float32))
    call(*[tvm.runtime.tensor(array) for array in inputs], out)
    return out.numpy()


def condition(operator: Operator, inputs: list[np.ndarray]) -> float:
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
