"""The ledger multiplies to what was measured, whatever the records; vectors and profiles say what they say."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.synthetic import Memory, latency, machine, profile, session, vectors

from codesign import plot as figures
from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.records import KINDS, Results, validate
from codesign.study import comparisons, sessions
from codesign.study.chain import open_study
from codesign.study.comparisons import ensure_vectors, vector_cases
from codesign.study.evidence import Evidence
from codesign.study.ladder import DERIVED, MEASURED, REST, chosen_blocks, from_profiles, ladder, ladders, rest
from codesign.study.points import sweep
from codesign.study.profile_views import inside, kind_rows, largest, together
from codesign.study.vector_views import gain, least_gain, of_point, same_shape, vector_rows

DENSE = profile("tvm-dense", "none", "dense", {"dense linear": 40.0, "attention": 6.0, "layer norm": 4.0})
SPARSE = profile("tvm-bsr", "all", "32x1", {"sparse linear": 10.0, "attention": 6.0, "layer norm": 4.0})
HALF = profile("tvm-bsr", "attention", "4x1", {"sparse linear": 4.0, "dense linear": 26.0, "attention": 10.0})
VECTORS = {
    **{("dense", "native"): 50.0, ("dense", "avx2"): 90.0, ("4x1", "native"): 20.0, ("4x1", "avx2"): 30.0},
    **{("32x1", "native"): 22.0, ("32x1", "avx2"): 28.0},
}


def evidence(*extra: dict[str, Any]) -> Evidence:
    return Evidence(Memory([machine(), *session(), *DENSE, *SPARSE, *HALF, *extra]))


@pytest.mark.parametrize("baseline", ["torch-eager", "tvm-stock-tuned"])
@pytest.mark.parametrize(("scope", "block"), [("all", "32x1"), ("attention", "4x1")])
@pytest.mark.parametrize("wide", [True, False])
def test_the_steps_multiply_to_the_measured_total(baseline: str, scope: str, block: str, wide: bool) -> None:
    seen = evidence(*(vectors(VECTORS) if wide else []))
    found = ladder(seen, baseline, scope, block)
    measured = seen.speedup((baseline, "none", "dense"), ("tvm-bsr", scope, block))
    assert found.product == pytest.approx(measured.value, rel=1e-12)
    assert found.total == measured
    assert len(found.steps) == (5 if wide else 4)
    assert all(step.factor.low <= step.factor.value <= step.factor.high for step in found.steps)


def test_what_is_measured_is_told_from_what_is_left() -> None:
    found = {step.name: step for step in ladder(evidence(*vectors(VECTORS)), "torch-eager", "all", "32x1").steps}
    assert [step.how for step in found.values()] == [REST, MEASURED, DERIVED, DERIVED, REST]
    assert found["wider vectors"].factor.value == pytest.approx(1.8, rel=0.02)
    assert found["skipped work"].factor.value == pytest.approx(50 / 18)  # 50 - 0.8 * 40
    assert found["sparse kernels"].factor.value == pytest.approx(18 / 20)  # linears take 10 ms, not 8
    without = ladder(evidence(), "torch-eager", "all", "32x1").steps[0]
    first = found["our compiler, dense, AVX2"].factor.value * found["wider vectors"].factor.value
    assert without.factor.value == pytest.approx(first)


def test_a_part_of_the_linears_is_pruned_by_its_share_of_the_work() -> None:
    skipped, kernels = from_profiles(evidence(), "attention", "4x1", 0.75)
    assert skipped.value == pytest.approx(50 / (50 - 0.75 * 40 / 3))
    assert kernels.value == pytest.approx((50 - 10) / (50 - 40 + 30))


def test_inferences_that_differ_widen_a_step_and_nothing_else_does() -> None:
    shaky = [record | {"samples_ns": [0.8 * record["median_ns"], 1.2 * record["median_ns"]] * 9} for record in DENSE]
    steady = from_profiles(evidence(), "all", "32x1", 0.8)[1]
    assert steady.low == pytest.approx(steady.high)
    wider = from_profiles(Evidence(Memory([machine(), *session(), *shaky, *SPARSE])), "all", "32x1", 0.8)[1]
    assert wider.high / wider.low > 1.05


def test_what_is_left_is_as_uncertain_as_what_it_is_left_of() -> None:
    left = rest(Interval(6.0, 5.0, 7.2), [Interval(2.0, 1.9, 2.1), Interval(1.5, 1.5, 1.5)])
    assert left.value == pytest.approx(2.0)
    assert 6.0 / 3.0 * 5 / 6 * 2.0 / 2.1 < left.low < 2.0 * 5 / 6
    assert left.high > 2.0 * 1.2


def test_what_was_not_measured_is_named() -> None:
    with pytest.raises(MissingRecord, match="15_ledger"):
        ladder(evidence(), "torch-eager", "all", "4x1")
    with pytest.raises(MissingRecord, match="deepsparse"):
        ladder(evidence(), "deepsparse", "all", "32x1")
    other = [latency("tvm-dense", "none", "dense", 50.0, session_id="other")]
    alone = [latency("tvm-bsr", "all", "32x1", 20.0, session_id="alone")]
    with pytest.raises(MissingRecord, match="torch-eager"):
        ladder(Evidence(Memory([machine(), *other, *alone, *DENSE, *SPARSE])), "torch-eager", "all", "32x1")
    with pytest.raises(MissingRecord, match="vectors"):
        of_point(evidence())


def test_the_fastest_shape_comes_first_and_none_twice() -> None:
    assert chosen_blocks(evidence(), "all", ["4x1", "32x1"]) == ["32x1"]
    slower = latency("tvm-bsr", "all", "32x1", 90.0)
    assert chosen_blocks(evidence(slower), "all", ["4x1", "32x1", "16x1"]) == ["4x1", "32x1"]


def test_both_sides_of_a_session_are_compared() -> None:
    records = vectors(VECTORS)
    for record in records:
        validate(record)
    seen = evidence(*records)
    assert gain(of_point(seen), "32x1").value == pytest.approx(28 / 22, rel=0.02)
    assert least_gain(seen).value == pytest.approx(28 / 22, rel=0.02)
    assert same_shape(seen).value == pytest.approx(28 / 30, rel=0.02)  # 4x1 leads with its own vectors, not with AVX2
    rows = vector_rows(records)
    assert [row["block"] for row in rows] == ["dense", "4x1", "32x1"]
    assert vector_rows([]) == []
    older = vectors(dict.fromkeys(VECTORS, 1.0), session_id="older")
    assert least_gain(evidence(*older, *records)) == least_gain(seen)
    flagged = vectors(dict.fromkeys(VECTORS, 1.0), session_id="flagged", flagged=True, flag_reason="disturbed")
    assert least_gain(evidence(*records, *flagged)) == least_gain(seen)
    # the sessions of step 4 are another kind, and stay what they were
    assert seen.latencies.keys() == evidence().latencies.keys()


def test_shares_outside_the_linears_are_of_the_worst_shape() -> None:
    parts = {"sparse linear": 7.0, "attention": 2.0, "layer norm": 1.0}
    every = [record for block in ("4x1", "1x1") for record in profile("tvm-bsr", "all", block, parts)]
    good = profile("tvm-bsr", "all", "32x1", {"sparse linear": 9.0, "attention": 1.0})
    seen = Evidence(Memory([machine(), *every, *good]))
    assert inside(together)(seen).value == pytest.approx(0.7)
    assert inside(largest)(seen).value == pytest.approx(0.8)
    with pytest.raises(MissingRecord, match="1x1"):
        inside(together)(Evidence(Memory([machine(), *every[:4], *good])))
    assert [(row["kind"], row["calls"]) for row in kind_rows(good)] == [("sparse linear", 6), ("attention", 6)]


def test_the_figures_say_what_they_show() -> None:
    found = ladders(evidence(*vectors(VECTORS)), "torch-eager", ["all"], ["32x1"])
    drawing = figures.ladder(found)
    assert "from PyTorch eager: our compiler, dense, AVX2" in drawing.alt
    assert "skipped work 2.78" in drawing.alt
    assert "7.5" in drawing._repr_html_()
    assert figures.ladder([]).panels == []
    assert "32x1 28.0 ms with AVX2" in figures.vectors(vector_rows(vectors(VECTORS))).alt
    assert figures.vectors([]).panels == []


def test_a_session_holds_every_encoder_for_every_instruction_set() -> None:
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 16, 2)
    planned = vector_cases(points, ["native", "avx2"])
    assert [str(case) for case in planned[:2]] == [f"torch-eager {points[1]}", f"openvino {points[1]}"]
    assert sorted((case.block, case.isa) for case in planned[2:]) == [
        (block, isa) for block in ("32x1", "4x1", "dense") for isa in ("avx2", "native")
    ]


def test_a_session_is_kept_under_its_own_name_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    study = open_study("local", "smoke")
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1"], 0.8, 1, 16, 2)
    tuned: list[str] = []
    timed: list[int] = []

    def run_session(contenders: list[Any], *, results: Results, **about: Any) -> None:
        timed.append(len(contenders))
        for each in contenders:
            record = latency(each.engine, "all", each.point["block"], 10.0)
            results.append(record | each.point | {"profile": "smoke", "machine_id": study.machine_id})

    monkeypatch.setattr(sessions, "run_session", run_session)
    monkeypatch.setattr(comparisons, "ensure_built", lambda study, cases: None)
    monkeypatch.setattr(comparisons, "ensure_tuned", lambda study, cases, trials: tuned.extend(c.isa for c in cases))
    zeros = {"block_sparsity": 0.8, "element_sparsity": 0.8}
    monkeypatch.setattr(
        sessions,
        "contender",
        lambda study, case: SimpleNamespace(engine=case.engine, point=case.fields() | zeros),
    )
    assert ensure_vectors(study, points, ["native"], 4) == []
    records = ensure_vectors(study, points, ["native", "avx2"], 4)
    assert ensure_vectors(study, points, ["native", "avx2"], 4) == records
    assert timed == [6]
    assert tuned == ["avx2", "avx2"]  # its own vectors were tuned by step 3
    assert {(record["kind"], record["measurement"]) for record in records} == {
        ("vectors", KINDS["vectors"].measurement_version)
    }
    assert study.results.read("latency") == []
