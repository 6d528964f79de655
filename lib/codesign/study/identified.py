"""What `identity` records say: distinct sparse tasks by allocation, before and after padding, and its cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from codesign.answers.words import shape_order
from codesign.compiler.operators import Linear
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import Evidence, missing
from codesign.study.tasks import all_blocks, bucketed

#: The step of the padding that the claim is about, as a share of the blocks of a matrix.
BUCKET = 0.05
#: Decided before anything was counted: how many times more tasks count as more, and which share of them as as many.
REUSE_AT_LEAST, ALIKE = 4.0, 0.8

MODELS = ("bert-base", "minilm")


def linears(record: Record, bucket: float | None = None) -> Counter[Linear]:
    """Return the distinct sparse linears with their uses; with ``bucket``, as padding leaves them.

    Layers that pruning left so full that the compiler stores them whole are no sparse tasks.
    """
    found: Counter[Linear] = Counter()
    for task in record["tasks"]:
        if task["family_kind"] == "bsr":
            linear = Linear(**task["linear"])
            found[linear if bucket is None else bucketed(linear, bucket)] += task["weight"]
    return found


def padding(record: Record, bucket: float) -> float:
    """Return the blocks that padding adds, over all uses, as a share of the blocks that were stored."""
    uses = linears(record).items()
    stored = sum(linear.nnz * count for linear, count in uses)
    added = sum((bucketed(linear, bucket).nnz - linear.nnz) * count for linear, count in uses)
    return added / stored if stored else 0.0


def rows(records: Iterable[Record], bucket: float) -> list[dict[str, Any]]:
    """Lay out what each case has: tasks, uses of the most and the least used, and the same after padding.

    Returns
    -------
    list[dict]
        ``model``, ``weights``, ``block``, ``allocation``; ``tasks`` of any kind, ``sparse`` ones, ``uses`` of these,
        ``whole`` linears stored dense, ``most`` and ``least`` used; ``density`` from the emptiest to the fullest
        matrix; ``padded`` tasks and the share ``added``.
    """
    table = []
    for record in sorted(records, key=lambda r: (r["model"], *shape_order(r["block"]))):
        found = linears(record)
        if not found:
            continue
        densities = [linear.nnz / all_blocks(linear) for linear in found]
        dense = sum(task["weight"] for task in record["tasks"] if task["family_kind"] == "dense")
        about = {name: record[name] for name in ("model", "weights", "block", "allocation")}
        counts = {"tasks": len(record["tasks"]), "sparse": len(found), "uses": sum(found.values()), "whole": dense}
        weight = {"most": max(found.values()), "least": min(found.values())}
        spread = {"emptiest": min(densities), "fullest": max(densities)}
        after = {"padded": len(linears(record, bucket)), "added": padding(record, bucket)}
        table.append(about | counts | weight | spread | after)
    return table


def reuse(evidence: Evidence) -> Interval:
    """Effect: sparse tasks of ``global`` over those of ``uniform``, for the model and shape where it is least."""
    return _exact(min(_ratios(evidence, None)))


def alike(evidence: Evidence) -> Interval:
    """Effect: sparse tasks of ``uniform`` over those of ``global``, both padded, where it is least."""
    return _exact(min(1 / ratio for ratio in _ratios(evidence, BUCKET)))


def _ratios(evidence: Evidence, bucket: float | None) -> list[float]:
    found: list[float] = []
    for model in MODELS:
        operating = {"model": model, "scope": "all", "batch": evidence.batch, "seq": evidence.seq}
        records = [
            record
            for record in evidence.read("identity", **operating, threads=evidence.threads)
            if (record["sparsity"], record["pruner"]) == (evidence.sparsity, evidence.pruner)
        ]
        counts = {(r["block"], r["allocation"]): len(linears(r, bucket)) for r in records}
        blocks = sorted({block for block, _ in counts})
        for block in blocks:
            for allocation in ("uniform", "global"):
                if not counts.get((block, allocation)):
                    raise missing("identity", model=model, block=block, allocation=allocation)
        if not blocks:
            raise missing("identity", model=model)
        found += [counts[block, "global"] / counts[block, "uniform"] for block in blocks]
    return found


def _exact(value: float) -> Interval:
    """An effect that is counted has no spread."""
    return Interval(value, value, value)
