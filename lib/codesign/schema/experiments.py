"""Fields of records that one experiment makes: a trained model's answers, a model's tasks."""

from __future__ import annotations

from codesign.schema.parts import (
    ALLOCATION,
    AMOUNT,
    COUNT,
    OBJECT,
    POINT,
    SHARE,
    TEXT,
    Schema,
    list_of,
    one_of,
)

ACCURACY: dict[str, Schema] = POINT | {
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
}

IDENTITY: dict[str, Schema] = POINT | {
    "target": TEXT,
    "allocation": ALLOCATION,
    "weights": one_of("random", "pretrained"),
    # every task after fusion: digest, weight, family_kind, and the sizes of its operator where it is a linear
    "tasks": list_of(OBJECT, minItems=1),
}
