"""The parts that the kinds of records are made of: JSON schemas of single fields, and the groups they share."""

from __future__ import annotations

from typing import Any

from codesign.isa import MASKS, NATIVE

SCHEMA_VERSION = 1

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
AMOUNT: Schema = {"type": "number", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
BLOCK: Schema = {"type": "string", "pattern": "^(dense|[1-9][0-9]*x[1-9][0-9]*)$"}


def list_of(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def one_of(*values: object) -> Schema:
    return {"enum": list(values)}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


#: Of a kernel: rows that lie side by side in memory.
STRIP: dict[str, Schema] = {"strip": POSITIVE}

#: Fields that `stamp` fills in: who made the record, when, from which code.
STAMP: dict[str, Schema] = {
    "schema_version": one_of(SCHEMA_VERSION),
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
    "scope": one_of("none", "attention", "ffn", "all"),
    "pruner": TEXT,
    "block": BLOCK,
    "sparsity": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "batch": POSITIVE,
    "seq": POSITIVE,
    "threads": POSITIVE,
    "dtype": one_of("float32", "bfloat16"),
}

#: What an encoder was compiled for: the machine's own instruction set, which it always was at first, or a named one.
ISAS = (NATIVE, *MASKS)
ISA: dict[str, Schema] = {"isa": one_of(*ISAS)}
WAS_NATIVE = {"isa": NATIVE}

#: What a kernel of a compiled encoder is for, in the order in which a profile shows them; the linears come first.
KERNEL_KINDS = (*("sparse linear", "dense linear"), "attention", "layer norm", "GELU", "embedding", "layout", "other")
LINEARS = KERNEL_KINDS[:2]
#: The inference as a whole, timed without looking at its kernels.
WHOLE = "whole"

ALLOCATION = one_of("uniform", "global", "row-balanced", "as-found")

MATRIX: Schema = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "shape": list_of(POSITIVE, minItems=2, maxItems=2),
        "blocks": POSITIVE,
        "nnz_blocks": COUNT,
        "element_sparsity": SHARE,
        "block_sparsity": SHARE,
        "rows": {
            "type": "object",
            "properties": {"min": COUNT, "mean": AMOUNT, "max": COUNT, "cv": AMOUNT},
            "required": ["min", "mean", "max", "cv"],
        },
        "distinct_patterns": COUNT,
        "pattern_entropy": AMOUNT,
    },
    "required": ["name", "shape", "blocks", "nnz_blocks", "element_sparsity", "block_sparsity"],
}

STORED: Schema = {
    "type": "object",
    "properties": {
        "block": BLOCK,
        "block_sparsity": SHARE,
        "fill_in": AMOUNT,
        "distinct_patterns": COUNT,
        "pattern_entropy": AMOUNT,
    },
    "required": ["block", "block_sparsity", "fill_in", "distinct_patterns", "pattern_entropy"],
}

#: What was done to a subject (a stage, a schedule family, a parser) how often, how many tries were refused or caught
#: with the error that is meant for them, what was lost, how many results were wrong, and what else should not be.
TALLY: Schema = {
    "type": "object",
    "properties": {
        "subject": TEXT,
        "fault": TEXT,
        "count": COUNT,
        "refused": COUNT,
        "lost": COUNT,
        "wrong": COUNT,
        "defects": list_of(TEXT),
        "settings": OBJECT,
    },
    "required": ["subject", "fault", "count", "refused", "lost", "wrong", "defects", "settings"],
}

#: A round of a campaign.
SOAK: dict[str, Schema] = {
    "campaign": one_of("kills", "disk", "patterns", "broken", "inputs"),
    "seed": COUNT,
    "seconds": AMOUNT,
    "tallies": list_of(TALLY, minItems=1),
}

#: Rates of the probe in GB/s: between cores, and the slowest L2; null where there is no such thing.
RATES: Schema = list_of(or_null(AMOUNT), minItems=2, maxItems=2)

#: What the probe saw: its best in the session, and the worse of the two looks around each turn in `rounds`, and around
#: each in `disturbed_rounds`.
COMPANY: Schema = {
    "type": "object",
    "properties": {"best": RATES, "turns": list_of(RATES), "disturbed": list_of(RATES)},
    "required": ["best", "turns", "disturbed"],
}

#: What a session says of each engine in it.
TIMED: dict[str, Schema] = POINT | {
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
}
TIMED_LATER: dict[str, Schema] = ISA | {
    "peak_rss_bytes": or_null(COUNT),
    "disk_bytes": or_null(COUNT),
    # turns and passes alone that do not count, because the machine was disturbed around them; `disturbed_share` is that
    # of turns in the whole session
    "disturbed_ns": list_of(AMOUNT),
    "disturbed_rounds": list_of(COUNT),
    "disturbed_solo_ns": list_of(AMOUNT),
    "disturbed_share": SHARE,
    "company": COMPANY,
    # factor by which two processes of one engine differ in the session
    "process_spread": {"type": "number", "minimum": 1},
}
TIMED_ABSENT: dict[str, Any] = WAS_NATIVE | {"process_spread": 1.0}
