"""One session: every contender timed in turn on one machine, each in a worker process of its own.

Prepare all, check all outputs, time each alone, then the rounds. A probe looks at the machine before and after every
turn; a disturbed turn is taken again. A session that its own controls doubt is repeated.
Every turn goes to a journal at once; records are written only when the session is complete, and the journal of one
that was interrupted stays behind in ``local/interrupted/``, where nothing reads it as a result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from codesign import machine
from codesign.engines import find
from codesign.errors import InputError
from codesign.measure.company import Company, ceiling
from codesign.measure.counted import counted, disturbed_share, has_enough, owes_alone, owes_turn
from codesign.measure.entrant import Contender, Entrant, Times
from codesign.measure.protocol import Protocol
from codesign.measure.ratios import doubts, process_spread
from codesign.measure.watch import Watch
from codesign.records import LOCAL, Results, stamp

#: Without these two a latency says nothing: absolute times drift, and only their ratios travel.
REFERENCES = ("torch-eager", "openvino")
_PREPARE_AT_ONCE = 2  # more would only compete for the cores and the memory
_REST_S = 0.2  # threads of the other engines have gone to sleep by then

Record = dict[str, Any]


def run_session(
    contenders: Sequence[Contender],
    *,
    protocol: Protocol,
    results: Results,
    profile: str,
    run_id: str,
    progress: bool = True,
) -> list[Record]:
    """Time the contenders beside each other and append one latency record for each to `results`.

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
    profile, run_id
        For the records.
    progress
        Show a progress bar with the time left on stderr.

    Returns
    -------
    list[Record]
        In the order of `contenders`, then the control.

    Raises
    ------
    InputError
        When the contenders do not make a session.
    WorkerDied, EngineError
        When a worker died, or its engine raised, while it was timed; no record is written then.
    """
    _check(contenders)
    twin = next(contender for contender in contenders if contender.engine == REFERENCES[0])
    everyone = [*contenders, dataclasses.replace(twin, control="A/A")]
    # Not rich's Jupyter display, which would leave a bar in the executed notebook; lines as long as they are.
    console = Console(stderr=True, force_jupyter=False, quiet=not progress, soft_wrap=True, highlight=False)
    with (
        machine.exclusive(f"timing {len(everyone)} encoders (profile {profile})"),
        contextlib.ExitStack() as stack,
        Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console) as bar,
    ):
        waiting = bar.add_task("", total=None, visible=False)

        def say(text: str | None) -> None:
            bar.update(waiting, description=text or "", visible=text is not None)

        threads = twin.point["threads"]
        known = results.read("ceiling", machine_id=machine.describe().machine_id)
        company = stack.enter_context(Company(threads))
        watch = Watch(company.look, protocol.wait_s, say, ceiling(known, threads))
        entrants = [Entrant(contender) for contender in everyone]
        session = _Session(entrants, protocol, results, profile, run_id, bar, watch)
        for entrant in session.entrants:
            stack.callback(entrant.close)
        company.prepare()
        session.prepare()
        records, journal = session.attempt()
        for _ in range(protocol.attempts - 1):
            if not records[0]["flagged"]:
                break
            console.print(f"repeating the session: {records[0]['flag_reason']}")
            records, journal = session.attempt()
    for record in records:
        results.append(record)
    journal.unlink()
    return records


@dataclass
class _Session:
    entrants: list[Entrant]
    protocol: Protocol
    results: Results
    profile: str
    run_id: str
    bar: Progress
    watch: Watch
    load_average: float = field(default_factory=machine.load_average)  # before we add to it ourselves

    def prepare(self) -> None:
        """Load every encoder, then check every output; nothing is timed yet."""
        task = self.bar.add_task("prepare", total=2 * len(self.entrants))
        with ThreadPoolExecutor(_PREPARE_AT_ONCE) as pool:
            for _ in pool.map(Entrant.prepare, self.entrants):
                self.bar.advance(task)
        for entrant in self.entrants:
            entrant.check()
            self.bar.advance(task)

    def attempt(self) -> tuple[list[Record], Path]:
        """Time everyone once; return the records and the journal of this attempt."""
        start = stamp("latency", profile=self.profile, run_id=self.run_id, machine_id=machine.describe().machine_id)
        session_id = f"{self.run_id}-{uuid.uuid4().hex[:8]}"
        journal = self.results.root / LOCAL / "interrupted" / f"{session_id}.jsonl"
        _note(journal, **start, session_id=session_id)
        times = self._time(journal, session_id)
        best = self.watch.best
        few = [self.entrants[number].contender.label() for number, each in times.items() if not has_enough(each, best)]
        share = disturbed_share(times, best)
        records = [
            {
                **{**start, "session_id": session_id, "disturbed_share": share},
                **self._fields(entrant, times.get(number)),
                **counted(times.get(number), best, everything=bool(few)),
            }
            for number, entrant in enumerate(self.entrants)
        ]
        reasons = doubts(records)
        if few:
            reasons.append(f"disturbed: too few undisturbed turns of {', '.join(few)}, so that all of them count")
        self.bar.console.print(f"{share:.0%} of turns disturbed; waited {self.watch.waited_s:.0f} s for the machine")
        spread = round(process_spread(records), 4)
        for record in records:
            record["process_spread"] = spread
            record["flagged"], record["flag_reason"] = bool(reasons), "; ".join(reasons) or None
        _note(journal, flag_reasons=reasons)
        return records, journal

    def _time(self, journal: Path, session_id: str) -> dict[int, Times]:
        """Time each entrant that works alone and then in turn; keyed by its place among the entrants."""
        running = {number: entrant for number, entrant in enumerate(self.entrants) if entrant.status == "ok"}
        seconds = sum(self.protocol.seconds(entrant.call_s) for entrant in running.values())
        self.bar.console.print(f"timing {len(running)} encoders takes about {seconds:.0f} s")
        task = self.bar.add_task("time", total=seconds)
        times: dict[int, Times] = {}
        while order := [number for number in running if self._owes_alone(number, times.get(number))]:
            for number in order:
                time.sleep(_REST_S)
                entrant = running[number]
                times[number], look = self.watch.around(entrant.time_alone, self.protocol, times.get(number))
                times[number].solo_looks.append(look)
                self.bar.advance(task, times[number].plan.solo_seconds(entrant.call_s))
        for number, entrant in running.items():
            solo = [ns for samples in times[number].solo for ns in samples]
            _note(journal, entrant=entrant.contender.label(), solo_ns=solo)
        shuffle = random.Random(session_id).shuffle  # so that nobody always follows the same neighbour
        while order := [number for number in running if owes_turn(times[number], self.watch.best)]:
            shuffle(order)
            for number in order:
                entrant, each = running[number], times[number]
                samples, look = self.watch.around(entrant.take_turn, each)
                each.looks.append(look)
                _note(journal, entrant=entrant.contender.label(), look=dataclasses.asdict(look), samples_ns=samples)
                self.bar.advance(task, each.plan.turn_seconds(entrant.call_s))
        self.bar.update(task, completed=seconds)
        return times

    def _owes_alone(self, number: int, times: Times | None) -> bool:
        passes = self.protocol.passes(self.entrants[number].call_s)
        return times is None or owes_alone(times, passes, self.watch.best)

    def _fields(self, entrant: Entrant, times: Times | None) -> Record:
        """The fields of a latency record beyond its stamp and its times."""
        contender, settings = entrant.contender, dict(entrant.settings)
        if times is not None:
            settings |= dataclasses.asdict(times.plan)
            settings["reduced"] = not self.protocol.is_full(times.plan)
            settings["cpus"] = machine.cpus(contender.point["threads"])
            settings["load_average"] = self.load_average
        return {
            **contender.point,
            "engine": contender.engine,
            "format": contender.format,
            "control": contender.control,
            "max_abs_err": entrant.max_abs_err,
            "peak_rss_bytes": entrant.peak_rss_bytes,
            "disk_bytes": entrant.disk_bytes,
            "status": entrant.status,
            "reason": entrant.reason,
            "settings": settings,
        }


def _check(contenders: Sequence[Contender]) -> None:
    """Refuse contenders that cannot be compared, and files that do not exist, before anything is started."""
    for contender in contenders:
        find(contender.engine)
        for name in ("checkpoint", "artifact", "expected", "inputs"):
            path = getattr(contender, name)
            if path is not None and not path.exists():
                raise InputError(name, str(path), "an existing file or directory")
    if missing := set(REFERENCES) - {contender.engine for contender in contenders}:
        raise InputError("contenders", [each.engine for each in contenders], f"{' and '.join(missing)} among them")
    threads = sorted({contender.point["threads"] for contender in contenders})
    machine.cpus(threads[-1])
    if len(threads) > 1:
        raise InputError("threads", threads, "the same number for every contender of a session", threads[-1])


def _note(journal: Path, **fields: object) -> None:
    """Add one line to the journal of a session, which is all that is left of one that is interrupted."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        print(json.dumps(fields), file=file)
