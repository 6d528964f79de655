"""A flagged session puts all of its times in doubt, or those of one engine, and a claim that compares such a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import MILLISECONDS, Memory, latency, session

from codesign.measure.ratios import doubts
from codesign.study.claims import evaluate
from codesign.study.doubts import doubts_of, in_doubt, trusted
from codesign.study.evidence import Evidence

PEER = ("onnxruntime", "none", "dense")
TIMES = MILLISECONDS | {PEER: 60.0}


def flagged(
    records: list[dict[str, Any]], slower: tuple[str, ...] = (), by: float = 1.2, **control: Any
) -> list[dict[str, Any]]:
    """A session as the protocol would flag it, where some engines were slower in it than alone."""
    for record in records:
        if record["engine"] in slower:
            record["samples_ns"] = [by * ns for ns in record["samples_ns"]]
    reasons = doubts([*records, latency("torch-eager", "none", "dense", control.get("ms", 150.0), control="A/A")])
    return [record | {"flagged": bool(reasons), "flag_reason": "; ".join(reasons) or None} for record in records]


def verdicts(records: list[dict[str, Any]]) -> dict[str, str]:
    return {verdict.id: verdict.verdict for verdict in evaluate(Evidence(Memory(records)))}


def test_an_engine_that_differs_from_alone_is_in_doubt_and_not_the_others() -> None:
    found = flagged(session(TIMES), slower=("onnxruntime",))
    assert all(record["flagged"] for record in found)
    assert [record["engine"] for record in found if doubts_of(record)] == ["onnxruntime"]
    assert in_doubt(found) == ["onnxruntime none dense: +20% against alone"]
    assert len(trusted(found)) == len(found) - 1


def test_several_engines_in_doubt_are_told_apart_by_scope_and_shape() -> None:
    found = session(TIMES)
    for record in found:
        if record["block"] == "4x1":
            record["samples_ns"] = [1.2 * ns for ns in record["samples_ns"]]
    found = flagged(found)
    assert [(record["scope"], record["block"]) for record in found if doubts_of(record)] == [
        ("attention", "4x1"),
        ("all", "4x1"),
    ]
    assert all(len(doubts_of(record)) <= 1 for record in found)


@pytest.mark.parametrize("engine", ["torch-eager", "openvino"])
def test_a_reference_in_doubt_puts_all_in_doubt(engine: str) -> None:
    assert trusted(flagged(session(TIMES), slower=(engine,))) == []


def test_a_control_that_differs_from_itself_and_a_disturbed_machine_put_all_in_doubt() -> None:
    assert trusted(flagged(session(TIMES), ms=200.0)) == []
    reason = "disturbed: too few undisturbed turns of openvino none dense, so that all of them count"
    assert trusted(session(TIMES, flagged=True, flag_reason=reason)) == []
    assert trusted(session(TIMES, flagged=True)) == []
    assert trusted(session(TIMES)) == session(TIMES)


def test_a_claim_is_inconclusive_where_it_compares_a_time_in_doubt() -> None:
    calm, doubted = verdicts(session(TIMES)), verdicts(flagged(session(TIMES), slower=("onnxruntime",)))
    assert calm["best-dense-32x1"] == "not supported"
    changed = {id for id, verdict in calm.items() if verdict != doubted[id]}
    assert changed == {"best-dense-32x1", "best-dense-4x1"}  # which dense engine is best is not known then
    assert {doubted[id] for id in changed} == {"inconclusive"}


def test_a_claim_about_all_shapes_compares_each() -> None:
    records = session(TIMES)
    for record in records:
        if record["block"] == "4x1":
            record["samples_ns"] = [1.2 * ns for ns in record["samples_ns"]]
    doubted = verdicts(flagged(records))
    assert doubted["paper-2"] == doubted["tall-all"] == "inconclusive"
    assert doubted["credit-dense"] == "supported"
