"""What a run leaves: one file, written whole or not at all, and read without running anything that it contains."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from codesign.errors import InputError

Identity = Mapping[str, object]


def write(path: Path, identity: Identity, **content: object) -> None:
    """Write tensors and plain values; a file that was there before stays until this is complete.

    Parameters
    ----------
    path
        Its folder is made.
    identity
        What decides the run's result: plain values by name.
    content
        Tensors, numbers, and lists and dictionaries of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save({"identity": dict(identity), **content}, work)
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def read(path: Path, identity: Identity, device: torch.device) -> dict[str, Any]:
    """Read back what `write` wrote, onto a device.

    Raises
    ------
    InputError
        If the file belongs to another run, or is no such file.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        found = content.pop("identity")
    except Exception as error:  # whatever PyTorch says about a file that is torn or not ours
        raise InputError("checkpoint", str(path), f"a file that a training run wrote ({error})") from error
    for name in sorted({*found, *identity}):
        was, now = found.get(name), identity.get(name)
        if was != now:
            expected = f"a checkpoint of this run (its {name} is {was!r:.80}, here it is {now!r:.80}); delete it"
            raise InputError("checkpoint", str(path), expected)
    return content
