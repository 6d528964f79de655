"""Amdahl's ledger: how many times faster our sparse engine is than another, as a product of steps.

From a dense engine by others to our sparse one the steps are, in this order (decision 0015):

1. *our compiler*: dense, with narrow vectors. Better kernels, fusion and layout at once; the compiler has no switch
   that turns one of them off, so they are not told apart.
2. *wider vectors*: the same dense encoder, compiled for narrow and for the machine's own vectors. Measured in one
   session.
3. *skipped work*: what Amdahl's law allows if sparse kernels were as efficient as dense ones. From the profile of the
   dense encoder.
4. *sparse kernels*: what the linears take in the profile of the sparse encoder, over what step 3 left them.
5. *the rest*: whatever else changed when weights were pruned.

Steps 1 and 5 are what is left of a measured ratio, so the product of all steps is exactly the measured one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from codesign.answers.effects import interval
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval, ratio
from codesign.schema import LINEARS, Record
from codesign.study.evidence import DENSE, OURS, Evidence, Key, median_ms, missing, newest_latencies
from codesign.study.vector_views import gain, of_point

MEASURED, DERIVED, REST = "one thing changed", "from profiles", "what is left"
#: Share of each scope in the multiply-accumulates of the linears: an encoder of BERT's family has 4 attention matrices
#: of hidden x hidden, and two of hidden x 4 hidden.
SCOPE_SHARE = {"attention": 1 / 3, "ffn": 2 / 3, "all": 1.0}
_RESAMPLES = 2000


@dataclass(frozen=True)
class Step:
    """A factor of a ledger; ``sources`` says which records it comes from."""

    name: str
    factor: Interval
    how: str
    sources: str


@dataclass(frozen=True)
class Ladder:
    """The steps from one engine to our sparse one; ``start_ms`` is where they begin, ``total`` what was measured."""

    baseline: str
    scope: str
    block: str
    start_ms: float
    total: Interval
    steps: tuple[Step, ...]

    @property
    def product(self) -> float:
        """What the steps multiply to: the measured total."""
        return math.prod(step.factor.value for step in self.steps)


def ladder(evidence: Evidence, baseline: str, scope: str, block: str) -> Ladder:
    """Decompose the speed-up of our sparse engine over a dense one.

    Where no session has two instruction sets, wider vectors stay in the first step.

    Raises
    ------
    MissingRecord
        If an engine was not timed in the session of the sparse one, or an encoder was not profiled.
    """
    mine: Key = (OURS, scope, block)
    sparse = evidence.latency(mine)
    beside = newest_latencies(r for r in evidence.records("latency") if r["session_id"] == sparse["session_id"])
    for engine in (baseline, "tvm-dense"):
        if (engine, *DENSE) not in beside:
            raise missing("latency", engine=engine, session_id=sparse["session_id"])
    other, dense = beside[baseline, *DENSE], beside["tvm-dense", *DENSE]
    session = f"latency, session {sparse['session_id'].rpartition('-')[2]}"
    before, pruning = ratio(other, dense), ratio(dense, sparse)
    steps: list[Step] = []
    try:
        wider = gain(of_point(evidence), "dense")
    except MissingRecord:
        steps.append(Step("our compiler, dense", before, REST, session))
    else:
        left = rest(before, [wider])
        steps.append(Step("our compiler, dense, AVX2", left, REST, f"{session}; vectors"))
        steps.append(Step("wider vectors", wider, MEASURED, "vectors: dense in both"))
    skipped, kernels = from_profiles(evidence, scope, block, sparse["block_sparsity"])
    steps.append(Step("skipped work", skipped, DERIVED, "profile: dense"))
    steps.append(Step("sparse kernels", kernels, DERIVED, f"profile: dense and {block}"))
    steps.append(Step("the rest", rest(pruning, [skipped, kernels]), REST, session))
    return Ladder(baseline, scope, block, median_ms(other).value, ratio(other, sparse), tuple(steps))


def rest(total: Interval, factors: Sequence[Interval]) -> Interval:
    """Divide a ratio by factors; relative errors add up in squares, as those of independent measurements."""
    value = total.value / math.prod(each.value for each in factors)
    below = math.hypot(math.log(total.value / total.low), *(math.log(f.high / f.value) for f in factors))
    above = math.hypot(math.log(total.high / total.value), *(math.log(f.value / f.low) for f in factors))
    return Interval(value, value * math.exp(-below), value * math.exp(above))


def from_profiles(evidence: Evidence, scope: str, block: str, sparsity: float) -> tuple[Interval, Interval]:
    """Return two factors: skipped work at the efficiency of dense kernels, and what sparse kernels make of it.

    Parameters
    ----------
    scope, block
        Of the sparse encoder.
    sparsity
        Share of the scope's blocks that was removed.

    Raises
    ------
    MissingRecord
        If the dense or the sparse encoder was not profiled.
    """
    profiles = evidence.profiles()
    for key in (("tvm-dense", *DENSE), (OURS, scope, block)):
        if key not in profiles:
            raise missing("profile", **dict(zip(("engine", "scope", "block"), key, strict=True)))
    dense, sparse = profiles["tvm-dense", *DENSE], profiles[OURS, scope, block]
    saved = sparsity * SCOPE_SHARE[scope]

    def factors(whole: np.ndarray, linears: np.ndarray, pruned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ideal = whole - saved * linears
        return whole / ideal, ideal / (whole - linears + pruned)

    medians = [np.array(_sum(each, kinds)) for each, kinds in ((dense, None), (dense, LINEARS), (sparse, LINEARS))]
    draws = [*_draws(dense, (None, LINEARS), seed=0), *_draws(sparse, (LINEARS,), seed=1)]
    values, spreads = factors(*medians), factors(*draws)
    skipped, kernels = (interval(float(v), d) for v, d in zip(values, spreads, strict=True))
    return skipped, kernels


Kinds = Sequence[str] | None  # None: all


def _sum(records: Sequence[Record], kinds: Kinds) -> float:
    return float(sum(record["median_ns"] for record in records if kinds is None or record["function_kind"] in kinds))


def _draws(records: Sequence[Record], wanted: Sequence[Kinds], seed: int) -> list[np.ndarray]:
    """Bootstrap draws of sums of medians, float64[resamples] each; all kernels see the same drawn inferences."""
    rng = np.random.default_rng(seed)
    runs = min(len(record["samples_ns"]) for record in records)
    drawn = rng.integers(runs, size=(_RESAMPLES, runs))
    medians = [np.median(np.asarray(record["samples_ns"][:runs])[drawn], axis=1) for record in records]
    kinds_of = [record["function_kind"] for record in records]
    return [
        np.sum([m for m, kind in zip(medians, kinds_of, strict=True) if kinds is None or kind in kinds], axis=0)
        for kinds in wanted
    ]


def ladders(evidence: Evidence, baseline: str, scopes: Sequence[str], blocks: Sequence[str]) -> list[Ladder]:
    """Decompose every scope and block shape of these."""
    return [ladder(evidence, baseline, scope, block) for scope in scopes for block in blocks]


def fastest_shape(evidence: Evidence, scope: str, blocks: Sequence[str]) -> str:
    """Return the fastest of these block shapes."""
    shapes = evidence.shapes(scope)
    return min((b for b in blocks if b in shapes), key=lambda block: median_ms(shapes[block]).value)


def chosen_blocks(evidence: Evidence, scope: str, blocks: Sequence[str]) -> list[str]:
    """Return the shapes worth a figure: the fastest, the paper's, and unstructured; those of ``blocks``."""
    wanted = [fastest_shape(evidence, scope, blocks), "32x1", "1x1"]
    return [block for block in dict.fromkeys(wanted) if block in blocks]
