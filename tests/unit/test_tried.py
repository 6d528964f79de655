"""Which tried shapes the last notebook shows."""

from __future__ import annotations

from typing import Any

from codesign.commands import tried

SETTING = {"model": "bert-tiny", "seed": 0, "pruner": "magnitude", "sparsity": 0.9, "batch": 1, "seq": 32, "threads": 2}


def record(engine: str, session: str, **fields: Any) -> dict[str, Any]:
    return {**SETTING, "engine": engine, "session_id": session, "scope": "all", "block": "4x1", **fields}


def test_only_sessions_in_the_setting_of_the_last_try_are_compared() -> None:
    records = [
        record("tvm-dense", "first", pruner="none", sparsity=0.0, block="dense"),
        record("tvm-bsr", "first"),
        record("tvm-bsr", "other sparsity", sparsity=0.8),
        record("tvm-dense", "last", pruner="none", sparsity=0.0, block="dense"),
        record("tvm-bsr", "last", block="7x5"),
    ]
    assert [r["session_id"] for r in tried._alike(records, records)] == ["first", "first", "last", "last"]


def test_nothing_tried_says_so_and_how() -> None:
    text = tried.summary([]).data
    assert text.startswith("**Not measured here.**")
    assert "make try BLOCK=" in text
    assert tried._alike([record("tvm-bsr", "a")], []) == []


def test_what_was_tried_is_named() -> None:
    text = tried.summary(
        [record("torch-eager", "a", block="dense"), record("tvm-bsr", "a"), record("tvm-bsr", "a")]
    ).data
    assert "90% block sparsity" in text
    assert text.endswith(": 4x1 (all).")
