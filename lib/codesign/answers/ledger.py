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
from functools import cache

import numpy as np
import pandas as pd

from codesign.answers.builds import dense_gain
from codesign.answers.effects import effect, interval, least
from codesign.answers.encoders import ranked
from codesign.answers.frames import CONTENDER, DENSE, OUR_DENSE, OURS, Frames, median_ms, missing, newest, where
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval, ratio
from codesign.schema.parts import LINEARS, WHOLE

MEASURED, DERIVED, REST = "one thing changed", "from profiles", "what is left"
#: Share of each scope in the multiply-accumulates of the linears: an encoder of BERT's family has 4 attention matrices
#: of hidden x hidden, and two of hidden x 4 hidden.
SCOPE_SHARE = {"attention": 1 / 3, "ffn": 2 / 3, "all": 1.0}
#: Shapes that the claims about profiles are about.
PROFILED = ("4x1", "32x1", "1x1")
_RESAMPLES = 2000


# Where the time of an inference goes.


def kernels(profiles: pd.DataFrame) -> pd.DataFrame:
    """Return the kernels of the newest complete profile of every encoder; the row of the whole ends a profile."""
    complete = newest(where(profiles, function_kind=WHOLE))[[*CONTENDER, "run_id"]]
    parts = profiles[profiles["function_kind"] != WHOLE].merge(complete)
    return newest(parts, [*CONTENDER, "function"])


def by_kind(parts: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each encoder and kind of its `kernels`, the longest first: ``calls``, ``ms`` and ``share``."""
    rows = parts.groupby([*CONTENDER, "function_kind"], sort=False, as_index=False)[["calls", "median_ns"]].sum()
    encoders = rows.groupby(CONTENDER, sort=False)
    share = rows["median_ns"] / encoders["median_ns"].transform("sum")
    rows = rows.assign(encoder=encoders.ngroup(), ms=rows["median_ns"] / 1e6, share=share)
    return rows.sort_values(["encoder", "ms"], ascending=[True, False], kind="stable")


def profiled(frames: Frames, engine: str, scope: str, block: str) -> pd.DataFrame:
    """Return the kernels of one encoder at the operating point.

    Raises
    ------
    MissingRecord
        If it was not profiled.
    """
    encoder = dict(zip(CONTENDER, (engine, scope, block), strict=True))
    if not len(found := where(_kernels(frames), **encoder)):
        raise missing("profile", engine=engine, scope=scope, block=block)
    return found


@cache
def _kernels(frames: Frames) -> pd.DataFrame:
    return kernels(frames.at("profile"))


def inferences(parts: pd.DataFrame) -> np.ndarray:
    """Return nanoseconds of each kernel in each inference, float64[kernels, inferences]."""
    runs = min(len(record["samples_ns"]) for record in parts["record"])
    return np.array([record["samples_ns"][:runs] for record in parts["record"]], dtype=float)


@effect("share")
def linears_share(frames: Frames, what: str) -> Interval:
    """Effect: share of the time in kernels that is left to linears, for the shape where it is least; all weights.

    Others are taken ``together``, or only the ``largest`` of their kinds. The interval is the middle half of the
    inferences.
    """
    return least(_left(profiled(frames, OURS, "all", block), what) for block in PROFILED)


def _left(parts: pd.DataFrame, what: str) -> Interval:
    ns = pd.DataFrame(np.column_stack([parts["median_ns"], inferences(parts)]))
    others = ns.groupby(parts["function_kind"].to_numpy()).sum().drop(index=list(LINEARS), errors="ignore")
    taken = {"together": others.sum(), "largest": others.max()}[what]
    value, *each = (1 - taken / ns.sum()).tolist()
    each, quarter = sorted(each), len(each) // 4
    return Interval(value, min(value, each[quarter]), max(value, each[-1 - quarter]))


# The ledger.


def ledger(frames: Frames, baseline: str, scope: str, block: str) -> pd.DataFrame:
    """Decompose the speed-up of our sparse engine over a dense one.

    Where no session has two instruction sets, wider vectors stay in the first step.

    Returns
    -------
    pandas.DataFrame
        A row a step: its name ``step``, its ``factor`` with an interval, ``how`` it is known and its ``sources``;
        ``before_ms`` and ``after_ms`` it; in every row the measured ``total``, ``baseline``, ``scope`` and ``block``.

    Raises
    ------
    MissingRecord
        If an engine was not timed in the session of the sparse one, or an encoder was not profiled.
    """
    sparse = frames.latency(OURS, scope, block)
    other, dense = (frames.in_session(sparse, engine, *DENSE) for engine in (baseline, OUR_DENSE))
    if other is None or dense is None:
        raise missing("latency", engine=OUR_DENSE if other else baseline, session_id=sparse["session_id"])
    session = f"latency, session {sparse['session_id'].rpartition('-')[2]}"
    before, pruning, total = ratio(other, dense), ratio(dense, sparse), ratio(other, sparse)
    steps: list[tuple[str, Interval, str, str]]
    try:
        wider = dense_gain(frames)
    except MissingRecord:
        steps = [("our compiler, dense", before, REST, session)]
    else:
        steps = [
            ("our compiler, dense, AVX2", rest(before, [wider]), REST, f"{session}; vectors"),
            ("wider vectors", wider, MEASURED, "vectors: dense in both"),
        ]
    skipped, efficiency = from_profiles(frames, scope, block, sparse["block_sparsity"])
    steps += [
        ("skipped work", skipped, DERIVED, "profile: dense"),
        ("sparse kernels", efficiency, DERIVED, f"profile: dense and {block}"),
        ("the rest", rest(pruning, [skipped, efficiency]), REST, session),
    ]
    rows = pd.DataFrame(steps, columns=["step", "factor", "how", "sources"])
    after = median_ms(other).value / np.cumprod([factor.value for factor in rows["factor"]])
    rows = rows.assign(before_ms=[median_ms(other).value, *after[:-1]], after_ms=after, total=[total] * len(rows))
    return rows.assign(baseline=baseline, scope=scope, block=block)


def ledgers(frames: Frames, baseline: str, scopes: Sequence[str], blocks: Sequence[str]) -> pd.DataFrame:
    """Return the `ledger` of the shapes worth a look: of ``blocks`` the fastest, the paper's, and unstructured."""
    found = []
    for scope in scopes:
        fastest = next(block for block in ranked(frames, scope) if block in blocks)
        chosen = [block for block in dict.fromkeys((fastest, "32x1", "1x1")) if block in blocks]
        found += [ledger(frames, baseline, scope, block) for block in chosen]
    return pd.concat(found, ignore_index=True)


def rest(total: Interval, factors: Sequence[Interval]) -> Interval:
    """Divide a ratio by factors; relative errors add up in squares, as those of independent measurements."""
    value = total.value / math.prod(each.value for each in factors)
    below = math.hypot(math.log(total.value / total.low), *(math.log(f.high / f.value) for f in factors))
    above = math.hypot(math.log(total.high / total.value), *(math.log(f.value / f.low) for f in factors))
    return Interval(value, value * math.exp(-below), value * math.exp(above))


def from_profiles(frames: Frames, scope: str, block: str, sparsity: float) -> list[Interval]:
    """Return two factors: skipped work at the efficiency of dense kernels, and what sparse kernels make of it.

    ``sparsity`` is the share of the scope's blocks that was removed.

    Raises
    ------
    MissingRecord
        If the dense or the sparse encoder was not profiled.
    """
    whole, linears = _drawn(profiled(frames, OUR_DENSE, *DENSE), seed=0)
    _, pruned = _drawn(profiled(frames, OURS, scope, block), seed=1)
    ideal = whole - sparsity * SCOPE_SHARE[scope] * linears
    factors = whole / ideal, ideal / (whole - linears + pruned)
    return [interval(float(each[0]), each[1:]) for each in factors]


def _drawn(parts: pd.DataFrame, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the time of an inference in all kernels and in linears: of the medians, then of each bootstrap draw.

    All kernels see the same drawn inferences.
    """
    samples = inferences(parts)
    runs = samples.shape[1]
    drawn = np.random.default_rng(seed).integers(runs, size=(_RESAMPLES, runs))
    ns = np.column_stack([parts["median_ns"], [np.median(each[drawn], axis=1) for each in samples]])
    return ns.sum(axis=0), ns[parts["function_kind"].isin(LINEARS).to_numpy()].sum(axis=0)
