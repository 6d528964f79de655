"""Fine-tuning: AdamW, a teacher, and pruning between the steps; interrupted at any step, it goes on from there.

All that is random in a step follows from the seed and the number of the step, so that a resumed run needs no state of
a random generator, and equals an uninterrupted one bit for bit on the same machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.optim import AdamW

from codesign import machine
from codesign.errors import InputError
from codesign.prune.sparsifier import Sparsifier
from codesign.train.data import Data, Order
from codesign.train.model import Classifier
from codesign.train.recipe import Recipe

#: Gradients are scaled down to this L2 norm at most.
CLIP = 1.0
#: Share of the steps over which the learning rate rises.
WARM_UP = 0.1
#: Seconds between two copies of the state of an unfinished run.
SAVE_EVERY_S = 30.0

#: Called after every step: steps done, steps in all, the loss.
Report = Callable[[int, int, float], None]


def distillation_loss(logits: Tensor, labels: Tensor, teacher: Tensor | None, recipe: Recipe) -> Tensor:
    """Cross entropy, and how far the student is from the teacher; without a teacher, the former alone.

    Where labels are ratings, both are squared errors. Nothing else in training tells a rated task from another one.

    Parameters
    ----------
    logits
        float32 [batch, labels], of the student.
    labels
        int64 [batch]; or ratings, float32 [batch].
    teacher
        float32 [batch, labels], logits of the teacher.
    recipe
        Has the temperature and the weight of the teacher.
    """
    rated = labels.is_floating_point()
    told = functional.mse_loss(logits[:, 0], labels) if rated else functional.cross_entropy(logits, labels)
    if teacher is None:
        return told
    if rated:
        return (1 - recipe.distillation) * told + recipe.distillation * functional.mse_loss(logits, teacher)
    student, target = (functional.log_softmax(each / recipe.temperature, dim=1) for each in (logits, teacher))
    taught = functional.kl_div(student, target, reduction="batchmean", log_target=True)
    return (1 - recipe.distillation) * told + recipe.distillation * recipe.temperature**2 * taught


def fine_tune(
    model: Classifier,
    data: Data,
    recipe: Recipe,
    *,
    steps: int,
    seed: int,
    path: Path,
    report: Report,
    sparsifier: Sparsifier | None = None,
    teacher: Tensor | None = None,
) -> float:
    """Train a model in place, holding the machine.

    Parameters
    ----------
    model
        On the device that it is to be trained on.
    data
        What it learns from.
    recipe
        Optimiser, loss and batch.
    steps
        Number of steps in all, those before an interruption included.
    seed
        Of the order of examples and of dropout.
    path
        Where the state of the unfinished run is kept. Nobody removes it: the caller does that when its result is safe.
    report
        Told about every step.
    sparsifier
        Prunes weights of this model.
    teacher
        float32 [examples, labels]: logits of the teacher for ``data``.

    Returns
    -------
    float
        Seconds of training, those before an interruption included.

    Raises
    ------
    InputError
        If the state cannot be read, or the loss is no longer finite.
    """
    optimiser = AdamW(_groups(model, recipe), lr=recipe.learning_rate, fused=True)
    device = model.head.weight.device
    done, before = 0, 0.0
    with machine.exclusive("training"), _repeatable(device):
        if path.exists():
            state = restore(path, device)
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
            if sparsifier:
                sparsifier.restore(state["sparsifier"])
            done, before = state["done"], state["seconds"]
        elif sparsifier:
            sparsifier.start()
        start = last_saved = time.monotonic()
        order = Order(data.mask.sum(1), recipe.batch, seed)
        model.train()
        while done < steps:
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * _rise_and_fall(done, steps)
            torch.manual_seed(int(np.random.SeedSequence([seed, 0, done]).generate_state(1)[0]))
            rows = order.at(done)
            effective = sparsifier.effective(done) if sparsifier else {}
            replaced = {f"{model.PREFIX}{name}.weight": value for name, value in effective.items()}
            logits = functional_call(model, replaced, tuple(each.to(device) for each in data.rows(rows)))
            told = None if teacher is None else teacher[rows].to(device)
            objective = distillation_loss(logits, data.labels[rows].to(device), told, recipe)
            optimiser.zero_grad(set_to_none=True)
            objective.backward()  # type: ignore[no-untyped-call]
            if sparsifier:
                sparsifier.observe(done, effective)
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            done += 1
            if sparsifier:
                sparsifier.after_step(done)
            if not np.isfinite(loss := float(objective.detach())):
                expected = f"one with which training converges (at step {done} the loss is {loss})"
                raise InputError("learning_rate", recipe.learning_rate, expected)
            if (now := time.monotonic()) - last_saved >= SAVE_EVERY_S or done == steps:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
                state |= {"sparsifier": sparsifier.state()} if sparsifier else {}
                save(path, **state, done=done, seconds=before + now - start)
                last_saved = now
            report(done, steps, loss)
        return before + time.monotonic() - start


def _groups(model: Classifier, recipe: Recipe) -> list[dict[str, object]]:
    """Divide the parameters: matrices decay, the rest does not; the head learns faster."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        peak = recipe.learning_rate * (recipe.head_rate if name.startswith("head.") else 1.0)
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((peak, decay), []).append(parameter)
    return [{"params": params, "peak": peak, "weight_decay": decay} for (peak, decay), params in groups.items()]


def _rise_and_fall(done: int, steps: int) -> float:
    """Share of the peak learning rate in the step after ``done`` of ``steps``: linear warm-up and decay."""
    rise = max(1, round(WARM_UP * steps))
    return (done + 1) / rise if done < rise else (steps - done) / (steps - rise)


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """Leave the caller's random generators alone; on a GPU, ask for kernels that repeat their results."""
    gpu = device.type == "cuda"
    was = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[device] if gpu else []):
        if gpu:
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was)


def save(path: Path, **content: object) -> None:
    """Write tensors, numbers, and lists and dictionaries of them; a file that was there before stays until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(content, work)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def restore(path: Path, device: torch.device) -> dict[str, Any]:
    """Read back what `save` wrote, onto a device; nothing that the file contains is run.

    Raises
    ------
    InputError
        If it is no such file.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever PyTorch says about a file that is torn or not ours
        raise InputError("checkpoint", str(path), f"a file that a training run wrote ({error})") from error
    return content
