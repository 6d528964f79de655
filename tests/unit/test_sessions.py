"""Sessions: what takes part, what fits in memory at once, and that each counts as a whole. Nothing is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import MissingRecord
from codesign.records import Results
from codesign.study import sessions
from codesign.study.chain import Study, open_study
from codesign.study.points import Case, sweep
from codesign.study.sessions import KEPT, OURS, STOCK, compiled_cases, ensure_timed, split

POINTS = sweep("bert-tiny", 0, ["attention", "all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 32, 2)
STUDY = (*OURS, *STOCK)


def test_sessions_have_the_references_the_dense_engines_and_every_shape() -> None:
    first, second, slow = sessions.sessions(POINTS, engines=STUDY)
    for cases, shapes in ((first, POINTS[:2]), (second, POINTS[2:])):
        given = shapes[1]  # 32x1: all dense engines get the weights of one shape, which the sparse one has, too
        dense = [Case(name, given) for name in ("torch-eager", "openvino", "tvm-dense", "tvm-stock-tuned")]
        assert cases == [*dense, *(Case("tvm-bsr", point) for point in shapes)]
    assert slow == [Case(name, POINTS[3]) for name in ("torch-eager", "openvino", "tvm-stock-default")]


def test_sparse_engines_of_others_run_the_shapes_that_are_asked_for() -> None:
    engines = ("onnxruntime", "tvm-bsr", "deepsparse", "torch-bsr", "openvino")
    first, _ = sessions.sessions(POINTS, engines=engines, peer_blocks=["32x1", "1x1"])
    assert [(case.engine, case.point.block) for case in first] == [
        *((name, "32x1") for name in ("torch-eager", "openvino", "onnxruntime")),
        *(("tvm-bsr", block) for block in ("4x1", "32x1")),
        ("deepsparse", "32x1"),
        ("torch-bsr", "32x1"),
    ]
    everything, _ = sessions.sessions(POINTS, engines=engines)
    assert len(everything) == len(first) + 2


def test_what_several_sessions_use_is_compiled_once() -> None:
    cases = compiled_cases(POINTS)
    assert [case.engine for case in cases].count("tvm-dense") == 2  # the weights of each scope
    assert [case.engine for case in cases].count("tvm-stock-default") == 1
    assert len(cases) == len(set(cases)) == 4 + 2 + 2 + 1
    assert {case.engine for case in cases if case.block != "dense"} == {"tvm-bsr"}  # who leaves zeros out


KEEP = [Case(engine, POINTS[3]) for engine in KEPT]
MANY = [Case("tvm-bsr", replace(POINTS[3], block=f"{rows}x1")) for rows in range(1, 13)]


@given(st.lists(st.integers(0, 100), min_size=len(MANY), max_size=len(MANY)), st.integers(0, 600))
def test_every_part_fits_and_has_what_parts_are_related_through(sizes: list[int], budget: int) -> None:
    resident = dict(zip(MANY, sizes, strict=True)) | dict.fromkeys(KEEP, 20)
    parts = split([*KEEP, *MANY], resident.__getitem__, budget)
    assert [case for part in parts for case in part if case not in KEEP] == MANY  # each once, in order
    for part in parts:
        assert part[: len(KEEP)] == KEEP
        filled = sum(resident[case] for case in part) + 20  # the control
        assert filled <= budget or len(part) == len(KEEP) + 1
    for part, after in pairwise(parts):
        following = resident[after[len(KEEP)]]
        assert sum(resident[case] for case in part) + 20 + following > budget  # no part ends early


def test_a_session_that_fits_stays_whole() -> None:
    cases = [*KEEP, *MANY]
    assert split(cases, lambda case: 1, 100) == [cases]
    assert split(KEEP, lambda case: 100, 1) == [KEEP]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setenv("CODESIGN_WORKSPACE", str(tmp_path))
    return open_study("local", "quick")


LATENCY: dict[str, Any] = {
    **{"samples_ns": [1, 2], "rounds": [1, 1], "warmup_ns": [], "solo_ns": [1], "max_abs_err": 0.0, "settings": {}},
    **{"block_sparsity": 0.8, "element_sparsity": 0.8, "status": "ok", "reason": None},
    **{"flagged": False, "flag_reason": None},
}


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Session ids in the order in which sessions ran; a session writes a record for each case and the control."""
    done: list[str] = []

    def run(study: Study, cases: Sequence[Case]) -> None:
        done.append(f"session-{len(done)}")
        for case, control in [*((case, None) for case in cases), (cases[0], "A/A")]:
            study.append("latency", LATENCY, case.fields(), {"session_id": done[-1], "control": control})

    monkeypatch.setattr(sessions, "time_together", run)
    monkeypatch.setattr(sessions, "resident_bytes", lambda study, case: 1)
    return done


def test_finished_sessions_are_not_run_again(study: Study, ran: list[str]) -> None:
    first = ensure_timed(study, POINTS, engines=STUDY)
    assert ran == ["session-0", "session-1", "session-2"]
    assert ensure_timed(study, POINTS, engines=STUDY) == first
    assert len(ran) == 3
    assert [record["session_id"] for record in first].count("session-0") == 7
    assert sum(record["control"] == "A/A" for record in first) == 3


def test_a_new_shape_is_timed_beside_all_others_again(study: Study, ran: list[str]) -> None:
    ensure_timed(study, POINTS[:1], engines=OURS)
    ensure_timed(study, POINTS[:2], engines=OURS)
    assert ran == ["session-0", "session-1"]


def test_a_session_that_does_not_fit_is_split_and_read_as_one(
    study: Study, ran: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sessions, "FILLED", 1e-12)  # nothing fits
    records = ensure_timed(study, POINTS[:2], engines=OURS)
    assert "session 1/1: 5 encoders do not fit in memory at once, so they are timed in 2" in capsys.readouterr().err
    assert ran == ["session-0", "session-1"]
    shapes = {(r["session_id"], r["block"]) for r in records if r["engine"] == "tvm-bsr"}
    assert shapes == {("session-0", "4x1"), ("session-1", "32x1")}
    references = [r["session_id"] for r in records if r["engine"] == "torch-eager" and not r["control"]]
    assert references == ["session-0", "session-1"]
    assert ensure_timed(study, POINTS[:2], engines=OURS) == records
    assert len(ran) == 2


def test_reading_sessions_does_not_run_them(study: Study, ran: list[str], tmp_path: Path) -> None:
    with pytest.raises(MissingRecord, match="04_latency"):
        ensure_timed(replace(study, results=Results("xeon", tmp_path)), POINTS, engines=STUDY)
    assert not ran
