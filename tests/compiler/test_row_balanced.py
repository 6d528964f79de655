"""Row-balanced linears: right whatever their sizes, refused where rows differ, scheduled by TVM's own rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.conftest import run

from codesign.compiler import TargetSpec, open_database, target_spec, tune
from codesign.compiler.database import trials
from codesign.compiler.operators import RowBalanced, operator_of
from codesign.compiler.tasks import task_of
from codesign.errors import InputError


@pytest.fixture(scope="module")
def spec() -> TargetSpec:
    """One thread: two on cores that other tests use wait for each other, call by call."""
    return target_spec(threads=1)


@st.composite
def layers(draw: st.DrawFn) -> RowBalanced:
    rows, cols = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    columns = draw(st.integers(1, 6))
    return RowBalanced(
        rows * draw(st.integers(1, 4)), cols * columns, draw(st.integers(1, 9)), rows, cols,
        draw(st.integers(1, columns)),
    )  # fmt: skip


def dense_of(operator: RowBalanced, data: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Block by block, as slowly and plainly as possible."""
    weight = np.zeros((operator.outputs, operator.inputs))
    for i in range(operator.block_rows):
        for j, column in enumerate(indices[i]):
            top, left = i * operator.rows, column * operator.cols
            weight[top : top + operator.rows, left : left + operator.cols] = data[i, j].T
    return weight


@settings(max_examples=15, deadline=None)
@given(operator=layers(), seed=st.integers(0, 99))
def test_the_kernel_is_the_dense_product(operator: RowBalanced, seed: int, spec: TargetSpec) -> None:
    inputs = operator.example_inputs(np.random.default_rng(seed))
    x, data, indices, bias = inputs
    assert (np.sort(indices, axis=1) == indices).all()
    assert 0 <= indices.min() <= indices.max() < operator.inputs // operator.cols
    expected = dense_of(operator, data, indices) @ x.astype(np.float64) + bias.reshape(-1, 1)
    shape = operator.arguments()[-1].shape
    np.testing.assert_allclose(operator.oracle(*inputs), expected.reshape(shape), atol=1e-9)
    np.testing.assert_allclose(run(operator.unscheduled(), inputs, shape, spec), expected.reshape(shape), atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 5}, "rows=5.*a divisor of 32.*4"),
        ({"cols": 3}, "cols=3.*a divisor of 64.*2"),
        ({"per_row": 0}, "per_row=0.*1 to 64"),
        ({"per_row": 65}, "per_row=65.*1 to 64.*64"),
    ],
)
def test_sizes_that_need_edges_are_refused(changes: dict[str, int], message: str) -> None:
    sizes = {"outputs": 32, "inputs": 64, "tokens": 16, "rows": 4, "cols": 1, "per_row": 8} | changes
    with pytest.raises(InputError, match=message):
        RowBalanced(**sizes)


def test_stock_rules_schedule_it_and_every_result_is_checked(spec: TargetSpec, tmp_path: Path) -> None:
    operator = RowBalanced(32, 64, 32, 8, 1, 12)
    task = task_of(operator)
    assert not task.by_families
    report = tune([task], database=tmp_path / spec.key, spec=spec, trials_per_task=1)
    assert (report.trials, report.failures) == (1, {})
    records = trials(open_database(tmp_path / spec.key, spec), task.module)
    kinds = {instruction.kind.name for record in records for instruction in record.trace.insts}
    assert {"SamplePerfectTile", "Split", "Reorder"} <= kinds  # TVM's rules, and no annotation of ours
    assert operator_of(task.module["main"]) == operator
