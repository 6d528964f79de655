"""What compiler tests share: targets, one pruned encoder at each step, and ways to run a function or an artefact."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.compiler import Lowered, TargetSpec, build, lower_encoder, target_spec
from codesign.compiler.operators import Operator
from codesign.compiler.schedules import applicable
from codesign.compiler.tvm_compat import tirx, tvm
from codesign.compiler.workers import Workshop

#: Runs artefacts where nothing but numpy and TVM can be imported; says what of the package that took, or what is wrong.
ALONE = """
import sys
for name in ("torch", "transformers", "xgboost", "openvino", "scipy", "pandas", "matplotlib", "rich", "jsonschema"):
    sys.modules[name] = None
import numpy as np
from codesign.runtime import ArtifactError, load
for line in sys.stdin:
    artifact, inputs, out = line.rstrip().split("|")
    try:
        np.save(out, load(artifact)(**np.load(inputs)))
        print("done", *sorted(name for name in sys.modules if name.startswith("codesign")), flush=True)
    except ArtifactError as error:
        print(error, flush=True)
"""


@pytest.fixture(scope="session")
def spec() -> TargetSpec:
    return target_spec(threads=2)


@pytest.fixture(scope="session")
def wide() -> TargetSpec:
    """AVX-512, on any machine: for what is compiled or looked at, and not run."""
    return TargetSpec("x86-64-v4", 16, 32, 2)


@pytest.fixture(scope="session", autouse=True)
def shops() -> Iterator[None]:
    """Give every tuning run and bench of these tests the same worker processes, which take seconds to start."""
    with Workshop(target_spec(threads=1)), Workshop(target_spec(threads=2)):
        yield


def run(function: tirx.PrimFunc, inputs: list[np.ndarray], shape: tuple[int, ...], spec: TargetSpec) -> np.ndarray:
    """Compile and call ``function``; the output starts as NaN, so that nothing unwritten passes."""
    return call(tvm.compile(tvm.IRModule({"main": function}), target=spec.target)["main"], inputs, shape)


def call(
    kernel: Callable[..., object], inputs: list[np.ndarray], shape: tuple[int, ...], dtype: str = "float32"
) -> np.ndarray:
    """Call a kernel, whose output starts as NaN, or as the least whole number."""
    out = tvm.runtime.tensor(np.full(shape, np.nan if dtype == "float32" else np.iinfo(dtype).min, dtype))
    kernel(*[tvm.runtime.tensor(array) for array in inputs], out)
    return out.numpy()


def kernels(operator: Operator, spec: TargetSpec, every: int = 1) -> dict[str, Callable[..., object]]:
    """Compile one in ``every`` points of every family that can, together: what it is -> the kernel."""
    points = {
        f"{family.name} {decisions}": family.generate(operator, spec, decisions)
        for _, family in applicable(operator, spec)
        for decisions in family.points(operator, spec)[::every]
    }
    functions = {f"p{i}": f.with_attr("global_symbol", f"p{i}") for i, f in enumerate(points.values())}
    module = tvm.compile(tvm.IRModule(functions), target=spec.target)
    return {what: module[name] for what, name in zip(points, functions, strict=True)}


class Alone:
    """A process of its own that runs artefacts: loading one pins the thread that loads."""

    def __init__(self, folder: Path) -> None:
        self.inputs, self.out, self.says = folder / "inputs.npz", folder / "out.npy", ""
        command = [sys.executable, "-c", ALONE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, artifact: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
        assert self.process.stdin
        assert self.process.stdout
        np.savez(self.inputs, **inputs)
        print(artifact, self.inputs, self.out, sep="|", file=self.process.stdin, flush=True)
        self.says = self.process.stdout.readline().strip()
        assert self.says.startswith("done"), self.says
        return np.load(self.out)


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone(tmp_path_factory.mktemp("alone"))
    with alone.process:
        yield alone
        alone.process.kill()


@pytest.fixture(scope="session")
def pruned_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bert-tiny with all linears 80% sparse in 4x1 blocks."""
    from codesign.encoder import load_encoder, save_checkpoint
    from codesign.prune import prune_model

    model = load_encoder("bert-tiny", seed=1)
    prune_model(model, scope="all", pruner="magnitude", block=BlockShape(4, 1), sparsity=0.8, seed=0)
    directory = tmp_path_factory.mktemp("models") / "tiny-4x1"
    save_checkpoint(model, directory, {})
    return directory


@pytest.fixture(scope="session")
def lowered(pruned_tiny: Path, spec: TargetSpec) -> Lowered:
    return lower_encoder(pruned_tiny, block=BlockShape(4, 1), batch=1, seq=16, spec=spec)


@pytest.fixture(scope="session")
def dense(pruned_tiny: Path, spec: TargetSpec) -> Lowered:
    """The same with every weight stored whole."""
    return lower_encoder(pruned_tiny, block=None, batch=1, seq=16, spec=spec)


@pytest.fixture(scope="session")
def built(lowered: Lowered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It as an artefact, untuned: not to be changed."""
    out = tmp_path_factory.mktemp("artifacts") / "tiny"
    build(lowered, None, out)
    return out
