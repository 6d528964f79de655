"""Fields of records about one layer: what was compiled."""

from __future__ import annotations

from codesign.schema.parts import (
    AMOUNT,
    COUNT,
    ISA,
    OBJECT,
    POINT,
    POSITIVE,
    TEXT,
    Schema,
    list_of,
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
