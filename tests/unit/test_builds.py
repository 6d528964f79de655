"""Several layouts of one encoder: what each gives, and what tuning records would have chosen."""

from typing import Any

import pytest
from tests.synthetic import Memory, layouts, machine, session

from codesign import plot
from codesign.answers.builds import (
    choices,
    feature_major_lead,
    layout_picked,
    of_point,
    recorded_ms,
    sides,
    strips_gain,
    tall_as_low,
)
from codesign.answers.claims import verdicts
from codesign.answers.frames import Frames, frame
from codesign.compiler import TargetSpec
from codesign.engines import STRIPS, TOKEN_MAJOR, WHOLE
from codesign.errors import MissingRecord
from codesign.records import validate
from codesign.study.comparisons import layout_cases, layouts_of
from codesign.study.points import sweep

TIMES = {
    **{("dense", WHOLE): 50.0, ("dense", STRIPS): 45.0, ("dense", TOKEN_MAJOR): 60.0, ("4x1", STRIPS): 20.0},
    **{("32x1", WHOLE): 24.0, ("32x1", STRIPS): 19.0, ("32x1", TOKEN_MAJOR): 22.0},
    **{("16x16", WHOLE): 20.0, ("16x16", STRIPS): 19.5, ("16x16", TOKEN_MAJOR): 26.0},
}
EFFECTS = (strips_gain, tall_as_low, feature_major_lead, layout_picked)


def frames(*extra: dict[str, Any]) -> Frames:
    return Frames(Memory([machine(), *session(), *extra]))


def test_each_encoder_has_the_layouts_that_it_was_compiled_in() -> None:
    records = layouts(TIMES, spread=0.001)
    for record in records:
        validate(record)
    seen = frames(*records)
    every = [WHOLE, STRIPS, TOKEN_MAJOR]
    assert {block: list(side.dropna().index) for block, side in of_point(seen, "layouts").iterrows()} == {
        **{"dense": every, "4x1": [STRIPS], "32x1": every, "16x16": every}
    }
    assert strips_gain(seen).value == pytest.approx(20 / 19.5, rel=0.01)
    assert tall_as_low(seen).value == pytest.approx(19 / 20, rel=0.01)
    assert feature_major_lead(seen).value == pytest.approx(22 / 19, rel=0.01)
    # the sessions of step 4 are another kind, and stay what they were
    assert seen.latencies.keys() == frames().latencies.keys()


def test_shapes_are_alike_whichever_is_faster() -> None:
    slower = frames(*layouts(TIMES | {("32x1", STRIPS): 25.0}, spread=0.001))
    assert tall_as_low(slower).value == pytest.approx(20 / 25, rel=0.01)
    equal = tall_as_low(frames(*layouts(TIMES | {("32x1", STRIPS): 20.0}, spread=0.02)))
    assert equal.low < equal.value <= equal.high == 1.0


def test_records_choose_the_layout_whose_kernels_add_up_to_least() -> None:
    seen = frames(*layouts(TIMES, spread=0.001))
    recorded = recorded_ms(seen, of_point(seen, "layouts"), "all")
    assert list(recorded.loc["32x1"]) == pytest.approx([24.0, 19.0, 22.0])
    assert layout_picked(seen).value == pytest.approx(20 / 19.5, rel=0.01)
    chosen = choices(seen, of_point(seen, "layouts"), "all").set_index("block")
    assert dict(chosen["picked"]) == {"dense": STRIPS, "32x1": STRIPS, "16x16": STRIPS}
    assert list(chosen[STRIPS]) == ["45.0 (45.0)", "19.0 (19.0)", "19.5 (19.5)"]
    assert chosen.loc["32x1", "gain strips"].startswith("1.26")
    drawing = plot.layouts(of_point(seen, "layouts"))
    assert "4x1 20.0 strips; 32x1 24.0 whole blocks, 19.0 strips, 22.0 token-major" in drawing.alt
    assert "19.0 ms, strips: 1.26" in drawing._repr_html_()


def test_a_wrong_choice_counts_against_the_records() -> None:
    swapped = layouts({key: 100.0 - ms for key, ms in TIMES.items()}, spread=0.001)
    tasks = [record for record in swapped if record["kind"] == "task"]
    timed = [record for record in layouts(TIMES, spread=0.001) if record["kind"] == "layouts"]
    assert layout_picked(frames(*tasks, *timed)).value == pytest.approx(45 / 60, rel=0.01)


def test_nothing_is_said_without_a_session() -> None:
    assert plot.layouts(sides(frame([]), "layout")).panels == []
    for effect in EFFECTS:
        with pytest.raises(MissingRecord, match="17_layouts"):
            effect(frames())
    low = frames(*layouts({("4x1", STRIPS): 20.0}))
    for effect in EFFECTS[:3]:
        with pytest.raises(MissingRecord, match="17_layouts"):
            effect(low)
    with pytest.raises(MissingRecord, match="03_tune"):
        layout_picked(low)


def test_a_session_in_doubt_decides_nothing_and_a_newer_one_does_not_hide_a_sure_one() -> None:
    disturbed = layouts(dict.fromkeys(TIMES, 30.0), session_id="later", flagged=True, flag_reason="disturbed")
    for effect in EFFECTS[:3]:
        seen = frames(*disturbed)
        effect(seen)
        assert {record["flag_reason"] for record in seen.compared} == {"disturbed"}
    assert verdicts(frames(*disturbed))["strips"].verdict == "inconclusive"
    assert verdicts(frames(*layouts(TIMES, spread=0.001), *disturbed))["strips"].verdict == "supported"


def test_each_shape_runs_in_the_ways_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "codesign.study.comparisons.target_spec", lambda threads: TargetSpec("x86-64-v4", 16, 32, threads)
    )
    points = sweep("bert-tiny", 0, ["all"], "magnitude", ["4x1", "8x1", "32x1", "7x5"], 0.8, 1, 16, 2)
    assert [layouts_of(point) for point in points] == [[STRIPS], [STRIPS], [WHOLE, STRIPS, TOKEN_MAJOR], [STRIPS]]
    planned = layout_cases(points)
    assert [(case.layout, case.strips, case.block) for case in planned if case.compiled] == [
        *(("feature-major", False, block) for block in ("dense", "32x1")),
        *(("feature-major", True, block) for block in ("dense", "4x1", "8x1", "32x1", "7x5")),
        *(("token-major", True, block) for block in ("dense", "32x1")),
    ]
