"""Crossovers and gains are found in records whose answer is known."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import latency

from codesign.answers.crossover import around, by_load, by_sparsity, crossing, crossovers, gains
from codesign.answers.frames import frame
from codesign.errors import InputError
from codesign.measure.ratios import Interval, ratio, ratio_draws
from codesign.plot import crossover, loads

CENTRE: dict[str, Any] = {
    **{"model": "bert-base", "seed": 0, "scope": "all", "pruner": "magnitude", "sparsity": 0.8},
    **{"batch": 1, "seq": 128, "threads": 2},
}
SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)


def pruned(engine: str, ms: float, *, block: str = "32x1", **changes: Any) -> dict[str, Any]:
    return latency(engine, "all", block, ms, **changes)


def stop(sparse: dict[str, float], *, dense: float = 50.0, **changes: Any) -> list[dict[str, Any]]:
    """Return a session: two exact dense engines, one that rounds and is faster, and sparse ones by block shape."""
    where = {"session_id": repr(sorted(changes.items())), **changes}
    others = [pruned("openvino", dense, **where), pruned("onnxruntime", 1.3 * dense, **where)]
    others.append(pruned("openvino-bf16", dense / 2, format="bf16", **where))
    others.append(pruned("deepsparse", dense / 3, **where))
    return others + [pruned("tvm-bsr", ms, block=block, **where) for block, ms in sparse.items()]


def swept(start: float, slope: float = 100.0, dense: float = 50.0, spread: float = 0.0) -> list[dict[str, Any]]:
    """Return sessions in which a sparse encoder's time falls linearly and meets the dense one's at ``start``."""
    times = {s: dense - slope * (s - start) for s in SPARSITIES}
    return [r for s, ms in times.items() for r in stop({"32x1": ms}, dense=dense, sparsity=s, spread=spread)]


def table(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return crossovers(by_sparsity(frame(records), CENTRE)).to_dict("records")


def start(records: list[dict[str, Any]]) -> Interval:
    (row,) = table(records)
    found: Interval = row["start"]
    return found


@given(st.floats(0.51, 0.94), st.floats(5, 50), st.floats(1, 1.1))
@settings(max_examples=15, deadline=None)
def test_a_known_crossover_is_recovered(known: float, slope: float, spread: float) -> None:
    found = start(swept(known, slope))
    assert [found.value, found.low, found.high] == pytest.approx([known] * 3, abs=1e-9)  # no noise, no doubt
    # processes that differ: the sparse time falls by twice the dense one, and meets one over the spread, and the spread
    found = start([record | {"process_spread": spread} for record in swept(0.75)])
    ends = [0.75, 0.75 + (1 - spread) / 2, 0.75 + (1 - 1 / spread) / 2]
    assert [found.value, found.low, found.high] == pytest.approx(ends, abs=1e-9)


def test_noise_makes_an_interval_around_it() -> None:
    found = start(swept(0.75, slope=60, spread=0.05))
    assert 0.5 < found.low < found.high < 0.95
    assert found.low < 0.75 + 0.02
    assert found.high > 0.75 - 0.02


relative = st.lists(st.floats(0.05, 3), min_size=1, max_size=6)


@given(relative, st.data())
def test_a_slower_kernel_never_pays_earlier(times: list[float], data: st.DataObject) -> None:
    sparsities = [0.1 * (i + 1) for i in range(len(times))]
    slower = [time * data.draw(st.floats(1, 2)) for time in times]
    assert crossing(sparsities, slower) >= crossing(sparsities, times) - 1e-12


@given(relative)
def test_from_the_crossover_on_sparse_wins(times: list[float]) -> None:
    sparsities = [0.1 * (i + 1) for i in range(len(times))]
    start = crossing(sparsities, times)
    assert sparsities[0] <= start <= sparsities[-1] or math.isinf(start)
    assert all(time < 1 for sparsity, time in zip(sparsities, times, strict=True) if sparsity > start)


@pytest.mark.parametrize(
    ("times", "expected", "text"),
    [([0.9, 0.5], -math.inf, "below 50%"), ([2.0, 1.0], math.inf, "never up to 90%"), ([1.2, 0.8], 0.7, "70%")],
)
def test_a_crossover_outside_the_measured_range_is_said_in_words(
    times: Sequence[float], expected: float, text: str
) -> None:
    assert crossing([0.5, 0.9], times) == pytest.approx(expected)
    records = [r for s, t in zip((0.5, 0.9), times, strict=True) for r in stop({"4x1": 50 * t}, sparsity=s, spread=0)]
    (row,) = table(records)
    assert row["pays_from"] == text
    assert row["at90"].startswith(f"{1 / times[1]:.2f}")
    assert row["at80"] == "-"


def test_an_interval_may_end_outside() -> None:
    (row,) = table(swept(0.5, slope=20, spread=0.1))
    assert "below 50% to" in row["pays_from"]


def test_a_gain_is_over_the_fastest_dense_float32_engine_of_the_session() -> None:
    (gain,) = gains(frame(stop({"32x1": 25.0}))).to_dict("records")
    assert gain["over"] == "OpenVINO"  # not the one that rounds, and not the one that skips zeros
    assert gain["gain"].value == pytest.approx(2.0, rel=0.02)


def test_what_cannot_be_compared_has_no_gain() -> None:
    alone = pruned("tvm-bsr", 1.0, session_id="alone")
    failed = [r | {"status": "failed"} for r in stop({"32x1": 25.0}) if r["engine"] == "tvm-bsr"]
    stored_whole = stop({"32x1": 50.0}, sparsity=0.0)
    assert not len(gains(frame([alone, *failed, *stored_whole])))


def test_the_last_of_two_sessions_counts() -> None:
    again = [r | {"session_id": "again"} for r in stop({"32x1": 10.0})]
    (found,) = by_sparsity(frame([*stop({"32x1": 25.0}), *again]), CENTRE)["gain"]
    assert found.value == pytest.approx(5, rel=0.02)


def test_only_one_factor_moves() -> None:
    timed = frame(
        [
            *stop({"32x1": 25.0}),
            *stop({"32x1": 60.0}, dense=200.0, batch=4),
            *stop({"32x1": 60.0}, dense=200.0, batch=4, seq=64),
            *stop({"32x1": 60.0}, dense=200.0, batch=4, sparsity=0.9),
            *stop({"32x1": 5.0}, model="minilm", sparsity=0.9),
            *stop({"32x1": 5.0}, profile="try"),
            *stop({"32x1": 5.0}, seed=1),
            *(r | {"isa": "avx2"} for r in stop({"32x1": 5.0}, threads=1) if r["engine"] == "tvm-bsr"),
        ]
    )
    kept = around(timed, CENTRE)
    assert len(kept) == 3 * 5
    assert {*zip(kept["batch"], kept["model"], strict=True)} == {(1, "bert-base"), (4, "bert-base"), (1, "minilm")}
    found = by_load(timed, CENTRE)
    assert found[["factor", "block", "value"]].to_numpy().tolist() == [["batch", "32x1", 1], ["batch", "32x1", 4]]
    assert found["gain"].iloc[1].value == pytest.approx(200 / 60, rel=0.02)


def test_tables_and_figures_say_the_same() -> None:
    records = [
        *stop({"32x1": 3.0}, dense=6.0, model="minilm"),
        *(r for s in SPARSITIES for r in stop({"4x1": 60 - 40 * s, "1x1": 90 - 10 * s}, sparsity=s)),
        *stop({"32x1": 12.0, "4x1": 9.0}, dense=30.0, seq=64),
    ]
    rows = {(row["model"], row["block"]): row for row in table(records)}
    assert list(rows) == [("bert-base", "1x1"), ("bert-base", "4x1"), ("minilm", "32x1")]  # the centre's model first
    assert rows["bert-base", "1x1"]["pays_from"] == "never up to 95%"
    assert rows["minilm", "32x1"]["at90"] == "-"
    assert rows["bert-base", "4x1"]["pays_from"] == "below 50%"
    drawing = crossover(by_sparsity(frame(records), CENTRE))
    assert len(drawing.panels) == 2
    assert "bert-base 1x1 never up to 95%" in drawing.alt
    assert "tokens a sequence 64, 4x1: 3.3" in loads(by_load(frame(records), CENTRE)).alt


def test_a_shape_at_one_sparsity_is_no_line_beside_others() -> None:
    def alt(*records: dict[str, Any]) -> str:
        return crossover(by_sparsity(frame(records), CENTRE)).alt

    centre, elsewhere = stop({"16x1": 25.0}), stop({"16x1": 3.0}, dense=6.0, model="minilm")
    assert "16x1" not in alt(*swept(0.75), *centre)
    assert "bert-base 16x1" in alt(*centre)
    assert "minilm 16x1" in alt(*swept(0.75), *elsewhere)


def test_draws_are_of_one_session_and_agree_with_the_ratio() -> None:
    records = stop({"32x1": 25.0})
    dense, sparse = records[0], records[-1]
    draws, known = ratio_draws(dense, sparse), ratio(dense, sparse)
    assert sum(known.low <= draw <= known.high for draw in draws) >= 0.95 * len(draws)
    with pytest.raises(InputError, match="records of one session"):
        ratio_draws(dense, sparse | {"session_id": "another"})
