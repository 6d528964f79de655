"""Who pays for sparsity: budgets are met exactly, and the weakest pay."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import InputError
from codesign.prune.allocation import ALLOCATIONS, check_fits, keep, kept_blocks, thresholds

SIDES = st.integers(1, 24)
SPARSITY = st.floats(0, 0.98)
Matrices = dict[str, torch.Tensor]


@st.composite
def matrices(draw: st.DrawFn, ties: bool = True) -> Matrices:
    """One to three matrices of scores, with many ties if allowed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = draw(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=3))
    drawn = [rng.integers(0, 5, shape).astype(float) if ties else rng.random(shape) for shape in shapes]
    return {str(index): torch.from_numpy(scores) for index, scores in enumerate(drawn)}


def pools(values: Matrices, allocation: str) -> list[torch.Tensor]:
    if allocation == "global":
        return [torch.cat([value.flatten() for value in values.values()])]
    return [row for value in values.values() for row in (value if allocation == "row-balanced" else [value.flatten()])]


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@given(scores=matrices(), sparsity=SPARSITY)
def test_each_pool_keeps_its_count_and_its_best(allocation: str, scores: Matrices, sparsity: float) -> None:
    kept = keep(scores, sparsity, allocation)
    assert {name: mask.shape for name, mask in kept.items()} == {name: each.shape for name, each in scores.items()}
    for pool, mask in zip(pools(scores, allocation), pools(kept, allocation), strict=True):
        if allocation == "global":
            assert mask.sum() == max(len(scores), kept_blocks(len(pool), sparsity))
            assert all(each.any() for each in kept.values()), "no matrix vanishes"
        else:
            assert mask.sum() == kept_blocks(len(pool), sparsity)
            assert mask.all() or pool[mask].min() >= pool[~mask].max()


@given(scores=matrices(ties=False), sparsity=SPARSITY)
def test_global_removes_no_block_that_is_better_than_a_kept_one_of_a_matrix_with_others(
    scores: Matrices, sparsity: float
) -> None:
    kept = keep(scores, sparsity, "global")
    removed = [float(each[~kept[name]].max()) for name, each in scores.items() if not kept[name].all()]
    free = [float(each[kept[name]].min()) for name, each in scores.items() if kept[name].sum() > 1]
    assert not removed or not free or max(removed) <= min(free)


@given(scores=matrices(ties=False), sparsity=SPARSITY, allocation=st.sampled_from(ALLOCATIONS))
def test_a_threshold_leaves_what_the_budget_keeps(scores: Matrices, sparsity: float, allocation: str) -> None:
    limits = thresholds(scores, sparsity, allocation)
    for pool, above in zip(
        pools(scores, allocation),
        pools({name: each > limits[name] for name, each in scores.items()}, allocation),
        strict=True,
    ):
        assert above.sum() == kept_blocks(len(pool), sparsity)


def test_ties_go_to_the_first_blocks() -> None:
    scores = torch.tensor([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]])
    assert keep({"w": scores}, 1 / 3)["w"].int().tolist() == [[1, 1, 1], [0, 1, 0]]
    assert keep({"w": scores}, 1 / 3, "row-balanced")["w"].int().tolist() == [[1, 1, 0], [1, 1, 0]]


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_the_nearest_number_of_blocks_is_kept_but_at_least_one(blocks: int, sparsity: float) -> None:
    kept = kept_blocks(blocks, sparsity)
    assert 1 <= kept <= blocks
    assert kept == 1 or abs(kept - (1 - sparsity) * blocks) <= 0.5


def test_row_balanced_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match=r"at most 0\.9167: key has 12 blocks a row.*did you mean 0\.9166"):
        check_fits({"query": (24, 48), "key": (12, 12)}, 0.97, "row-balanced")
    check_fits({"key": (12, 12)}, 0.9166, "row-balanced")
    check_fits({"key": (12, 12)}, 0.97, "uniform")
    check_fits({"key": (1, 1)}, 0.0, "row-balanced")


def test_an_unknown_allocation_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean row-balanced"):
        check_fits({"key": (12, 12)}, 0.5, "row_balanced")
    with pytest.raises(InputError, match="did you mean uniform"):
        keep({"key": torch.ones(2, 2)}, 0.5, "unifrm")
