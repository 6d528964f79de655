"""Each algorithm against its closed form, on NumPy arrays cut by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from codesign.blocks import BlockShape, to_blocks
from codesign.prune import PRUNERS
from codesign.prune.algorithms.reweighted import EPSILON
from codesign.prune.base import Pruner, block_means, spread

BLOCKS = [BlockShape.parse(text) for text in ("1x1", "4x1", "1x4", "2x3", "7x5", "12x10")]
SHAPE = (12, 10)  # which 4x1, 1x4, 2x3 and 7x5 do not all divide


def draw(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32))


def cut(matrix: Tensor, block: BlockShape) -> list[list[np.ndarray]]:
    """The blocks of a matrix without padding, by slicing."""
    array = matrix.numpy().astype(np.float64)
    return [
        [array[i : i + block.rows, j : j + block.cols] for j in range(0, SHAPE[1], block.cols)]
        for i in range(0, SHAPE[0], block.rows)
    ]


def each(blocks: list[list[np.ndarray]], function: object) -> np.ndarray:
    return np.array([[function(block) for block in row] for row in blocks])  # type: ignore[operator]


def rms(block: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(block))))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_blocks_are_cut_as_everywhere(block: BlockShape) -> None:
    weight = draw()
    sizes = to_blocks(np.ones(SHAPE), block).sum((2, 3))
    means = to_blocks(weight.numpy().astype(np.float64), block).sum((2, 3)) / sizes
    assert block_means(weight.double(), block).numpy() == pytest.approx(means, abs=1e-12)
    numbers = torch.arange(sizes.size).reshape(block.grid(SHAPE))
    whole = spread(numbers, block, weight.shape)
    assert all(whole[i, j] == numbers[i // block.rows, j // block.cols] for i in range(12) for j in range(10))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize(
    ("name", "worth"),
    [("magnitude", rms), ("group-lasso", rms), ("l1", lambda block: np.mean(np.abs(block)))],
)
def test_scores_of_weights(name: str, worth: object, block: BlockShape) -> None:
    weight = draw()
    scores = PRUNERS[name](block, seed=0).scores("w", weight)
    assert scores.dtype == torch.float64
    assert scores.numpy() == pytest.approx(each(cut(weight, block), worth))


def test_edge_blocks_are_not_punished_for_being_partial() -> None:
    weight = torch.ones(5, 5)
    weight[4, 4] = 2
    scores = PRUNERS["magnitude"](BlockShape(2, 2), 0).scores("w", weight)
    assert scores.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 2]]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@settings(max_examples=20)
@given(strength=st.floats(0, 2), seed=st.integers(0, 99))
def test_block_soft_thresholding_solves_the_group_lasso(block: BlockShape, strength: float, seed: int) -> None:
    """Its result satisfies the optimality conditions of the problem that it claims to solve, block by block."""
    before = draw(seed)
    after = before.clone()
    pruner = PRUNERS["group-lasso"](block, 0)
    levels = pruner.levels("w", before)
    assert levels is not None
    pruner.shrink(after, levels, torch.tensor([[strength]], dtype=torch.float64))
    for w_row, v_row in zip(cut(before, block), cut(after, block), strict=True):
        for w, v in zip(w_row, v_row, strict=True):
            penalty = strength * np.sqrt(w.size)
            if v.any():
                assert v - w + penalty * v / np.linalg.norm(v) == pytest.approx(np.zeros_like(w), abs=1e-4)
            else:
                assert np.linalg.norm(w) <= penalty * (1 + 1e-6)
    assert not torch.signbit(after[after == 0]).any(), "zeros are positive zeros"


@given(threshold=st.floats(0, 3), seed=st.integers(0, 99))
def test_soft_thresholding_of_single_weights(threshold: float, seed: int) -> None:
    weight = draw(seed)
    expected = np.sign(weight.numpy()) * np.maximum(np.abs(weight.numpy()) - np.float32(threshold), 0)
    PRUNERS["l1"](BlockShape(4, 1), 0).shrink(weight, weight.abs(), torch.tensor([[threshold]]))
    assert weight.numpy() == pytest.approx(expected, abs=1e-6)
    assert not torch.signbit(weight[weight == 0]).any()


def test_what_is_at_the_threshold_becomes_exactly_zero() -> None:
    weight = torch.tensor([[3.0, 4.0, -1.0, 0.0]])
    levels = torch.tensor([[5.0, 1.0]], dtype=torch.float64)
    shrink = PRUNERS["group-lasso"](BlockShape(1, 2), 0).shrink
    shrink(weight, levels, torch.tensor([[1.0]], dtype=torch.float64))
    assert weight.tolist() == [[pytest.approx(2.4), pytest.approx(3.2), 0.0, 0.0]]
    nothing = torch.zeros(2, 2)
    shrink(nothing, torch.zeros(2, 1), torch.zeros(1, 1))
    assert torch.equal(nothing, torch.zeros(2, 2)), "0 / 0 is 0 here"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_l1_as_printed_knows_no_blocks(block: BlockShape) -> None:
    weight, single = draw(), draw()
    for pruner, matrix in ((PRUNERS["l1"](block, 0), weight), (PRUNERS["group-lasso"](BlockShape(1, 1), 0), single)):
        levels = pruner.levels("w", matrix)
        assert levels is not None
        pruner.shrink(matrix, levels, torch.tensor([[0.5]]))
    assert weight.numpy() == pytest.approx(single.numpy(), abs=1e-6)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_reweighting_divides_the_penalty_by_the_norm_at_the_milestone(block: BlockShape) -> None:
    earlier, now = draw(1), draw(2)
    pruner = PRUNERS["reweighted"](block, 0)
    pruner.milestone({"w": earlier})
    norms = each(cut(earlier, block), rms)
    expected = each(cut(now, block), rms) * (norms + EPSILON * norms.mean())
    assert pruner.scores("w", now).numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_movement_accumulates_what_the_straight_through_gradient_says(block: BlockShape) -> None:
    """For a loss that is linear in W * mask, its slope along the mask of a block is the sum of weight * gradient."""
    pruner: Pruner = PRUNERS["movement"](block, 0)
    assert not pruner.scores("w", draw()).any()
    total = np.zeros(block.grid(SHAPE))
    for seed in (1, 2):
        weight, gradient = draw(seed), draw(10 + seed)
        mask = torch.ones(block.grid(SHAPE), requires_grad=True)
        (spread(mask, block, weight.shape) * weight * gradient).sum().backward()
        assert mask.grad is not None
        total -= mask.grad.numpy() / to_blocks(np.ones(SHAPE), block).sum((2, 3))
        pruner.observe("w", weight, gradient)
    assert pruner.scores("w", draw()).numpy() == pytest.approx(total, rel=1e-4, abs=1e-6)
