"""The table of all timings, and the records that put accuracy against latency."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, accuracy, everything, latency

from codesign.study.evidence import Evidence
from codesign.study.explored import COLUMNS, rows
from codesign.study.tradeoff import tradeoff, tradeoff_numbers

DENSE = latency("tvm-dense", "all", "32x1", 50.0)  # given pruned weights, of which it computes every zero


def shown(*records: dict) -> list[dict[str, str]]:
    return [dict(zip(COLUMNS, (cell.text for cell in row), strict=True)) for row in rows(records)]


def test_a_gain_is_over_our_dense_engine_of_the_same_session() -> None:
    mine = latency("tvm-bsr", "all", "32x1", 20.0)
    other = latency("tvm-bsr", "all", "32x1", 20.0, session_id="other")
    dense, with_dense, without = shown(DENSE, mine, other)
    assert with_dense["over our dense"].startswith("2.50")
    assert without["over our dense"] == dense["over our dense"] == "-"


def test_an_engine_that_computes_zeros_is_dense_whatever_it_was_given() -> None:
    (row,) = shown(DENSE)
    assert (row["scope"], row["block"], row["sparsity"]) == ("none", "dense", "-")


def test_what_does_not_count_stays_with_its_reason() -> None:
    failed = latency("tvm-bsr", "all", "4x1", 1.0, status="failed", reason="no schedule", samples_ns=[])
    control = latency("tvm-bsr", "all", "4x1", 1.0, control="A/A")
    flagged = latency("tvm-bsr", "all", "4x1", 1.0, flagged=True, flag_reason="disturbed")
    tried = latency("tvm-bsr", "all", "24x1", 1.0, profile="try")
    found = shown(failed, control, flagged, tried)
    assert [row["remark"] for row in found] == ["failed: no schedule", "A/A control", "flagged: disturbed"]
    assert found[0]["median, ms"] == found[0]["largest error"] == "-"


def test_columns_are_sorted_by_value_and_blocks_by_shape() -> None:
    blocks = ("16x16", "32x1", "4x1", "1x32", "1x1")
    found = rows(latency("tvm-bsr", "all", block, ms) for block, ms in zip(blocks, (9, 10, 100, 2, 3), strict=True))
    block, median = list(COLUMNS).index("block"), list(COLUMNS).index("median, ms")
    in_order = [row[block].text for row in sorted(found, key=lambda row: row[block].order)]
    assert in_order == ["1x1", "4x1", "32x1", "1x32", "16x16"]
    assert [row[block].text for row in sorted(found, key=lambda row: row[median].order)][-1] == "4x1"


def test_accuracy_meets_latency_of_the_same_pruning_and_one_load() -> None:
    minilm = {"model": "minilm"}
    judged = [accuracy("all", block, 0.5, **minilm) for block in ("4x1", "32x1")]
    timed = latency("tvm-bsr", "all", "4x1", 9.0, **minilm)
    loaded = latency("tvm-dense", "none", "dense", 90.0, batch=16, **minilm)
    dense = latency("tvm-dense", "none", "dense", 30.0, **minilm)
    others = [record for record in everything() if record.get("model") != "minilm"]
    evidence = Evidence(Memory([*others, *judged, loaded, dense, timed]))
    assert tradeoff(evidence) == (judged, [dense, timed])
    assert dict(tradeoff_numbers(evidence)) == {"tradeoff.points": "1", "tradeoff.model": "minilm"}


def test_without_both_there_is_nothing_to_weigh() -> None:
    untimed = [accuracy("all", "4x1", 0.5, model="minilm")]
    others = [record for record in everything() if record["kind"] != "accuracy"]
    for records in (others, [*others, *untimed]):
        assert dict(tradeoff_numbers(Evidence(Memory(records)))) == {}
