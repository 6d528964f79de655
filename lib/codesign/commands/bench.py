"""`codesign bench`: any encoder beside every engine, up to a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from codesign.answers.frames import doubts_of, frame
from codesign.answers.words import three_digits
from codesign.answers.yardstick import best_dense
from codesign.blocks import DENSE
from codesign.commands.asked import Plan, plan, typed
from codesign.commands.results import check_json, show
from codesign.engines import SPARSE
from codesign.isa import NATIVE
from codesign.measure import Interval, median, ratio
from codesign.records import Record
from codesign.study.artefacts import ensure_built
from codesign.study.chain import Study, open_study
from codesign.study.places import BENCH
from codesign.study.points import Point
from codesign.study.pruned import ensure_pruned
from codesign.study.sessions import OURS, compiled_cases, ensure_timed
from codesign.study.tuning import ensure_tuned

DENSE_ENGINE = "tvm-dense"

Row = dict[str, Any]


def main(options: argparse.Namespace) -> None:
    engines = {} if options.engines is None else {"engines": tuple(options.engines.split(","))}
    asked = typed(options, blocks=options.blocks, **engines)
    check_json(options.json)
    made = plan(asked)
    study = open_study("local", BENCH, encoder_only=asked.encoder_only)
    records = measure(study, made.points, asked.trials_per_task, engines=made.engines, isa=asked.isa)
    show(options.json, table(made.points, rows(records)), document(made, records, asked.isa))


def measure(
    study: Study, points: Sequence[Point], trials_per_task: int, *, engines: Sequence[str] = OURS, isa: str = NATIVE
) -> list[Record]:
    """Take points through the whole chain, doing what is not there yet; return their `latency` records."""
    cases = compiled_cases(points, engines=engines, isa=isa)
    ensure_pruned(study, points)
    ensure_tuned(study, [case for case in cases if case.tuned], trials_per_task)
    ensure_built(study, cases)
    return ensure_timed(study, points, engines=engines, isa=isa)


def rows(records: Sequence[Record]) -> list[Row]:
    """One row for each engine and block shape; ratios are taken within a session only."""
    shown: dict[tuple[str, str], Row] = {}
    for session in dict.fromkeys(record["session_id"] for record in records):
        together = [r for r in records if r["session_id"] == session and not r["control"]]
        fastest = best_dense(frame(together))
        ours = next((r for r in together if (r["engine"], r["status"]) == (DENSE_ENGINE, "ok")), None)
        for record in together:
            row = _row(record, {"over_best_dense": fastest, "over_tvm_dense": ours})
            shown.setdefault((row["engine"], row["block"]), row)
    return list(shown.values())


def _row(record: Record, baselines: dict[str, Record | None]) -> Row:
    names = ("engine", "scope", "block_sparsity", "element_sparsity", "status", "reason", "max_abs_err")
    row: Row = {name: record[name] for name in (*names, "session_id")}
    doubts, kept = doubts_of(record), 1 - record["element_sparsity"]
    row |= {"flagged": bool(doubts), "flag_reason": "; ".join(doubts) or None}
    row["block"] = record["block"] if record["engine"] in SPARSE else DENSE  # as the engine stores it
    row["fill_in"] = (1 - record["block_sparsity"]) / kept if kept else None
    row |= {"median_ms": None, **dict.fromkeys(baselines)}
    if record["samples_ns"]:
        row["median_ms"] = {end: ns / 1e6 for end, ns in _interval(median(record)).items()}
        row |= {name: _interval(ratio(base, record)) for name, base in baselines.items() if base}
    return row


def _interval(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def document(plan: Plan, records: Sequence[Record], isa: str = NATIVE) -> dict[str, Any]:
    """Everything that was found, as one JSON object."""
    found = [{**asdict(fit), "block": str(fit.block)} for fit in plan.found]
    point = asdict(plan.points[-1])
    del point["block"]  # each row has its own
    stamped = {name: records[0][name] for name in ("machine_id", "versions", "commit")}
    return {**point, **stamped, "isa": isa, "found": found, "left_out": plan.left_out, "rows": rows(records)}


def table(points: Sequence[Point], found: Sequence[Row]) -> Table:
    """Lay out the rows for a terminal."""
    point = points[-1]
    load = f"batch {point.batch}, {point.seq} tokens, {point.threads} threads"
    pruned = f"{point.scope} weights {point.sparsity:.0%} pruned ({point.pruner})" if point.shape else DENSE
    doubts = sorted({row["flag_reason"] for row in found if row["flagged"]})
    shown = Table(
        title=f"{point.model}, {pruned}, {load}",
        caption="\n".join(f"flagged: {doubt}" for doubt in doubts) or "no time is in doubt",
    )
    for heading in ("engine", "block"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("zero blocks", "fill-in", "ms", "interval", "best dense / it", "tvm-dense / it", "error"):
        shown.add_column(heading, justify="right")
    if any(row["reason"] for row in found):
        shown.add_column("why not")
    for row in found:
        shown.add_row(row["engine"] + (" *" if row["flagged"] else ""), row["block"], *_cells(row))
    return shown


def _cells(row: Row) -> list[str]:
    sparse = row["block"] != DENSE
    zeros = f"{row['block_sparsity']:.1%}" if sparse else ""
    fill_in = f"{row['fill_in']:.2f}" if sparse and row["fill_in"] else ""
    time = row["median_ms"]
    if time is None:
        return [zeros, fill_in, row["status"], "", "", "", "", row["reason"]]
    interval = f"{three_digits(time['low'])} to {three_digits(time['high'])}"
    ratios = [f"{row[name]['value']:.2f}" if row[name] else "" for name in ("over_best_dense", "over_tvm_dense")]
    return [zeros, fill_in, three_digits(time["value"]), interval, *ratios, f"{row['max_abs_err']:.0e}"]
