r"""What bounds a kernel, by arithmetic: ports, loads, latency, and the bandwidth of caches and memory.

A *step* multiplies one column of a tile: ``scalars`` values, each loaded and broadcast once, by ``vectors`` registers,
each loaded once. With two FMA and two load ports a core, as on every x86 CPU since Haswell, it takes at least

.. math:: \max(s v / 2,\; (s + v) / 2,\; 4 / c,\; a / A,\; w / W)

cycles: FMAs; loads; the 4 cycles after which a sum can take its next product, with ``c`` sums in turn; ``a`` bytes of
activations at the ``A`` bytes a cycle of the cache that they come from; and ``w`` bytes of weights at the ``W`` of the
level that holds all weights that take turns: one matrix where they are hot, the copies that calls rotate through where
they are cold. The predicted share of the peak is the first of these over the largest, times the balance of the threads.
Nothing else is modelled: not the loop around a step, the start and end of a tile, or the call.

This is the roofline model of Williams, Waterman and Patterson (2009) with one roof for each port. Two FMAs of 4 cycles
and two loads a cycle are in Agner Fog's tables for Intel from Skylake on and AMD from Zen 2 on. The rates ``A``, ``W``
and the clock, which follows from the measured peak, are the `ceiling` records of the same machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.errors import MissingRecord
from codesign.schema import KINDS, Record
from codesign.study.kernel_views import STATES, State, in_turns, share, winners

FMA_PORTS, LOAD_PORTS, FMA_LATENCY = 2, 2, 4
_FLOAT, _LINE = 4, 64

#: What may bound a step, in words.
BOUNDS = {
    "fma": "FMA ports",
    "load": "load ports",
    "latency": "FMA latency",
    "activations": "bandwidth, activations",
    "weights": "bandwidth, weights",
}


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


@dataclass(frozen=True)
class Rates:
    """Bytes that a core gets in a cycle: from each cache that holds so many bytes, smallest first, and from the last.

    ``levels`` are (capacity for one core in bytes, bytes a cycle); the last one has no limit.
    """

    levels: tuple[tuple[float, float], ...]

    def serving(self, held: float) -> float:
        """Bytes a cycle of the first level that holds this many bytes."""
        return next(speed for capacity, speed in self.levels if held <= capacity)


@dataclass(frozen=True)
class Prediction:
    """A predicted share of the peak, the cycles a step behind it, and the name in `BOUNDS` of the longest."""

    share: float
    cycles: dict[str, float]

    @property
    def bound(self) -> str:
        """What takes longest; the first of several that take equally long."""
        return max(self.cycles, key=lambda name: self.cycles[name])


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


def ceiling(ceilings: Iterable[Record], record: Record) -> float:
    """Return the multiply-add rate in GFLOP/s that the machine of a kernel record reached with its ISA and threads.

    Raises
    ------
    MissingRecord
        If it was not measured.
    """
    isa = "avx512f" if record["lanes"] == 16 else "avx2"
    return rate(ceilings, record, "registers", isa=isa)


def rate(ceilings: Iterable[Record], record: Record, level: str, **more: str) -> float:
    """Return a measured rate of a level for float32 and the threads of a kernel record.

    Raises
    ------
    MissingRecord
        If it was not measured.
    """
    wanted = {"level": level, "format": "fp32", **more}
    wanted |= {name: record[name] for name in ("machine_id", "threads")}
    rates = [c["rate"] for c in ceilings if all(c[name] == value for name, value in wanted.items()) and c["rate"]]
    if not rates:
        raise MissingRecord("ceiling", wanted, KINDS["ceiling"].producer)
    return float(rates[-1])


def rates(ceilings: Sequence[Record], machine: Record, record: Record) -> Rates:
    """Return what a core gets from each level, in bytes a cycle of the clock that the peak was reached with.

    Raises
    ------
    MissingRecord
        If the peak or the rate of the L2 was not measured. Where a level beyond it was not, the one before stands in.
    """
    threads = record["threads"]
    # of one core, in billions: FMA_PORTS vectors a cycle, two operations for each lane
    clock = ceiling(ceilings, record) / threads / (2 * FMA_PORTS * record["lanes"])
    first = LOAD_PORTS * record["lanes"] * _FLOAT
    levels = [(machine["l1d_kib"] * 1024, float(first))]
    sizes = {"L2": machine["l2_kib"] * 1024, "L3": machine["l3_kib"] * 1024 / threads, "DRAM": float("inf")}
    for level, size in sizes.items():
        known = any(each["level"] == level and each["rate"] for each in ceilings)
        if known or level == "L2":
            levels.append((size, rate(ceilings, record, level) / threads / clock))
        else:
            levels.append((size, levels[-1][1]))
    return Rates(tuple(levels))


def predict(step: Step, rates: Rates, balance: float, activations: float, weights: float) -> Prediction:
    """Predict the share of the peak.

    Parameters
    ----------
    step
        What is done at a time.
    rates
        Bytes a cycle.
    balance
        Mean work of a thread over the most of any.
    activations
        Bytes of the activations that a thread reads: of its tokens, all features.
    weights
        Bytes of the weights that take turns.

    Bytes are those of one thread.
    """
    again, new = rates.serving(step.reuse_bytes), rates.serving(activations)
    slow = step.fresh / min(again, new) + (1 - step.fresh) / again
    cycles = {
        "fma": step.scalars * step.vectors / FMA_PORTS,
        "load": (step.scalars + step.vectors) / LOAD_PORTS,
        "latency": FMA_LATENCY / step.chains,
        "activations": step.activation_bytes * slow,
        "weights": step.weight_bytes / rates.serving(weights),
    }
    return Prediction(cycles["fma"] / max(cycles.values()) * balance, cycles)


def predicted(record: Record, state: State, ceilings: Sequence[Record], machine: Record) -> Prediction | None:
    """Predict the share of the peak from a kernel record's shape, tile and balance; None where `STEPS` lacks it."""
    known, step_of = STEPS.get(record["family"], (set(), token_tile))
    if record["decisions"].keys() != known:
        return None
    step = step_of(record)
    one = record["nnz"] * record["rows"] * record["cols"] * _FLOAT
    weights = (record["rotated_bytes"] if state == "cold" else one) * record["token_shares"] / record["threads"]
    activations = record["inputs"] * record["tokens"] / record["token_shares"] * _FLOAT
    return predict(step, rates(ceilings, machine, record), record["balance"], activations, weights)


def prediction_rows(
    records: Iterable[Record], ceilings: Sequence[Record], machine: Record, *, best: bool = True
) -> list[dict[str, Any]]:
    """Lay predictions beside measurements: a row a kernel and state, for the best of each block shape or all timed.

    Returns
    -------
    list[dict]
        ``matrix``, ``block``, ``family``, ``state``, ``predicted``, ``bound``, ``measured`` and ``off``: measured minus
        predicted, as shares.
    """
    rows: list[dict[str, Any]] = []
    for matrix, timed in in_turns(records).items():
        for state in STATES:
            for record in winners(timed, state).values() if best else timed:
                expected = predicted(record, state, ceilings, machine)
                if expected is None:
                    continue
                measured = share(record, state)
                rows.append(
                    {
                        "matrix": matrix,
                        "block": record["block"],
                        "family": record["family"],
                        "state": state,
                        "predicted": expected.share,
                        "bound": BOUNDS[expected.bound],
                        "measured": measured,
                        "off": measured - expected.share,
                    }
                )
    return rows
