"""What accuracy and latency of the same weights say together: patterns, storage, and which shape to prune to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codesign.answers.words import three_digits, times
from codesign.engines import ENGINES, SPARSE
from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record
from codesign.study.accuracy import difference
from codesign.study.doubts import in_doubt
from codesign.study.evidence import OURS, median_ms, newest_latencies
from codesign.study.judged import TOLERANCE, Judged, loss, points, same_seeds
from codesign.study.trainings import touching

#: Latency records of one session.
Pair = tuple[Record, Record]
#: Pruner of the patterns that no training made.
RANDOM = "random"


@dataclass(frozen=True)
class Stored:
    """A model trained for a block shape, beside one trained without blocks that is stored in them.

    ``lead`` is how many more answers of the former are right; ``pair`` are the latencies of the latter and the former.
    """

    block: str
    sparsity: float
    lead: Interval
    pair: Pair


def usable(latencies: Iterable[Record]) -> list[Record]:
    """Return what our sparse engine was timed at; failures and controls are left out."""
    return [r for r in latencies if r["engine"] == OURS and r["status"] == "ok" and not r["control"]]


def patterns(judged: Judged, latencies: Iterable[Record], sparsity: float) -> dict[str, Pair]:
    """Return block shape -> latency of trained patterns, and of random ones with as many blocks in each matrix."""
    timed = usable(latencies)
    found = {}
    for block, records in judged.shapes(sparsity).items():
        trained = _of(timed, records[0]["pruner"], block, sparsity)
        if pair := together(trained, _of(timed, RANDOM, block, sparsity)):
            found[block] = pair
    return found


def stored(judged: Judged, latencies: Iterable[Record], sparsity: float) -> list[Stored]:
    """Compare models trained for blocks with unstructured ones stored in those blocks, timed in one session."""
    timed, found = usable(latencies), []
    for block, aware in judged.shapes(sparsity).items():
        sparser = touching(sparsity, block)
        unstructured = judged.shapes(sparser).get("1x1", [])
        if block == "1x1" or not unstructured:
            continue
        theirs = _of(timed, f"{unstructured[0]['pruner']}@1x1", block, sparser)
        if pair := together(theirs, _of(timed, aware[0]["pruner"], block, sparsity)):
            found.append(Stored(block, sparser, difference(*same_seeds(aware, unstructured)), pair))
    return found


def together(a: Sequence[Record], b: Sequence[Record]) -> Pair | None:
    """Return the newest two records that were timed in one session."""
    sessions = {record["session_id"]: record for record in b}
    return next(((r, sessions[r["session_id"]]) for r in reversed(a) if r["session_id"] in sessions), None)


def acceptable(judged: Judged, latencies: Iterable[Record]) -> list[Record]:
    """Return the latency records of the pruned models that lose little enough, the fastest first.

    A model may lose `TOLERANCE` against the dense model of the same seeds, whatever its shape, its sparsity and the
    algorithm that pruned it. All were timed in one session.
    """
    timed, models = usable(latencies), judged.models()
    newest = {key: [r for r in timed if _model(r) == key] for key in models}
    sessions = [{record["session_id"] for record in records} for records in newest.values() if records]
    whole = set.intersection(*sessions) if sessions else set()
    beside = {key: [r for r in records if r["session_id"] in whole] for key, records in newest.items()}
    kept = [r[-1] for key, r in beside.items() if r and loss(judged, models[key]).value <= TOLERANCE]
    return sorted(kept, key=lambda record: median_ms(record).value)


def dense_beside(record: Record, latencies: Iterable[Record]) -> Record | None:
    """Return the fastest float32 engine that computes zeros, in the session of a record; None where there is none."""
    dense = [
        other
        for (engine, *_), other in newest_latencies(r for r in latencies if _beside(r, record)).items()
        if engine not in SPARSE and ENGINES[engine].format == "fp32"
    ]
    return min(dense, key=lambda other: median_ms(other).value, default=None)


def _beside(record: Record, other: Record) -> bool:
    return bool(record["session_id"] == other["session_id"])


def _model(record: Record) -> tuple[str, str, float]:
    return record["pruner"], record["block"], record["sparsity"]


def pattern_rows(found: Mapping[str, Pair]) -> list[dict[str, str]]:
    """Lay out `patterns` as text."""
    return [{"block": block, "ratio": times(ratio(*pair)) + doubt(pair)} for block, pair in found.items()]


def stored_rows(found: Iterable[Stored]) -> list[dict[str, str]]:
    """Lay out `stored` as text."""
    return [
        {
            "block": each.block,
            "sparsity": f"{each.sparsity:.1%}",
            "lead": points(each.lead),
            "slower": times(ratio(*each.pair)) + doubt(each.pair),
        }
        for each in found
    ]


def worth_rows(judged: Judged, latencies: Sequence[Record]) -> list[dict[str, str]]:
    """Lay out the models that may be pruned to, the fastest first: milliseconds, what they lose, and against dense."""
    models = judged.models()
    found = []
    for record in acceptable(judged, latencies):
        dense = dense_beside(record, latencies)
        found.append(
            {
                "block": record["block"],
                "sparsity": f"{record['sparsity']:.0%}",
                "ms": three_digits(median_ms(record).value) + doubt([record]),
                "lost": points(loss(judged, models[_model(record)])),
                "over": "" if dense is None else times(ratio(dense, record)),
            }
        )
    return found


def doubt(records: Iterable[Record]) -> str:
    """Say that a record is in doubt; nothing where none is."""
    return " (flagged)" if in_doubt(records) else ""


def _of(timed: Sequence[Record], pruner: str, block: str, sparsity: float) -> list[Record]:
    same = {"pruner": pruner, "block": block, "sparsity": sparsity}
    return [record for record in timed if same.items() <= record.items()]
