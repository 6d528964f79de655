"""The worker process of one engine: ``python -m codesign.engines.worker``, driven by `codesign.engines.client`.

It reads one JSON request a line and answers each with one JSON line:

==============================================  =======================================================================
``{"do": "prepare", "job": {...}}``             ``{"settings": {...}}``
``{"do": "output", "path": "out.npz"}``         ``{"call_ns": 12, "peak_rss_bytes": 34}``: one call, its outputs saved
                                                by name; the most that was ever resident
``{"do": "evaluate", "inputs": "a.npz",         ``{}``: each row of the inputs run as a batch of one, its outputs saved
"path": "b.npz"}``                              by name
``{"do": "run", "calls": 9, "discard": 3}``     ``{"samples_ns": [9 numbers], "discarded_ns": [3 numbers]}``
``{"do": "profile", "runs": 9, "discard": 3}``  ``{"profile": [9 objects]}``: kernel -> ns of each call, for each run
==============================================  =======================================================================

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
from codesign.engines.base import Call, Refused, load_arrays

Answer = dict[str, Any]


class _Worker:
    def __init__(self) -> None:
        self._call: Call | None = None
        self._inputs: dict[str, np.ndarray] = {}

    def prepare(self, job: dict[str, Any]) -> Answer:
        parsed = Job(**job)
        engine = find(parsed.engine)
        self._inputs = load_arrays(parsed.inputs)
        self._call = engine.prepare(parsed, self._inputs)
        gc.collect()
        gc.disable()  # a collection would be charged to the call it falls into; calls make no cycles
        return {"settings": engine.settings(parsed)}

    def output(self, path: str) -> Answer:
        call = self._prepared()
        output, call_ns = _timed(call.run)
        np.savez(path, **call.outputs(output))  # type: ignore[arg-type]  # a name of a model's is no option of savez
        (kib,) = re.findall(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
        return {"call_ns": call_ns, "peak_rss_bytes": 1024 * int(kib)}

    def evaluate(self, inputs: str, path: str) -> Answer:
        call, rows, found = self._prepared(), load_arrays(inputs), dict[str, list[np.ndarray]]()
        wanted = {name: (1, *array.shape[1:]) for name, array in rows.items()}
        if wanted != (prepared := {name: array.shape for name, array in self._inputs.items()}):
            raise ValueError(f"rows of shapes {wanted}, but the engine was prepared for {prepared}")
        for row in range(len(next(iter(rows.values())))):
            for name, array in rows.items():
                self._inputs[name][0] = array[row]
            for name, output in call.outputs(call.run()).items():
                found.setdefault(name, []).append(output[0].copy())  # the next run may write into the same memory
        np.savez(path, **found)  # type: ignore[arg-type]  # as above
        return {}

    def run(self, calls: int, discard: int) -> Answer:
        run = self._prepared().run
        times = [_timed(run)[1] for _ in range(discard + calls)]
        return {"samples_ns": times[discard:], "discarded_ns": times[:discard]}

    def profile(self, runs: int, discard: int) -> Answer:
        profile = self._prepared().profile
        if profile is None:
            raise Refused("this engine does not tell its kernels apart")
        return {"profile": profile(discard + runs)[discard:]}

    def _prepared(self) -> Call:
        if self._call is None:
            raise RuntimeError("nothing is prepared yet")
        return self._call


def _timed(run: Callable[[], Any]) -> tuple[Any, int]:
    start = time.perf_counter_ns()
    output = run()
    return output, time.perf_counter_ns() - start


def serve(worker: object) -> None:
    """Answer requests, each by the method that it names, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the session, which then ends its workers
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # whatever an engine raises belongs into the record, not into a crash
            traceback.print_exc()
            refused = isinstance(error, Refused)
            answer = {"error": str(error) if refused else f"{type(error).__name__}: {error}", "refused": refused}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve(_Worker())
