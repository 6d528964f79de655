"""Kernels by themselves are built, checked and timed, whatever their size."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.bench import MOST_COPIES, Bench, Candidate, Timing, measure_space
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import applicable, families_for
from codesign.errors import InputError


@pytest.fixture(scope="module")
def spec() -> TargetSpec:
    """One thread: two on cores that other tests use wait for each other, call by call."""
    return target_spec(threads=1)


def test_a_layer_that_is_nearly_empty_is_timed_in_time(spec: TargetSpec) -> None:
    """One block of weights, 132 bytes: as many copies as fill a cache would take minutes to make."""
    operator = Linear(384, 384, 128, 32, 1, 1, spec.threads, "bias", slab=32, strip=32)
    family = families_for(operator)[0]
    points = [Candidate(operator, family.name, family.points(operator, spec)[0])]
    points.append(Candidate(operator, family.name, {"rows": 5}))
    with Bench(spec, 0) as bench:
        library, reason = bench.build(points)
        assert isinstance(library, Path), library
        assert isinstance(reason, str), "what does not compile"
        timing, peak = bench.time(library, 1, 1e-3), bench.peak("fp32")
    assert isinstance(timing, Timing), timing
    assert timing.rotated_bytes == MOST_COPIES * (32 * 4 + 4)
    assert isinstance(peak, float), peak
    assert peak > 0


def test_every_point_of_a_space_is_measured_in_every_pass(spec: TargetSpec) -> None:
    operator = Linear(16, 64, 64, 2, 1, 96, spec.threads, "bias")
    points = measure_space(operator, spec, 2)
    expected = [d for _, family in applicable(operator, spec) for d in family.points(operator, spec)]
    assert [point.decisions for point in points] == expected
    assert all(len(point.seconds) == 2 and min(point.seconds) > 0 for point in points)
    with pytest.raises(InputError, match="passes=0"):
        measure_space(operator, spec, 0)
