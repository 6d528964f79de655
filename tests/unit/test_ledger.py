"""The ledger multiplies to what was measured, whatever the records; vectors and profiles say what they say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.synthetic import Memory, latency, machine, profile, session, vectors

from codesign import plot as figures
from codesign.answers.builds import of_point, same_shape_narrow, sides, wider_vectors
from codesign.answers.frames import Frames, frame
from codesign.answers.ledger import DERIVED, MEASURED, REST, from_profiles, ledger, ledgers, linears_share, rest
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.records import KINDS, Results, validate
from codesign.study import comparisons, sessions
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_beside, vector_cases
from codesign.study.points import sweep

DENSE = profile("tvm-dense", "none", "dense", {"dense linear": 40.0, "attention": 6.0, "layer norm": 4.0})
SPARSE = profile("tvm-bsr", "all", "32x1", {"sparse linear": 10.0, "attention": 6.0, "layer norm": 4.0})
HALF = profile("tvm-bsr", "attention", "4x1", {"sparse linear": 4.0, "dense linear": 26.0, "attention": 10.0})
VECTORS = {
    **{("dense", "native"): 50.0, ("dense", "avx2"): 90.0, ("4x1", "native"): 20.0, ("4x1", "avx2"): 30.0},
    **{("32x1", "native"): 22.0, ("32x1", "avx2"): 28.0},
}


def frames(*extra: dict[str, Any]) -> Frames:
    return Frames(Memory([machine(), *session(), *DENSE, *SPARSE, *HALF, *extra]))  # type: ignore[arg-type]


@pytest.mark.parametrize("baseline", ["torch-eager", "tvm-stock-tuned"])
@pytest.mark.parametrize(("scope", "block"), [("all", "32x1"), ("attention", "4x1")])
@pytest.mark.parametrize("wide", [True, False])
def test_the_steps_multiply_to_the_measured_total(baseline: str, scope: str, block: str, wide: bool) -> None:
    seen = frames(*(vectors(VECTORS) if wide else []))
    steps = ledger(seen, baseline, scope, block)
    measured = seen.speedup((baseline, "none", "dense"), ("tvm-bsr", scope, block))
    assert np.prod([factor.value for factor in steps["factor"]]) == pytest.approx(measured.value, rel=1e-12)
    assert list(steps["total"]) == [measured] * (5 if wide else 4)
    assert steps["before_ms"].iloc[0] / steps["after_ms"].iloc[-1] == pytest.approx(measured.value)
    assert all(factor.low <= factor.value <= factor.high for factor in steps["factor"])


def test_what_is_measured_is_told_from_what_is_left() -> None:
    steps = ledger(frames(*vectors(VECTORS)), "torch-eager", "all", "32x1").set_index("step")
    assert list(steps["how"]) == [REST, MEASURED, DERIVED, DERIVED, REST]
    factor = steps["factor"].map(lambda each: each.value)
    assert factor["wider vectors"] == pytest.approx(1.8, rel=0.02)
    assert factor["skipped work"] == pytest.approx(50 / 18)  # 50 - 0.8 * 40
    assert factor["sparse kernels"] == pytest.approx(18 / 20)  # linears take 10 ms, not 8
    together = ledger(frames(), "torch-eager", "all", "32x1")["factor"][0].value
    assert together == pytest.approx(factor["our compiler, dense, AVX2"] * factor["wider vectors"])


def test_a_part_of_the_linears_is_pruned_by_its_share_of_the_work() -> None:
    skipped, efficiency = from_profiles(frames(), "attention", "4x1", 0.75)
    assert skipped.value == pytest.approx(50 / (50 - 0.75 * 40 / 3))
    assert efficiency.value == pytest.approx((50 - 10) / (50 - 40 + 30))


def test_inferences_that_differ_widen_a_step_and_nothing_else_does() -> None:
    steady = from_profiles(frames(), "all", "32x1", 0.8)[1]
    assert steady.low == pytest.approx(steady.high)
    shaky = [record | {"samples_ns": [0.8 * record["median_ns"], 1.2 * record["median_ns"]] * 9} for record in DENSE]
    wider = from_profiles(frames(*shaky), "all", "32x1", 0.8)[1]
    assert wider.high / wider.low > 1.05


def test_what_is_left_is_as_uncertain_as_what_it_is_left_of() -> None:
    left = rest(Interval(6.0, 5.0, 7.2), [Interval(2.0, 1.9, 2.1), Interval(1.5, 1.5, 1.5)])
    assert left.value == pytest.approx(2.0)
    assert 6.0 / 3.0 * 5 / 6 * 2.0 / 2.1 < left.low < 2.0 * 5 / 6
    assert left.high > 2.0 * 1.2


def test_what_was_not_measured_is_named() -> None:
    with pytest.raises(MissingRecord, match="15_ledger"):
        ledger(frames(), "torch-eager", "all", "4x1")
    with pytest.raises(MissingRecord, match="deepsparse"):
        ledger(frames(), "deepsparse", "all", "32x1")
    with pytest.raises(MissingRecord, match="torch-eager"):
        ledger(frames(latency("tvm-bsr", "all", "32x1", 20.0, session_id="alone")), "torch-eager", "all", "32x1")
    with pytest.raises(MissingRecord, match="vectors"):
        of_point(frames(), "vectors")
    alone = {key: ms for key, ms in VECTORS.items() if key != ("4x1", "avx2")}
    for effect in (wider_vectors, same_shape_narrow):
        with pytest.raises(MissingRecord, match="4x1"):
            effect(frames(*vectors(alone)))


def test_the_fastest_shape_comes_first_and_none_twice() -> None:
    more = profile("tvm-bsr", "all", "4x1", {"sparse linear": 12.0, "attention": 6.0})
    assert set(ledgers(frames(), "torch-eager", ["all"], ["4x1", "32x1"])["block"]) == {"32x1"}
    slower = latency("tvm-bsr", "all", "32x1", 90.0)
    found = ledgers(frames(*more, slower), "torch-eager", ["all"], ["4x1", "32x1", "16x1"])
    assert list(found["block"].unique()) == ["4x1", "32x1"]


def test_both_sides_of_a_session_are_compared() -> None:
    records = vectors(VECTORS)
    for record in records:
        validate(record)
    seen = frames(*records)
    assert wider_vectors(seen).value == pytest.approx(28 / 22, rel=0.02)
    assert same_shape_narrow(seen).value == pytest.approx(28 / 30, rel=0.02)  # 4x1 leads with its own vectors only
    assert list(sides(frame(records), "isa").index) == ["dense", "4x1", "32x1"]
    older = vectors(dict.fromkeys(VECTORS, 1.0), session_id="older")
    flagged = vectors(dict.fromkeys(VECTORS, 1.0), session_id="flagged", flagged=True, flag_reason="disturbed")
    assert wider_vectors(frames(*older, *records, *flagged)) == wider_vectors(seen)
    # the sessions of step 4 are another kind, and stay what they were
    assert seen.latencies.keys() == frames().latencies.keys()


def test_shares_outside_the_linears_are_of_the_worst_shape() -> None:
    parts = {"sparse linear": 7.0, "attention": 2.0, "layer norm": 1.0}
    worse = {block: profile("tvm-bsr", "all", block, parts) for block in ("4x1", "1x1")}
    good = profile("tvm-bsr", "all", "32x1", {"sparse linear": 9.0, "attention": 1.0}, run_id="later")
    seen = frames(*worse["4x1"], *worse["1x1"], *good)
    assert linears_share(seen, "together").value == pytest.approx(0.7)
    assert linears_share(seen, "largest").value == pytest.approx(0.8)
    with pytest.raises(MissingRecord, match="1x1"):
        linears_share(frames(*worse["4x1"], *good), "together")


def test_the_figures_say_what_they_show() -> None:
    drawing = figures.ladder(ledgers(frames(*vectors(VECTORS)), "torch-eager", ["all"], ["32x1"]))
    assert "from PyTorch eager: our compiler, dense, AVX2" in drawing.alt
    assert "skipped work 2.78" in drawing.alt
    assert "7.5" in drawing._repr_html_()
    assert "32x1 28.0 ms with AVX2" in figures.vectors(sides(frame(vectors(VECTORS)), "isa")).alt
    assert figures.vectors(sides(frame([]), "isa")).panels == []


def test_a_session_holds_every_encoder_for_every_instruction_set() -> None:
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 16, 2)
    planned = vector_cases(points, ["native", "avx2"])
    assert [str(case) for case in planned[:2]] == [f"torch-eager {points[1]}", f"openvino {points[1]}"]
    assert sorted((case.block, case.isa) for case in planned[2:]) == [
        (block, isa) for block in ("32x1", "4x1", "dense") for isa in ("avx2", "native")
    ]


def test_a_session_is_kept_under_its_own_name_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    study = open_study("local", "quick")
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1"], 0.8, 1, 16, 2)
    tuned: list[str] = []
    timed: list[int] = []

    def run_session(contenders: list[Any], *, results: Results, kind: str, **about: Any) -> None:
        timed.append(len(contenders))
        for each in contenders:
            record = latency(each.engine, "all", each.point["block"], 10.0) | {"kind": kind}
            results.append(record | each.point | {"profile": "quick", "machine_id": study.machine_id})

    monkeypatch.setattr(sessions, "run_session", run_session)
    monkeypatch.setattr(comparisons, "ensure_built", lambda study, cases: None)
    monkeypatch.setattr(comparisons, "ensure_pruned", lambda study, points: None)
    monkeypatch.setattr(comparisons, "is_tuned", lambda study, case: case.isa == "native")  # by step 3
    monkeypatch.setattr(comparisons, "ensure_tuned", lambda study, cases, trials: tuned.extend(c.isa for c in cases))
    zeros = {"block_sparsity": 0.8, "element_sparsity": 0.8}
    monkeypatch.setattr(
        sessions,
        "contender",
        lambda study, case: SimpleNamespace(engine=case.engine, point=case.fields() | zeros),
    )
    assert ensure_beside(study, "vectors", vector_cases(points, ["native"]), 4) == []
    cases = vector_cases(points, ["native", "avx2"])
    monkeypatch.setattr(comparisons, "target_spec", lambda threads, isa: SimpleNamespace(key="a CPU with AVX2 alone"))
    assert ensure_beside(study, "vectors", cases, 4) == []
    monkeypatch.setattr(comparisons, "target_spec", lambda threads, isa: SimpleNamespace(key=isa))
    records = ensure_beside(study, "vectors", cases, 4)
    assert ensure_beside(study, "vectors", cases, 4) == records
    assert timed == [6]
    assert tuned == ["avx2", "avx2"]  # and no case again that was
    assert {(record["kind"], record["measurement"]) for record in records} == {
        ("vectors", KINDS["vectors"].measurement_version)
    }
    assert study.results.read("latency") == []
