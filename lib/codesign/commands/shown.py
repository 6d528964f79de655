"""Rows for a reader and for programs: a table in the terminal, JSON in a file or instead of the table."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codesign.errors import InputError
from codesign.study import places


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
