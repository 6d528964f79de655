"""`codesign compile`: one encoder, ready to be taken elsewhere, from somebody's weights to a directory."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codesign.blocks import DENSE
from codesign.commands.asked import Request, plan, typed
from codesign.compiler.artifact import install, refuse_other
from codesign.errors import InputError
from codesign.measure.entrant import WRONG_ABOVE
from codesign.records import Record
from codesign.runtime import LIBRARY, MANIFEST, PARAMS, ArtifactError
from codesign.study.artefacts import artifact, ensure_built
from codesign.study.chain import Study, open_study
from codesign.study.places import COMPILE
from codesign.study.points import Case
from codesign.study.pruned import ensure_pruned
from codesign.study.tuning import ensure_tuned


def main(options: argparse.Namespace) -> None:
    if options.block == DENSE and options.prune is not None:
        raise InputError("prune", options.prune, f"none with block={DENSE}, which leaves every weight")
    asked = typed(options, blocks=None if options.block == DENSE else options.block)
    if options.out is not None:
        refuse_other(options.out)  # before looking at the model, which takes seconds
    case = case_of(asked, options.block)
    study = open_study("local", COMPILE, encoder_only=asked.encoder_only)
    directory, record = package(study, case, asked.trials_per_task, options.out)
    manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    Console().print(table(directory, manifest, record))
    print(f"{directory}\n{example(directory, manifest)}")


def case_of(request: Request, block: str | None) -> Case:
    """Say what is compiled: the one point of a request, dense where ``block`` says so or nothing is zero.

    Raises
    ------
    InputError
        As `codesign.commands.asked.plan`, and for more than one block shape.
    """
    if request.blocks and request.blocks[1:]:
        name, at = ("blocks", "") if request.sparsity is None else ("prune", f"@{request.sparsity:g}")
        raise InputError(name, ",".join(request.blocks) + at, "one block shape", request.blocks[0] + at)
    (point,) = plan(request).points
    if block == DENSE or point.shape is None:
        return Case("tvm-dense", point.dense, request.isa)
    return Case("tvm-bsr", point, request.isa)


def package(study: Study, case: Case, trials_per_task: int, out: Path | None) -> tuple[Path, Record]:
    """Prune, tune and build what is not there yet, and copy the artefact to ``out`` (None: it stays where it is).

    Returns
    -------
    tuple[Path, Record]
        Where it lies, and its `compile` record.

    Raises
    ------
    ArtifactError
        If the encoder's output is not PyTorch's.
    """
    ensure_pruned(study, [case.point])
    ensure_tuned(study, [case], trials_per_task)
    (record,) = ensure_built(study, [case])
    error, allowed = record["max_abs_err"], WRONG_ABOVE["fp32"]
    directory = artifact(study, case)
    if not error <= allowed:  # NaN is wrong, too
        raise ArtifactError(f"{directory}: off by {error:.3g} from PyTorch, {allowed:g} allowed: not to be used")
    if out is not None:
        install(directory, out)
    return out or directory, record


def example(directory: Path, manifest: dict[str, Any]) -> str:
    """Return a command that loads an artefact and runs it on made-up tokens."""
    code = (
        "import numpy; from codesign.runtime import load; "
        f"ids = numpy.ones(({manifest['batch']}, {manifest['seq']}), numpy.int64); "
        f"print(load({json.dumps(str(directory))})(ids, ids).shape)"
    )
    return f"python -c {shlex.quote(code)}"


def table(directory: Path, manifest: dict[str, Any], record: Record) -> Table:
    """Lay out what was made for a terminal."""
    target = manifest["target"]
    pruned = f"{record['scope']} weights {record['sparsity']:.0%} pruned ({record['pruner']}), in {manifest['block']}"
    linears = f"{manifest['bsr_linears']} sparse linears, {manifest['dense_linears']} dense"
    sizes = {name: (directory / name).stat().st_size / 2**20 for name in (LIBRARY, PARAMS)}
    rows = {
        "model": record["model"],
        "weights": f"{pruned if record['block'] != DENSE else 'dense'}: {linears}",
        "input": f"batch {record['batch']}, {record['seq']} tokens",
        "target": f"{' '.join((target['mcpu'], *target['mattr']))}, {record['threads']} threads",
        "size": ", ".join(f"{name} {mib:.1f} MiB" for name, mib in sizes.items()),
        "error": f"{record['max_abs_err']:.0e} against PyTorch",
    }
    if manifest["left_out"]:
        rows["left out"] = ", ".join(manifest["left_out"]) + ": what comes out is the last hidden state"
    shown = Table(show_header=False)
    for row in rows.items():
        shown.add_row(*row)
    return shown
