"""What is studied: points (one pruned model under one load) and cases (an engine running a point)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from codesign.blocks import DENSE, BlockShape
from codesign.study.parameters import check

#: The block shape that dense engines run, where it is in the sweep: the paper's best.
HEADLINE = "32x1"

TVM_ENGINES = ("tvm-bsr", "tvm-dense", "tvm-stock-tuned", "tvm-stock-default")


@dataclass(frozen=True, order=True)
class Point:
    """One pruned model under one load; every record but `machine` carries these fields.

    Raises
    ------
    InputError
        If a field breaks the rule of the notebook parameter of that name.
    """

    model: str
    seed: int
    scope: str
    pruner: str
    block: str
    sparsity: float
    batch: int
    seq: int
    threads: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            check(name, value)

    @property
    def shape(self) -> BlockShape:
        """The block shape, parsed."""
        return BlockShape.parse(self.block)

    def fields(self) -> dict[str, Any]:
        """The point fields of a record."""
        return {**asdict(self), "dtype": "float32"}

    def weights_key(self) -> str:
        """Name of the pruned weights: the same whatever load they run under."""
        parts = (self.model, self.seed, self.scope, self.pruner, self.block, self.sparsity)
        return _key(f"{PurePath(self.model).name}-{self.scope}-{self.block}-{self.sparsity:g}", parts)

    def load_key(self) -> str:
        """Name of the input shape and the threads, as in ``b1-s128-t2``."""
        return f"b{self.batch}-s{self.seq}-t{self.threads}"

    def key(self) -> str:
        """Readable name with a short digest of every field, fit for a directory."""
        return f"{self.weights_key()}-{self.load_key()}"


@dataclass(frozen=True, order=True)
class Case:
    """An engine running a point's weights.

    Engines that do not look at zeros run the same pruned weights and simply compute them, so that every engine of a
    session has the same output to match.
    """

    engine: str
    point: Point

    @property
    def block(self) -> BlockShape | None:
        """The block shape that the engine makes use of; None where zeros are computed."""
        return self.point.shape if self.engine == "tvm-bsr" else None

    @property
    def pipeline(self) -> str:
        """Which compilation pipeline makes its artefact."""
        return "stock" if self.engine.startswith("tvm-stock") else "codesign"

    @property
    def compiled(self) -> bool:
        """Whether the engine runs an artefact of ours."""
        return self.engine in TVM_ENGINES

    def fields(self) -> dict[str, Any]:
        """The fields of a record that name this case."""
        return {"engine": self.engine, **self.point.fields()}

    def key(self) -> str:
        """Directory name of the artefact."""
        return f"{self.engine}-{self.point.key()}"


def sweep(
    *,
    model: str,
    seed: int,
    scopes: Sequence[str],
    pruner: str,
    blocks: Sequence[str],
    sparsity: float,
    batch: int,
    seq: int,
    threads: int,
) -> list[Point]:
    """Every scope by every block shape, scope by scope.

    ``"dense"`` in `blocks` asks for the dense engines, not for another set of weights: it gives no point.
    """
    check("scopes", list(scopes))
    check("blocks", list(blocks))
    return [
        Point(model, seed, scope, pruner, block, float(sparsity), batch, seq, threads)
        for scope in scopes
        for block in blocks
        if block != DENSE
    ]


def headline(points: Iterable[Point]) -> Point:
    """The point whose weights stand for all: 32x1 where the sweep has it, else the first."""
    points = list(points)
    return next((point for point in points if point.block == HEADLINE), points[0])


def by_scope(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Points grouped by scope, in order."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.scope, []).append(point)
    return groups


def _key(readable: str, parts: tuple[object, ...]) -> str:
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', readable).strip('-')}-{digest}"
