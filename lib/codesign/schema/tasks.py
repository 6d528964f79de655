"""Kinds of records about compiling and tuning: one class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from codesign.schema.parts import Allocation, Amount, Block, Count, Engine, Object, Point, Positive, Text


class Compile(Engine):
    """A compiled encoder."""

    producer = "notebook 02_compile"
    measurement_version = 2
    target: Text
    artifact_bytes: Count
    build_s: Amount
    bsr_linears: Count
    dense_linears: Count
    functions: Count
    max_abs_err: Amount


class Task(Engine):
    """A tuning task of a compiled encoder; ``tasks`` is how many that has."""

    producer = "notebook 03_tune"
    measurement_version = 2
    target: Text
    task: Text
    digest: Text
    family_kind: Literal["bsr", "dense", "other", "stock"]
    weight: Positive
    m: Positive | None
    n: Positive | None
    k: Positive | None
    task_block: Block | None = None
    nnz_blocks: Count | None
    trials: Count
    best_ns: Amount | None
    decisions: Object | None
    tasks: Positive


class Tuning(Engine):
    """A run of the tuner; its curve has seconds, trials, and the weighted sum of best times in ns."""

    producer = "notebook 03_tune"
    measurement_version = 2
    target: Text
    tasks: Count
    trials: Count
    seconds: Amount
    failed_trials: Count
    curve: list[Annotated[list[Amount | None], Field(min_length=3, max_length=3)]]
    from_nothing: bool


class Search(Point):
    """A search of one kernel's space: ``best_ns`` is the best time so far after each trial."""

    producer = "notebook 10_search"
    measurement_version = 2
    target: Text
    settings: Object
    m: Positive
    n: Positive
    k: Positive
    flop: Count
    strategy: Literal["exhaustive", "random", "model", "taught", "scheduler", "stock rules"]
    search_seed: Count
    space: Positive | None
    rank: Positive | None
    failed: Count
    best_ns: list[Amount]
    points: list[Object] | None = None  # of an exhaustive search: every point, with its time in each pass


class Identity(Point):
    """Every task of an encoder after fusion; the operator's sizes are there where it is a linear."""

    producer = "notebook 12_identity"
    measurement_version = 2
    target: Text
    allocation: Allocation
    weights: Literal["random", "pretrained"]
    tasks: Annotated[list[Object], Field(min_length=1)]
