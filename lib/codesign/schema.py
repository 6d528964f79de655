"""What a record must contain: the fields of each kind, and the check that refuses anything else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from codesign.errors import RecordError

SCHEMA_VERSION = 1

Record = dict[str, Any]
Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
AMOUNT: Schema = {"type": "number", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
BLOCK: Schema = {"type": "string", "pattern": "^(dense|[1-9][0-9]*x[1-9][0-9]*)$"}


def _list_of(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def _one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


#: Fields that `stamp` fills in: who made the record, when, from which code.
STAMP: dict[str, Schema] = {
    "schema_version": _one_of(SCHEMA_VERSION),
    "kind": TEXT,
    "run_id": TEXT,
    "profile": TEXT,
    "machine_id": TEXT,
    "versions": OBJECT,
    "commit": TEXT,
    "code": TEXT,
    "started_at": TEXT,
}

#: Fields that say which experiment point a record belongs to.
POINT: dict[str, Schema] = {
    "model": TEXT,
    "seed": COUNT,
    "scope": _one_of("none", "attention", "ffn", "all"),
    "pruner": TEXT,
    "block": BLOCK,
    "sparsity": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "batch": POSITIVE,
    "seq": POSITIVE,
    "threads": POSITIVE,
    "dtype": _one_of("float32", "bfloat16"),
}

#: What an encoder was compiled for: the machine's own instruction set, which it always was at first, or a named one.
NATIVE = "native"
ISA: dict[str, Schema] = {"isa": _one_of(NATIVE, "avx2", "avx512")}
WAS_NATIVE = {"isa": NATIVE}

#: What a kernel of a compiled encoder is for, in the order in which a profile shows them; the linears come first.
KERNEL_KINDS = (*("sparse linear", "dense linear"), "attention", "layer norm", "GELU", "embedding", "layout", "other")
LINEARS = KERNEL_KINDS[:2]
#: The inference as a whole, timed without looking at its kernels.
WHOLE = "whole"

MATRIX: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "shape": _list_of(POSITIVE, minItems=2, maxItems=2),
        "blocks": POSITIVE,
        "nnz_blocks": COUNT,
        "element_sparsity": SHARE,
        "block_sparsity": SHARE,
    },
    "required": ["name", "shape", "blocks", "nnz_blocks", "element_sparsity", "block_sparsity"],
}

#: Rates of the probe in GB/s: between cores, and the slowest L2; null where there is no such thing.
RATES: Schema = _list_of(_or_null(AMOUNT), minItems=2, maxItems=2)

#: What the probe saw: its best in the session, and the worse of the two looks around each turn in `rounds`, and around
#: each in `disturbed_rounds`.
COMPANY: Schema = {
    "type": "object",
    "properties": {"best": RATES, "turns": _list_of(RATES), "disturbed": _list_of(RATES)},
    "required": ["best", "turns", "disturbed"],
}


@dataclass(frozen=True)
class Kind:
    """What makes records of one kind, and their fields beyond `STAMP`. Times are in the unit the name ends in.

    Records made before the `later` fields existed lack them, and can be read all the same; what they would have said is
    in `absent`, where that is known.
    """

    producer: str
    fields: dict[str, Schema]
    later: dict[str, Schema] = field(default_factory=dict)
    absent: dict[str, Any] = field(default_factory=dict)


KINDS: dict[str, Kind] = {
    "machine": Kind(
        "notebook 04_latency (or `codesign doctor`)",
        {
            "cpu": TEXT,
            "vendor": TEXT,
            "isa": _list_of(TEXT),
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
            "allocation": _one_of("uniform"),
            "element_sparsity": SHARE,
            "block_sparsity": SHARE,
            "retained_l2": SHARE,
            "matrices": _list_of(MATRIX),
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
        later=ISA,
        absent=WAS_NATIVE,
    ),
    "task": Kind(
        "notebook 03_tune",
        POINT
        | {
            "engine": TEXT,
            "target": TEXT,
            "task": TEXT,
            "digest": TEXT,
            "family_kind": _one_of("bsr", "dense", "other", "stock"),
            "weight": POSITIVE,
            "m": _or_null(POSITIVE),
            "n": _or_null(POSITIVE),
            "k": _or_null(POSITIVE),
            "nnz_blocks": _or_null(COUNT),
            "trials": COUNT,
            "best_ns": _or_null(AMOUNT),
            "decisions": _or_null(OBJECT),
        },
        later=ISA,
        absent=WAS_NATIVE,
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
            "curve": _list_of(_list_of(_or_null(AMOUNT), minItems=3, maxItems=3)),
        },
        later=ISA,
        absent=WAS_NATIVE,
    ),
    "latency": Kind(
        "notebook 04_latency",
        POINT
        | {
            "engine": TEXT,
            "session_id": TEXT,
            "samples_ns": _list_of(AMOUNT),
            "rounds": _list_of(COUNT),
            "warmup_ns": _list_of(AMOUNT),
            "solo_ns": _list_of(AMOUNT),
            "max_abs_err": _or_null(AMOUNT),
            "block_sparsity": SHARE,
            "element_sparsity": SHARE,
            "status": _one_of("ok", "skipped", "failed"),
            "reason": _or_null({"type": "string"}),
            "settings": OBJECT,
            "control": _or_null(TEXT),
            "flagged": FLAG,
            "flag_reason": _or_null({"type": "string"}),
        },
        later={
            "peak_rss_bytes": _or_null(COUNT),
            "disk_bytes": _or_null(COUNT),
            # turns and passes alone that do not count, because the machine was disturbed around them; `disturbed_share`
            # is that of turns in the whole session
            "disturbed_ns": _list_of(AMOUNT),
            "disturbed_rounds": _list_of(COUNT),
            "disturbed_solo_ns": _list_of(AMOUNT),
            "disturbed_share": SHARE,
            "company": COMPANY,
        }
        | ISA,
        absent=WAS_NATIVE,
    ),
    "protocol": Kind(
        "notebook 04_latency",
        POINT
        | {
            "engine": TEXT,
            "session_id": TEXT,
            "way": _one_of("alone", "naive", "turns"),
            "samples_ns": _list_of(AMOUNT, minItems=1),
            "rounds": _list_of(COUNT),
            "max_abs_err": AMOUNT,
            "settings": OBJECT,
        },
        later=ISA,
        absent=WAS_NATIVE,
    ),
    "profile": Kind(
        "notebook 04_latency",
        POINT
        | ISA
        | {
            "engine": TEXT,
            "target": TEXT,
            "function": TEXT,
            "function_kind": _one_of(*KERNEL_KINDS, WHOLE),
            "calls": POSITIVE,
            "median_ns": AMOUNT,
            "samples_ns": _list_of(AMOUNT, minItems=1),
            "max_abs_err": AMOUNT,
        },
    ),
    "ceiling": Kind(
        "`codesign doctor --measure`",
        {
            "level": _one_of("registers", "L1", "L2", "L3", "DRAM", "between cores"),
            "isa": TEXT,
            "dtype": _one_of("float32", "bfloat16", "int8"),
            "target": TEXT,
            "threads": POSITIVE,
            "bytes": COUNT,
            "unit": _one_of("GFLOP/s", "Gop/s", "GB/s"),
            "rate": _or_null(AMOUNT),
            "samples": _list_of(AMOUNT),
            "reason": _or_null(TEXT),
            "governor": _or_null(TEXT),
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
    for rounds, samples in (("rounds", "samples_ns"), ("disturbed_rounds", "disturbed_ns")):
        if sum(record.get(rounds, ())) != len(record.get(samples, ())):
            raise RecordError(f"{kind} record: field {rounds!r}: does not add up to the number of samples")
    if "company" in record:
        for turns, rounds in (("turns", "rounds"), ("disturbed", "disturbed_rounds")):
            if len(record["company"][turns]) != len(record.get(rounds, ())):
                raise RecordError(f"{kind} record: field 'company': needs a pair of rates for each of {rounds!r}")


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    fields = STAMP | KINDS[kind].fields
    properties = fields | KINDS[kind].later
    return Draft202012Validator({"type": "object", "properties": properties, "required": list(fields)})
