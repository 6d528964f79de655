"""Run a compiled encoder. Needs numpy and TVM's runtime, nothing else: no torch, no transformers, no compiler.

Example
-------
::

    encoder = load("build/artifacts/my-model")
    hidden = encoder(input_ids, attention_mask)

Loading an artefact runs the machine code in it: load only what you or somebody you trust has built.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Version of the directory layout below.
FORMAT = 1
#: Files of an artefact. ``params.npz`` holds plain arrays (no pickles), in the order of the manifest's ``params``.
MANIFEST, LIBRARY, PARAMS = "manifest.json", "lib.so", "params.npz"


class ArtifactError(ValueError):
    """An artefact is incomplete, damaged, or made for something else; the message says which file and why."""


@contextmanager
def without_torch() -> Any:
    """TVM imports torch when it finds it, two seconds that a runtime has no use for."""
    absent = "torch" not in sys.modules
    if absent:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if absent:
            del sys.modules["torch"]


class Encoder:
    """A loaded artefact: token ids and mask in, last hidden state out."""

    def __init__(self, manifest: dict[str, Any], function: Any, params: list[Any], tensor: Any) -> None:
        self.manifest = manifest
        self._function, self._params, self._tensor = function, params, tensor

    def __call__(self, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
        """Encode one batch.

        Parameters
        ----------
        input_ids, attention_mask
            int64 [batch, seq] of the compiled shape; ids below the vocabulary size, mask 1 for real tokens.

        Returns
        -------
        np.ndarray
            float32 [batch, seq, hidden].

        Raises
        ------
        ArtifactError
            If the shape differs from the compiled one, or an id lies outside the vocabulary.
        """
        shape = (self.manifest["batch"], self.manifest["seq"])
        for name, array in (("input_ids", input_ids), ("attention_mask", attention_mask)):
            if array.shape != shape or array.dtype != np.int64:
                raise ArtifactError(f"{name} is {array.dtype}{list(array.shape)}: compiled for int64{list(shape)}")
        # the compiled gather does not check
        if input_ids.min() < 0 or input_ids.max() >= self.manifest["vocabulary"]:
            raise ArtifactError(f"input_ids must lie in 0..{self.manifest['vocabulary'] - 1}")
        inputs = (self._tensor(np.ascontiguousarray(a)) for a in (input_ids, attention_mask))
        return self._function(*inputs, *self._params).numpy()


def load(directory: str | Path, threads: int | None = None) -> Encoder:
    """Load an artefact.

    Pins the calling thread to the first core it may use, and TVM's workers to the others: left alone, TVM puts a
    worker where the main thread already runs in one process of six.

    Parameters
    ----------
    directory
        Made by `codesign.compiler.build`.
    threads
        Must be what the artefact was compiled for, which is the default.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged or of another version, or ``threads`` differs.
    """
    directory = Path(directory)
    manifest = _manifest(directory)
    compiled = manifest["target"]["threads"]
    if threads not in (None, compiled):
        raise ArtifactError(f"threads={threads}: {directory} was compiled for {compiled}")
    cores = sorted(os.sched_getaffinity(0))
    os.environ["TVM_NUM_THREADS"] = str(compiled)
    with without_torch():
        import tvm.runtime
    from tvm.runtime.vm import VirtualMachine

    machine = VirtualMachine(tvm.runtime.load_module(str(directory / LIBRARY)), tvm.runtime.cpu())
    if compiled > 1 and len(cores) >= compiled:
        tvm.get_global_func("runtime.config_threadpool")(1, compiled)
        os.sched_setaffinity(0, {cores[0]})
    try:
        with np.load(directory / PARAMS, allow_pickle=False) as file:
            params = [tvm.runtime.tensor(file[f"p{index}"]) for index in range(len(manifest["params"]))]
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(f"{directory / PARAMS}: {error}") from error
    return Encoder(manifest, machine["main"], params, tvm.runtime.tensor)


def _manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    if manifest.get("format") != FORMAT:
        raise ArtifactError(f"{path}: format {manifest.get('format')!r}, this runtime reads {FORMAT}")
    for name, key in ((LIBRARY, "library_sha256"), (PARAMS, "params_sha256")):
        try:
            with (directory / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{directory / name}: {error}") from error
        if digest != manifest[key]:
            raise ArtifactError(f"{directory / name}: not the file that was built (digest differs), build it again")
    return manifest
