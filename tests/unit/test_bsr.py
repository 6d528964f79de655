from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from codesign.blocks import BlockShape, to_blocks
from codesign.bsr import BSRMatrix
from codesign.errors import InputError

sides = st.integers(1, 12)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[np.ndarray, BlockShape]:
    """A sparse float32 matrix and a block that often does not divide it and may even be larger."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(sides), draw(sides))
    kept = rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return (rng.standard_normal(shape) * kept).astype(np.float32), BlockShape(draw(sides), draw(sides))


def example() -> BSRMatrix:
    """3 block-rows of 2x2 blocks with 2, 0 and 1 blocks."""
    weight = np.zeros((6, 6), np.float32)
    weight[0, 0] = weight[1, 5] = weight[4, 2] = weight[5, 3] = 1
    return BSRMatrix.from_dense(weight, BlockShape(2, 2))


@given(matrices())
def test_dense_round_trip(case: tuple[np.ndarray, BlockShape]) -> None:
    matrix, block = case
    bsr = BSRMatrix.from_dense(matrix, block)
    bsr.validate()
    assert np.array_equal(bsr.to_dense(), matrix)
    assert bsr.to_dense().dtype == np.float32
    assert bsr.data.any(axis=(1, 2)).all(), "no stored block is zero"
    assert bsr.block_sparsity == pytest.approx(1 - to_blocks(matrix, block).any(axis=(2, 3)).mean())
    assert bsr.density == pytest.approx(bsr.nnz_blocks / np.prod(block.grid(matrix.shape)))


@given(matrices())
def test_agrees_with_scipy_where_the_block_divides(case: tuple[np.ndarray, BlockShape]) -> None:
    matrix, block = case
    whole = np.tile(matrix, (block.rows, block.cols))
    bsr = BSRMatrix.from_dense(whole, block)
    theirs = scipy.sparse.bsr_matrix((bsr.data, bsr.indices, bsr.indptr), shape=whole.shape)
    assert np.array_equal(theirs.toarray(), whole)


def test_layout_of_a_known_matrix() -> None:
    bsr = example()
    assert bsr.indptr.tolist() == [0, 2, 2, 3]
    assert bsr.indices.tolist() == [0, 2, 1]
    assert bsr.data[1].tolist() == [[0, 0], [0, 1]]
    assert (bsr.data.dtype, bsr.indices.dtype, bsr.indptr.dtype) == (np.float32, np.int32, np.int32)
    assert bsr.grid == (3, 3)


def test_statistics_count_blocks_and_patterns() -> None:
    statistics = example().statistics()
    assert (statistics.row_min, statistics.row_mean, statistics.row_max) == (0, 1.0, 2)
    assert statistics.distinct_patterns == 3  # top left, bottom right, diagonal


def test_statistics_of_a_matrix_without_blocks() -> None:
    empty = BSRMatrix.from_dense(np.zeros((4, 4), np.float32), BlockShape(2, 2))
    assert empty.statistics().distinct_patterns == 0
    assert empty.block_sparsity == 1.0


@pytest.mark.parametrize(
    ("changes", "parameter", "message"),
    [
        ({"indptr": [0, 2, 1, 3]}, "indptr", "non-decreasing sequence from 0 to 3"),
        ({"indptr": [0, 2, 2, 2]}, "indptr", "non-decreasing sequence from 0 to 3"),
        ({"indptr": [1, 2, 2, 3]}, "indptr", "non-decreasing sequence from 0 to 3"),
        ({"indptr": [0, 2, 3]}, "indptr", r"int32\[4\]"),
        ({"indices": [0, 3, 1]}, "indices", "3 is not valid: expected block-columns from 0 to 2"),
        ({"indices": [0, -1, 1]}, "indices", "-1 is not valid"),
        ({"indices": [2, 0, 1]}, "indices", "strictly ascending"),
        ({"indices": [2, 2, 1]}, "indices", "strictly ascending"),
        ({"indices": [0, 2]}, "data", r"float32\[2, 2, 2\]"),
        ({"data": np.full((3, 2, 2), np.nan, np.float32)}, "data", "finite"),
        ({"data": np.full((3, 2, 2), np.inf, np.float32)}, "data", "finite"),
        ({"data": np.ones((3, 2, 2))}, "data", "float64"),
    ],
)
def test_malformed_arrays_are_refused_by_name(changes: dict, parameter: str, message: str) -> None:
    arrays = {
        name: value if isinstance(value, np.ndarray) else np.array(value, np.int32) for name, value in changes.items()
    }
    with pytest.raises(InputError, match=message) as caught:
        replace(example(), **arrays).validate()
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("matrix", [np.ones((2, 2)), np.ones(4, np.float32)])
def test_from_dense_wants_a_float32_matrix(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="a float32 matrix"):
        BSRMatrix.from_dense(matrix, BlockShape(1, 1))


def test_from_dense_refuses_nan() -> None:
    with pytest.raises(InputError, match="finite values"):
        BSRMatrix.from_dense(np.array([[np.nan]], np.float32), BlockShape(1, 1))
