"""Fields of records that one experiment makes: a trained model's answers, a model's tasks, a search's trials."""

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
    or_null,
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

_ALLOCATED: dict[str, Schema] = POINT | {"target": TEXT, "allocation": ALLOCATION}

IDENTITY: dict[str, Schema] = _ALLOCATED | {
    "weights": one_of("random", "pretrained"),
    # every task after fusion: digest, weight, family_kind, and the sizes of its operator where it is a linear
    "tasks": list_of(OBJECT, minItems=1),
}

BUDGET: dict[str, Schema] = _ALLOCATED | {
    "settings": OBJECT,
    # total: tasks share as many trials as those of the allocation with most tasks; each: all tasks get as many
    "arm": one_of("table", "total", "each", "stock"),
    "strategy": one_of("exhaustive", "replay", "scheduler", "stock rules"),
    "search_seed": COUNT,
    "seconds": AMOUNT,
    "failed": COUNT,
    # sizes and uses; of a table every point with its time, of a real search its trials, and its pick's time
    "tasks": list_of(OBJECT, minItems=1),
    # for each trial in order: its task, and the weighted latency in ns once every task has a time
    "trace": list_of(list_of(or_null(AMOUNT), minItems=2, maxItems=2)),
}
