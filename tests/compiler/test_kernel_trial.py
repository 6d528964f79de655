"""One kernel by itself is checked and timed, whatever its size."""

from __future__ import annotations

from pathlib import Path

from codesign.compiler import TargetSpec
from codesign.compiler.kernel_trial import MOST_COPIES, Bench, Candidate, Timing
from codesign.compiler.operators import Linear
from codesign.compiler.schedules import families_for


def test_a_layer_that_is_nearly_empty_is_timed_in_time(spec: TargetSpec) -> None:
    """One block of weights, 132 bytes: as many copies as fill a cache would take minutes to make."""
    operator = Linear(384, 384, 128, 32, 1, 1, spec.threads, "bias", slab=32, strip=32)
    family = families_for(operator)[0]
    with Bench(spec, 0) as bench:
        (library,) = bench.build([Candidate(operator, family.name, family.points(operator, spec)[0])])
        assert isinstance(library, Path), library
        timing = bench.time(library, 1, 1e-3)
    assert isinstance(timing, Timing), timing
    assert timing.rotated_bytes == MOST_COPIES * (32 * 4 + 4)
