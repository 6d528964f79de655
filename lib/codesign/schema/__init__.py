"""What a record must contain: the fields of each kind, and the check that refuses anything else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from codesign.errors import RecordError
from codesign.schema.parts import (
    ALLOCATION,
    AMOUNT,
    COUNT,
    FLAG,
    MATRIX,
    OBJECT,
    POINT,
    POSITIVE,
    SCHEMA_VERSION,
    SHARE,
    STAMP,
    STORED,
    TEXT,
    Schema,
    list_of,
    one_of,
    or_null,
)

__all__ = ["KINDS", "POINT", "SCHEMA_VERSION", "STAMP", "Kind", "Record", "validate"]

Record = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """What makes records of one kind, and their fields beyond `STAMP`. Times are in the unit the name ends in.

    Records made before the `later` fields existed lack them, and can be read all the same.
    """

    producer: str
    fields: dict[str, Schema]
    later: dict[str, Schema] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "machine": Kind(
        "notebook 04_latency (or `codesign doctor`)",
        {
            "cpu": TEXT,
            "vendor": TEXT,
            "isa": list_of(TEXT),
            "cores": POSITIVE,
            "threads": POSITIVE,
            "l1d_kib": AMOUNT,
            "l2_kib": AMOUNT,
            "l3_kib": AMOUNT,
            "memory_gib": AMOUNT,
        },
    ),
    "pattern": Kind(
        "notebook 01_prune",
        POINT
        | {
            "allocation": ALLOCATION,
            "element_sparsity": SHARE,
            "block_sparsity": SHARE,
            "retained_l2": AMOUNT,
            "matrices": list_of(MATRIX),
        },
        later={"stored_as": list_of(STORED)},
    ),
    "accuracy": Kind(
        "notebook 08_accuracy",
        POINT
        | {
            "recipe": TEXT,
            "task": TEXT,
            "task_digest": TEXT,
            "labels": list_of(TEXT, minItems=2),
            "train_size": list_of(COUNT, minItems=2),
            "test_size": list_of(COUNT, minItems=2),
            "allocation": ALLOCATION,
            "settings": OBJECT,
            "steps": COUNT,
            "seconds": AMOUNT,
            "device": TEXT,
            "accuracy": SHARE,
            "hits": {"type": "string", "pattern": "^[01]+$"},
            "baseline": SHARE,
            "baseline_hits": {"type": "string", "pattern": "^[01]+$"},
            "majority": SHARE,
            "cosine": {"type": "number", "minimum": -1, "maximum": 1},
            "rank_correlation": {"type": "number", "minimum": -1, "maximum": 1},
            "element_sparsity": SHARE,
            "block_sparsity": SHARE,
        },
    ),
    "compile": Kind(
        "notebook 02_compile",
        POINT
        | {
            "engine": TEXT,
            "target": TEXT,
            "artifact_bytes": COUNT,
            "build_s": AMOUNT,
            "bsr_linears": COUNT,
            "dense_linears": COUNT,
            "functions": COUNT,
            "max_abs_err": AMOUNT,
        },
    ),
    "task": Kind(
        "notebook 03_tune",
        POINT
        | {
            "engine": TEXT,
            "target": TEXT,
            "task": TEXT,
            "digest": TEXT,
            "family_kind": one_of("bsr", "dense", "other", "stock"),
            "weight": POSITIVE,
            "m": or_null(POSITIVE),
            "n": or_null(POSITIVE),
            "k": or_null(POSITIVE),
            "nnz_blocks": or_null(COUNT),
            "trials": COUNT,
            "best_ns": or_null(AMOUNT),
            "decisions": or_null(OBJECT),
        },
    ),
    "tuning": Kind(
        "notebook 03_tune",
        POINT
        | {
            "engine": TEXT,
            "target": TEXT,
            "tasks": COUNT,
            "trials": COUNT,
            "seconds": AMOUNT,
            "failed_trials": COUNT,
            "curve": list_of(list_of(or_null(AMOUNT), minItems=3, maxItems=3)),
        },
    ),
    "latency": Kind(
        "notebook 04_latency",
        POINT
        | {
            "engine": TEXT,
            "session_id": TEXT,
            "samples_ns": list_of(AMOUNT),
            "rounds": list_of(COUNT),
            "warmup_ns": list_of(AMOUNT),
            "solo_ns": list_of(AMOUNT),
            "max_abs_err": or_null(AMOUNT),
            "block_sparsity": SHARE,
            "element_sparsity": SHARE,
            "status": one_of("ok", "skipped", "failed"),
            "reason": or_null({"type": "string"}),
            "settings": OBJECT,
            "control": or_null(TEXT),
            "flagged": FLAG,
            "flag_reason": or_null({"type": "string"}),
        },
        later={"peak_rss_bytes": or_null(COUNT), "disk_bytes": or_null(COUNT)},
    ),
    "protocol": Kind(
        "notebook 04_latency",
        POINT
        | {
            "engine": TEXT,
            "session_id": TEXT,
            "way": one_of("alone", "naive", "turns"),
            "samples_ns": list_of(AMOUNT, minItems=1),
            "rounds": list_of(COUNT),
            "max_abs_err": AMOUNT,
            "settings": OBJECT,
        },
    ),
    "ceiling": Kind(
        "`codesign doctor --measure`",
        {
            "level": one_of("registers", "L1", "L2", "L3", "DRAM"),
            "isa": TEXT,
            "dtype": one_of("float32", "bfloat16", "int8"),
            "target": TEXT,
            "threads": POSITIVE,
            "bytes": COUNT,
            "unit": one_of("GFLOP/s", "Gop/s", "GB/s"),
            "rate": or_null(AMOUNT),
            "samples": list_of(AMOUNT),
            "reason": or_null(TEXT),
            "governor": or_null(TEXT),
            "load_average": AMOUNT,
        },
    ),
}


def validate(record: Mapping[str, Any]) -> None:
    """Check a record against the schema of its kind.

    Raises
    ------
    RecordError
        Naming the field. Besides the types: a timing without a correctness value is refused, and so is a skip or a
        failure without a reason.
    """
    kind = record.get("kind")
    if kind not in KINDS:
        raise RecordError(f"field 'kind' is {kind!r}: expected one of {', '.join(KINDS)}")
    error = best_match(_validator(kind).iter_errors(record))
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".")
        raise RecordError(f"{kind} record: {f'field {where!r}: ' if where else ''}{error.message[:200]}")
    if kind == "ceiling" and (record["rate"] is None) == (record["reason"] is None):
        raise RecordError("ceiling record: field 'reason': either a rate or the reason why there is none")
    if kind == "latency":
        if record["max_abs_err"] is None and (record["samples_ns"] or record["status"] == "ok"):
            raise RecordError("latency record: field 'max_abs_err': a timing without a correctness value is refused")
        if record["status"] == "ok" and not record["samples_ns"]:
            raise RecordError("latency record: field 'samples_ns': status 'ok' without a sample")
        if record["status"] != "ok" and not record["reason"]:
            raise RecordError(f"latency record: field 'reason': status {record['status']!r} needs one")
    if kind == "accuracy":
        _check_hits(record)
    if kind in ("latency", "protocol") and sum(record["rounds"]) != len(record["samples_ns"]):
        raise RecordError(f"{kind} record: field 'rounds': does not add up to the number of samples")


def _check_hits(record: Mapping[str, Any]) -> None:
    tested = sum(record["test_size"])
    for share, hits in (("accuracy", "hits"), ("baseline", "baseline_hits")):
        if len(record[hits]) != tested:
            raise RecordError(f"accuracy record: field {hits!r}: {len(record[hits])} answers to {tested} questions")
        if abs(record[share] - record[hits].count("1") / tested) > 1e-9:
            raise RecordError(f"accuracy record: field {share!r}: is not the share of right answers in {hits!r}")


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    fields = STAMP | KINDS[kind].fields
    properties = fields | KINDS[kind].later
    return Draft202012Validator({"type": "object", "properties": properties, "required": list(fields)})
