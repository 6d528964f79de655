"""The worker process of one engine: ``python -m codesign.engines.worker``, driven by `codesign.engines.client`.

It reads one JSON request a line and answers each with one JSON line:

=============================================  ========================================================
``{"do": "prepare", "job": {...}}``            ``{"seconds": 1.5, "settings": {...}}``
``{"do": "output", "path": "out.npy"}``        ``{"call_ns": 12}``: one call, its output saved as float32
``{"do": "run", "calls": 9, "discard": 3}``    ``{"samples_ns": [9 numbers], "discarded_ns": [3 numbers]}``
``{"do": "profile", "runs": 9, "discard": 3}``  ``{"profile": [9 objects]}``: kernel -> ns of each call, for each run
``{"do": "memory"}``                           ``{"peak_rss_bytes": 12}``: most that was ever resident
=============================================  ========================================================

An exception is answered with ``{"error": "...", "refused": false}``, and the worker lives on; ``refused`` says that the
engine takes no such job. The worker ends when its input does. It imports nothing but numpy and what its engine needs.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codesign.engines import Job, find
from codesign.engines.base import Call, Profiled, Refused

Answer = dict[str, Any]


class _Worker:
    def __init__(self) -> None:
        self._call: Call | None = None

    def prepare(self, job: dict[str, Any]) -> Answer:
        start = time.perf_counter()
        parsed = Job(**job)
        engine = find(parsed.engine)
        self._call = engine.prepare(parsed)
        gc.collect()
        gc.disable()  # a collection would be charged to the call it falls into; calls make no cycles
        return {"seconds": time.perf_counter() - start, "settings": engine.settings(parsed)}

    def output(self, path: str) -> Answer:
        output, call_ns = _timed(self._prepared())
        np.save(path, output)
        return {"call_ns": call_ns}

    def run(self, calls: int, discard: int) -> Answer:
        call = self._prepared()
        times = [_timed(call)[1] for _ in range(discard + calls)]
        return {"samples_ns": times[discard:], "discarded_ns": times[:discard]}

    def profile(self, runs: int, discard: int) -> Answer:
        call = self._prepared()
        if not isinstance(call, Profiled):
            raise Refused("this engine does not tell its kernels apart")
        return {"profile": call.profile(discard + runs)[discard:]}

    def memory(self) -> Answer:
        (kib,) = re.findall(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
        return {"peak_rss_bytes": 1024 * int(kib)}

    def _prepared(self) -> Call:
        if self._call is None:
            raise RuntimeError("nothing is prepared yet")
        return self._call


def _timed(call: Call) -> tuple[np.ndarray, int]:
    start = time.perf_counter_ns()
    output = call()
    return output, time.perf_counter_ns() - start


def serve(actions: dict[str, Callable[..., Answer]]) -> None:
    """Answer requests, each by the action that it names, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session, which then ends its workers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = actions[request.pop("do")](**request)
        except Exception as error:  # whatever an engine raises belongs into the record, not into a crash
            traceback.print_exc()
            refused = isinstance(error, Refused)
            answer = {"error": str(error) if refused else f"{type(error).__name__}: {error}", "refused": refused}
        print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Serve one engine."""
    worker = _Worker()
    serve(
        {
            "prepare": worker.prepare,
            "output": worker.output,
            "run": worker.run,
            "profile": worker.profile,
            "memory": worker.memory,
        }
    )


if __name__ == "__main__":
    main()
