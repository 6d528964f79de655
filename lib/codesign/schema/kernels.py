"""Kinds of records about single kernels, ceilings and campaigns, and about compiling and tuning: one class each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from codesign.schema.parts import (
    Allocation,
    Amount,
    Block,
    Count,
    Engine,
    Format,
    Isa,
    Object,
    Part,
    Point,
    Positive,
    Samples,
    Share,
    Stamp,
    Text,
)


class _Alone(Stamp):
    """A kernel by itself."""

    outputs: Positive
    inputs: Positive
    tokens: Positive
    block: Block
    sparsity: Share
    threads: Positive
    seed: Count
    nnz: Count
    isa: Isa
    format: Format
    target: Text
    family: Text
    decisions: Object
    session_id: Text
    hot_ns: list[Amount]
    cold_ns: list[Amount]
    rotated_bytes: Count


class Kernel(_Alone):
    """A schedule of a kernel: every point is screened briefly, and the best few are timed in turns with others.

    ``peak_gflops`` are multiply-adds in registers right before each sample; ``strip`` is how many rows lie side by side
    in memory.
    """

    producer = "notebook 08_kernels"
    measurement_version = 2
    rows: Positive
    cols: Positive
    epilogue: Text
    slab: Positive
    token_shares: Positive
    lanes: Positive
    stage: Literal["screened", "timed"]
    status: Literal["ok", "failed"]
    reason: Text | None
    peak_gflops: list[Amount]
    balance: Share
    max_abs_err: Amount | None
    flops: Positive
    strip: Positive | None = None

    @model_validator(mode="after")
    def _a_time_was_checked(self) -> Kernel:
        if (self.status == "ok") != (self.reason is None):
            raise ValueError("field 'reason': a failure needs one, and nothing else has one")
        if self.max_abs_err is None and (self.hot_ns or self.cold_ns or self.status == "ok"):
            raise ValueError("field 'max_abs_err': a timing without a correctness value is refused")
        if self.status == "ok" and not (self.hot_ns and self.cold_ns):
            raise ValueError("field 'hot_ns': status 'ok' without hot and cold samples")
        if len(self.peak_gflops) != (len(self.hot_ns) if self.stage == "timed" else 0):
            raise ValueError("field 'peak_gflops': needs a rate for each round of a timed kernel")
        return self


class Variant(_Alone):
    """A kernel with other weights; the i-th samples of all variants of a session are of one round."""

    producer = "notebook 14_patterns"
    measurement_version = 2
    inside: Literal["full", "all different", "16 patterns", "one pattern"]
    where: Literal["random", "shared", "banded"]
    control: Text | None
    distinct_patterns: Positive
    element_density: Share
    hot_ns: Samples
    cold_ns: Samples
    max_abs_err: Amount


class _Counts(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Count]
    fma: Count
    reads: Count
    accumulators: Count
    chain: Count


class Listing(Point):
    """One layer from its pruned weights to machine code.

    ``heads`` of the arrays begin with the first block of ``block_row``; ``loop`` is the inner loop; records of before
    have every schedule that was tried in ``tuned``.
    """

    producer = "notebook 16_layer"
    measurement_version = 2
    isa: Isa
    target: Text
    operator: Object
    family: Text
    decisions: Object
    loop: Annotated[list[Text], Field(min_length=2)]
    counts: _Counts
    loop_bytes: Positive
    layer: Text
    arrays: Object
    block_row: Count
    heads: Object
    pattern: Annotated[list[Annotated[str, Field(pattern="^([0-9a-f]{2})+$")]], Field(min_length=1)]
    tuned: list[Object] | None = None
    before: Text
    after: Text
    max_abs_err: Amount


class Ceiling(Stamp):
    """What the machine can do at best, or the reason why that was not measured."""

    producer = "`codesign doctor --measure`"
    measurement_version = 2
    level: Literal["registers", "L1", "L2", "L3", "DRAM", "between cores"]
    isa: Text
    format: Format
    target: Text
    threads: Positive
    bytes: Count
    unit: Literal["GFLOP/s", "Gop/s", "GB/s"]
    rate: Amount | None
    samples: list[Amount]
    reason: Text | None
    governor: Text | None
    load_average: Amount

    @model_validator(mode="after")
    def _a_rate_or_a_reason(self) -> Ceiling:
        if (self.rate is None) == (self.reason is None):
            raise ValueError("field 'reason': either a rate or the reason why there is none")
        return self


class _Tally(Part):
    """What was done to a subject how often, how many tries were refused or caught, and what was lost or wrong."""

    subject: Text
    fault: Text
    count: Count
    refused: Count
    lost: Count
    wrong: Count
    defects: list[Text]
    settings: Object


class Soak(Stamp):
    """A round of a campaign."""

    producer = "`make soak`"
    measurement_version = 2
    campaign: Literal["kills", "disk", "patterns", "broken", "inputs"]
    seed: Count
    seconds: Amount
    tallies: Annotated[list[_Tally], Field(min_length=1)]


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
