"""The state of an interrupted run: one file, written whole or not at all, without pickled code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from codesign.errors import InputError

Identity = Mapping[str, Any]


def write(path: Path, tensors: Mapping[str, Tensor], identity: Identity, **numbers: float) -> None:
    """Write tensors, numbers, and what run they belong to; a file that was there before stays until this is complete.

    Parameters
    ----------
    path
        Safetensors file; its folder is made.
    tensors
        On any device.
    identity
        What decides the run's result; JSON.
    numbers
        Further numbers, as the count of steps done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}")
    metadata = {"identity": _text(identity), "numbers": json.dumps(numbers)}
    try:
        # clones, since safetensors refuses tensors that share memory
        save_file({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}, work, metadata)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def read(path: Path, identity: Identity) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Read back what `write` wrote: tensors (on the CPU) and numbers.

    Raises
    ------
    InputError
        If the file belongs to another run, or is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            found, numbers = json.loads(metadata["identity"]), json.loads(metadata["numbers"])
            differs = sorted(name for name in {*found, *identity} if found.get(name) != _plain(identity).get(name))
            if differs:
                name = differs[0]
                was, now = (json.dumps(each.get(name), sort_keys=True) for each in (found, _plain(identity)))
                expected = f"a checkpoint of this run (its {name} is {was:.80}, here it is {now:.80}); delete it"
                raise InputError("checkpoint", str(path), expected)
            return {name: file.get_tensor(name) for name in file.keys()}, numbers  # noqa: SIM118  # no mapping
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise InputError("checkpoint", str(path), f"a file that a training run wrote ({error})") from error


def training_state(model: nn.Module, optimiser: Optimizer) -> dict[str, Tensor]:
    """Name every tensor of a model and an optimiser."""
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        state |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
    return state


def restore(model: nn.Module, optimiser: Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take back what `training_state` returned."""
    restore_model(model, state)
    values: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            values.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": values})


def restore_model(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take back the model alone."""
    prefix = "model."
    model.load_state_dict({name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)})


def _text(identity: Identity) -> str:
    return json.dumps(identity, sort_keys=True)


def _plain(identity: Identity) -> dict[str, Any]:
    """As it reads back: tuples become lists."""
    plain: dict[str, Any] = json.loads(_text(identity))
    return plain
