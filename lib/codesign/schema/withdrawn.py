"""Records that count no more: what was measured turned out not to be what they say. Their lines stay in the files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_withdrawn(record: Mapping[str, Any]) -> str | None:
    """Say why no comparison may use a record, or None.

    ``torch-compile`` was to run with frozen weights. Until its settings say ``frozen``, it asked for that in a way that
    PyTorch ignores, and was slower than the engine that the book describes.
    """
    if record["kind"] != "latency" or record["engine"] != "torch-compile" or record["status"] != "ok":
        return None
    return None if record["settings"].get("frozen") else "its weights were not frozen, so no comparison uses its time"
