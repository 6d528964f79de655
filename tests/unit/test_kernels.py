"""Single kernels: which point gets a second look, who wins by which rounds, and what claims make of that."""

from __future__ import annotations

import pytest
from tests.synthetic import Memory, Record, kernel, kernels

from codesign import plot
from codesign.answers.effects import value
from codesign.answers.frames import Frames, frame
from codesign.answers.kernels import hot_and_cold, in_turns, share, winners
from codesign.errors import MissingRecord, RecordError
from codesign.measure.ratios import Interval
from codesign.records import validate
from codesign.study.kernels import finalists


def test_a_record_needs_a_check_and_a_failure_a_reason() -> None:
    validate(kernel("4x1"))
    failed = kernel("4x1", status="failed", reason="crashed", hot_ns=[], cold_ns=[], max_abs_err=None)
    validate(failed)
    for broken in (
        kernel("4x1", max_abs_err=None),
        kernel("4x1", hot_ns=[]),
        failed | {"reason": None},
        kernel("4x1", reason="why"),
        kernel("4x1") | {"block": "x4"},
        kernel("4x1") | {"peak_gflops": []},
    ):
        with pytest.raises(RecordError, match="kernel record"):
            validate(broken)


def test_finalists_are_the_best_hot_and_the_best_cold_of_each_family() -> None:
    points = [
        kernel("4x1", family=family, decisions={"rows": rows}, hot=hot, cold=cold, stage="screened")
        for family in ("a", "b")
        for rows, hot, cold in ((1, 0.9, 0.1), (2, 0.5, 0.8), (3, 0.4, 0.2))
    ]
    failed = kernel("4x1", family="c", status="failed", reason="x", hot_ns=[], cold_ns=[], max_abs_err=None)
    found = finalists([*points, failed], 1)
    assert [(each["family"], each["decisions"]["rows"]) for each in found] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert len(finalists(points, 9)) == 6


def test_even_rounds_choose_and_odd_rounds_tell() -> None:
    ns = kernel("4x1", hot=0.5)["hot_ns"][0]
    lucky = kernel("4x1", hot_ns=[0.9 * ns, 1.25 * ns] * 4, decisions={"rows": 1})
    steady = kernel("4x1", hot_ns=[ns] * 8, decisions={"rows": 2})
    (best,) = hot_and_cold(in_turns(frame([steady, lucky]))).to_dict("records")
    assert best["record"] == lucky
    assert best["hot"] == pytest.approx(0.4)
    assert best["gflops"] == pytest.approx(0.4 * 256)


def test_a_share_is_of_the_peak_of_its_own_round() -> None:
    record = kernel("4x1", hot=0.8)
    slowed = [1.0, 1.0, 1.0, 1.5, 1.0, 1.5, 1.0, 1.5]
    record["hot_ns"] = [ns * factor for ns, factor in zip(record["hot_ns"], slowed, strict=True)]
    assert share(record, "hot") == pytest.approx(0.8 / 1.5)
    record["peak_gflops"] = [peak / factor for peak, factor in zip(record["peak_gflops"], slowed, strict=True)]
    assert share(record, "hot") == pytest.approx(0.8)


def test_only_what_was_timed_in_turns_is_compared() -> None:
    together = [kernel(block, session_id="all") for block in ("32x1", "4x1")]
    others = [kernel("4x1", hot=0.99, session_id="one"), kernel("4x1", stage="screened")]
    found = in_turns(frame([*together, *others]))
    assert list(found["record"]) == together[::-1]  # in the order of shapes
    again = [kernel(block, session_id="again") for block in ("4x1", "32x1")]
    assert list(in_turns(frame([*together, *again]))["record"]) == again


def effect(key: str, records: list[Record]) -> Interval:
    found = value(Frames(Memory(records)), key)  # type: ignore[arg-type]
    assert isinstance(found, Interval)
    return found


def test_a_claim_about_several_shapes_is_about_the_slowest() -> None:
    assert effect("kernel-reached.tall.attention", kernels(0.9, {"16x1": 0.7})).value == pytest.approx(0.7)
    assert effect("kernel-reached.tall.attention", kernels(0.9, {"1x1": 0.3})).value == pytest.approx(0.9)
    assert effect("kernel-reached.flat.attention", kernels(0.9, {"1x1": 0.3})).value == pytest.approx(0.3)
    assert effect("kernel-reached.tall.ffn", kernels(0.9)).value == pytest.approx(0.9)
    with pytest.raises(MissingRecord, match="16x1"):
        effect("kernel-reached.tall.attention", [record for record in kernels(0.9) if record["block"] != "16x1"])
    with pytest.raises(MissingRecord, match="08_kernels"):
        effect("kernel-reached.tall.attention", [])


def test_a_lead_with_one_family_ignores_what_the_others_can() -> None:
    records = kernels(0.9, family="token_tile")
    records += [kernel(block, family="row_tile", hot=hot) for block, hot in (("32x1", 0.8), ("16x1", 0.5))]
    assert effect("kernel-lead.32x1.row_tile", records).value == pytest.approx(1.6)
    assert effect("kernel-lead.16x1.row_tile", records).value == pytest.approx(0.625)
    assert effect("kernel-over.4x1.32x1", records).value == pytest.approx(1)
    with pytest.raises(MissingRecord, match="no_such"):
        effect("kernel-lead.32x1.no_such", records)


def test_an_interval_is_as_wide_as_the_rounds_that_tell() -> None:
    noisy = kernels(0.9)
    for record in noisy:
        record["hot_ns"] = [ns * factor for ns, factor in zip(record["hot_ns"], (1, 0.8, 1, 1.25) * 2, strict=True)]
    found = effect("kernel-reached.flat.attention", noisy)
    assert found.low < 0.8
    assert found.high > 1.0


def test_figures_name_every_shape() -> None:
    timed = in_turns(frame(kernels(0.9, {"16x1": 0.7})))
    drawing = plot.kernel_shares(hot_and_cold(timed))
    assert "16x1 70% hot" in drawing.alt
    assert len(drawing.panels) == 3
    assert "token_tile 90%" in plot.family_map(winners(timed, "hot", by=["block", "family"])).alt
