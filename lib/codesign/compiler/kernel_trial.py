"""One kernel by itself: any point of any family built, checked, and timed with warm and with cold weights.

The tuner asks which of a task's candidates is fastest, and times cold. A study of kernels asks how fast each one is, so
it keeps every sample of both: *hot* calls use the same weights again and again, *cold* ones go through copies.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from codesign import machine
from codesign.compiler.ceiling_kernels import INSTRUCTIONS, Peak
from codesign.compiler.ceilings import compiled
from codesign.compiler.expand import annotate
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import Decisions, families_for
from codesign.compiler.target import TargetSpec
from codesign.compiler.trial import TOLERANCE, build_candidate
from codesign.compiler.tvm_compat import Schedule, tvm
from codesign.compiler.workers import builders, runner

#: Copies of the weights that cold calls go through together: as much as an inference of an encoder reads, which is what
#: a kernel waits for there. Where a last-level cache holds more than that, cold weights come from it, not from memory.
COLD_BYTES = 64 << 20
#: A layer that was pruned to a few blocks would have half a million copies, minutes of calls, and hours where another
#: program takes turns with them. Weights under 64 KB are a fraction of the activations that a call reads and writes, so
#: that how cold they are does not show in its time (decision 0012).
MOST_COPIES = 1 << 10
#: Samples of the peak, the best of which counts, and passes in each: about a millisecond.
_PEAK_SAMPLES, _PEAK_PASSES = 20, 400_000
#: Which arguments of a `Linear` are its weights: data and indices.
_WEIGHTS = slice(1, 3)


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
        """Compile candidates side by side; a reason stands in the place of one that does not compile."""
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

    def peak(self) -> float | str:
        """Multiply-adds in registers at this moment, in GFLOP/s: the clock that a kernel's share must be taken of."""
        return _result(self._runner.submit(peak_rate, self.spec))


def _result(task: Any) -> Any:
    try:
        return task.result()
    except Exception as error:  # whatever a candidate does to its worker is that candidate's result
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _build(point: Candidate, spec: TargetSpec, directory: str) -> Path:
    """Compile a candidate as the tuner would: annotated, then expanded."""
    schedule = Schedule(tvm.IRModule({"main": point.operator.unscheduled()}))
    index = [family.name for family in families_for(point.operator)].index(point.family)
    annotate(schedule, index, dict(point.decisions))
    return Path(build_candidate(schedule.mod, spec, directory))


@dataclass(frozen=True, eq=False)
class _Case:
    inputs: list[np.ndarray]
    expected: np.ndarray
    balance: float


@lru_cache(maxsize=16)  # all block shapes of a matrix take turns
def _case(attributes: str, seed: int) -> _Case:
    fields = json.loads(attributes)
    del fields["kind"]
    operator = Linear(**fields)
    inputs = operator.example_inputs(np.random.default_rng(seed))
    return _Case(inputs, operator.oracle(*inputs), balance(inputs[3], inputs[4]))


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
    arrays = _case(attributes, seed).inputs
    shared = [tvm.runtime.tensor(array) for array in arrays]
    size = sum(array.nbytes for array in arrays[_WEIGHTS])
    count = min(-(-COLD_BYTES // size), MOST_COPIES)
    copies = [[tvm.runtime.tensor(array) for array in arrays[_WEIGHTS]] for _ in range(count)]
    return [[*shared[: _WEIGHTS.start], *weights, *shared[_WEIGHTS.stop :]] for weights in copies]


def time_library(library: Path, seed: int, samples: int, seconds: float) -> Timing:
    """Check and time a built candidate in the calling process, a worker that `runner` has started.

    Raises
    ------
    ArithmeticError
        If the result is wrong; it then gets no time.
    """
    attributes = (library.parent / "operator.json").read_text()
    case, known = _case(attributes, seed), _sets.cache_info().hits
    sets = _sets(attributes, seed)
    out = tvm.runtime.tensor(np.full(case.expected.shape, np.nan, np.float32))
    function = tvm.runtime.load_module(str(library))["main"]
    function(*sets[0], out)
    error = float(np.abs(out.numpy() - case.expected).max())
    if not error <= TOLERANCE * max(1.0, float(np.abs(case.expected).max())):
        raise ArithmeticError(f"wrong result: off by {error:.2e}")
    if _sets.cache_info().hits == known:  # just made: the first pass over them is unlike all others
        _pass(function, sets, out)
    hot, cold = [], []
    for _ in range(samples):
        _sample(function, sets[:1], out, seconds / 2)  # thrown away: the turn of another kernel has just ended
        hot.append(_sample(function, sets[:1], out, seconds))
        cold.append(_sample(function, sets, out, seconds))
    size = sum(array.nbytes for array in case.inputs[_WEIGHTS])
    return Timing(hot, cold, error, size * len(sets), case.balance)


@lru_cache(maxsize=1)
def _peak(spec: TargetSpec) -> tuple[Peak, Any, list[Any]]:
    instruction = next(i for i in INSTRUCTIONS if (i.format, i.lanes) == ("fp32", spec.lanes))
    kernel = Peak(instruction, spec.registers - 4, spec.threads)
    tensors = [tvm.runtime.tensor(array) for array in kernel.example_inputs(np.random.default_rng(0))[1:]]
    output = kernel.arguments()[-1]
    return kernel, compiled(kernel, spec)["main"], [*tensors, tvm.runtime.empty(output.shape, output.dtype)]


def peak_rate(spec: TargetSpec) -> float:
    """Time multiply-adds in registers in the calling process: the best of a few samples, in GFLOP/s."""
    kernel, call, tensors = _peak(spec)
    passes = _PEAK_PASSES
    count = tvm.runtime.tensor(kernel.loops(passes))
    best = 0.0
    for _ in range(_PEAK_SAMPLES):
        start = time.perf_counter()
        call(count, *tensors)
        best = max(best, kernel.work(passes) / (time.perf_counter() - start) / 1e9)
    return round(best, 2)


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
