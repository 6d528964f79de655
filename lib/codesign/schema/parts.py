"""The parts that the kinds of records are made of: JSON schemas of single fields, and the groups they share."""

from __future__ import annotations

from typing import Any

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
