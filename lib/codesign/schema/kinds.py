"""The kinds of records: what makes each, and its fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from codesign.schema.experiments import ACCURACY, IDENTITY
from codesign.schema.layers import LISTING
from codesign.schema.parts import (
    ALLOCATION,
    AMOUNT,
    BLOCK,
    COUNT,
    FLAG,
    ISA,
    KERNEL_KINDS,
    MATRIX,
    OBJECT,
    POINT,
    POSITIVE,
    SHARE,
    SOAK,
    STORED,
    STRIP,
    TEXT,
    TIMED,
    TIMED_ABSENT,
    TIMED_LATER,
    WAS_NATIVE,
    WHOLE,
    Schema,
    list_of,
    one_of,
    or_null,
)


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
    "accuracy": Kind("notebook 11_accuracy", ACCURACY),
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
        later=ISA | {"tasks": POSITIVE},  # of the whole encoder
        absent=WAS_NATIVE | {"tasks": 1},
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
        later=ISA | {"from_nothing": FLAG},
        absent=WAS_NATIVE | {"from_nothing": False},
    ),
    "search": Kind(
        "notebook 10_search",
        POINT
        | {
            "target": TEXT,
            "settings": OBJECT,
            "m": POSITIVE,
            "n": POSITIVE,
            "k": POSITIVE,
            "flop": COUNT,
            "strategy": one_of("exhaustive", "random", "model", "taught", "scheduler", "stock rules"),
            "search_seed": COUNT,
            "space": or_null(POSITIVE),
            "rank": or_null(POSITIVE),
            "failed": COUNT,
            "best_ns": list_of(AMOUNT),
        },
        # of an exhaustive search: every point, with its time in each pass
        later={"points": list_of(OBJECT, minItems=1)},
    ),
    "identity": Kind("notebook 12_identity", IDENTITY),
    "latency": Kind("notebook 04_latency", TIMED, later=TIMED_LATER, absent=TIMED_ABSENT),
    # one session in which the same encoders run compiled for several instruction sets
    "vectors": Kind("notebook 15_ledger", TIMED, later=TIMED_LATER, absent=TIMED_ABSENT),
    # one session in which the same encoders run with feature-major and with token-major activations
    "layouts": Kind("notebook 17_layouts", TIMED, later=TIMED_LATER, absent=TIMED_ABSENT),
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
        later=ISA,
        absent=WAS_NATIVE,
    ),
    "profile": Kind(
        "notebook 15_ledger",
        POINT
        | ISA
        | {
            "engine": TEXT,
            "target": TEXT,
            "function": TEXT,
            "function_kind": one_of(*KERNEL_KINDS, WHOLE),
            "calls": POSITIVE,
            "median_ns": AMOUNT,
            "samples_ns": list_of(AMOUNT, minItems=1),
            "max_abs_err": AMOUNT,
        },
    ),
    "kernel": Kind(
        "notebook 08_kernels",
        {
            "outputs": POSITIVE,
            "inputs": POSITIVE,
            "tokens": POSITIVE,
            "block": BLOCK,
            "sparsity": SHARE,
            "threads": POSITIVE,
            "seed": COUNT,
            "rows": POSITIVE,
            "cols": POSITIVE,
            "nnz": COUNT,
            "epilogue": TEXT,
            "slab": POSITIVE,
            "token_shares": POSITIVE,
            "dtype": one_of("float32"),
            "target": TEXT,
            "lanes": POSITIVE,
            "family": TEXT,
            "decisions": OBJECT,
            # screened: every point, briefly; timed: the best few, in turns with those of the other block shapes
            "stage": one_of("screened", "timed"),
            "session_id": TEXT,
            "status": one_of("ok", "failed"),
            "reason": or_null(TEXT),
            "hot_ns": list_of(AMOUNT),
            "cold_ns": list_of(AMOUNT),
            "peak_gflops": list_of(AMOUNT),  # timed: multiply-adds in registers, right before each sample
            "rotated_bytes": COUNT,
            "balance": SHARE,
            "max_abs_err": or_null(AMOUNT),
            "flops": POSITIVE,
        }
        | ISA,
        later=STRIP,
    ),
    "listing": Kind("notebook 16_layer", LISTING),
    "variant": Kind(
        "notebook 14_patterns",
        {
            "outputs": POSITIVE,
            "inputs": POSITIVE,
            "tokens": POSITIVE,
            "block": BLOCK,
            "sparsity": SHARE,
            "threads": POSITIVE,
            "seed": COUNT,
            "nnz": POSITIVE,
            "dtype": one_of("float32"),
            "target": TEXT,
            "family": TEXT,
            "decisions": OBJECT,
            "session_id": TEXT,
            "inside": one_of("full", "all different", "16 patterns", "one pattern"),
            "where": one_of("random", "shared", "banded"),
            "control": or_null(TEXT),
            "distinct_patterns": POSITIVE,
            "element_density": SHARE,
            # the i-th samples of all variants of a session are of one round
            "hot_ns": list_of(AMOUNT, minItems=1),
            "cold_ns": list_of(AMOUNT, minItems=1),
            "rotated_bytes": COUNT,
            "max_abs_err": AMOUNT,
        }
        | ISA,
    ),
    "ceiling": Kind(
        "`codesign doctor --measure`",
        {
            "level": one_of("registers", "L1", "L2", "L3", "DRAM", "between cores"),
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
    "soak": Kind("`make soak`", SOAK),
}
