"""Pruning between the steps of an optimiser: budgets, frozen masks, and the state of a resumed run."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from codesign.blocks import BlockShape, to_blocks
from codesign.errors import InputError
from codesign.prune import ONE_SHOT, PRUNERS
from codesign.prune.allocation import ALLOCATIONS, kept_blocks
from codesign.prune.sparsifier import INTERVAL, Sparsifier, cubic

STEPS = 3 * INTERVAL
BLOCK = BlockShape(4, 2)


class Toy:
    """Two layers that learn to copy random answers; the gradients are real, the task is not."""

    def __init__(
        self,
        pruner: str,
        schedule: str = "cubic",
        allocation: str = "uniform",
        sparsity: float = 0.75,
        block: BlockShape = BLOCK,
    ) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 16))
        self.x, self.y = torch.randn(64, 16), torch.randn(64, 16)
        self.weights = {name: value for name, value in self.model.named_parameters() if name.endswith("weight")}
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.sparsifier = Sparsifier(
            PRUNERS[pruner](block, 0),
            self.weights,
            sparsity=sparsity,
            allocation=allocation,
            schedule=schedule,
            steps=STEPS,
        )
        self.done = 0

    def step(self) -> None:
        effective = self.sparsifier.effective(self.done)
        output = torch.func.functional_call(self.model, effective, (self.x,))
        self.optimiser.zero_grad()
        nn.functional.mse_loss(output, self.y).backward()
        self.sparsifier.observe(self.done, effective)
        self.optimiser.step()
        self.done += 1
        self.sparsifier.after_step(self.done)

    def zeros(self, block: BlockShape = BLOCK) -> dict[str, float]:
        """Share of zero blocks of each matrix."""
        return {name: 1 - to_blocks(w.detach().numpy(), block).any((2, 3)).mean() for name, w in self.weights.items()}


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("pruner", PRUNERS)
def test_every_algorithm_ends_at_the_same_sparsity_and_stays_there(pruner: str, allocation: str) -> None:
    toy = Toy(pruner, allocation=allocation)
    toy.sparsifier.start()
    for _ in range(STEPS):
        toy.step()
    zero = {name: weight == 0 for name, weight in toy.weights.items()}
    assert sum(int(each.sum()) for each in zero.values()) == 0.75 * sum(w.numel() for w in toy.weights.values())
    if allocation != "global":
        assert toy.zeros() == dict.fromkeys(toy.weights, 0.75)
    for _ in range(5):
        toy.step()
    for name, weight in toy.weights.items():
        assert torch.equal(weight == 0, zero[name]), "masks are frozen"
        assert not torch.signbit(weight[zero[name]]).any()


@pytest.mark.parametrize("pruner", ["group-lasso", "reweighted"])
def test_the_threshold_follows_the_schedule_at_every_step(pruner: str) -> None:
    toy = Toy(pruner)
    toy.sparsifier.start()
    for step in range(1, STEPS):
        toy.step()
        for name, weight in toy.weights.items():
            blocks = weight.numel() // BLOCK.area
            asked = 1 - kept_blocks(blocks, cubic(step, STEPS, 0.75)) / blocks
            assert toy.zeros()[name] == pytest.approx(asked)


def test_gradual_magnitude_follows_the_schedule_at_intervals() -> None:
    toy = Toy("magnitude")
    toy.sparsifier.start()
    for _ in range(INTERVAL - 1):
        toy.step()
    assert set(toy.zeros().values()) == {0.0}
    toy.step()
    assert toy.zeros() == pytest.approx(dict.fromkeys(toy.weights, cubic(INTERVAL, STEPS, 0.75)), abs=0.02)


@pytest.mark.parametrize("pruner", ONE_SHOT)
def test_one_shot_prunes_before_the_first_step(pruner: str) -> None:
    toy = Toy(pruner, "one-shot")
    toy.sparsifier.start()
    assert toy.zeros() == dict.fromkeys(toy.weights, 0.75)
    before = {name: weight == 0 for name, weight in toy.weights.items()}
    toy.step()
    assert all(torch.equal(weight == 0, before[name]) for name, weight in toy.weights.items())


def test_l1_as_printed_leaves_zeros_everywhere_and_hardly_a_whole_block() -> None:
    toy = Toy("l1", block=BlockShape(8, 8))
    toy.sparsifier.start()
    for _ in range(STEPS - 1):
        toy.step()
    single, whole = toy.zeros(BlockShape(1, 1)), toy.zeros(BlockShape(8, 8))
    assert all(single[name] > 0.7 and whole[name] < 0.5 for name in single)


def test_removed_blocks_may_come_back_while_movement_learns() -> None:
    toy = Toy("movement")
    toy.sparsifier.start()
    seen = []
    for _ in range(STEPS):
        toy.step()
        if toy.sparsifier.masks:
            seen.append({name: mask.clone() for name, mask in toy.sparsifier.masks.items()})
        if toy.done < STEPS:
            assert all(weight.all() for weight in toy.weights.values()), "the weights behind the masks live on"
    effective = toy.sparsifier.effective(INTERVAL)
    assert all(not effective[name][~mask].any() for name, mask in toy.sparsifier.masks.items())
    came_back = [(later[name] & ~earlier[name]).any() for earlier in seen for later in seen for name in later]
    assert any(came_back)


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_resumed_run_equals_an_uninterrupted_one(pruner: str) -> None:
    whole, first, second = Toy(pruner), Toy(pruner), Toy(pruner)
    whole.sparsifier.start()
    first.sparsifier.start()
    for _ in range(STEPS + 2):
        whole.step()
    for _ in range(INTERVAL + 3):
        first.step()
    second.model.load_state_dict(first.model.state_dict())
    second.optimiser.load_state_dict(first.optimiser.state_dict())
    second.sparsifier.restore(copy.deepcopy(first.sparsifier.state()))
    second.done = first.done
    while second.done < whole.done:
        second.step()
    assert all(torch.equal(whole.weights[name], second.weights[name]) for name in whole.weights)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pruner": "movement", "schedule": "one-shot"}, "did you mean cubic"),
        ({"pruner": "magnitude", "schedule": "oneshot"}, "did you mean one-shot"),
        ({"pruner": "magnitude", "allocation": "row-balanced", "sparsity": 0.95}, "8 blocks a row"),
        ({"pruner": "magnitude", "sparsity": 1.0}, "did you mean 0.99"),
    ],
)
def test_refusals(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Toy(**changes)


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_schedule_rises_and_ends_at_the_target(steps: int, sparsity: float) -> None:
    values = [cubic(step, steps, sparsity) for step in range(steps + 1)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[-1] == cubic(2 * steps, steps, sparsity) == sparsity
    assert cubic(steps, 2 * steps, sparsity) == pytest.approx(sparsity * (1 - 0.5**3))
