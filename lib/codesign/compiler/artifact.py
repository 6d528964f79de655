"""What `codesign compile` leaves behind: one directory that a machine without torch can run.

======================  ===============================================================================================
``manifest.json``       everything below, and what the model is; see the keys
``lib.so``              machine code, for one instruction set, input shape and number of threads
``params.safetensors``  weights as the kernels read them: plain arrays, no code; the file can be mapped into memory
``tuning/``             the tuning records that were used, itself a database that `codesign.compiler.build` takes;
                        absent if nothing was tuned
======================  ===============================================================================================

Keys of the manifest:

=================  ====================================================================================================
``format``         version of this layout, `codesign.runtime.FORMAT`
``inputs``         names of the inputs in the order of ``main``; ``token_type_ids`` where the model has segments
``batch, seq``     their shape, int64 [batch, seq]; ``vocabulary`` bounds the token ids, ``types`` the segments
``left_out``       the head that ``--encoder-only`` left out, its class and its tensors; empty if there was none
``pipeline``       ``codesign`` (our operators) or ``stock`` (TVM as it comes)
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
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from codesign import folders
from codesign.errors import InputError
from codesign.runtime import MANIFEST

#: Folder of the tuning records that an artefact was built with.
TUNING = "tuning"


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """Give a directory to fill, as `codesign.folders.appearing`, if no other thing than an artefact would be lost.

    Raises
    ------
    InputError
        If ``out`` is something else than an artefact: it would be lost.
    """
    refuse_other(out)
    with folders.appearing(out) as work:
        yield work
        refuse_other(out)


def refuse_other(out: Path) -> None:
    """Refuse a place where something lies that is neither empty nor an artefact, or where nothing can be put.

    Raises
    ------
    InputError
    """
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
    """Copy a complete artefact to another place, replacing the artefact there.

    Raises
    ------
    InputError
        As `appearing`.
    """
    if source.resolve() != out.resolve():
        with appearing(out) as work:
            shutil.copytree(source, work, dirs_exist_ok=True)


def digest_of_files(paths: Sequence[Path]) -> str:
    """SHA-256 of the contents of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    return digest.hexdigest()


def digest_of_weights(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values, whatever the order of the arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
