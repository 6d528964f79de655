"""A contender in a session: its worker, whether its output is right, and the times it took."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from codesign.engines import Job, find
from codesign.engines.client import EngineError, EngineRefused, Worker, WorkerDied
from codesign.measure.company import Look
from codesign.measure.protocol import SLOW_CALL_S, Plan, Protocol

#: A larger error against fp32 PyTorch is a wrong result, whatever its speed, by the number type an engine computes in.
#: Rounding stays below a hundredth of the first and a fifth of the second: bfloat16 keeps eight bits of each value.
WRONG_ABOVE = {"fp32": 1e-2, "bf16": 0.5}


@dataclass(frozen=True)
class Contender:
    """One encoder on one engine, to be timed.

    Parameters
    ----------
    engine
        Name in `codesign.engines.ENGINES`.
    point
        The point fields of its record, ``block_sparsity`` and ``element_sparsity``.
    checkpoint
        Directory of the (pruned) encoder.
    artifact
        Directory of the compiled encoder, for engines that load one.
    expected
        File (.npy): what PyTorch computes in float32 for the same weights and inputs, float32[batch, seq, hidden].
    inputs
        File (.npz) with the encoder's inputs by name, int64[batch, seq].
    control
        ``"A/A"`` for a second run of an engine that the session has already; the session adds one by itself.
    """

    engine: str
    point: dict[str, Any]
    checkpoint: Path
    artifact: Path | None
    expected: Path
    inputs: Path
    control: str | None = None

    def job(self) -> Job:
        """What a worker needs to know."""
        artifact = None if self.artifact is None else str(self.artifact)
        paths = str(self.checkpoint), artifact, str(self.inputs)
        return Job(self.engine, *paths, threads=self.point["threads"], block=self.point["block"])

    @property
    def format(self) -> str:
        """The number type that the engine computes in."""
        return find(self.engine).format

    def label(self) -> str:
        """A few words for progress displays."""
        return f"{self.engine} {self.point['scope']} {self.point['block']}{' A/A' if self.control else ''}"


@dataclass
class Times:
    """The times of one entrant in one attempt at a session, in ns: alone, a list for each pass, and in turns.

    Who watches the machine adds a look for each pass and each turn.
    """

    plan: Plan
    solo: list[list[int]]
    rounds: list[list[int]] = field(default_factory=list)
    warmup: list[int] = field(default_factory=list)
    solo_looks: list[Look] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


@dataclass
class Entrant:
    """What is known of a contender while its session runs."""

    contender: Contender
    worker: Worker | None = None
    status: str = "ok"
    reason: str | None = None
    max_abs_err: float | None = None
    peak_rss_bytes: int | None = None
    disk_bytes: int | None = None
    call_s: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    def prepare(self) -> None:
        """Start a worker and load the encoder; an engine that cannot is skipped or has failed, with the reason."""
        if reason := find(self.contender.engine).unavailable():
            self.status, self.reason = "skipped", reason
            return
        self.worker = Worker(self.contender.job())
        try:
            answer = self.worker.prepare()
        except EngineRefused as refusal:
            self._leave("skipped", str(refusal))
            return
        except (EngineError, WorkerDied) as error:
            self._leave("failed", str(error))
            return
        self.disk_bytes = answer["disk_bytes"]
        self.settings = {**answer["settings"], "prepare_s": round(answer["seconds"], 3)}

    def check(self) -> None:
        """Compare the output with PyTorch's and get a first idea of the time a call takes; nobody else may run."""
        if self.worker is None:
            return
        try:
            output, call_ns = self.worker.output()
            self.peak_rss_bytes = self.worker.peak_rss_bytes()
        except (EngineError, WorkerDied) as error:
            self._leave("failed", str(error))
            return
        expected = np.load(self.contender.expected)
        if output.shape != expected.shape or not np.isfinite(output).all():
            reason = f"the output has shape {output.shape} or values that are not finite, expected {expected.shape}"
            self._leave("failed", reason)
            return
        self.max_abs_err = float(np.abs(output.astype(np.float64) - expected).max())
        allowed = self.settings["max_abs_err_allowed"] = WRONG_ABOVE[self.contender.format]
        if self.max_abs_err > allowed:
            reason = f"wrong output: max abs error {self.max_abs_err:.3g} against PyTorch, {allowed:g} allowed"
            self._leave("failed", reason)
            return
        if call_ns < SLOW_CALL_S * 1e9:  # a first call is slower than the next: look again where that is cheap
            (call_ns,), _ = self.worker.run(calls=1, discard=1)
        self.call_s = call_ns / 1e9

    def time_alone(self, protocol: Protocol, before: Times | None = None) -> Times:
        """Time the engine while the others rest, and plan its turns from that and from the passes `before`."""
        plan = protocol.plan(self.call_s)
        samples, _ = self._run(plan.solo, plan.solo_discard)
        solo = [*(before.solo if before else []), samples]
        self.call_s = statistics.median(itertools.chain(*solo)) / 1e9
        return Times(protocol.plan(self.call_s), solo, solo_looks=list(before.solo_looks) if before else [])

    def take_turn(self, times: Times) -> list[int]:
        """Add one round to `times` and return its samples in ns."""
        samples, discarded = self._run(times.plan.calls, times.plan.discard)
        times.rounds.append(samples)
        times.warmup.extend(discarded)
        return samples

    def call_once(self) -> int:
        """Time a single call, whatever has run before it; returns ns."""
        (call_ns,), _ = self._run(calls=1, discard=0)
        return call_ns

    def close(self) -> None:
        """End the worker."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _run(self, calls: int, discard: int) -> tuple[list[int], list[int]]:
        assert self.worker is not None
        return self.worker.run(calls=calls, discard=discard)

    def _leave(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason
        self.close()
