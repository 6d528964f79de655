"""TVM: an encoder that was compiled beforehand, loaded without torch. The engines differ in what was compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from codesign.engines.base import Call, Engine, Job, missing
from codesign.runtime import Encoder, load


@dataclass(frozen=True, eq=False)
class _Loaded:
    """An encoder with its inputs; see `codesign.engines.base.Profiled`."""

    encoder: Encoder
    inputs: dict[str, np.ndarray]

    def __call__(self) -> np.ndarray:
        return self.encoder(**self.inputs)

    def profile(self, runs: int) -> list[dict[str, list[int]]]:
        return self.encoder.profile(self.inputs, runs)


@dataclass
class TVM(Engine):
    name: str

    def unavailable(self) -> str | None:
        return missing("tvm")

    def prepare(self, job: Job) -> Call:
        return _Loaded(load(job.require_artifact(), threads=job.threads), job.load_inputs())

    def settings(self, job: Job) -> dict[str, object]:
        return {"num_threads": job.threads, "spin_count": os.environ.get("TVM_THREAD_POOL_SPIN_COUNT")}
