"""What `codesign compile` leaves behind: one directory that a machine without torch can run.

======================  ===============================================================================================
``manifest.json``       everything below, and what the model is; see the keys
``lib.so``              machine code, for one instruction set, input shape and number of threads
``params.safetensors``  weights as the kernels read them: plain arrays, no code; the file can be mapped into memory
``tuning/``             the tuning records that were used, itself a database that `build` takes;
                        absent if nothing was tuned
======================  ===============================================================================================

Keys of the manifest:

=================  ====================================================================================================
``format``         version of this layout, `codesign.runtime.FORMAT`
``inputs``         names of the inputs in the order of ``main``; ``token_type_ids`` where the model has segments
``batch, seq``     their shape, int64 [batch, seq]; ``vocabulary`` bounds the token ids, ``types`` the segments
``left_out``       the head that ``--encoder-only`` left out, its class and its tensors; empty if there was none
``pipeline``       ``codesign`` (our operators) or ``stock`` (TVM as it comes)
``computes_in``    number format of the linears: ``fp32`` or ``int8``
``block``          block shape in which sparse weights are stored, or ``dense``
``bsr_linears``    how many linears are stored so; ``dense_linears``, how many whole
``target``         LLVM's name of the CPU, float32 lanes, vector registers, threads
``requires``       instruction sets that the code may use, by the names in ``/proc/cpuinfo``
``params``         names in ``params.safetensors``, in the order in which ``main`` takes them
``functions``      every kernel and its kind: ``sparse linear``, ``attention``, ...
``decisions``      for each of our operators: its sizes, schedule family and decisions
``sha256``         digests of the files, of the tuning records (``tuning``; null if untuned), and of the model's weights
                   before they were packed (``weights``), which is the same for every target and block shape
``versions``       of this package and of TVM
=================  ====================================================================================================

A directory appears complete or not at all: it is written beside its place and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from codesign import __version__, folders
from codesign.blocks import DENSE
from codesign.compiler.database import best_record, open_database
from codesign.compiler.lower import Lowered
from codesign.compiler.space import chosen, expand, ours
from codesign.compiler.tasks import extract_tasks, kinds
from codesign.compiler.tvm_compat import ms, relax, tvm
from codesign.errors import InputError, MissingTask
from codesign.runtime import FORMAT, LIBRARY, MANIFEST, PARAMS

#: Folder of the tuning records that an artefact was built with.
TUNING = "tuning"


def build(lowered: Lowered, database: Path | None, out: Path) -> dict[str, Any]:
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
    MissingTask
        If the database lacks a task of this model.
    InputError
        If ``out`` is something else than an artefact.
    """
    spec = lowered.spec
    refuse_other(out)
    with folders.appearing(out) as work:
        module = lowered.module
        if database is not None:
            kept = _keep_records(lowered, database, work / TUNING)
            with spec.target, kept:
                module = relax.transform.MetaScheduleApplyDatabase(enable_warning=True)(module)
        decisions = {}
        for name, function, operator in ours(module):
            family, values = chosen(operator, function, spec)
            sizes = json.loads(operator.attributes())
            decisions[name.name_hint] = {"operator": sizes, "family": family.name, **values}
        module, params = expand(module, spec), lowered.params
        if lowered.pipeline == "stock":
            module, params = _prepacked(module, lowered)
        with spec.target:
            executable = tvm.compile(module, target=spec.target)
        executable.export_library(str(work / LIBRARY))
        # safetensors writes the memory of an array as it lies, whatever its strides
        save_file({name: np.ascontiguousarray(array) for name, array in params.items()}, work / PARAMS)
        (work / PARAMS).chmod((work / LIBRARY).stat().st_mode & 0o666)  # it was written for its owner alone
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "pipeline": lowered.pipeline,
            "computes_in": lowered.format,
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


def _keep_records(lowered: Lowered, database: Path, folder: Path) -> ms.Database:
    """Copy the best record of every task of the model into a database of its own, which has nothing else to choose.

    A task that is missing is an error: an untuned fallback would pass for a tuned result.
    """
    opened = open_database(database, lowered.spec)
    kept = open_database(folder, lowered.spec, create=True)
    for task in extract_tasks([lowered]):
        best = best_record(opened, task.module)
        if best is None:
            raise MissingTask(f"task {task.name} ({task.digest}) is not in {database}: tune it with notebook 03_tune")
        workload = kept.commit_workload(task.module)
        copy = ms.database.TuningRecord(best.trace, workload, best.run_secs, best.target, best.args_info)
        kept.commit_tuning_record(copy)
    return kept


def _prepacked(module: tvm.IRModule, lowered: Lowered) -> tuple[tvm.IRModule, dict[str, np.ndarray]]:
    """Run everything that depends on weights alone now: transposes and the layouts the tuner chose."""
    passes = [relax.transform.SplitLayoutRewritePreproc(), relax.transform.LiftTransformParams()]
    with lowered.spec.target:
        module = tvm.transform.Sequential([*passes, relax.transform.FoldConstant()])(module)
        machine = relax.VirtualMachine(tvm.compile(module, target=lowered.spec.target), tvm.cpu())
    packed = machine["main_transform_params"]([tvm.runtime.tensor(array) for array in lowered.params.values()])
    del module["main_transform_params"]
    return module, {f"packed{index}": tensor.numpy() for index, tensor in enumerate(packed)}


def refuse_other(out: Path) -> None:
    """Refuse, by an InputError, a place where something else than an artefact lies or where nothing can be put."""
    try:
        if out.is_symlink() or (out.exists() and not out.is_dir()):
            raise InputError("out", str(out), "a directory")
        if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
            raise InputError("out", str(out), "a new or empty directory, or an artefact to replace", out / "artifact")
        above = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise InputError("out", str(out), f"a directory that can be made ({error.strerror})") from None
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise InputError("out", str(out), f"a directory that can be made, and {above} is not a folder to write to")


def install(source: Path, out: Path) -> None:
    """Copy a complete artefact to another place, replacing the artefact there, and nothing else."""
    if source.resolve() != out.resolve():
        refuse_other(out)
        with folders.appearing(out) as work:
            shutil.copytree(source, work, dirs_exist_ok=True)


def digest_of_files(paths: Sequence[Path]) -> str:
    """SHA-256 of the contents of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
