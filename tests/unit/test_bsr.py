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


@given(matrices())
def test_scipy_reads_it_as_the_matrix_it_came_from(case: tuple[np.ndarray, BlockShape]) -> None:
    matrix, block = case
    bsr = BSRMatrix.from_dense(matrix, block)
    assert bsr.grid == block.grid(matrix.shape)
    assert (bsr.data.dtype, bsr.indices.dtype, bsr.indptr.dtype) == (np.float32, np.int32, np.int32)
    padded = (bsr.grid[0] * block.rows, bsr.grid[1] * block.cols)
    theirs = scipy.sparse.bsr_matrix((bsr.data, bsr.indices, bsr.indptr), shape=padded)
    theirs.check_format()
    assert theirs.has_canonical_format, "block-columns ascend"
    whole = theirs.toarray()
    assert np.array_equal(whole[: matrix.shape[0], : matrix.shape[1]], matrix)
    assert np.count_nonzero(whole) == np.count_nonzero(matrix), "padding is zero"
    assert bsr.data.any(axis=(1, 2)).all(), "no stored block is zero"
    assert bsr.block_sparsity == pytest.approx(1 - to_blocks(matrix, block).any(axis=(2, 3)).mean())
    assert bsr.density == pytest.approx(bsr.nnz_blocks / np.prod(bsr.grid))


def test_layout_of_a_known_matrix() -> None:
    weight = np.zeros((6, 6), np.float32)  # 3 block-rows of 2x2 blocks with 2, 0 and 1 blocks
    weight[0, 0] = weight[1, 5] = weight[4, 2] = weight[5, 3] = 1
    bsr = BSRMatrix.from_dense(weight, BlockShape(2, 2))
    assert (bsr.indptr.tolist(), bsr.indices.tolist()) == ([0, 2, 2, 3], [0, 2, 1])
    assert bsr.data[1].tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 2)), "a float32 matrix"),
        (np.ones(4, np.float32), "a float32 matrix"),
        (np.array([[np.nan]], np.float32), "finite values"),
        (np.array([[np.inf]], np.float32), "finite values"),
    ],
)
def test_from_dense_wants_a_finite_float32_matrix(matrix: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BSRMatrix.from_dense(matrix, BlockShape(1, 1))
