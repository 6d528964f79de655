"""What the kinds of records are made of: types of fields, and the groups of fields that several kinds share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 2

#: What an encoder is compiled for: the machine's own instruction set, or a narrower one by name (`codesign.isa.MASKS`).
Isa = Literal["native", "avx2", "avx512"]
ISAS: tuple[str, ...] = get_args(Isa)
#: Number formats.
Format = Literal["fp32", "bf16", "int8"]
#: What a kernel of a compiled encoder is for, in the order in which a profile shows them; the linears come first.
KernelKind = Literal[
    "sparse linear", "dense linear", "attention", "layer norm", "GELU", "embedding", "layout", "rounding", "other"
]
KERNEL_KINDS: tuple[str, ...] = get_args(KernelKind)
LINEARS = KERNEL_KINDS[:2]
#: The inference as a whole, timed without looking at its kernels.
WHOLE = "whole"

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Block = Annotated[str, Field(pattern=r"^(dense|[1-9][0-9]*x[1-9][0-9]*)$")]
Answers = Annotated[str, Field(pattern="^[01]+$")]
Samples = Annotated[list[Amount], Field(min_length=1)]
Object = dict[str, Any]
Allocation = Literal["uniform", "global", "row-balanced", "as-found"]
#: Rates of the probe in GB/s: between cores, and the slowest L2; null where there is no such thing.
Rates = Annotated[list[Amount | None], Field(min_length=2, max_length=2)]


class Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Stamp(Part):
    """Who made a record, when, from which code; `codesign.records.stamp` fills it in."""

    producer: ClassVar[str]
    measurement_version: ClassVar[int] = 1

    schema_version: Literal[2]
    kind: Text
    run_id: Text
    profile: Text
    machine_id: Text
    versions: Object
    commit: Text
    measurement: Positive
    started_at: Text


class Point(Stamp):
    """Which model, how pruned, under which load."""

    model: Text
    seed: Count
    scope: Literal["none", "attention", "ffn", "all"]
    pruner: Text
    block: Block
    sparsity: Annotated[float, Field(ge=0, lt=1)]
    batch: Positive
    seq: Positive
    threads: Positive
    format: Format


class Engine(Point):
    """An engine running that model; ``isa`` is what one that we compile is compiled for."""

    engine: Text
    isa: Isa
