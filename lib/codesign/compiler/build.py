"""Build a lowered model with its tuning records, and save it as one directory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from codesign.compiler.database import RECORDS, WORKLOADS, open_database
from codesign.compiler.expand import chosen, default, expand
from codesign.compiler.lower import Lowered
from codesign.compiler.operators import operator_of
from codesign.compiler.tasks import check_complete
from codesign.compiler.tvm_compat import relax, tirx, tvm
from codesign.runtime import FORMAT, LIBRARY, MANIFEST, PARAMS

Manifest = dict[str, Any]


def build(lowered: Lowered, database: Path | None, out: Path) -> Manifest:
    """Compile and save an artefact that `codesign.runtime` loads.

    Parameters
    ----------
    lowered
        From `codesign.compiler.lower_encoder`.
    database
        Directory of the tuning database. None builds untuned: our operators with their defaults, TVM's as they come.
    out
        Directory to make; replaced whole if it exists, and only once the new one is complete.

    Returns
    -------
    dict
        The manifest, as saved.

    Raises
    ------
    codesign.compiler.MissingTask
        If the database lacks a task of this model.
    """
    module = lowered.module
    spec = lowered.spec
    if database is not None:
        opened = open_database(database, spec)
        check_complete(lowered, opened, str(database))
        with spec.target, opened:
            module = relax.transform.MetaScheduleApplyDatabase(enable_warning=True)(module)
    decisions = _decisions(module, lowered)
    module = expand(module, spec)
    params = lowered.params
    if lowered.pipeline == "stock":
        module, params = _prepacked(module, lowered)
    with spec.target:
        executable = tvm.compile(module, target=spec.target)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        work = Path(scratch)
        executable.export_library(str(work / LIBRARY))
        np.savez(work / PARAMS, allow_pickle=False, **{f"p{i}": array for i, array in enumerate(params.values())})
        manifest: Manifest = {
            "format": FORMAT,
            "pipeline": lowered.pipeline,
            "batch": lowered.batch,
            "seq": lowered.seq,
            "vocabulary": lowered.vocabulary,
            "target": spec.fields(),
            "params": list(params),
            "bsr_linears": lowered.bsr_linears,
            "dense_linears": lowered.dense_linears,
            "functions": sum(isinstance(f, tirx.PrimFunc) for _, f in lowered.module.functions_items()),
            "decisions": decisions,
            "database": None if database is None else _digest([database / WORKLOADS, database / RECORDS]),
            "library_sha256": _digest([work / LIBRARY]),
            "params_sha256": _digest([work / PARAMS]),
            "tvm": tvm.__version__,
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1))
        _replace(work, out)
    return manifest


def _decisions(module: tvm.IRModule, lowered: Lowered) -> dict[str, dict[str, Any]]:
    """Which family and decisions each of our functions is built with."""
    rows = {}
    for name, function in module.functions_items():
        operator = operator_of(function) if isinstance(function, tirx.PrimFunc) else None
        if operator is not None:
            family, values = chosen(function) or default(operator, lowered.spec)
            rows[name.name_hint] = {"operator": json.loads(operator.attributes()), "family": family.name, **values}
    return rows


def _prepacked(module: tvm.IRModule, lowered: Lowered) -> tuple[tvm.IRModule, dict[str, np.ndarray]]:
    """Run everything that depends on weights alone now: transposes and the layouts the tuner chose."""
    passes = [relax.transform.SplitLayoutRewritePreproc(), relax.transform.LiftTransformParams()]
    with lowered.spec.target:
        module = tvm.transform.Sequential([*passes, relax.transform.FoldConstant()])(module)
        machine = relax.VirtualMachine(tvm.compile(module, target=lowered.spec.target), tvm.cpu())
    packed = machine["main_transform_params"]([tvm.runtime.tensor(array) for array in lowered.params.values()])
    del module["main_transform_params"]
    return module, {f"packed{index}": tensor.numpy() for index, tensor in enumerate(packed)}


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    return digest.hexdigest()


def _replace(work: Path, out: Path) -> None:
    """Put a finished directory where a finished one belongs."""
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(work, fresh, copy_function=os.link)
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
