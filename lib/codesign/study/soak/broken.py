"""Schedules that are broken on purpose: each must be caught by the tuner's own check before a time of it counts.

A family reads its arguments through what is put between it and the buffers here: every index is shifted, every value
left out, as a slip in a new family would. The kernel is then checked and timed exactly as the tuner does it.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from codesign import machine
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.operators import Linear
from codesign.compiler.operators.base import primfunc
from codesign.compiler.schedules import Decisions, Family
from codesign.compiler.trial import run_candidate
from codesign.compiler.tvm_compat import tirx, tvm
from codesign.compiler.workers import runner
from codesign.study.soak.patterns import draw_points
from codesign.study.soak.tally import Tally

Change = Callable[[Linear, Any, tuple[Any, ...]], Any]


class _Read:
    """A buffer that is read wrongly."""

    def __init__(self, operator: Linear, buffer: Any, change: Change) -> None:
        self.operator, self.buffer, self.change = operator, buffer, change

    def __getitem__(self, index: Any) -> Any:
        return self.change(self.operator, self.buffer, index if isinstance(index, tuple) else (index,))


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
                operator = _operator(rng, spec, name)
                for family, drawn in draw_points(rng, operator, spec):
                    decisions = drawn | {"prefetch": 0}  # which takes addresses of what is read
                    tally = tallies.setdefault(family.name, Tally(family.name, "broken on purpose"))
                    folder = Path(tempfile.mkdtemp(dir=scratch))
                    library = _build(operator, family, decisions, spec, name, folder)
                    _judge(tally, name, pool, library)
                    right = _build(operator, family, decisions, spec, None, Path(tempfile.mkdtemp(dir=scratch)))
                    if not min(pool.submit(run_candidate, right, []).result()) > 0:
                        tally.defects.append(f"{name}: the same kernel, not broken, got no time")
        finally:
            pool.shutdown()
    return list(tallies.values())


def _judge(tally: Tally, name: str, pool: Any, library: str) -> None:
    tally.count += 1
    tally.add(name)
    try:
        times = pool.submit(run_candidate, library, []).result()
    except Exception as error:  # whatever happens in the worker arrives as it is
        if "wrong result" in str(error):
            tally.refused += 1
        else:
            tally.defects.append(f"{name}: {type(error).__name__}: {error}"[:300])
        return
    tally.wrong += 1
    tally.defects.append(f"{name}: was given a time, {min(times):.1e} s")


def _operator(rng: np.random.Generator, spec: TargetSpec, name: str) -> Linear:
    """Draw a linear large enough that every break changes its result."""
    rows, cols = spec.lanes * int(rng.integers(1, 3)), int(rng.choice([1, 2, 4]))
    outputs, inputs = rows * int(rng.integers(2, 5)), cols * int(rng.integers(6, 20))
    whole = outputs // rows * (inputs // cols)
    residual = name == "residual left out"
    epilogue = "bias_residual" if residual else "bias_gelu" if name == "another epilogue" else "bias"
    nnz = int(rng.integers(whole // 3, whole - 1))
    tokens = spec.lanes * int(rng.choice([1, 2, 4]))
    return Linear(outputs, inputs, tokens, rows, cols, nnz, spec.threads, epilogue)


def _build(
    operator: Linear, family: Family, decisions: Decisions, spec: TargetSpec, name: str | None, folder: Path
) -> str:
    """Compile a point, broken or (None) not, where `run_candidate` finds it: beside what it should compute."""
    with reading_wrongly(family, name):
        function = family.generate(generated(operator, name), spec, decisions)
    (folder / "operator.json").write_text(operator.attributes())
    library = folder / "kernel.so"
    tvm.compile(tvm.IRModule({"main": function}), target=spec.target).export_library(str(library))
    return str(library)


def generated(operator: Linear, name: str | None) -> Linear:
    """Return the operator that loops are emitted for: another one where that is what is broken."""
    return replace(operator, epilogue="bias") if name == "another epilogue" else operator


@contextmanager
def reading_wrongly(family: Family, name: str | None) -> Iterator[None]:
    """Put a wrong reading of one argument between a family and its buffers; None for none."""
    position, change = BREAKS[name] if name else (-1, BREAKS["another epilogue"][1])

    @contextmanager
    def opened(operator: Linear) -> Iterator[Any]:
        with primfunc(operator) as (buffers, finish):
            wrong = [_Read(operator, b, change) if n == position else b for n, b in enumerate(buffers)]
            yield wrong, finish

    with mock.patch.object(importlib.import_module(type(family).__module__), "primfunc", opened):
        yield
