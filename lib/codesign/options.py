"""What commands share: reading what was typed, and showing rows as a table or as JSON.

What needs more than the standard library is imported when it is called, as in `codesign.cli`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codesign import machine
from codesign.errors import InputError
from codesign.study import places


def pairs(typed: Sequence[str]) -> dict[str, Any]:
    """Read parameters typed as NAME=VALUE."""
    from codesign.study.parameters import parse

    values = {}
    for pair in typed:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError("-p", pair, "NAME=VALUE", f"{name}=...")
        values[name] = parse(name, text)
    return values


def request(options: argparse.Namespace, blocks: str | None, **others: Any) -> Any:
    """Read what `bench` and `compile` share."""
    from codesign.study.asked import Request
    from codesign.study.parameters import check, parse

    names = ("scope", "pruner", "batch", "seq", "threads", "isa")
    texts = {name: text for name in names if (text := getattr(options, name)) is not None}
    given: dict[str, Any] = {name: check(name, parse(name, text)) for name, text in texts.items()}
    if blocks is not None:
        given["blocks"] = tuple(blocks.split(","))
    if options.prune is not None:
        if blocks is not None:
            raise InputError("blocks", blocks, "none with --prune, which names the shapes itself")
        given["blocks"], given["sparsity"] = pruning(options.prune)
    trials = check("trials_per_task", parse("trials_per_task", options.trials))
    request = Request(model=options.model, trials_per_task=trials, encoder_only=options.encoder_only, **given, **others)
    machine.cpus(request.threads)  # refuses more than there are
    return request


def pruning(text: str) -> tuple[tuple[str, ...], float]:
    """Read what ``--prune`` was given: ``4x1,32x1@0.8`` is these block shapes, each with this share of blocks removed.

    Raises
    ------
    InputError
        With the nearest that is right: a shape or a share that is wrong or missing is replaced.
    """
    from codesign.study.parameters import parse

    shapes, at, share = text.partition("@")
    if not at and re.fullmatch(r"[0-9.]+", text):  # the share alone
        shapes, share = "", text
    near = ",".join(dict.fromkeys(_nearest("block", each, "4x1") for each in shapes.split(",")))
    near += f"@{_nearest('sparsity', share, '0.8')}"
    if near != text:
        raise InputError("prune", text, "SHAPES@SPARSITY, as in 4x1@0.8 or 4x1,32x1@0.8, the sparsity below 1", near)
    return tuple(shapes.split(",")), float(parse("sparsity", share))


def _nearest(name: str, text: str, otherwise: str) -> str:
    """Return a value as it was typed, if it is right; or else the nearest, a percentage as a share."""
    from codesign.study.parameters import check, parse

    try:
        value = parse(name, text)
        check(name, value / 100 if type(value) in (int, float) and 2 <= value <= 100 else value)
    except InputError as error:
        return str(otherwise if error.nearest is None else error.nearest)
    return text if type(value) is str or value <= 1 else f"{value / 100:g}"


def check_json(name: str | None) -> None:
    """Refuse a file that cannot be written, before the work that would fill it."""
    if name is None or name == "-":
        return
    path = Path(name)
    if not name or path.is_dir() or not path.resolve().parent.is_dir():
        raise InputError("json", name, "a file in a folder that exists, or -")
    if not os.access(path.resolve().parent, os.W_OK):
        raise InputError("json", name, "a file in a folder that may be written to, or -")


def show(name: str | None, table: Table, document: Any) -> None:
    """Print a table, and write the same as JSON where that was asked for; to standard output it comes instead."""
    if name != "-":
        Console().print(table)
    if name is not None:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        sys.stdout.write(text) if name == "-" else places.write(Path(name), text)
