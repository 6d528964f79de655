"""Schedules that are broken on purpose: each must be caught by the tuner's own check before a time of it counts.

A family reads its arguments through what is put between it and the buffers here: every index is shifted, every value
left out, as a slip in a new family would. The kernel is then checked and timed exactly as the tuner does it.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tests.soak.patterns import draw_points
from tests.soak.tally import Tally

from codesign import machine
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules import Decisions, Family
from codesign.compiler.trial import run_candidate
from codesign.compiler.tvm_compat import tirx, tvm
from codesign.compiler.workers import runner

Change = Callable[[Linear, Any, tuple[Any, ...]], Any]


def _zero(value: Any) -> Any:
    return value * tirx.const(0.0, "float32")


#: What is broken -> position of the argument that is read wrongly, and how. Blocks are [block, column, row].
BREAKS: dict[str, tuple[int, Change]] = {
    "a block left out": (1, lambda o, b, i: tirx.if_then_else(i[0] == o.nnz // 2, _zero(b[i]), b[i])),
    "rows of a block shifted": (1, lambda o, b, i: b[i[0], i[1], (i[2] + 1) % o.rows]),
    "blocks in the wrong order": (1, lambda o, b, i: b[o.nnz - 1 - i[0], i[1], i[2]]),
    "column index shifted": (2, lambda o, b, i: (b[i] + 1) % -(-o.inputs // o.cols)),
    "last block-row not computed": (4, lambda o, b, i: tirx.min(b[i], o.block_rows - 1)),
    "bias left out": (5, lambda o, b, i: _zero(b[i])),
    "bias of another output": (5, lambda o, b, i: b[(i[0] + 1) % o.outputs]),
    "tokens shifted": (0, lambda o, b, i: b[i[0], i[1], (i[2] + 1) % o.slab]),
    "residual left out": (6, lambda o, b, i: _zero(b[i])),
    "another epilogue": (-1, lambda o, b, i: b[i]),
}


@dataclass
class _Read:
    """A buffer that is read wrongly."""

    operator: Linear
    buffer: Any
    change: Change

    def __getitem__(self, index: Any) -> Any:
        return self.change(self.operator, self.buffer, index if isinstance(index, tuple) else (index,))


def one_round(seed: int) -> list[Tally]:
    """Break every family of linears in every way of `BREAKS`, at a random point of a random operator.

    Returns
    -------
    list[Tally]
        One for each family; what was not caught is ``wrong``.
    """
    rng = np.random.default_rng(seed)
    spec = target_spec(min(machine.describe().cores, 2))
    tallies: dict[str, Tally] = {}
    pool = runner(spec.threads)
    with tempfile.TemporaryDirectory(prefix="codesign-broken-") as scratch:
        try:
            for name in BREAKS:
                operator = draw_operator(rng, spec, name)
                for family, drawn in draw_points(rng, operator, spec):
                    decisions = drawn | {"prefetch": 0}  # which takes addresses of what is read
                    tally = tallies.setdefault(family.name, Tally(family.name, "broken on purpose"))
                    tally.count += 1
                    tally.settings[name] += 1
                    wrong, right = (
                        _build(operator, family, decisions, spec, each, Path(tempfile.mkdtemp(dir=scratch)))
                        for each in (name, None)
                    )
                    _judge(tally, name, lambda library: pool.submit(run_candidate, library).result(), wrong, right)
        finally:
            pool.shutdown()
    return list(tallies.values())


def _judge(tally: Tally, name: str, timed: Callable[[str], list[float]], wrong: str, right: str) -> None:
    try:
        tally.defects.append(f"{name}: was given a time, {min(timed(wrong)):.1e} s")
        tally.wrong += 1
    except Exception as error:  # whatever happens in the worker arrives as it is
        if "wrong result" in str(error):
            tally.refused += 1
        else:
            tally.defects.append(f"{name}: {type(error).__name__}: {error}"[:300])
    if not min(timed(right)) > 0:
        tally.defects.append(f"{name}: the same kernel, not broken, got no time")


def draw_operator(rng: np.random.Generator, spec: TargetSpec, name: str) -> Linear:
    """Draw a linear large enough that every break changes its result."""
    rows, cols = spec.lanes * int(rng.integers(1, 3)), int(rng.choice([1, 2, 4]))
    outputs, inputs = rows * int(rng.integers(2, 5)), cols * int(rng.integers(6, 20))
    whole = outputs // rows * (inputs // cols)
    epilogue = {"residual left out": "bias_residual", "another epilogue": "bias_gelu"}.get(name, "bias")
    nnz = int(rng.integers(whole // 3, whole - 1))
    tokens = spec.lanes * int(rng.choice([1, 2, 4]))
    return Linear(outputs, inputs, tokens, rows, cols, nnz, spec.threads, epilogue)


def _build(
    operator: Linear, family: Family, decisions: Decisions, spec: TargetSpec, name: str | None, folder: Path
) -> str:
    """Compile a point, broken or (None) not, where `run_candidate` finds it: beside what it should compute."""
    function = generated(operator, family, decisions, spec, name)
    (folder / "operator.json").write_text(operator.attributes())
    library = folder / "kernel.so"
    tvm.compile(tvm.IRModule({"main": function}), target=spec.target).export_library(str(library))
    return str(library)


def generated(operator: Linear, family: Family, decisions: Decisions, spec: TargetSpec, name: str | None) -> Any:
    """Emit a point's loops, with a wrong reading of one argument between the family and its buffers; None for none."""
    if name is None:
        return family.generate(operator, spec, decisions)
    position, change = BREAKS[name]

    @contextmanager
    def opened(operator: Linear) -> Iterator[Any]:
        with primfunc(operator) as (buffers, finish):
            yield [_Read(operator, b, change) if n == position else b for n, b in enumerate(buffers)], finish

    if name == "another epilogue":
        operator = replace(operator, epilogue="bias")
    with mock.patch.object(importlib.import_module(type(family).__module__), "primfunc", opened):
        return family.generate(operator, spec, decisions)
