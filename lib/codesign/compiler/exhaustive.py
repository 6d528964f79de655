"""Every point of a space, measured: the yardstick that a search is judged by."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np

from codesign import machine
from codesign.compiler.expand import annotate
from codesign.compiler.operators import Operator
from codesign.compiler.schedules import Decisions, applicable
from codesign.compiler.target import TargetSpec
from codesign.compiler.trial import build_candidate, run_candidate
from codesign.compiler.tvm_compat import Schedule, tvm
from codesign.compiler.workers import builders, runner
from codesign.errors import InputError


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


def measure_space(operator: Operator, spec: TargetSpec, passes: int) -> list[MeasuredPoint]:
    """Build, check and time every point that schedule families offer for an operator, the default first.

    Passes go over the whole space in an order of their own, so that a slow minute of the machine hits many points a
    little and no point much.

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
    Exception
        Whatever happens to a point that cannot be built, crashes or gives a wrong result: the space is not measured.
    """
    if passes < 1:
        raise InputError("passes", passes, "at least 1", 1)
    points = [
        (index, family, decisions)
        for index, family in applicable(operator, spec)
        for decisions in family.points(operator, spec)
    ]
    rng = np.random.default_rng(0)
    seconds: list[list[float]] = [[] for _ in points]
    building, running = builders(machine.describe().cores), runner(spec.threads)
    with (
        machine.exclusive("measuring a design space"),
        tempfile.TemporaryDirectory(prefix="codesign-space-") as scratch,
    ):
        try:
            modules = [_scheduled(operator, index, decisions) for index, _, decisions in points]
            builds = [building.submit(build_candidate, module, spec, scratch) for module in modules]
            libraries = [future.result() for future in builds]
            for turn in range(passes * len(points)):
                if turn % len(points) == 0:
                    order = rng.permutation(len(points))
                at = order[turn % len(points)]
                samples = running.submit(run_candidate, libraries[at], []).result()
                seconds[at].append(float(np.median(samples)))
        finally:
            building.shutdown()
            running.shutdown()
    measured = zip(points, seconds, strict=True)
    return [MeasuredPoint(family.name, decisions, tuple(times)) for (_, family, decisions), times in measured]


def _scheduled(operator: Operator, family_index: int, decisions: Decisions) -> tvm.IRModule:
    schedule = Schedule(tvm.IRModule({"main": operator.unscheduled()}))
    annotate(schedule, family_index, dict(decisions))
    return schedule.mod
