"""Which records put accuracy against latency: one task and one model, judged and timed under one load."""

from __future__ import annotations

from collections.abc import Iterator

from codesign.schema import Record
from codesign.study.evidence import OURS, Evidence
from codesign.study.places import ASIDE

#: What makes two records be about the same pruning.
PRUNING = ("model", "scope", "pruner", "block", "sparsity")
LOAD = ("batch", "seq", "threads")


def tradeoff(evidence: Evidence, scope: str = "all") -> tuple[list[Record], list[Record]]:
    """Return the `accuracy` records of the task that was learnt last, and the `latency` records of its model.

    Latencies are those under the load that the model was timed under last; both are empty where nothing pruned was both
    judged and timed.
    """
    judged = [record for record in evidence.read("accuracy") if record["profile"] not in ASIDE]
    if not judged:
        return [], []
    task = [record for record in judged if _same(record, judged[-1], ("task_digest", "model"))]
    read = evidence.read("latency", model=judged[-1]["model"], status="ok", control=None)
    pruned = {_pruning(record) for record in task}
    both = [r for r in read if r["engine"] == OURS and r["scope"] == scope and _pruning(r) in pruned]
    if not both:
        return [], []
    return task, [record for record in read if _same(record, both[-1], LOAD)]


def tradeoff_numbers(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Yield how many prunings were both judged and timed; nothing where none was."""
    judged, timed = tradeoff(evidence)
    if judged:
        shared = {_pruning(r) for r in judged} & {_pruning(r) for r in timed if r["engine"] == OURS}
        yield "tradeoff.points", str(len(shared))
        yield "tradeoff.model", judged[-1]["model"]


def _pruning(record: Record) -> tuple[object, ...]:
    return tuple(record[name] for name in PRUNING)


def _same(a: Record, b: Record, names: tuple[str, ...]) -> bool:
    return all(a[name] == b[name] for name in names)
