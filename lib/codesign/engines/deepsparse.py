"""DeepSparse: the strongest engine for pruned encoders on CPUs, though no longer developed.

It needs older packages than the rest, so it lives in an environment of its own, which ``make peers`` makes. Its core
is closed: the Neural Magic DeepSparse Community License, agreed to by using it, allows evaluation in development and
testing, and no use in production. Nothing of it is copied into this project.
"""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path

from codesign.engines.base import Arrays, Call, Engine, Job
from codesign.engines.convert import ATTENTION, FORMS, OPSET
from codesign.engines.quantize import narrow

#: The environment that ``make peers`` makes.
PEERS = Path(__file__).parents[3] / ".venv" / "peers"


@dataclass
class DeepSparse(Engine):
    name: str
    format: str
    reads: str
    package = "deepsparse"
    python = str(PEERS / "bin" / "python")

    def unavailable(self) -> str | None:
        return None if _version() else f"DeepSparse is not installed in {PEERS.parent.name}/peers: `make peers` does it"

    def prepare(self, job: Job, inputs: Arrays) -> Call:
        os.environ["NM_DISABLE_ANALYTICS"] = "1"  # nothing is sent
        import deepsparse

        arrays = list(inputs.values())  # it takes no names: the order is that of the ONNX file
        engine = deepsparse.Engine(
            str(job.require_artifact() / FORMS[self.reads].file),
            batch_size=len(arrays[0]),
            num_cores=job.threads,
            scheduler=deepsparse.Scheduler.single_stream,
        )
        return Call(lambda: engine.run(arrays, val_inp=False)[0])

    def settings(self, job: Job) -> dict[str, object]:
        how = {"quantized_by": self.reads, "reduce_range": narrow()} if self.format == "int8" else {}
        return how | {
            "version": _version(),
            "converted_from": f"torch, {ATTENTION['onnx']} attention, opset {OPSET}",
            "num_cores": job.threads,
            "scheduler": "single_stream",
        }


def _version() -> str | None:
    """The version in `PEERS`, whatever interpreter asks; None if it is not installed."""
    path = [str(site) for site in PEERS.glob("lib/python*/site-packages")]
    return next((found.version for found in importlib.metadata.distributions(name="deepsparse", path=path)), None)
