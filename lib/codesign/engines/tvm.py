"""TVM: an encoder that was compiled beforehand, loaded without torch. The engines differ in what was compiled."""

from __future__ import annotations

import os
from dataclasses import dataclass

from codesign.engines.base import Arrays, Call, Engine, Job
from codesign.runtime import load


@dataclass
class TVM(Engine):
    name: str
    format: str = "fp32"
    package = "tvm"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        encoder = load(job.require_artifact(), threads=job.threads)
        return Call(lambda: encoder(**inputs), profile=lambda runs: encoder.profile(inputs, runs))

    def settings(self, job: Job) -> dict[str, object]:
        return {"num_threads": job.threads, "spin_count": os.environ.get("TVM_THREAD_POOL_SPIN_COUNT")}
