"""Two layouts of activations: what each encoder gains, and what tuning records would have chosen."""

from typing import Any

import pytest
from tests.synthetic import Memory, layouts, machine, session

from codesign.errors import MissingRecord
from codesign.records import validate
from codesign.study import figures
from codesign.study.evidence import Evidence
from codesign.study.layout_views import (
    choice_rows,
    feature_major_lead,
    layout_rows,
    of_point,
    picked_right,
    recorded_ms,
    tall_gain,
)
from codesign.study.layouts import cases, layouts_of
from codesign.study.points import sweep

TIMES = {
    **{("dense", "feature-major"): 50.0, ("dense", "token-major"): 60.0, ("4x1", "feature-major"): 20.0},
    **{("32x1", "feature-major"): 24.0, ("32x1", "token-major"): 22.0},
}


def evidence(*extra: dict[str, Any]) -> Evidence:
    return Evidence(Memory([machine(), *session(), *extra]))


def test_each_encoder_has_the_layouts_that_it_was_compiled_for() -> None:
    records = layouts(TIMES, spread=0.001)
    for record in records:
        validate(record)
    seen = evidence(*records)
    assert {block: list(side) for block, side in of_point(seen).items()} == {
        "dense": ["feature-major", "token-major"],
        "4x1": ["feature-major"],
        "32x1": ["feature-major", "token-major"],
    }
    assert tall_gain(seen).value == pytest.approx(24 / 22, rel=0.01)
    assert feature_major_lead(seen).value == pytest.approx(22 / 20, rel=0.01)
    # the sessions of step 4 are another kind, and stay what they were
    assert seen.latencies.keys() == evidence().latencies.keys()


def test_records_choose_the_layout_whose_kernels_add_up_to_less() -> None:
    seen = evidence(*layouts(TIMES, spread=0.001))
    assert recorded_ms(seen, "all", "32x1") == pytest.approx({"feature-major": 24.0, "token-major": 22.0})
    assert picked_right(seen).value == pytest.approx(24 / 22, rel=0.01)
    rows = layout_rows(seen, "all")
    assert [(row["block"], row["picked"]) for row in rows] == [
        ("dense", "feature-major"),
        ("4x1", None),
        ("32x1", "token-major"),
    ]
    assert [row["block"] for row in choice_rows(rows)] == ["dense", "32x1"]
    drawing = figures.layouts(rows)
    assert "4x1 20.0 feature-major; 32x1 24.0 feature-major, 22.0 token-major" in drawing.alt
    assert "token-major: 1.09" in drawing._repr_html_()
    assert figures.layouts([]).panels == []


def test_a_wrong_choice_counts_against_the_records() -> None:
    swapped = layouts({key: 100.0 - ms for key, ms in TIMES.items()}, spread=0.001)
    tasks = [record for record in swapped if record["kind"] == "task"]
    timed = [record for record in layouts(TIMES, spread=0.001) if record["kind"] == "layouts"]
    assert picked_right(evidence(*tasks, *timed)).value == pytest.approx(50 / 60, rel=0.01)


def test_nothing_is_said_without_a_session_that_can_be_trusted() -> None:
    assert layout_rows(evidence(), "all") == []
    for flagged in ([], layouts(TIMES, flagged=True, flag_reason="disturbed")):
        with pytest.raises(MissingRecord, match="17_layouts"):
            tall_gain(evidence(*flagged))
    with pytest.raises(MissingRecord, match="17_layouts"):
        tall_gain(evidence(*layouts({key: ms for key, ms in TIMES.items() if key[0] != "32x1"})))


def test_only_shapes_of_whole_vectors_run_token_major() -> None:
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "32x1", "7x5"], 0.8, 1, 16, 2)
    assert [layouts_of(point)[-1] for point in points] == ["feature-major", "token-major", "feature-major"]
    planned = cases(points)
    assert [(case.engine, case.layout, case.block) for case in planned if case.compiled] == [
        ("tvm-dense", "feature-major", "dense"),
        *(("tvm-bsr", "feature-major", block) for block in ("4x1", "32x1", "7x5")),
        ("tvm-dense-token-major", "token-major", "dense"),
        ("tvm-bsr-token-major", "token-major", "32x1"),
    ]
