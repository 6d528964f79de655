"""One session in float32 and int8: what is said of it, and of machines without one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.synthetic import Memory, formats, machine, session

from codesign import plot
from codesign.answers.builds import int8_over_fp32, int8_over_others
from codesign.answers.frames import Frames
from codesign.answers.machines import in_formats
from codesign.errors import MissingRecord
from codesign.records import validate
from codesign.study.comparisons import format_cases
from codesign.study.points import sweep


def frames(*extra: dict[str, Any]) -> Frames:
    return Frames(Memory([machine(), *session(), *extra]))


def test_int8_is_compared_with_the_best_in_float32_and_with_the_best_by_others() -> None:
    for record in (records := formats()):
        validate(record)
    seen = frames(*records)
    assert int8_over_fp32(seen, "32x4").value == pytest.approx(20 / 12.5, rel=0.01)
    assert int8_over_others(seen).value == pytest.approx(28 / 12.5, rel=0.01)
    assert {record["kind"] for record in seen.compared} == {"formats"}
    # the sessions of step 4 are another kind, and stay what they were
    assert seen.latencies.keys() == frames().latencies.keys()


def test_a_figure_has_a_panel_for_each_machine_with_such_a_session() -> None:
    drawing = plot.formats(in_formats(frames(*formats())))
    assert len(drawing.panels) == 1
    assert "4x1 20.0 ms in fp32, 14.0 ms in int8; 32x4 22.0 ms in fp32, 12.5 ms in int8" in drawing.alt
    assert plot.formats(in_formats(frames())).panels == []
    for effect in (lambda seen: int8_over_fp32(seen, "32x4"), int8_over_others):
        with pytest.raises(MissingRecord, match="18_formats"):
            effect(frames())


def test_every_shape_runs_in_both_formats_beside_engines_of_others() -> None:
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1"], 0.8, 1, 16, 2)
    cases = format_cases(points, ["onnxruntime-int8", "openvino"])
    assert [case.engine for case in cases[:3]] == ["torch-eager", "openvino", "onnxruntime-int8"]
    assert [(case.engine, case.block) for case in cases[3:]] == [
        *(("tvm-dense", "dense"), ("tvm-bsr", "4x1"), ("tvm-bsr", "32x1")),
        *(("tvm-dense-int8", "dense"), ("tvm-bsr-int8", "4x1"), ("tvm-bsr-int8", "32x1")),
    ]
