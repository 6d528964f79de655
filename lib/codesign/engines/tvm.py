"""TVM: an encoder that was compiled beforehand, loaded without torch. The engines differ in what was compiled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.engines.base import Call, Engine, Job, missing


@dataclass
class TVM(Engine):
    name: str

    def unavailable(self) -> str | None:
        return missing("tvm")

    def prepare(self, job: Job) -> Call:
        from codesign.runtime import load

        encoder = load(job.require_artifact(), threads=job.threads)
        input_ids, attention_mask = job.load_inputs()

        def call() -> np.ndarray:
            return encoder(input_ids, attention_mask)

        return call

    def settings(self, job: Job) -> dict[str, object]:
        return {"num_threads": job.threads}
