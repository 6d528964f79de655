"""Any encoder beside every engine: what `codesign bench` does, from somebody's weights to a table."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import transformers
from rich.table import Table

from codesign.blocks import DENSE, BlockShape
from codesign.encoder import MODELS, SCOPES, example_inputs, load_encoder, prunable_linears
from codesign.engines import ENGINES, SPARSE, find
from codesign.errors import InputError
from codesign.measure import Interval, median, ratio
from codesign.prune import AS_FOUND, check_blocks, refuse_untrained
from codesign.prune.found import Fit, best, fits, pruned_matrices
from codesign.records import Record
from codesign.schema import NATIVE
from codesign.study.chain import Study, say
from codesign.study.compiled import ensure_built
from codesign.study.doubts import doubts_of
from codesign.study.evidence import key_of
from codesign.study.parameters import RULES, check
from codesign.study.points import Point, sweep
from codesign.study.pruned import ensure_pruned
from codesign.study.timed import OURS, compiled_cases, ensure_timed
from codesign.study.tuned import ensure_tuned
from codesign.study.words import three_digits

#: What is pruned where nothing else is asked for, and the model is not pruned already.
PRUNER, BLOCKS, SPARSITY = "magnitude", ("4x1", "32x1"), 0.8
DENSE_ENGINE = "tvm-dense"

Row = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to bench. None leaves a choice to us: ours for a model to be pruned, else what its zeros say.

    Raises
    ------
    InputError
        If a value breaks the rule of the notebook parameter of that name, or an engine is unknown.
    """

    model: str
    batch: int
    seq: int
    threads: int
    trials_per_task: int
    engines: tuple[str, ...] = OURS
    isa: str = NATIVE
    scope: str | None = None
    pruner: str | None = None
    blocks: tuple[str, ...] | None = None
    sparsity: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in RULES and value is not None:
                check(name, list(value) if RULES[name].many else value)
        for engine in self.engines:
            find(engine)
        if not set(self.engines) & set(SPARSE):
            raise InputError("engines", ",".join(self.engines), f"at least one of {', '.join(SPARSE)} among them")


@dataclass(frozen=True)
class Plan:
    """The points of a request, and the shapes that fit a checkpoint which was pruned before it came (else empty)."""

    points: list[Point]
    found: list[Fit]


def plan(request: Request) -> Plan:
    """Look at the model and say what will be measured.

    Raises
    ------
    InputError
        If there is no such model, it takes no such input, or it does not suit the other parameters.
    """
    model = load_encoder(request.model)
    example_inputs(model, request.batch, request.seq, seed=0)  # refuses a shape that the model does not take
    scope = request.scope or "all"
    weights = {name: linear.weight.detach().numpy() for name, linear in prunable_linears(model, scope).items()}
    zeros = pruned_matrices(weights)
    refuse_untrained(request.pruner or PRUNER)
    for block in request.blocks or ():
        check_blocks(
            BlockShape.parse(block), {n: linear.weight for n, linear in prunable_linears(model, scope).items()}
        )
    if request.pruner == AS_FOUND and not zeros:
        raise InputError("pruner", AS_FOUND, f"a model with zeros in its {scope} weights", PRUNER)
    found: list[Fit] = []
    if zeros and request.pruner in (None, AS_FOUND):
        found = fits(zeros.values())
        request = _as_found(request, model, set(zeros), found)
    name, seed = _named(request.model, model)
    points = sweep(
        model=name,
        seed=seed,
        scopes=[request.scope or scope],
        pruner=request.pruner or PRUNER,
        blocks=request.blocks or BLOCKS,
        sparsity=SPARSITY if request.sparsity is None else request.sparsity,
        batch=request.batch,
        seq=request.seq,
        threads=request.threads,
    )
    return Plan(points, found)


def _as_found(request: Request, model: transformers.BertModel, pruned: set[str], found: Sequence[Fit]) -> Request:
    """Fill in what a pruned checkpoint says itself: where its zeros are, how many, in which blocks."""
    zeros, fit = found[0].block_sparsity, best(found)  # the first shape is 1x1
    scope = request.scope or next(name for name in SCOPES if pruned <= prunable_linears(model, name).keys())
    say(
        f"{request.model} is pruned already: {zeros:.1%} zeros in {len(pruned)} matrices ({scope}); "
        f"{fit.block} fits best, storing {fit.fill_in:.2f} elements for each that is not zero"
    )
    if request.sparsity is not None:
        expected = f"none, since the model is pruned already ({zeros:.1%} zeros); pruner={PRUNER} prunes it further"
        raise InputError("sparsity", request.sparsity, expected)
    blocks = request.blocks or (str(fit.block),)
    return replace(request, scope=scope, pruner=AS_FOUND, blocks=blocks, sparsity=round(zeros, 4))


def _named(name: str, model: transformers.BertModel) -> tuple[str, int]:
    """Model and seed of a point.

    Weights in a directory do not depend on a seed, so their checksum stands in for it: other weights in the same place
    are another model, whose results are not mistaken for the ones before.
    """
    if name in MODELS or not Path(name).is_dir():
        return name, 0
    checksum = 0
    for linear in prunable_linears(model, "all").values():
        checksum = zlib.crc32(linear.weight.detach().numpy().data, checksum)
    return str(Path(name).resolve()), checksum & 0x7FFFFFFF


def run(
    study: Study, points: Sequence[Point], engines: Sequence[str], trials_per_task: int, isa: str = NATIVE
) -> list[Record]:
    """Take the points through the whole chain, doing what is not there yet; return the `latency` records."""
    cases = compiled_cases(points, engines=engines, isa=isa)
    ensure_pruned(study, points)
    if tuned := [case for case in cases if case.tuned]:
        ensure_tuned(study, tuned, trials_per_task)
    ensure_built(study, cases)
    return ensure_timed(study, points, engines=engines, isa=isa)


def rows(records: Sequence[Record]) -> list[Row]:
    """One row for each engine and block shape; ratios are taken within a session only."""
    shown: dict[tuple[str, str], Row] = {}
    for session in dict.fromkeys(record["session_id"] for record in records):
        together = [r for r in records if r["session_id"] == session and not r["control"]]
        dense = [r for r in together if r["status"] == "ok" and r["engine"] not in SPARSE and _exact(r)]
        fastest = min(dense, key=lambda record: median(record).value, default=None)
        ours = next((record for record in dense if record["engine"] == DENSE_ENGINE), None)
        for record in together:
            row = _row(record, {"over_best_dense": fastest, "over_tvm_dense": ours})
            shown.setdefault((row["engine"], row["block"]), row)
    return list(shown.values())


def _exact(record: Record) -> bool:
    """Whether an engine computes in float32, as ours do."""
    return ENGINES[record["engine"]].dtype == "float32"


def _row(record: Record, baselines: dict[str, Record | None]) -> Row:
    names = ("engine", "scope", "block_sparsity", "element_sparsity", "status", "reason", "max_abs_err")
    row: Row = {name: record[name] for name in (*names, "session_id")}
    doubts = doubts_of(record)
    row |= {"flagged": bool(doubts), "flag_reason": "; ".join(doubts) or None}
    row["block"] = key_of(record)[2]  # as stored: an engine that computes zeros is listed as dense
    kept = 1 - record["element_sparsity"]
    row["fill_in"] = (1 - record["block_sparsity"]) / kept if kept else None
    row |= {"median_ms": None, **dict.fromkeys(baselines)}
    if record["samples_ns"]:
        ns = median(record)
        row["median_ms"] = _interval(Interval(*(end / 1e6 for end in (ns.value, ns.low, ns.high))))
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
    return {**point, **stamped, "isa": isa, "found": found, "rows": rows(records)}


def table(points: Sequence[Point], found: Sequence[Row]) -> Table:
    """Lay out the rows for a terminal."""
    point = points[-1]
    load = f"batch {point.batch}, {point.seq} tokens, {point.threads} threads"
    doubts = sorted({row["flag_reason"] for row in found if row["flagged"]})
    shown = Table(
        title=f"{point.model}, {point.scope} weights {point.sparsity:.0%} pruned ({point.pruner}), {load}",
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
