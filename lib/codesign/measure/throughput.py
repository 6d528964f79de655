"""Sequences a second when every core has a process of its own: what a server gets that always has requests waiting.

An engine runs in as many processes as are asked for, each with one thread on a core of its own, all at the same time.
Engines take turns, as in a session. Weights are read by every process, so the cores share caches and bandwidth.
"""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from codesign import machine
from codesign.measure.company import UNKNOWN
from codesign.measure.entrant import Contender, Entrant
from codesign.measure.protocol import Protocol
from codesign.measure.session import prepare
from codesign.progress import track
from codesign.records import Record, Results, stamp


def run_throughput(
    contenders: Sequence[Contender],
    processes: int,
    *,
    protocol: Protocol,
    results: Results,
    profile: str,
    run_id: str,
) -> list[Record]:
    """Run every contender in so many processes at once and append a `throughput` record for each to `results`.

    Parameters
    ----------
    contenders
        Each with one thread.
    processes
        How many run at once, each on a core of its own.
    protocol, results, profile, run_id
        As in `codesign.measure.run_session`; the rounds and the seconds of a turn are those of the protocol.

    Returns
    -------
    list[Record]
        In the order of the contenders. One that cannot be prepared, or computes something wrong, has no rates.

    Raises
    ------
    InputError
        If this machine has fewer cores than processes.
    """
    cores = machine.cpus(processes)
    crews = [[Entrant(contender, protocol, cpus=[core]) for core in cores] for contender in contenders]
    start = stamp("throughput", profile=profile, run_id=run_id, machine_id=machine.describe().machine_id)
    start["session_id"] = f"{run_id}-{uuid.uuid4().hex[:8]}"
    rates: list[list[float]] = [[] for _ in crews]
    with machine.exclusive(f"running {len(crews)} encoders on every core"), contextlib.ExitStack() as stack:
        everyone = [entrant for crew in crews for entrant in crew]
        for entrant in everyone:
            stack.callback(entrant.close)
        prepare(everyone)
        running = [at for at, crew in enumerate(crews) if all(entrant.status == "ok" for entrant in crew)]
        shuffle = random.Random(start["session_id"]).shuffle
        with ThreadPoolExecutor(processes) as pool:
            for _ in track(range(protocol.rounds), "round"):
                shuffle(running)
                for at in running:
                    turns = pool.map(Entrant.take_turn, crews[at])
                    rates[at].append(sum(_rate(crews[at][0].contender, turn) for turn in turns))
    records = [{**start, "processes": processes, **_fields(*each)} for each in zip(crews, rates, strict=True)]
    for record in records:
        results.append(record)
    return records


def _rate(contender: Contender, samples: Sequence[int]) -> float:
    """Sequences a second of one process in a turn."""
    return float(contender.point["batch"] * len(samples) / sum(samples) * 1e9)


def _fields(crew: Sequence[Entrant], rates: Sequence[float]) -> dict[str, Any]:
    first = next((entrant for entrant in crew if entrant.status != "ok"), crew[0])
    fields = first.fields(UNKNOWN, everything=True)
    kept = ("engine", "format", "max_abs_err", "status", "reason", "settings")
    return {**crew[0].contender.point, **{name: fields[name] for name in kept}, "sequences_per_s": list(rates)}
