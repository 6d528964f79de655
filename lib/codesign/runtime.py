"""Run a compiled encoder. Needs numpy, safetensors and TVM's runtime: no torch, no transformers, no compiler.

Example
-------
::

    encoder = load("build/artifacts/my-model")
    hidden = encoder(input_ids, attention_mask, token_type_ids)

An artefact may be called from any thread, and calls wait for their turn: several callers get the same answers as one,
no faster. Who wants more at once starts more processes, and each takes cores that no other has taken, as long as there
are any.

Loading an artefact runs the machine code in it: load only what you or somebody you trust has built. Digests find
damage and mix-ups; they are no signature. The directory is described in `codesign.compiler.artifact`.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from codesign.cores import SPINS, Crew
from codesign.isa import cpu_flags

#: Version of the directory layout.
FORMAT = 3
#: Files of an artefact.
MANIFEST, LIBRARY, PARAMS = "manifest.json", "lib.so", "params.safetensors"

#: What the manifest must say for an artefact to be loaded: positive counts, lists of names, and the others.
_COUNTS = ("batch", "seq", "vocabulary", "types")
_LISTS, _TABLES = ("inputs", "requires", "params"), ("target", "sha256")


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
    """A loaded artefact: token ids, mask and segments in, last hidden state out. Safe to call from several threads."""

    def __init__(self, manifest: dict[str, Any], crew: Crew, machine: Any, params: list[Any], tensor: Any) -> None:
        self.manifest = manifest
        self._crew, self._machine, self._params, self._tensor = crew, machine, params, tensor
        self._function = machine["main"]

    def __call__(
        self, input_ids: np.ndarray, attention_mask: np.ndarray, token_type_ids: np.ndarray | None = None
    ) -> np.ndarray:
        """Encode one batch.

        Parameters
        ----------
        input_ids, attention_mask
            int64 [batch, seq] of the compiled shape; ids below the vocabulary size, mask 1 for real tokens.
        token_type_ids
            Segment of each token, of the same shape. None is segment 0 for all of them, as in transformers: right for
            single texts, wrong for pairs.

        Returns
        -------
        np.ndarray
            float32 [batch, seq, hidden].

        Raises
        ------
        ArtifactError
            If an input has another shape or type than the compiled one, or a value outside of what the model knows: a
            model without segments knows segment 0 alone.
        """
        manifest = self.manifest
        shape = (manifest["batch"], manifest["seq"])
        segments = np.zeros(shape, np.int64) if token_type_ids is None else token_type_ids
        given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": segments}
        limits = {"input_ids": manifest["vocabulary"], "attention_mask": 2, "token_type_ids": manifest["types"]}
        for name, array in given.items():
            if array.shape != shape or array.dtype != np.int64:
                raise ArtifactError(f"{name} is {array.dtype}{list(array.shape)}: compiled for int64{list(shape)}")
            if array.min() < 0 or array.max() >= limits[name]:  # the compiled gather does not check
                raise ArtifactError(f"{name} must lie in 0..{limits[name] - 1}")
        return self._crew.run(self._run, *(given[name] for name in manifest["inputs"]))

    def _run(self, *arrays: np.ndarray) -> np.ndarray:
        inputs = [self._tensor(np.ascontiguousarray(array)) for array in arrays]
        with self._crew.turn():
            return self._function(*inputs, *self._params).numpy()

    def profile(self, inputs: Mapping[str, np.ndarray], runs: int) -> list[dict[str, list[int]]]:
        """Time every function that an inference calls.

        The clock is read right before and right after each call. A time includes a few microseconds of the
        interpreter's own, as calling an empty function shows; what happens between calls is not counted.

        Parameters
        ----------
        inputs
            By name, as for a call.
        runs
            Inferences.

        Returns
        -------
        list[dict[str, list[int]]]
            For each run: function -> nanoseconds of each of its calls, in order.
        """
        return self._crew.run(self._profile, [inputs[name] for name in self.manifest["inputs"]], runs)

    def _profile(self, arrays: list[np.ndarray], runs: int) -> list[dict[str, list[int]]]:
        times: dict[str, list[int]] = {}
        started = 0

        def instrument(function: Any, symbol: str, before: bool, result: Any, *arguments: Any) -> int:
            nonlocal started
            if not before:
                times.setdefault(symbol, []).append(time.perf_counter_ns() - started)
            started = time.perf_counter_ns()
            return 0  # go on and run the function

        found = []
        self._machine.set_instrument(instrument)
        try:
            for _ in range(runs):
                self._run(*arrays)
                found.append(dict(times))
                times.clear()
        finally:
            self._machine.set_instrument(lambda *_: 0)
        return found


def load(directory: str | Path, threads: int | None = None) -> Encoder:
    """Load an artefact.

    The thread that loads first calls fastest; calls of others are handed to one more thread (`codesign.cores.Crew`).
    While it runs an encoder of several threads, a thread stays on one core. Load after forking, not before.

    Parameters
    ----------
    directory
        Made by `codesign compile` or `codesign.compiler.build`.
    threads
        Must be what the artefact was compiled for, which is the default.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged, foreign or of another version, this CPU lacks an instruction set that the code
        uses, or ``threads`` differs.
    """
    directory = Path(directory)
    manifest = _manifest(directory)
    compiled = manifest["target"]["threads"]
    if threads not in (None, compiled):
        raise ArtifactError(f"threads={threads}: {directory} was compiled for {compiled}")
    os.environ.setdefault("TVM_THREAD_POOL_SPIN_COUNT", str(SPINS))
    with without_torch():
        import tvm.runtime  # noqa: F401

    crew = Crew.of(compiled)
    return crew.run(_open, directory, manifest, crew)


def _open(directory: Path, manifest: dict[str, Any], crew: Crew) -> Encoder:
    """Load code and weights."""
    import tvm.runtime
    from tvm.runtime.vm import VirtualMachine

    machine = VirtualMachine(tvm.runtime.load_module(str(directory / LIBRARY)), tvm.runtime.cpu())
    return Encoder(manifest, crew, machine, _params(directory / PARAMS, manifest["params"]), tvm.runtime.tensor)


def _params(path: Path, names: list[str]) -> list[Any]:
    """Copy the arrays out of the mapped file one by one, to the alignment that kernels need."""
    import tvm.runtime
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return [tvm.runtime.tensor(file.get_tensor(name)) for name in names]
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: {error}") from error


def _manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest and check everything that it promises, before any code is loaded."""
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise ArtifactError(f"{path}: format {found!r}, this runtime reads {FORMAT}: compile it again")
    for name in (*_COUNTS, *_LISTS, *_TABLES):
        value: Any = manifest.get(name)
        kind: type[Any] = int if name in _COUNTS else list if name in _LISTS else dict
        right = type(value) is kind and (name not in _COUNTS or value > 0)
        if not right or (name in _LISTS and not all(isinstance(each, str) for each in value)):
            raise ArtifactError(f"{path}: {name} is {value!r}, not the {kind.__name__} it should be")
    if type(manifest["target"].get("threads")) is not int:
        raise ArtifactError(f"{path}: target is {manifest['target']!r}, which names no number of threads")
    lacking = sorted(set(manifest["requires"]) - cpu_flags())
    if lacking:
        target = manifest["target"]
        raise ArtifactError(
            f"{directory}: compiled for {target.get('mcpu')}, and this CPU lacks {', '.join(lacking)}: "
            "compile it for this machine, or with --isa avx2"
        )
    for name in (LIBRARY, PARAMS):
        try:
            with (directory / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ArtifactError(f"{directory / name}: {error}") from error
        if digest != manifest["sha256"].get(name):
            raise ArtifactError(f"{directory / name}: not the file that was built (digest differs), build it again")
    return manifest
