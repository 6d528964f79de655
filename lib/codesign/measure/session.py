"""One session: every contender timed in turn on one machine, each in a worker process of its own.

Prepare all, check all outputs, time each alone, then the rounds. A probe looks at the machine before and after every
turn. On a disturbed machine a session waits and takes turns again, until it has taken half as long again as planned:
then it ends with what it has, and its records say what is to be doubted. They are written when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from codesign import machine
from codesign.engines.conversions import Conversions
from codesign.errors import InputError
from codesign.measure.company import Company, Watch, ceiling
from codesign.measure.entrant import Contender, Entrant, Turn, undisturbed
from codesign.measure.protocol import REST_S, Protocol
from codesign.measure.ratios import doubts, process_spread
from codesign.progress import Count, duration, say, step
from codesign.records import Record, Results, stamp

#: Without these two a latency says nothing: absolute times drift, and only their ratios travel.
REFERENCES = ("torch-eager", "openvino")
#: A session ends when it has taken so many times as long as planned.
OVERRUN = 1.5
_LEAST = 2  # turns, for an interval
_PREPARE_AT_ONCE = 2  # more would only compete for the cores and the memory


def run_session(
    contenders: Sequence[Contender],
    *,
    protocol: Protocol,
    results: Results,
    profile: str,
    run_id: str,
    kind: str = "latency",
) -> list[Record]:
    """Time the contenders beside each other and append one record for each to `results`; say so on stderr.

    The session adds the A/A control: the first torch eager once more. An engine that is not installed, or takes no such
    encoder, is recorded as skipped; one that cannot be prepared, or computes something wrong, as failed; neither has a
    time.

    Parameters
    ----------
    contenders
        All with the same number of threads, `REFERENCES` among them.
    protocol
        Usually ``PROTOCOLS[profile]``.
    results
        Where the records go.
    profile, run_id, kind
        For the records, whose kind is ``latency`` or one with the same fields.

    Returns
    -------
    list[Record]
        In the order of `contenders`, then the control.

    Raises
    ------
    InputError
        When the contenders do not make a session.
    EngineError
        When an engine raised, or its worker died, while it was timed; no record is written then.
    """
    _check(contenders)
    twin = next(contender for contender in contenders if contender.engine == REFERENCES[0])
    everyone = [*contenders, dataclasses.replace(twin, control="A/A")]
    entrants = [Entrant(contender, protocol) for contender in everyone]
    with machine.exclusive(f"timing {len(everyone)} encoders (profile {profile})"), contextlib.ExitStack() as stack:
        load_average = machine.load_average()  # before we add to it ourselves
        threads, machine_id = twin.point["threads"], machine.describe().machine_id
        company = stack.enter_context(Company(threads))
        for entrant in entrants:
            stack.callback(entrant.close)
        prepare(entrants, company)
        start = stamp(kind, profile=profile, run_id=run_id, machine_id=machine_id)
        start["session_id"] = f"{run_id}-{uuid.uuid4().hex[:8]}"
        running = [entrant for entrant in entrants if entrant.status == "ok"]
        for entrant in running:
            entrant.settings |= {"cpus": machine.cpus(threads), "load_average": load_average}
        seconds = sum(protocol.seconds(entrant.call_s) for entrant in running)
        say(f"timing {len(running)} encoders takes about {seconds:.0f} s")
        known = ceiling(results.read("ceiling", machine_id=machine_id), threads)
        watch = Watch(company.look, (OVERRUN - 1) * seconds, known)
        time_all(running, watch, seconds, seed=start["session_id"])
    records = records_of(entrants, watch, start)
    say(f"{records[0]['disturbed_share']:.0%} of turns disturbed; waited {watch.waited_s:.0f} s for the machine")
    if reason := records[0]["flag_reason"]:
        say(f"flagged: {reason}")
    for record in records:
        results.append(record)
    return records


def prepare(entrants: Sequence[Entrant], company: Company | None = None) -> None:
    """Load every encoder and compile the probe, then check every output; nothing is timed yet."""
    count = Count("prepared")
    with (
        tempfile.TemporaryDirectory(prefix="codesign-converted-") as folder,
        ThreadPoolExecutor(_PREPARE_AT_ONCE) as pool,
    ):
        conversions = Conversions(Path(folder), [entrant.contender.job() for entrant in entrants])
        probe = None if company is None else pool.submit(company.prepare)
        for done, _ in enumerate(pool.map(lambda entrant: entrant.prepare(conversions), entrants), 1):
            count(done, len(entrants))
        if probe is not None:
            probe.result()
    for entrant in entrants:
        entrant.check()


def time_all(entrants: Sequence[Entrant], watch: Watch, seconds: float, seed: str) -> None:
    """Time each entrant alone, and then in turns: as planned, and again where the machine was disturbed.

    Parameters
    ----------
    entrants
        Those whose output is right.
    watch
        Waits for a better time, and says what was disturbed.
    seconds
        What this takes as planned; no round begins that would end after `OVERRUN` times as long.
    seed
        Decides the order of turns.
    """
    start = time.monotonic()
    end = start + OVERRUN * seconds
    turns_s = sum(entrant.plan.rounds * entrant.plan.turn_seconds(entrant.call_s) for entrant in entrants)
    while order := [entrant for entrant in entrants if _good(entrant.solo, watch) < entrant.passes]:
        pass_s = sum(entrant.plan.solo_seconds(entrant.call_s) for entrant in order)
        if all(len(each.solo) >= each.passes for each in order) and time.monotonic() + pass_s + turns_s > end:
            break
        _say_left(start + seconds, end)
        for entrant in order:
            time.sleep(REST_S)
            entrant.solo.append(Turn(*watch.around(entrant.time_alone)))
    shuffle = random.Random(seed).shuffle  # so that nobody always follows the same neighbour
    while order := [entrant for entrant in entrants if _good(entrant.turns, watch) < entrant.plan.rounds]:
        round_s = sum(entrant.plan.turn_seconds(entrant.call_s) for entrant in order)
        if all(len(each.turns) >= _LEAST for each in order) and time.monotonic() + round_s > end:
            break
        _say_left(start + seconds, end)
        shuffle(order)
        for entrant in order:
            entrant.turns.append(Turn(*watch.around(entrant.take_turn)))


def _say_left(planned: float, end: float) -> None:
    now = time.monotonic()
    step(f"timing, about {duration(max(0.0, planned - now))} left, {duration(max(0.0, end - now))} at most")


def _good(turns: Sequence[Turn], watch: Watch) -> int:
    return sum(undisturbed(turns, watch.best))


def records_of(entrants: Sequence[Entrant], watch: Watch, common: Record) -> list[Record]:
    """Say what a session found, in a record for each entrant: the `common` fields, its own, and all doubts."""
    timed = [entrant for entrant in entrants if entrant.turns]
    # so many turns must count that the others can be left out: half of those planned, and two at least
    few = [each.contender.label() for each in timed if _good(each.turns, watch) < max(_LEAST, each.plan.rounds / 2)]
    fine = [good for entrant in timed for good in undisturbed(entrant.turns, watch.best)]
    share = {"disturbed_share": round(1 - sum(fine) / len(fine), 4) if fine else 0.0}
    records = [{**common, **share, **entrant.fields(watch.best, everything=bool(few))} for entrant in entrants]
    reasons = doubts(records)
    if few:
        reasons.append(f"disturbed: too few undisturbed turns of {', '.join(few)}, so that all of them count")
    marks = {"flagged": bool(reasons), "flag_reason": "; ".join(reasons) or None}
    return [{**record, "process_spread": round(process_spread(records), 4), **marks} for record in records]


def _check(contenders: Sequence[Contender]) -> None:
    """Refuse contenders that cannot be compared, and files that do not exist, before anything is started."""
    for contender in contenders:
        for name in ("checkpoint", "artifact", "expected", "inputs", "calibration"):
            path = getattr(contender, name)
            if path is not None and not path.exists():
                raise InputError(name, str(path), "an existing file or directory")
    if missing := set(REFERENCES) - {contender.engine for contender in contenders}:
        raise InputError("contenders", [each.engine for each in contenders], f"{' and '.join(missing)} among them")
    threads = sorted({contender.point["threads"] for contender in contenders})
    if len(threads) > 1:
        raise InputError("threads", threads, "the same number for every contender of a session", threads[-1])
