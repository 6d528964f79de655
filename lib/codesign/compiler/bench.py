"""One kernel by itself: any point of any family built, checked, and timed with warm and with cold weights.

The tuner asks which of a task's candidates is fastest, and times cold. A study of kernels asks how fast each one is, so
it keeps every sample of both: *hot* calls use the same weights again and again, *cold* ones go through copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from codesign import machine
from codesign.compiler.ceilings import peak, timer
from codesign.compiler.operators import Linear
from codesign.compiler.peaks import INSTRUCTIONS, Probe
from codesign.compiler.schedules import Decisions, applicable
from codesign.compiler.space import scheduled
from codesign.compiler.target import TargetSpec
from codesign.compiler.trial import (
    COLD_BYTES,
    build_candidate,
    case,
    check,
    run_candidate,
    seconds_a_call,
    sets_of,
    weight_bytes,
)
from codesign.compiler.tvm_compat import tvm
from codesign.compiler.workers import Workshop, outcome
from codesign.errors import InputError

#: A layer that was pruned to a few blocks would have half a million copies, minutes of calls, and hours where another
#: program takes turns with them. Weights under 64 KB are a fraction of the activations that a call reads and writes, so
#: that how cold they are does not show in its time (decision 0012).
MOST_COPIES = 1 << 10
#: Samples of the peak, the best of which counts, and passes in each: about a millisecond.
_PEAK_SAMPLES, _PEAK_PASSES = 20, 400_000


@dataclass(frozen=True)
class Timing:
    """Samples of a kernel, in nanoseconds a call: hot and cold in turn, so that the i-th of both are neighbours.

    ``rotated_bytes`` is what cold calls went through; ``balance`` the mean share of a thread over the largest, which
    bounds what all threads together can reach.
    """

    hot_ns: list[float]
    cold_ns: list[float]
    max_abs_err: float
    rotated_bytes: int
    balance: float


@dataclass(frozen=True)
class Candidate:
    """A point of a family: how an operator may be computed."""

    operator: Linear
    family: str
    decisions: Decisions


class Bench(Workshop):
    """A workshop for single kernels; a candidate that crashes takes only its worker.

    Parameters
    ----------
    spec
        What is compiled for.
    seed
        Of the patterns, weights and activations.
    """

    def __init__(self, spec: TargetSpec, seed: int) -> None:
        super().__init__(spec)
        self.seed = seed

    def build(self, points: Sequence[Candidate]) -> list[Path | str]:
        """Compile candidates side by side, as the tuner would; a reason stands in the place of one that fails."""
        calls = [self.builders.submit(_build, point, self.spec, self.folder) for point in points]
        return [_result(call) for call in calls]

    def time(self, library: Path, samples: int, seconds: float) -> Timing | str:
        """Check and time a library of `build`; a reason where it crashes, hangs, or its result is wrong.

        Parameters
        ----------
        samples
            Hot and cold samples, each.
        seconds
            Least duration of one sample.
        """
        return _result(self.runner.submit(time_library, library, self.seed, samples, seconds))

    def trial(self, library: Path) -> list[float] | str:
        """Check and time a library of `build` as the tuner does: seconds a call, or the reason why not."""
        return _result(self.runner.submit(run_candidate, str(library)))

    def peak(self, format: str) -> float | str:
        """Multiply-adds in registers at this moment, in GFLOP/s: the clock that a kernel's share must be taken of."""
        return _result(self.runner.submit(peak_rate, self.spec, format))


def _build(point: Candidate, spec: TargetSpec, directory: str) -> Path:
    return Path(build_candidate(scheduled(point.operator, point.family, point.decisions), spec, directory))


def _result(call: Any) -> Any:
    result, reason = outcome(call)
    return result if reason is None else reason


def balance(indptr: np.ndarray, bounds: np.ndarray) -> float:
    """Mean number of blocks of a share over that of the largest: 1 where all threads have equally much to do.

    Parameters
    ----------
    indptr
        int32[block-rows + 1], as in BSR.
    bounds
        int32[shares + 1]: the block-rows of each share.
    """
    shares = np.diff(indptr[bounds])
    return float(shares.mean() / shares.max()) if shares.any() else 1.0


def time_library(library: Path, seed: int, samples: int, seconds: float) -> Timing:
    """Check and time a built linear in the calling process, a worker that `runner` has started.

    Raises
    ------
    ArithmeticError
        If the result is wrong; it then gets no time.
    """
    attributes = (library.parent / "operator.json").read_text()
    operator, inputs, expected = case(attributes, seed)
    copies, known = min(-(-COLD_BYTES // weight_bytes(inputs)), MOST_COPIES), sets_of.cache_info().hits
    sets = sets_of(attributes, seed, copies)
    function = tvm.runtime.load_module(str(library))["main"]
    out = tvm.runtime.empty(expected.shape)
    error = check(function, sets[0], out, expected, operator.tolerance)

    def sample(sets: Sequence[list[Any]], least: float) -> float:
        return round(seconds_a_call(function, sets, out, least) * 1e9, 1)

    if sets_of.cache_info().hits == known:  # just made: the first pass over them is unlike all others
        sample(sets, 0.0)
    hot, cold = [], []
    for _ in range(samples):
        sample(sets[:1], seconds / 2)  # thrown away: the turn of another kernel has just ended
        hot.append(sample(sets[:1], seconds))
        cold.append(sample(sets, seconds))
    return Timing(hot, cold, error, weight_bytes(inputs) * copies, balance(inputs[3], inputs[4]))


@lru_cache(maxsize=2)
def _peak(spec: TargetSpec, format: str) -> tuple[Probe, Callable[[int], float]]:
    instruction = next(i for i in INSTRUCTIONS if (i.format, i.lanes) == (format, spec.lanes))
    kernel = peak(instruction, spec.threads)
    return kernel, timer(kernel, spec)


def peak_rate(spec: TargetSpec, format: str) -> float:
    """Time multiply-adds in registers in the calling process: the best of a few samples, in GFLOP/s."""
    kernel, seconds = _peak(spec, format)
    return round(max(kernel.work(_PEAK_PASSES) / seconds(_PEAK_PASSES) / 1e9 for _ in range(_PEAK_SAMPLES)), 2)


@dataclass(frozen=True)
class MeasuredPoint:
    """A point of a design space, and the median seconds of a call in each pass over the space."""

    family: str
    decisions: Decisions
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds a call, the median of the passes."""
        return float(np.median(self.seconds))


def measure_space(operator: Linear, spec: TargetSpec, passes: int) -> list[MeasuredPoint]:
    """Build, check and time every point that schedule families offer for an operator, the default first.

    It is the yardstick that a search is judged by. Passes go over the whole space in an order of their own, so that a
    slow minute of the machine hits many points a little and no point much.

    Parameters
    ----------
    operator
        What is computed.
    spec
        The target, which is this machine.
    passes
        Times that each point is timed.

    Raises
    ------
    InputError
        If ``passes`` is not positive.
    RuntimeError
        Whatever happens to a point that cannot be built, crashes or gives a wrong result: the space is not measured.
    """
    if passes < 1:
        raise InputError("passes", passes, "at least 1", 1)
    families = [family for _, family in applicable(operator, spec)]
    points = [
        Candidate(operator, each.name, decisions) for each in families for decisions in each.points(operator, spec)
    ]
    rng, seconds = np.random.default_rng(0), [list[float]() for _ in points]
    with machine.exclusive("measuring a design space"), Bench(spec, 0) as bench:
        libraries = bench.build(points)
        for at in (at for _ in range(passes) for at in rng.permutation(len(points))):
            library = libraries[at]
            found = bench.trial(library) if isinstance(library, Path) else library
            if isinstance(found, str):
                raise RuntimeError(f"{points[at]}: {found}")
            seconds[at].append(float(np.median(found)))
    measured = zip(points, seconds, strict=True)
    return [MeasuredPoint(point.family, point.decisions, tuple(times)) for point, times in measured]
