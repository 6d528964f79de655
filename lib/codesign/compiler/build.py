"""Build a lowered model with its tuning records, and save it as one directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from codesign import __version__
from codesign.blocks import DENSE
from codesign.compiler.artifact import TUNING, appearing, digest_of_files
from codesign.compiler.database import best_record, open_database
from codesign.compiler.expand import chosen, default, expand
from codesign.compiler.kinds import kinds
from codesign.compiler.lower import Lowered
from codesign.compiler.operators import family_operator_of
from codesign.compiler.tasks import check_complete, extract_tasks
from codesign.compiler.tvm_compat import ms, relax, tirx, tvm
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
        The manifest, as saved; `codesign.compiler.artifact` describes it.

    Raises
    ------
    codesign.compiler.MissingTask
        If the database lacks a task of this model.
    InputError
        If ``out`` is something else than an artefact.
    """
    spec = lowered.spec
    with appearing(out) as work:
        module = lowered.module
        if database is not None:
            opened = open_database(database, spec)
            check_complete(lowered, opened, str(database))
            kept = _keep_records(lowered, opened, work / TUNING)
            with spec.target, kept:
                module = relax.transform.MetaScheduleApplyDatabase(enable_warning=True)(module)
        decisions = _decisions(module, lowered)
        module, params = expand(module, spec), lowered.params
        if lowered.pipeline == "stock":
            module, params = _prepacked(module, lowered)
        with spec.target:
            executable = tvm.compile(module, target=spec.target)
        executable.export_library(str(work / LIBRARY))
        # safetensors writes the memory of an array as it lies, whatever its strides
        save_file({name: np.ascontiguousarray(array) for name, array in params.items()}, work / PARAMS)
        (work / PARAMS).chmod((work / LIBRARY).stat().st_mode & 0o666)  # it was written for its owner alone
        manifest: Manifest = {
            "format": FORMAT,
            "pipeline": lowered.pipeline,
            "batch": lowered.batch,
            "seq": lowered.seq,
            **lowered.about,
            "block": DENSE if lowered.block is None else str(lowered.block),
            "bsr_linears": lowered.bsr_linears,
            "dense_linears": lowered.dense_linears,
            "target": spec.fields(),
            "requires": spec.requires(),
            "params": list(params),
            "functions": kinds(module),
            "decisions": decisions,
            "sha256": {
                **{name: digest_of_files([work / name]) for name in (LIBRARY, PARAMS)},
                TUNING: digest_of_files(sorted((work / TUNING).iterdir())) if database is not None else None,
                "weights": lowered.weights,
            },
            "versions": {"codesign": __version__, "tvm": tvm.__version__},
        }
        (work / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _keep_records(lowered: Lowered, opened: ms.Database, folder: Path) -> ms.Database:
    """Copy the best record of every task of the model into a database of its own, which has nothing else to choose."""
    kept = open_database(folder, lowered.spec, create=True)
    for task in extract_tasks([lowered]):
        best = best_record(opened, task.module)
        assert best is not None, "the database was checked to be complete"
        workload = kept.commit_workload(task.module)
        kept.commit_tuning_record(
            ms.database.TuningRecord(best.trace, workload, best.run_secs, best.target, best.args_info)
        )
    return kept


def _decisions(module: tvm.IRModule, lowered: Lowered) -> dict[str, dict[str, Any]]:
    """Which family and decisions each of our functions is built with."""
    rows = {}
    for name, function in module.functions_items():
        operator = family_operator_of(function) if isinstance(function, tirx.PrimFunc) else None
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
