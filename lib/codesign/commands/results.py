"""Commands on what was measured: verdicts, and the figure of the README; rows for a reader and for programs."""

from __future__ import annotations

import argparse
import gc
import inspect
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codesign import machine
from codesign.answers import machines
from codesign.answers.claims import CHECKS
from codesign.answers.claims import claims as known
from codesign.answers.effects import effects as registered
from codesign.answers.frames import TRAVELS, Frames
from codesign.errors import InputError, MissingRecord, one_of
from codesign.folders import appearing
from codesign.records import KINDS, LOCAL, REPOSITORY, RESULTS_ROOT, Results
from codesign.study import places


def claims(options: argparse.Namespace) -> None:
    check_json(options.json)
    gc.disable()  # every record lives until the end: looking again and again for what is left over takes a second
    name = one_of("results", options.results, (places.SHOWN, LOCAL, *places.machines()))
    found = Frames(places.results(name), committed=RESULTS_ROOT).machines
    only = one_of("claim", options.only, known()) if options.only else None
    show(options.json, machines.table(found, only), machines.documents(found, only))


def add_machine(options: argparse.Namespace) -> None:
    """Copy what one profile measured here into a folder of its own below ``book/results``, to be committed."""
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", options.folder):
        raise InputError("folder", options.folder, "generation and instruction set in lower case, as zen4-avx512")
    profile, local, here = one_of("profile", options.profile, CHECKS), places.results(LOCAL), machine.describe()
    wanted = {"machine_id": here.machine_id, "profile": profile}
    read = {name: local.read(name, **wanted, measurement=kind.measurement_version) for name, kind in KINDS.items()}
    if not read["latency"]:
        raise MissingRecord("latency", wanted, CHECKS[profile])
    about = {"name": options.name} | ({"hides": options.hides} if options.hides else {})
    read["machine"] = [local.one("machine", machine_id=here.machine_id) | about]
    target = RESULTS_ROOT / options.folder
    if (
        target.exists()
        and (known := Results(options.folder).read("machine"))
        and known[0]["machine_id"] != here.machine_id
    ):
        raise InputError("folder", options.folder, f"one that is not another machine's ({known[0]['name']})")
    for name in TRAVELS:  # of models that another profile trained
        read[name] = read[name] or Results(options.folder).read(name)
    with appearing(target) as work:
        for record in (record for records in read.values() for record in records):
            Results(work.name, work.parent).append(record)
        shutil.copytree(local.directory / "tuning", work / "tuning")
        shutil.copy(places.PROFILES / f"{profile}.yaml", work / places.PARAMETERS)
    print(
        f"{target.relative_to(REPOSITORY)}: look at it with make book RESULTS={options.folder}, then commit the folder"
    )


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
