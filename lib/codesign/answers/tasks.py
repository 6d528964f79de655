"""What `task` records say of compiled encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codesign.schema import Record
from codesign.study.evidence import key_of


def count_tasks(tasks: Sequence[Record]) -> list[dict[str, Any]]:
    """Count the tasks of each compiled encoder: ``tasks``, ``sparse`` ones, and the places that use these.

    ``block`` is the shape that the encoder is stored in, whatever the one it was pruned in.
    """
    encoders: dict[tuple[str, ...], list[Record]] = {}
    for task in tasks:
        encoders.setdefault((task["engine"], task["scope"], key_of(task)[2]), []).append(task)
    return [
        dict(zip(("engine", "scope", "block"), name, strict=True))
        | {
            "tasks": len(found),
            "sparse": sum(task["family_kind"] == "bsr" for task in found),
            "sparse_uses": sum(task["weight"] for task in found if task["family_kind"] == "bsr"),
        }
        for name, found in encoders.items()
    ]
