"""Fields of the kinds of records that are about one layer: what was compiled, and what its neighbours take."""

from __future__ import annotations

from codesign.schema.parts import (
    AMOUNT,
    COUNT,
    FLAG,
    ISA,
    OBJECT,
    POINT,
    POSITIVE,
    TEXT,
    Schema,
    list_of,
    one_of,
    or_null,
)

#: A compiled kernel: how it was scheduled, the lines of its inner loop, what they are, and their bytes.
_KERNEL: dict[str, Schema] = {
    "target": TEXT,
    "operator": OBJECT,
    "family": TEXT,
    "decisions": OBJECT,
    "loop": list_of(TEXT, minItems=2),
    "counts": {"type": "object", "additionalProperties": COUNT, "required": ["fma", "reads", "accumulators", "chain"]},
    "loop_bytes": POSITIVE,
}

LISTING: dict[str, Schema] = (
    POINT
    | ISA
    | _KERNEL
    | {
        "layer": TEXT,
        "arrays": OBJECT,
        "block_row": COUNT,
        "heads": OBJECT,  # of the arrays, from the first block of that block-row on
        "pattern": list_of({"type": "string", "pattern": "^([0-9a-f]{2})+$"}, minItems=1),
        "tuned": list_of(OBJECT, minItems=1),  # every schedule that tuning tried, the chosen one first
        "before": TEXT,
        "after": TEXT,
        "max_abs_err": AMOUNT,
    }
)

NEIGHBOUR: dict[str, Schema] = (
    POINT
    | ISA
    | _KERNEL
    | {
        # the decision in which it differs from what tuning chose; "nothing" is that itself, "control" its twin
        "changed": TEXT,
        "refused": FLAG,  # by the family, for want of registers
        "session_id": TEXT,
        "flagged": FLAG,
        "status": one_of("ok", "failed"),
        "reason": or_null(TEXT),
        "hot_ns": list_of(AMOUNT),
        "cold_ns": list_of(AMOUNT),
        "peak_gflops": list_of(AMOUNT),  # multiply-adds in registers, right before each round
        "rotated_bytes": COUNT,
        "max_abs_err": or_null(AMOUNT),
    }
)
