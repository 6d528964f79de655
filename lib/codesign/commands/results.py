"""Commands on what was measured: verdicts, and the figure of the README; rows for a reader and for programs."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codesign.answers import machines
from codesign.answers.effects import effects as registered
from codesign.answers.frames import Frames
from codesign.errors import InputError, one_of
from codesign.records import LOCAL, RESULTS_ROOT
from codesign.study import places


def claims(options: argparse.Namespace) -> None:
    check_json(options.json)
    name = one_of("results", options.results, (places.SHOWN, LOCAL, *places.machines()))
    found = Frames(places.results(name), committed=RESULTS_ROOT).machines
    show(options.json, machines.table(found), machines.documents(found))


def effects(options: argparse.Namespace) -> None:
    shown = Table("effect", "unit", "what it is", show_lines=True)
    for each in registered().values():
        first, _, _ = (inspect.getdoc(each.function) or "").removeprefix("Effect: ").partition("\n\n")
        shown.add_row(each.usage, each.unit, " ".join(first.split()))
    Console().print(shown)


def headline(options: argparse.Namespace) -> None:
    from codesign.plot import latency_bars  # with matplotlib, which verdicts do not need

    drawing = latency_bars(Frames(places.results(places.SHOWN)).at("latency"))
    for path in drawing.save(places.BOOK / "_static" / "headline"):
        print(path)


def check_json(name: str | None) -> None:
    """Refuse a file that cannot be written, before the work that would fill it."""
    if name is None or name == "-":
        return
    path = Path(name).resolve()
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError("json", name, "a file in a folder that exists and may be written to, or -")


def show(name: str | None, table: Table, document: Any) -> None:
    """Print a table, and write the same as JSON where that was asked for; to standard output it comes instead."""
    if name != "-":
        Console().print(table)
    if name is not None:
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"
        sys.stdout.write(text) if name == "-" else places.write(Path(name), text)
