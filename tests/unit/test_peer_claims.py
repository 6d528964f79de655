"""Engines by others: the same weights for sparse ones, the fastest of the dense ones."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import Memory, everything, latency

from codesign.errors import MissingRecord
from codesign.study.evidence import Evidence
from codesign.study.peer_claims import PEER_CLAIMS, dense_over, over_best_dense, over_same_weights


def evidence(*extra: tuple[str, str, str, float]) -> Evidence:
    return Evidence(Memory([*everything(), *(latency(*each) for each in extra)]))


def test_a_sparse_engine_is_compared_on_the_same_weights() -> None:
    seen = evidence(
        ("deepsparse", "all", "32x1", 30.0), ("deepsparse", "all", "1x1", 10.0), ("tvm-bsr", "all", "32x1", 20.0)
    )
    assert over_same_weights("deepsparse", "all", "32x1")(seen).value == pytest.approx(1.5, rel=0.01)


def test_the_fastest_dense_engine_counts() -> None:
    seen = evidence(("tvm-bsr", "all", "32x1", 20.0), ("onnxruntime", "none", "dense", 60.0))
    slower = over_best_dense("all", "32x1")(seen).value
    faster = evidence(("tvm-bsr", "all", "32x1", 20.0), ("onnxruntime", "none", "dense", 30.0))
    assert over_best_dense("all", "32x1")(faster).value == pytest.approx(1.5, rel=0.01)
    assert slower > 1.5


def test_dense_is_compared_with_dense() -> None:
    seen = evidence(("openvino", "none", "dense", 90.0), ("tvm-dense", "none", "dense", 45.0))
    assert dense_over("openvino")(seen).value == pytest.approx(2.0, rel=0.01)


def test_what_was_not_measured_is_named() -> None:
    with pytest.raises(MissingRecord, match="deepsparse"):
        over_same_weights("deepsparse", "all", "8x1")(evidence(("tvm-bsr", "all", "8x1", 20.0)))
    with pytest.raises(MissingRecord, match="tvm-bsr"):
        over_best_dense("all", "3x3")(evidence())


def test_a_peer_is_to_be_reached_at_least() -> None:
    assert all(threshold >= 1 for *_, threshold in PEER_CLAIMS)
