"""The model of what bounds a kernel, against cases computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.synthetic import LOOP_COUNTS, TILE, ceilings, kernel, listing, machine

from codesign import plot
from codesign.answers.frames import frame
from codesign.answers.kernels import in_turns
from codesign.answers.roofline import (
    BOUNDS,
    Step,
    bound,
    loop_cycles,
    loops,
    most,
    predict,
    predicted,
    predictions,
    rates,
    row_tile,
    serving,
    token_tile,
)
from codesign.errors import MissingRecord

#: 48 KiB at 128 bytes a cycle, 2 MiB at 48, anything at 8.
LEVELS = ((48 * 1024, 128.0), (2 * 2**20, 48.0), (float("inf"), 8.0))
L1, L2, FAR = 1024.0, 2.0**20, 2.0**30


def step(scalars: int, vectors: int, **changes: Any) -> Step:
    fields = {"activation_bytes": 0.0, "reuse_bytes": L1, "fresh": 0.0, "weight_bytes": 0.0}
    return Step(scalars, vectors, **{**fields, **changes})


AFAR = {"reuse_bytes": L2, "fresh": 1.0}


@pytest.mark.parametrize(
    ("tile", "held", "share", "longest"),
    [
        (step(4, 4), (L1, L1), 1.0, "fma"),  # 16 FMAs in 8 cycles, 8 loads in 4
        (step(8, 2), (L1, L1), 1.0, "fma"),  # 8 cycles, 10 loads in 5
        (step(1, 8), (L1, L1), 4 / 4.5, "load"),  # 4 cycles, 9 loads in 4.5
        (step(1, 16), (L1, L1), 8 / 8.5, "load"),
        (step(1, 4), (L1, L1), 2 / 4, "latency"),  # 2 cycles of FMAs, 2.5 of loads; each of the 4 sums waits for 4
        (step(1, 4, chains=2), (L1, L1), 2 / 2.5, "load"),  # two sums in turn hide it
        # 8 vectors of 64 bytes from an L2 that gives 48 a cycle: 10.7 cycles for 4 cycles of FMAs
        (step(1, 8, activation_bytes=512, **AFAR), (L2, L1), 4 / (512 / 48), "activations"),
        (step(4, 4, activation_bytes=256, **AFAR), (L2, L1), 1.0, "fma"),  # four rows share the loads: 5.3 in 8 cycles
        # only the first group of rows reads from afar: half at 48 a cycle, half at 128
        (step(1, 8, activation_bytes=480, fresh=0.5), (L2, L1), 4 / (240 / 48 + 240 / 128), "activations"),
        (step(4, 4, weight_bytes=80), (L1, L2), 1.0, "fma"),  # 80 / 48 cycles
        (step(4, 4, weight_bytes=80), (L1, FAR), 8 / 10, "weights"),  # 80 / 8, where the copies fit
    ],
)
def test_what_takes_longest_bounds_a_step(tile: Step, held: tuple[float, float], share: float, longest: str) -> None:
    found = predict(tile, LEVELS, *held)
    assert (most(found), bound(found)) == (pytest.approx(share), longest)


@given(
    scalars=st.integers(1, 16),
    vectors=st.integers(1, 16),
    held=st.floats(1, 1e10),
    more=st.floats(1, 100),
    fresh=st.floats(0, 1),
)
def test_a_larger_working_set_never_helps(scalars: int, vectors: int, held: float, more: float, fresh: float) -> None:
    def share(scale: float) -> float:
        tile = step(scalars, vectors, activation_bytes=64.0 * vectors, reuse_bytes=held * scale, fresh=fresh,
                    weight_bytes=4.0 * scalars)  # fmt: skip
        return most(predict(tile, LEVELS, held * scale, held * scale))

    assert 0 < share(more) <= share(1.0) * (1 + 1e-9) <= 1 + 1e-9


def test_a_step_is_read_off_a_record() -> None:
    """32x1, 154 blocks in each of 24 block-rows; a tile of 4 rows and 2 vectors of 16 tokens in a slab of 64."""
    record = kernel("32x1", decisions=TILE | {"vectors": 2}, nnz=24 * 154)
    found = token_tile(record)
    assert (found.scalars, found.vectors, found.activation_bytes, found.chains) == (4, 2, 128, 1)
    assert found.reuse_bytes == 154 * 64 * 4  # what a block-row touches, before the next 4 of its 32 rows come
    assert found.fresh == 1 / 8
    assert found.weight_bytes == 4 * 4 / 2  # a slab is two tiles: the second finds the weights in a cache
    inside = kernel("32x1", decisions=TILE | {"rows": 8, "vectors": 2, "rows_inner": 1}, nnz=24 * 154)
    assert token_tile(inside).reuse_bytes == 154 * 32 * 4
    assert token_tile(inside).fresh == 1 / 4


def test_a_step_along_block_rows_reads_few_activations() -> None:
    """A tile of 2 vectors of 16 rows and 8 tokens: 8 activations a step, and all rows of the block at once."""
    decisions = {"vectors": 2, "tokens": 8, "slabs": 1, "prefetch": 0}
    found = row_tile(kernel("32x1", family="row_tile", decisions=decisions, nnz=24 * 154))
    assert (found.scalars, found.vectors, found.activation_bytes) == (8, 2, 32)
    assert (found.fresh, found.weight_bytes) == (1, 32 * 4 / 8)


def test_rates_are_those_of_one_core_at_the_clock_of_the_peak() -> None:
    """256 GFLOP/s on 2 cores of 64 operations a cycle is a clock of 2 GHz; 192 GB/s on 2 cores are 48 bytes a cycle."""
    found = rates(ceilings(registers=256, L2=192), machine(l1d_kib=48, l2_kib=2048, l3_kib=65536), kernel("4x1"))
    assert found[:2] == [(48 * 1024, 128.0), (2048 * 1024, pytest.approx(48.0))]
    assert serving(found, 2.0**40) == pytest.approx(48.0)  # nothing beyond was measured
    with pytest.raises(MissingRecord, match="ceiling"):
        rates(ceilings(registers=256), machine(), kernel("4x1"))


def test_an_unknown_family_gets_no_prediction() -> None:
    limits = ceilings(registers=256, L2=192)
    strange = kernel("4x1", family="not_a_family")
    assert predicted(strange, "hot", limits, machine()) is None
    newer = kernel("4x1", decisions={"rows": 4, "vectors": 4, "something": 1})
    assert predicted(newer, "hot", limits, machine()) is None
    assert not len(predictions(in_turns(frame([strange])), limits, machine()))


def test_a_prediction_stands_beside_what_was_measured() -> None:
    limits = ceilings(registers=256, L2=192)
    record = kernel("4x1", hot=0.75, cold=0.5, peak=256)
    rows = predictions(in_turns(frame([record])), limits, machine())
    hot, cold = rows.to_dict("records")
    assert hot["predicted"] == 1
    assert (hot["measured"], hot["off"]) == (pytest.approx(0.75), pytest.approx(-0.25))
    assert (cold["state"], cold["measured"]) == ("cold", pytest.approx(0.5))
    assert "4x1 predicted 100%, measured 75%" in plot.predictions(rows).alt


def test_the_slowest_thread_is_waited_for() -> None:
    uneven = in_turns(frame([kernel("4x1", balance=0.9)]))
    assert predictions(uneven, ceilings(registers=256, L2=192), machine())["predicted"].iloc[0] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("counts", "words", "share"),
    [
        ({"fma": 16, "reads": 11, "chain": 1}, "FMA ports", 1.0),
        ({"fma": 16, "reads": 24, "chain": 2}, "load ports", 16 / 24),
        ({"fma": 16, "reads": 16, "chain": 4}, "FMA latency", 0.5),
    ],
)
def test_the_longest_queue_bounds_a_loop(counts: dict[str, int], words: str, share: float) -> None:
    cycles = loop_cycles(counts)
    assert BOUNDS[bound(cycles)] == words
    assert most(cycles) == pytest.approx(share)


def test_a_loop_has_the_tile_and_what_was_counted() -> None:
    (row,) = loops([listing()]).to_dict("records")
    assert row["tile"] == "rows 4, vectors 4"
    assert LOOP_COUNTS.items() <= row.items()
    assert "32x1: 2 multiply-adds take at least 1 cycles, 4 loads" in plot.inner_loops(loops([listing()])).alt
