"""What is studied: points (one pruned model under one load) and cases (an engine running a point)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePath
from typing import Any

from codesign.blocks import DENSE, BlockShape
from codesign.engines import SPARSE, find
from codesign.isa import NATIVE
from codesign.study.parameters import check

#: The paper's best block shape: stands for all where one shape must.
HEADLINE = "32x1"

#: The fields of a point whose weights are as they were loaded.
UNPRUNED: dict[str, Any] = {"scope": "none", "pruner": "none", "block": DENSE, "sparsity": 0.0}
#: How the pruner of a point begins that is not pruned, but trained.
TRAINED_DENSE = "none@"


@dataclass(frozen=True, order=True)
class Point:
    """One model, pruned or not, under one load; every record but `machine` carries these fields.

    A point that is not pruned has scope and pruner ``"none"``, block ``"dense"`` and sparsity 0; where its weights were
    trained, the pruner is ``"none@recipe"``.

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
            trained = name == "pruner" and value.startswith(TRAINED_DENSE)
            if not trained and (name, value) not in UNPRUNED.items():
                check(name, value)

    def __str__(self) -> str:
        return f"{self.model} {self.scope} {self.block} {self.sparsity:.0%}" if self.shape else f"{self.model} dense"

    @property
    def shape(self) -> BlockShape | None:
        """The block shape, parsed; None for a point that is not pruned."""
        return None if self.block == DENSE else BlockShape.parse(self.block)

    @property
    def dense(self) -> Point:
        """The same model and load, not pruned."""
        return replace(self, **UNPRUNED)

    def fields(self) -> dict[str, Any]:
        """The point fields of a record."""
        return {**asdict(self), "format": "fp32"}

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
    """An engine running a point; ``isa`` is what an engine that we compile is compiled for, as in `target_spec`."""

    engine: str
    point: Point
    isa: str = NATIVE

    @property
    def pipeline(self) -> str:
        """Which compilation pipeline makes its artefact."""
        return "stock" if self.engine.startswith("tvm-stock") else "codesign"

    @property
    def layout(self) -> str:
        """How activations lie in the encoder that our pipeline makes."""
        return "token-major" if self.engine.endswith("-token-major") else "feature-major"

    @property
    def strips(self) -> bool:
        """Whether our pipeline stores its weights in strips, and not in whole blocks."""
        return not self.engine.endswith("-whole")

    @property
    def compiled(self) -> bool:
        """Whether the engine runs an artefact of ours."""
        return self.engine.startswith("tvm-")

    @property
    def tuned(self) -> bool:
        """Whether its artefact is built from the tuning database."""
        return self.compiled and self.engine != "tvm-stock-default"

    @property
    def block(self) -> str:
        """The block shape in which its engine may leave zeros out; ``"dense"`` where it computes them."""
        return self.point.block if self.engine in SPARSE else DENSE

    def __str__(self) -> str:
        return f"{self.engine} {self.point}" + ("" if self.isa == NATIVE else f" {self.isa}")

    def fields(self) -> dict[str, Any]:
        """The fields of a record that name this case."""
        return {"engine": self.engine, **self.point.fields(), "format": find(self.engine).format, "isa": self.isa}

    def key(self) -> str:
        """Directory name of the artefact."""
        return f"{self.engine}-{self.point.key()}" + ("" if self.isa == NATIVE else f"-{self.isa}")


def sweep(
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

    Raises
    ------
    InputError
        If a value breaks its parameter's rule.
    """
    check("scopes", list(scopes))
    check("blocks", list(blocks))
    return [
        Point(model, seed, scope, pruner, block, float(sparsity), batch, seq, threads)
        for scope in scopes
        for block in blocks
    ]


def headline(points: Iterable[Point]) -> Point:
    """The point that stands for all: 32x1 where the sweep has it, else the first shape; the widest scope."""
    points = list(points)
    pruned = [point for point in points if point.shape] or points
    scope = pruned[-1].scope
    return next((point for point in pruned if (point.scope, point.block) == (scope, HEADLINE)), pruned[0])


def by_scope(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Pruned points grouped by scope, in order."""
    groups: dict[str, list[Point]] = {}
    for point in filter(lambda point: point.shape, points):
        groups.setdefault(point.scope, []).append(point)
    return groups


def _key(readable: str, parts: tuple[object, ...]) -> str:
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', readable).strip('-')}-{digest}"
