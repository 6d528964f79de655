"""What claims about engines by others rest on: our engine beside the best that a user would otherwise pick."""

from __future__ import annotations

from collections.abc import Callable

from codesign.errors import MissingRecord
from codesign.measure.ratios import Interval
from codesign.study.evidence import DENSE, OURS, Evidence, Key, missing

Effect = Callable[[Evidence], Interval]

SPARSE_PEER = "deepsparse"
#: Engines by others that compute zeros, in float32.
DENSE_PEERS = ("openvino", "onnxruntime", "torch-compile", "torch-eager")


def over_same_weights(peer: str, scope: str, block: str) -> Effect:
    """Effect: how many times ours is faster than a sparse engine by others, on the same pruned weights."""
    return lambda evidence: evidence.speedup((peer, scope, block), (OURS, scope, block))


def over_best_dense(scope: str, block: str) -> Effect:
    """Effect: how many times ours is faster than whichever dense engine by others is fastest."""

    def effect(evidence: Evidence) -> Interval:
        gains = list(_measured(evidence, (OURS, scope, block)))
        if not gains:
            raise missing("latency", engine=DENSE_PEERS[0], scope=scope)
        return min(gains, key=lambda gain: gain.value)

    return effect


def dense_over(peer: str) -> Effect:
    """Effect: how many times our compiler's dense engine is faster than one by others."""
    return lambda evidence: evidence.speedup((peer, *DENSE), ("tvm-dense", *DENSE))


def _measured(evidence: Evidence, ours: Key) -> list[Interval]:
    evidence.latency(ours)
    gains: list[Interval] = []
    for peer in DENSE_PEERS:
        try:
            gains.append(evidence.speedup((peer, *DENSE), ours))
        except MissingRecord:  # not every profile times every engine
            continue
    return gains


_PRUNED = "80% of all encoder weights pruned in {} blocks"

#: Claim id -> statement, effect, threshold.
PEER_CLAIMS: tuple[tuple[str, str, Effect, float], ...] = (
    ("deepsparse-32x1", f"BSR in TVM is at least 1.4 times as fast as DeepSparse, {_PRUNED.format('32x1')}.",
     over_same_weights(SPARSE_PEER, "all", "32x1"), 1.4),
    ("deepsparse-4x1", f"BSR in TVM is at least 1.4 times as fast as DeepSparse, {_PRUNED.format('4x1')}.",
     over_same_weights(SPARSE_PEER, "all", "4x1"), 1.4),
    ("deepsparse-1x1", "BSR in TVM is faster than DeepSparse, 80% of all encoder weights pruned one by one.",
     over_same_weights(SPARSE_PEER, "all", "1x1"), 1.0),
    ("deepsparse-attention", "BSR in TVM is faster than DeepSparse, 80% of attention weights pruned in 32x1 blocks.",
     over_same_weights(SPARSE_PEER, "attention", "32x1"), 1.0),
    ("best-dense-32x1", f"BSR in TVM is at least 4 times as fast as the best dense engine, {_PRUNED.format('32x1')}.",
     over_best_dense("all", "32x1"), 4.0),
    ("best-dense-4x1", f"BSR in TVM is at least 4 times as fast as the best dense engine, {_PRUNED.format('4x1')}.",
     over_best_dense("all", "4x1"), 4.0),
    ("dense-openvino", "Our compiler is no slower than OpenVINO on dense weights.",
     dense_over("openvino"), 1.0),
)  # fmt: skip
