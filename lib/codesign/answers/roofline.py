r"""What bounds a kernel, by arithmetic: ports, loads, latency, and the bandwidth of caches and memory.

A *step* multiplies one column of a tile: ``scalars`` values, each loaded and broadcast once, by ``vectors`` registers,
each loaded once. With two FMA and two load ports a core, as on every x86 CPU since Haswell, it takes at least

.. math:: \max(s v / 2,\; (s + v) / 2,\; 4 / c,\; a / A,\; w / W)

cycles: FMAs; loads; the 4 cycles after which a sum can take its next product, with ``c`` sums in turn; ``a`` bytes of
activations at the ``A`` bytes a cycle of the cache that they come from; and ``w`` bytes of weights at the ``W`` of the
level that holds all weights that take turns: one matrix where they are hot, the copies that calls rotate through where
they are cold. The predicted share of the peak is the first of these over the largest, times the balance of the threads.
Nothing else is modelled: not the loop around a step, the start and end of a tile, or the call. `loops` applies the same
ports to the instructions that a compiler made of a step.

This is the roofline model of Williams, Waterman and Patterson (2009) with one roof for each port. Two FMAs of 4 cycles
and two loads a cycle are in Agner Fog's tables for Intel from Skylake on and AMD from Zen 2 on. The rates ``A``, ``W``
and the clock, which follows from the measured peak, are the `ceiling` records of the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from codesign.answers.frames import missing
from codesign.answers.kernels import STATES, State, winners
from codesign.schema import Record

FMA_PORTS, LOAD_PORTS, FMA_LATENCY = 2, 2, 4
_FLOAT = 4

#: What may bound a step or a loop, in words.
BOUNDS = {
    "fma": "FMA ports",
    "load": "load ports",
    "latency": "FMA latency",
    "activations": "bandwidth, activations",
    "weights": "bandwidth, weights",
}
#: (capacity for one core in bytes, bytes that it gets in a cycle) of each level, smallest first, the last unlimited.
Levels = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Step:
    """What the inner loop of a schedule does at a time.

    Parameters
    ----------
    scalars, vectors
        Values that are broadcast, and vector registers that they are multiplied by.
    activation_bytes
        Activations that a step reads.
    reuse_bytes
        What is read between two reads of the same activation: the cache that holds it serves the second.
    fresh
        Share of the activation reads that are not such second ones, and are served as if by the whole matrix.
    weight_bytes
        Weights that a step reads for the first time: later passes over the tokens find them in a cache.
    chains
        Accumulators that take products in turn.
    """

    scalars: int
    vectors: int
    activation_bytes: float
    reuse_bytes: float
    fresh: float
    weight_bytes: float
    chains: int = 1


def token_tile(record: Mapping[str, Any]) -> Step:
    """A step of the family ``token_tile``: weights are broadcast against vectors of tokens.

    An activation comes back with the next group of rows of the same block-row, if it has another one: after one tile of
    tokens with rows inside, after all of a slab without.
    """
    decisions = record["decisions"]
    rows, vectors = decisions["rows"], decisions["vectors"]
    width = vectors * record["lanes"]
    between = width if decisions["rows_inner"] else record["slab"]
    reuse, fresh = _touched(record) * between * _FLOAT, rows / record["rows"]
    weights = rows * _FLOAT * width / record["slab"]
    return Step(rows, vectors, width * _FLOAT, reuse, fresh, weights, decisions["chains"])


def row_tile(record: Mapping[str, Any]) -> Step:
    """A step of the family ``row_tile``: activations of a few tokens are broadcast against vectors of rows."""
    tokens, vectors = record["decisions"]["tokens"], record["decisions"]["vectors"]
    width = vectors * record["lanes"]
    reuse, fresh = _touched(record) * record["slab"] * _FLOAT, width / record["rows"]
    return Step(tokens, vectors, tokens * _FLOAT, reuse, fresh, width * _FLOAT * tokens / record["slab"])


def _touched(record: Mapping[str, Any]) -> float:
    """Columns of the activations that a block-row reads, on average."""
    return float(record["nnz"] * record["cols"] / -(-record["outputs"] // record["rows"]))


#: Family -> its decisions that the model knows, and its step; what is not here gets no prediction.
STEPS: dict[str, tuple[set[str], Callable[[Mapping[str, Any]], Step]]] = {
    "token_tile": ({"rows", "vectors", "chains", "rows_inner", "slabs", "prefetch"}, token_tile),
    "row_tile": ({"tokens", "vectors", "slabs", "prefetch"}, row_tile),
}


def rates(ceilings: Sequence[Record], machine: Record, record: Record) -> Levels:
    """Return what a core gets from each level, in bytes a cycle of the clock that the peak was reached with.

    Raises
    ------
    MissingRecord
        If the peak or the rate of the L2 was not measured. Where a level beyond it was not, the one before stands in.
    """
    threads, lanes = record["threads"], record["lanes"]
    mine = {"machine_id": record["machine_id"], "threads": threads, "format": "fp32"}

    def rate(level: str, **more: str) -> float | None:
        wanted = (mine | {"level": level} | more).items()
        return next((c["rate"] for c in reversed(ceilings) if wanted <= c.items() and c["rate"]), None)

    peak = rate("registers", isa="avx512f" if lanes == 16 else "avx2")
    found = {level: rate(level) for level in ("L2", "L3", "DRAM")}
    if not peak or not found["L2"]:
        raise missing("ceiling", **mine, level="L2" if peak else "registers")
    # of one core, in billions: FMA_PORTS vectors a cycle, two operations for each lane
    clock = peak / threads / (2 * FMA_PORTS * lanes)
    sizes = {"L2": machine["l2_kib"] * 1024, "L3": machine["l3_kib"] * 1024 / threads, "DRAM": float("inf")}
    levels = [(machine["l1d_kib"] * 1024, float(LOAD_PORTS * lanes * _FLOAT))]
    for level, size in sizes.items():
        measured = found[level]
        levels.append((size, measured / threads / clock if measured else levels[-1][1]))
    return levels


def serving(levels: Levels, held: float) -> float:
    """Bytes a cycle of the first level that holds this many bytes."""
    return next(speed for capacity, speed in levels if held <= capacity)


def predict(step: Step, levels: Levels, activations: float, weights: float) -> dict[str, float]:
    """Return the least cycles of a step, for each of `BOUNDS`.

    Parameters
    ----------
    step
        What is done at a time.
    levels
        Bytes a cycle.
    activations, weights
        Bytes of one thread: of the activations that it reads (of its tokens, all features), and of the weights that
        take turns.
    """
    again, new = serving(levels, step.reuse_bytes), serving(levels, activations)
    slow = step.fresh / min(again, new) + (1 - step.fresh) / again
    return {
        "fma": step.scalars * step.vectors / FMA_PORTS,
        "load": (step.scalars + step.vectors) / LOAD_PORTS,
        "latency": FMA_LATENCY / step.chains,
        "activations": step.activation_bytes * slow,
        "weights": step.weight_bytes / serving(levels, weights),
    }


def bound(cycles: Mapping[str, float]) -> str:
    """Return which of `BOUNDS` takes longest; the first of several that take equally long."""
    return max(cycles, key=lambda name: cycles[name])


def most(cycles: Mapping[str, float]) -> float:
    """Return the largest share of the multiply-add peak that these cycles leave."""
    return cycles["fma"] / max(cycles.values())


def predicted(record: Record, state: State, ceilings: Sequence[Record], machine: Record) -> dict[str, float] | None:
    """Predict the cycles of a kernel's step from its shape and tile, as `predict`; None where `STEPS` lacks it."""
    known, step_of = STEPS.get(record["family"], (set(), token_tile))
    if record["decisions"].keys() != known:
        return None
    one = record["nnz"] * record["rows"] * record["cols"] * _FLOAT
    weights = (record["rotated_bytes"] if state == "cold" else one) * record["token_shares"] / record["threads"]
    activations = record["inputs"] * record["tokens"] / record["token_shares"] * _FLOAT
    return predict(step_of(record), rates(ceilings, machine, record), activations, weights)


def predictions(timed: pd.DataFrame, ceilings: Sequence[Record], machine: Record) -> pd.DataFrame:
    """Lay predictions beside measurements, for the best kernel of each matrix, block shape and state.

    Parameters
    ----------
    timed
        From `codesign.answers.kernels.in_turns`.
    ceilings, machine
        Records of the machine that the kernels ran on.

    Returns
    -------
    pandas.DataFrame
        The winners that have a prediction, hot and cold, with ``state``, ``predicted``, ``bound``, ``measured`` and
        ``off``: measured minus predicted, as shares.
    """
    rows = pd.concat([winners(timed, state).assign(state=state) for state in STATES])
    rows = rows.sort_values("matrix", kind="stable")
    cycles = [predicted(r, s, ceilings, machine) for r, s in zip(rows["record"], rows["state"], strict=True)]
    rows = rows.assign(cycles=cycles)
    rows = rows[rows["cycles"].notna()]
    # the slowest thread is waited for
    shares = rows["cycles"].map(most) * rows["balance"]
    bounds = rows["cycles"].map(bound).map(BOUNDS)
    return rows.assign(predicted=shares, bound=bounds, measured=rows["share"], off=rows["share"] - shares)


def loop_cycles(counts: Mapping[str, int]) -> dict[str, float]:
    """Return the least cycles of one pass of an inner loop, from its counted instructions, by the first of `BOUNDS`."""
    return {
        "fma": counts["fma"] / FMA_PORTS,
        "load": counts["reads"] / LOAD_PORTS,
        "latency": float(counts["chain"] * FMA_LATENCY),
    }


def loops(listings: Sequence[Record]) -> pd.DataFrame:
    """Lay out the inner loops of `listing` records.

    Returns
    -------
    pandas.DataFrame
        A row a layer: what was counted, ``block``, ``tile`` (decisions that make the register tile), ``bytes``,
        ``cycles`` (`loop_cycles`), ``bound`` and ``most``.
    """
    rows = []
    for listing in listings:
        cycles = loop_cycles(listing["counts"])
        tile = ", ".join(f"{n} {v}" for n, v in listing["decisions"].items() if n in ("rows", "tokens", "vectors"))
        about = {"block": listing["block"], "tile": tile, "bytes": listing["loop_bytes"], "cycles": cycles}
        rows.append(listing["counts"] | about | {"bound": BOUNDS[bound(cycles)], "most": most(cycles)})
    return pd.DataFrame(rows)
