"""What compiler tests share: this machine as a target, and a way to run one function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.blocks import BlockShape
from codesign.compiler import TargetSpec, target_spec
from codesign.compiler.tvm_compat import tirx, tvm


@pytest.fixture(scope="session")
def spec() -> TargetSpec:
    return target_spec(threads=2)


@pytest.fixture(scope="session")
def wide() -> TargetSpec:
    """AVX-512, on any machine: for what is compiled or looked at, and not run."""
    return TargetSpec("x86-64-v4", 16, 32, 2)


def run(function: tirx.PrimFunc, inputs: list[np.ndarray], shape: tuple[int, ...], spec: TargetSpec) -> np.ndarray:
    """Compile and call ``function``; the output starts as NaN, so that nothing unwritten passes."""
    out = tvm.runtime.tensor(np.full(shape, np.nan, np.float32))
    executable = tvm.compile(tvm.IRModule({"main": function}), target=spec.target)
    executable["main"](*[tvm.runtime.tensor(array) for array in inputs], out)
    return out.numpy()


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
