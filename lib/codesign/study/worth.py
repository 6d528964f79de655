"""What accuracy and latency of the same weights say together: patterns, storage, and which shape to prune to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codesign.measure.ratios import Interval, Ratio, ratio
from codesign.schema import Record
from codesign.study.accuracy import difference
from codesign.study.evidence import OURS, median_ms, missing
from codesign.study.judged import TOLERANCE, Judged, loss, points, same_seeds
from codesign.study.trainings import touching
from codesign.study.words import shape_order, three_digits, times

#: Pruner of the patterns that no training made.
RANDOM = "random"


@dataclass(frozen=True)
class Stored:
    """A model trained for a block shape, beside one trained without blocks that is stored in them.

    ``lead`` is how many more answers of the former are right, ``slower`` the time of the latter over the former's.
    """

    block: str
    sparsity: float
    aware: list[Record]
    unstructured: list[Record]
    lead: Interval
    slower: Ratio


def usable(latencies: Iterable[Record]) -> list[Record]:
    """Return what our sparse engine was timed at in sessions that nobody has to doubt."""
    return [r for r in latencies if r["engine"] == OURS and r["status"] == "ok" and not (r["control"] or r["flagged"])]


def pattern_ratios(judged: Judged, latencies: Iterable[Record], sparsity: float) -> dict[str, Ratio]:
    """Return block shape -> time of trained patterns over that of random ones with as many blocks in each matrix.

    Both were timed in one session.

    Raises
    ------
    MissingRecord
        If no shape was timed with both.
    """
    timed = usable(latencies)
    found = {}
    for block, records in judged.shapes(sparsity).items():
        trained = _of(timed, records[0]["pruner"], block, sparsity)
        if pair := together(trained, _of(timed, RANDOM, block, sparsity)):
            found[block] = ratio(*pair)
    if not found:
        raise missing("latency", pruner=RANDOM, model=judged.records[0]["model"])
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
            lead = difference(*same_seeds(aware, unstructured))
            found.append(Stored(block, sparser, aware, unstructured, lead, ratio(*pair)))
    return found


def together(a: Sequence[Record], b: Sequence[Record]) -> tuple[Record, Record] | None:
    """Return the newest two records that were timed in one session."""
    sessions = {record["session_id"]: record for record in b}
    return next(((r, sessions[r["session_id"]]) for r in reversed(a) if r["session_id"] in sessions), None)


def acceptable(judged: Judged, latencies: Iterable[Record], sparsity: float) -> list[Record]:
    """Return the latency records of shapes that lose little enough, the fastest first.

    A shape may lose `TOLERANCE` against the dense model of the same seeds. All were timed in one session.

    Raises
    ------
    MissingRecord
        If no shape was both judged and timed.
    """
    timed = usable(latencies)
    shapes = judged.shapes(sparsity)
    newest = {block: _of(timed, records[0]["pruner"], block, sparsity) for block, records in shapes.items()}
    sessions = [{record["session_id"] for record in records} for records in newest.values() if records]
    if not sessions:
        raise missing("latency", engine=OURS, model=judged.records[0]["model"])
    whole = set.intersection(*sessions) or sessions[0]
    beside = {block: [r for r in records if r["session_id"] in whole] for block, records in newest.items()}
    kept = [r[-1] for block, r in beside.items() if r and loss(judged, shapes[block]).value <= TOLERANCE]
    return sorted(kept, key=lambda record: median_ms(record).value)


def pattern_rows(ratios: Mapping[str, Ratio]) -> list[dict[str, str]]:
    """Lay out `pattern_ratios` as text."""
    return [{"block": block, "ratio": times(ratios[block])} for block in sorted(ratios, key=shape_order)]


def stored_rows(found: Iterable[Stored]) -> list[dict[str, str]]:
    """Lay out `stored` as text."""
    return [
        {
            "block": each.block,
            "sparsity": f"{each.sparsity:.1%}",
            "lead": points(each.lead),
            "slower": times(each.slower),
        }
        for each in found
    ]


def worth_rows(judged: Judged, latencies: Iterable[Record], sparsity: float) -> list[dict[str, str]]:
    """Lay out the shapes that may be pruned to, the fastest first: milliseconds and what they lose."""
    return [
        {
            "block": record["block"],
            "ms": three_digits(median_ms(record).value),
            "lost": points(loss(judged, judged.shapes(sparsity)[record["block"]])),
        }
        for record in acceptable(judged, latencies, sparsity)
    ]


def _of(timed: Sequence[Record], pruner: str, block: str, sparsity: float) -> list[Record]:
    same = {"pruner": pruner, "block": block, "sparsity": sparsity}
    return [record for record in timed if same.items() <= record.items()]
