"""One kernel by itself: any point of any family built, checked, and timed with warm and with cold weights.

The tuner asks which of a task's candidates is fastest, and times cold. A study of kernels asks how fast each one is, so
it keeps every sample of both: *hot* calls use the same weights again and again, *cold* ones go through copies.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from codesign import machine
from codesign.compiler.ceilings import timer
from codesign.compiler.operators import Linear, operator_from
from codesign.compiler.peaks import INSTRUCTIONS, Peak
from codesign.compiler.schedules import Decisions, applicable
from codesign.compiler.space import scheduled
from codesign.compiler.target import TargetSpec
from codesign.compiler.trial import COLD_BYTES, WEIGHTS, argument_sets, build_candidate, checked, run_candidate
from codesign.compiler.tvm_compat import tvm
from codesign.compiler.workers import builders, runner
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


class Bench:
    """Worker processes that build and time candidates for one target; a candidate that crashes takes only its worker.

    Parameters
    ----------
    spec
        What is compiled for.
    seed
        Of the patterns, weights and activations.
    """

    def __init__(self, spec: TargetSpec, seed: int) -> None:
        self.spec, self.seed = spec, seed

    def __enter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="codesign-kernels-")
        self._builders = builders(machine.describe().cores)
        self._runner = runner(self.spec.threads)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._builders.shutdown()
        self._runner.shutdown()
        shutil.rmtree(self._directory, ignore_errors=True)

    def build(self, points: Sequence[Candidate]) -> list[Path | str]:
        """Compile candidates side by side, as the tuner would; a reason stands in the place of one that fails."""
        tasks = [self._builders.submit(_build, point, self.spec, self._directory) for point in points]
        return [_result(task) for task in tasks]

    def time(self, library: Path, samples: int, seconds: float) -> Timing | str:
        """Check and time a library of `build`; a reason where it crashes, hangs, or its result is wrong.

        Parameters
        ----------
        samples
            Hot and cold samples, each.
        seconds
            Least duration of one sample.
        """
        return _result(self._runner.submit(time_library, library, self.seed, samples, seconds))

    def trial(self, library: Path) -> list[float] | str:
        """Check and time a library of `build` as the tuner does: seconds a call, or the reason why not."""
        return _result(self._runner.submit(run_candidate, str(library), []))

    def peak(self) -> float | str:
        """Multiply-adds in registers at this moment, in GFLOP/s: the clock that a kernel's share must be taken of."""
        return _result(self._runner.submit(peak_rate, self.spec))


def _build(point: Candidate, spec: TargetSpec, directory: str) -> Path:
    return Path(build_candidate(scheduled(point.operator, point.family, point.decisions), spec, directory))


def _result(task: Any) -> Any:
    try:
        return task.result()
    except Exception as error:  # whatever a candidate does to its worker is that candidate's result
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


@lru_cache(maxsize=16)  # all block shapes of a matrix take turns
def _case(attributes: str, seed: int) -> tuple[list[np.ndarray], np.ndarray, float]:
    """Inputs and expected output of a linear, and the balance of its threads."""
    operator = operator_from(attributes)
    inputs = operator.example_inputs(np.random.default_rng(seed))
    return inputs, operator.oracle(*inputs), balance(inputs[3], inputs[4])


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


@lru_cache(maxsize=1)
def _sets(attributes: str, seed: int) -> list[list[Any]]:
    """Arguments with weights of their own, the first for hot calls and all for cold ones."""
    inputs = _case(attributes, seed)[0]
    return argument_sets(inputs, min(-(-COLD_BYTES // _bytes(inputs)), MOST_COPIES))


def _bytes(inputs: list[np.ndarray]) -> int:
    return sum(array.nbytes for array in inputs[WEIGHTS])


def time_library(library: Path, seed: int, samples: int, seconds: float) -> Timing:
    """Check and time a built linear in the calling process, a worker that `runner` has started.

    Raises
    ------
    ArithmeticError
        If the result is wrong; it then gets no time.
    """
    attributes = (library.parent / "operator.json").read_text()
    (inputs, expected, even), known = _case(attributes, seed), _sets.cache_info().hits
    sets = _sets(attributes, seed)
    function = tvm.runtime.load_module(str(library))["main"]
    out, error = checked(function, sets[0], expected)
    if _sets.cache_info().hits == known:  # just made: the first pass over them is unlike all others
        _pass(function, sets, out)
    hot, cold = [], []
    for _ in range(samples):
        _sample(function, sets[:1], out, seconds / 2)  # thrown away: the turn of another kernel has just ended
        hot.append(_sample(function, sets[:1], out, seconds))
        cold.append(_sample(function, sets, out, seconds))
    return Timing(hot, cold, error, _bytes(inputs) * len(sets), even)


@lru_cache(maxsize=1)
def _peak(spec: TargetSpec) -> tuple[Peak, Callable[[int], float]]:
    instruction = next(i for i in INSTRUCTIONS if (i.format, i.lanes) == ("fp32", spec.lanes))
    kernel = Peak(instruction, spec.registers - 4, spec.threads)
    return kernel, timer(kernel, spec)


def peak_rate(spec: TargetSpec) -> float:
    """Time multiply-adds in registers in the calling process: the best of a few samples, in GFLOP/s."""
    kernel, seconds = _peak(spec)
    return round(max(kernel.work(_PEAK_PASSES) / seconds(_PEAK_PASSES) / 1e9 for _ in range(_PEAK_SAMPLES)), 2)


def _sample(function: Any, sets: Sequence[list[Any]], out: Any, seconds: float) -> float:
    """Nanoseconds a call, going through the sets of arguments for at least ``seconds``."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        _pass(function, sets, out)
        calls += len(sets)
    return round(elapsed / calls * 1e9, 1)


def _pass(function: Any, sets: Sequence[list[Any]], out: Any) -> None:
    for arguments in sets:
        function(*arguments, out)


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
