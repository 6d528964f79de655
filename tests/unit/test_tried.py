"""Which tried shapes the last notebook shows."""

from __future__ import annotations

import pytest
from tests.synthetic import latency

from codesign.answers.frames import frame
from codesign.commands.tried import alike, summary


def timed(engine: str, session: str, block: str = "4x1", **changes: object) -> dict[str, object]:
    return latency(engine, "all", block, 1.0, session_id=session, model="bert-tiny", **{"sparsity": 0.9} | changes)


def test_only_sessions_in_the_setting_of_the_last_try_are_compared() -> None:
    records = [
        timed("tvm-dense", "first", "dense", pruner="none", sparsity=0.0),
        timed("tvm-bsr", "first"),
        timed("tvm-bsr", "other sparsity", sparsity=0.8),
        timed("tvm-dense", "last", "dense", pruner="none", sparsity=0.0),
        timed("tvm-bsr", "last", "7x5"),
    ]
    found = frame(records)
    assert list(alike(found, found)["session_id"]) == ["first", "first", "last", "last"]
    assert alike(found, frame([])).empty


@pytest.mark.parametrize("records", [[], [timed("torch-eager", "a", "dense")]])
def test_nothing_tried_says_so_and_how(records: list[dict[str, object]]) -> None:
    text = summary(frame(records)).data
    assert text.startswith("**Not measured here.**")
    assert "make try BLOCK=" in text


def test_what_was_tried_is_named() -> None:
    text = summary(frame([timed("torch-eager", "a", "dense"), timed("tvm-bsr", "a"), timed("tvm-bsr", "a")])).data
    assert "90% block sparsity" in text
    assert text.endswith(": 4x1 (all).")
