import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.blocks import BlockShape, to_blocks
from codesign.errors import InputError

small = st.integers(1, 9)


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("0x4", "1x4"),
        ("4x0", "4x1"),
        ("32*1", "32x1"),
        ("32X1", "32x1"),
        ("32", "32x1"),
        (" 32x1", "32x1"),
        ("32x1\n", "32x1"),
        ("032x1", "32x1"),
        ("-4x4", "4x4"),
        ("٣x٣", "32x1"),
        ("", "32x1"),
        ("dense", "32x1"),
        ("2x3x4", "2x3"),
    ],
)
def test_parse_refuses_and_names_the_nearest_shape(text: str, nearest: str) -> None:
    with pytest.raises(InputError) as caught:
        BlockShape.parse(text)
    assert caught.value.parameter == "block"
    assert caught.value.nearest == nearest
    assert repr(text) in str(caught.value)
    assert f"did you mean {nearest}?" in str(caught.value)


@given(st.text("0123456789x*- ", max_size=9))
def test_what_is_read_prints_as_it_was_and_what_is_refused_comes_with_a_valid_suggestion(text: str) -> None:
    try:
        accepted = BlockShape.parse(text)
    except InputError as error:
        accepted = BlockShape.parse(text := str(error.nearest))
    assert str(accepted) == text


@pytest.mark.parametrize("sides", [(0, 1), (1, -1), (True, 1), (2.0, 1)])
def test_constructor_refuses_what_is_not_a_positive_integer(sides: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="two integers of at least 1"):
        BlockShape(*sides)


def test_shapes_are_ordered_by_rows_then_columns() -> None:
    ordered = ["1x32", "4x1", "16x16", "32x1"]
    assert list(map(str, sorted(map(BlockShape.parse, reversed(ordered))))) == ordered


@given(small, small, small, small)
def test_blocks_cover_the_matrix_and_nothing_else(out: int, inp: int, rows: int, cols: int) -> None:
    matrix = np.arange(1, out * inp + 1, dtype=np.float32).reshape(out, inp)
    blocks = to_blocks(matrix, BlockShape(rows, cols))
    block_rows, block_cols = BlockShape(rows, cols).grid((out, inp))
    assert blocks.shape == (block_rows, block_cols, rows, cols)
    assert (block_rows - 1) * rows < out <= block_rows * rows
    assert (block_cols - 1) * cols < inp <= block_cols * cols
    assert np.array_equal(np.block([list(row) for row in blocks])[:out, :inp], matrix)
    assert np.count_nonzero(blocks) == matrix.size, "padding is zero"


def test_rows_are_output_features() -> None:
    weight = np.zeros((4, 6), np.float32)  # out 4, in 6
    weight[:2, 3] = 1  # outputs 0 and 1 read input 3
    assert to_blocks(weight, BlockShape.parse("2x1"))[0, 3].all()
