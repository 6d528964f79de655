"""Where time goes: sums over kernels, shares, and a real encoder looked at from inside."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.synthetic import profile

from codesign import plot as figures
from codesign.answers import ledger
from codesign.answers.frames import frame
from codesign.answers.ledger import by_kind
from codesign.engines import Job, Refused
from codesign.engines.client import Worker
from codesign.records import validate
from codesign.schema.parts import KERNEL_KINDS
from codesign.study import artefacts
from codesign.study.artefacts import ensure_built, ensure_profiled, kernels
from codesign.study.chain import open_study
from codesign.study.points import Case, sweep
from codesign.study.pruned import ensure_pruned
from codesign.study.tuning import ensure_tuned

DENSE = profile("tvm-dense", "none", "dense", {"dense linear": 40.0, "attention": 2.0, "layer norm": 1.0})
SPARSE = profile("tvm-bsr", "all", "32x1", {"sparse linear": 8.0, "attention": 1.5, "layer norm": 0.5, "other": 0.0})


def test_calls_of_an_inference_are_summed_and_inferences_are_not() -> None:
    runs = [
        {"f": [1, 2, 3], "g": [100], "vm.builtin.x": [9]},
        {"f": [2, 3, 4], "g": [300]},
        {"f": [9, 9, 9], "g": [200]},
    ]
    rows = kernels(runs, {"f": "sparse linear", "g": "attention", "never called": "other"})
    assert [(row["function"], row["calls"], row["median_ns"]) for row in rows] == [("g", 1, 200), ("f", 3, 9)]
    assert rows[1]["samples_ns"] == [6, 9, 27]


def test_shares_are_of_kernels_and_do_not_count_the_whole_again() -> None:
    for record in (*DENSE, *SPARSE):
        validate(record)
    rows = by_kind(ledger.kernels(frame([*DENSE, *SPARSE])))
    sparse = rows[rows["stored_block"] == "32x1"]
    assert list(sparse["function_kind"]) == ["sparse linear", "attention", "layer norm", "other"]
    assert list(sparse["ms"]) == [8.0, 1.5, 0.5, 0.0]
    assert list(sparse["share"]) == pytest.approx([0.8, 0.15, 0.05, 0.0])
    assert list(sparse["calls"]) == [6] * 4


def test_an_unfinished_profile_does_not_count() -> None:
    begun = [record | {"run_id": "later", "median_ns": 1e9} for record in SPARSE[:-1]]
    assert list(ledger.kernels(frame([*SPARSE, *begun]))["record"]) == SPARSE[:-1]
    again = [record | {"run_id": "later"} for record in SPARSE]
    assert list(ledger.kernels(frame([*SPARSE, *again]))["record"]) == again[:-1]


def test_the_figure_says_what_it_shows() -> None:
    drawing = figures.operator_profile(by_kind(ledger.kernels(frame([*SPARSE, *DENSE]))))
    assert "dense: linears 40.0, attention 2.00" in drawing.alt
    assert drawing.alt.index("dense:") < drawing.alt.index("32x1:")
    assert "10.0 ms, 20% outside the linears" in drawing._repr_html_()
    nothing = by_kind(ledger.kernels(frame([])))
    sparse = by_kind(ledger.kernels(frame(SPARSE)))
    assert figures.operator_profile(nothing).panels == figures.operator_profile(sparse, "attention").panels == []


def test_a_study_profiles_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(artefacts, "RUNS", 3)
    study = open_study("local", "quick")
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1"], 0.8, 1, 16, 2)
    cases = [Case("tvm-bsr", points[0])]
    ensure_pruned(study, points)
    ensure_tuned(study, cases, 1)
    ensure_built(study, cases)
    records = ensure_profiled(study, cases)
    assert ensure_profiled(study, cases) == records
    assert records[-1]["function_kind"] == "whole"
    found = {record["function_kind"]: record for record in records}
    assert found.keys() <= {*KERNEL_KINDS, "whole"}
    assert found.keys() >= {"sparse linear", "attention", "layer norm", "embedding", "layout"}
    assert sum(r["calls"] for r in records if r["function_kind"] == "sparse linear") == 12
    assert {len(record["samples_ns"]) for record in records} == {3}
    assert max(record["max_abs_err"] for record in records) < 1e-4
    shares = by_kind(ledger.kernels(frame(records))).set_index("function_kind")["share"]
    assert 0 < shares["sparse linear"] < shares.sum() == pytest.approx(1)
    where = study.build / "examples"
    job = Job("torch-eager", str(next((study.build / "models").iterdir())), None, str(*where.glob("*/inputs.npz")), 2)
    with Worker(job) as worker:
        worker.prepare()
        with pytest.raises(Refused, match="does not tell its kernels apart"):
            worker.profile(runs=1, discard=0)
