"""A contender in a session: its worker, whether its output is right, its turns, and which of them count."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from codesign.engines import EngineError, Job, Refused, find
from codesign.engines.client import Worker, cosine, max_abs_error
from codesign.engines.conversions import Conversions
from codesign.measure.company import Look, disturbed
from codesign.measure.protocol import SLOW_CALL_S, Plan, Protocol

#: A larger error against fp32 PyTorch is a wrong result, whatever its speed, by the number type an engine computes in.
#: Rounding stays below a hundredth of the first and a fifth of the second: bfloat16 keeps eight bits of each value.
WRONG_ABOVE = {"fp32": 1e-2, "bf16": 0.5}
#: A smaller cosine to it is, too, where rounding is too coarse for the error of single values to tell. Of MiniLM on a
#: sentence, OpenVINO, ONNX Runtime and DeepSparse in int8 gave 0.984 and more. Ignoring the mask gave 0.75, another
#: sentence 0.04, a layer left out 0.92 at most, weights of 4 bits 0.92. One linear of zeros passes (0.98): what a
#: format costs, the accuracy on a task tells.
WRONG_BELOW = {"int8": 0.95}


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
        File (.npz): what PyTorch computes in float32 for the same weights and inputs, by name.
    inputs
        File (.npz) with the encoder's inputs by name, int64[batch, seq].
    control
        ``"A/A"`` for a second run of an engine that the session has already; the session adds one by itself.
    calibration
        File (.npz) with other inputs by name, for engines that take the ranges of activations from examples.
    """

    engine: str
    point: dict[str, Any]
    checkpoint: Path
    artifact: Path | None
    expected: Path
    inputs: Path
    control: str | None = None
    calibration: Path | None = None

    def job(self) -> Job:
        """What a worker needs to know."""
        artifact, calibration = (None if path is None else str(path) for path in (self.artifact, self.calibration))
        paths = str(self.checkpoint), artifact, str(self.inputs)
        return Job(self.engine, *paths, self.point["threads"], self.point["block"], calibration)

    @property
    def format(self) -> str:
        """The number type that the engine computes in."""
        return find(self.engine).format

    def label(self) -> str:
        """A few words for progress displays."""
        return f"{self.engine} {self.point['scope']} {self.point['block']}{' A/A' if self.control else ''}"


class Turn(NamedTuple):
    """The samples of a turn, or of a pass alone, in ns; and the worse of the looks around it."""

    samples: list[int]
    look: Look


def undisturbed(turns: Iterable[Turn], best: Look) -> list[bool]:
    """Say of each turn whether the machine was as it should be; what is `best` may still change later."""
    return [not disturbed(turn.look, best) for turn in turns]


@dataclass(eq=False)
class Entrant:
    """What is known of a contender while its session runs."""

    contender: Contender
    protocol: Protocol
    cpus: Collection[int] | None = None
    worker: Worker | None = None
    status: str = "ok"
    reason: str | None = None
    max_abs_err: float | None = None
    cosine: float | None = None
    peak_rss_bytes: int | None = None
    disk_bytes: int | None = None
    call_s: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    solo: list[Turn] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    warmup: list[int] = field(default_factory=list)

    def prepare(self, conversions: Conversions) -> None:
        """Start a worker and load the encoder; an engine that cannot is skipped or has failed, with the reason."""
        if reason := find(self.contender.engine).unavailable():
            self._leave("skipped", reason)
            return
        self.worker = Worker(self.contender.job(), self.cpus)
        try:
            answer = self.worker.prepare(conversions)
        except EngineError as error:
            self._leave("skipped" if isinstance(error, Refused) else "failed", str(error))
            return
        self.disk_bytes = answer["disk_bytes"]
        self.settings = {**answer["settings"], "prepare_s": round(answer["seconds"], 3)}

    def check(self) -> None:
        """Compare the output with PyTorch's and get a first idea of the time a call takes; nobody else may run."""
        if self.worker is None:
            return
        try:
            outputs, about = self.worker.output()
            call_ns, self.peak_rss_bytes = about["call_ns"], about["peak_rss_bytes"]
            self.max_abs_err = max_abs_error(outputs, self.contender.expected)
            self.cosine = cosine(outputs, self.contender.expected, self.contender.inputs)
        except EngineError as error:
            self._leave("failed", str(error))
            return
        if reason := self._wrong(self.max_abs_err, self.cosine):
            self._leave("failed", f"wrong output: {reason}")
            return
        if call_ns < SLOW_CALL_S * 1e9:  # a first call is slower than the next: look again where that is cheap
            (call_ns,), _ = self.run(calls=1, discard=1)
        self.call_s = call_ns / 1e9

    def _wrong(self, error: float, cosine: float) -> str | None:
        """Say why an output is wrong, or None; what is allowed goes into the settings."""
        if (format_ := self.contender.format) in WRONG_BELOW:
            least = self.settings["cosine_required"] = WRONG_BELOW[format_]
            return f"cosine {cosine:.4f} to PyTorch, {least:g} required" if cosine < least else None
        allowed = self.settings["max_abs_err_allowed"] = WRONG_ABOVE[format_]
        return f"max abs error {error:.3g} against PyTorch, {allowed:g} allowed" if error > allowed else None

    @property
    def plan(self) -> Plan:
        """What the protocol asks of an engine as slow as this one."""
        return self.protocol.plan(self.call_s)

    @property
    def passes(self) -> int:
        """How often it is to run alone."""
        return self.protocol.passes(self.call_s)

    def time_alone(self) -> list[int]:
        """Time a pass alone and return its samples; it decides what is planned, with those before."""
        samples, _ = self.run(self.plan.solo, self.plan.solo_discard)
        self.call_s = statistics.median([*_samples(self.solo), *samples]) / 1e9
        return samples

    def take_turn(self) -> list[int]:
        """Time a turn and return its samples."""
        samples, discarded = self.run(self.plan.calls, self.plan.discard)
        self.warmup.extend(discarded)
        return samples

    def run(self, calls: int, discard: int) -> tuple[list[int], list[int]]:
        """Make `discard` calls and then `calls` more; return the times of these and of those, in ns."""
        assert self.worker is not None
        return self.worker.run(calls=calls, discard=discard)

    def fields(self, best: Look, *, everything: bool) -> dict[str, Any]:
        """What there is to record; samples that do not count, because the machine was disturbed, are kept apart.

        Parameters
        ----------
        best
            The best rates in the whole session.
        everything
            Count disturbed turns as well.
        """
        found = {
            **self.contender.point,
            "engine": self.contender.engine,
            "format": self.contender.format,
            "control": self.contender.control,
            "max_abs_err": self.max_abs_err,
            "cosine": self.cosine,
            "peak_rss_bytes": self.peak_rss_bytes,
            "disk_bytes": self.disk_bytes,
            "status": self.status,
            "reason": self.reason,
            "settings": self.settings,
            "warmup_ns": self.warmup,
        }
        if not self.turns:
            return {**found, "samples_ns": [], "rounds": [], "solo_ns": []}
        counted, apart = _split(self.turns, best, everything)
        solo, solo_apart = _split(self.solo, best, everything or not any(undisturbed(self.solo, best)))
        reduced = not self.protocol.is_full(self.plan)
        looks, looks_apart = ([list(turn.look) for turn in turns] for turns in (counted, apart))
        return {
            **found,
            "settings": {**self.settings, **dataclasses.asdict(self.plan), "reduced": reduced},
            "samples_ns": _samples(counted),
            "rounds": [len(turn.samples) for turn in counted],
            "solo_ns": _samples(solo),
            "disturbed_ns": _samples(apart),
            "disturbed_rounds": [len(turn.samples) for turn in apart],
            "disturbed_solo_ns": _samples(solo_apart),
            "company": {"best": list(best), "turns": looks, "disturbed": looks_apart},
        }

    def close(self) -> None:
        """End the worker."""
        if self.worker is not None:
            self.worker.close()
            self.worker = None

    def _leave(self, status: str, reason: str) -> None:
        self.status, self.reason = status, reason
        self.close()


def _split(turns: Sequence[Turn], best: Look, everything: bool) -> tuple[list[Turn], list[Turn]]:
    pairs = [(turn, everything or fine) for turn, fine in zip(turns, undisturbed(turns, best), strict=True)]
    return [turn for turn, counts in pairs if counts], [turn for turn, counts in pairs if not counts]


def _samples(turns: Iterable[Turn]) -> list[int]:
    return [ns for turn in turns for ns in turn.samples]
