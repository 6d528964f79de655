"""The protocol that anybody would write first, kept to show what is wrong with it.

Two engines are timed in three ways: each alone, which is the truth; naively, one call each in turn; and in turns that
start with discarded calls, as sessions do. A way is as good as its ratio is close to that of the engines alone.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence

from codesign import machine
from codesign.engines import EngineError
from codesign.measure.entrant import Contender, Entrant
from codesign.measure.protocol import Protocol
from codesign.measure.session import prepare
from codesign.records import Record, Results, stamp

WAYS = ("alone", "naive", "turns")
_REST_S = 0.5  # between ways: threads of the other engine have gone to sleep by then

#: The samples of one entrant in ns, round by round.
Rounds = Sequence[list[int]]


def compare_ways(
    contenders: Sequence[Contender], *, protocol: Protocol, results: Results, profile: str, run_id: str
) -> list[Record]:
    """Time the contenders in each way and append one `protocol` record for each contender and way to `results`.

    Raises
    ------
    EngineError
        When one cannot be prepared or computes something wrong: nothing is shown without it.
    """
    entrants = [Entrant(contender, protocol) for contender in contenders]
    with machine.exclusive("comparing protocols"), contextlib.ExitStack() as stack:
        start = stamp("protocol", profile=profile, run_id=run_id, machine_id=machine.describe().machine_id)
        start["session_id"] = f"{run_id}-{uuid.uuid4().hex[:8]}"
        for entrant in entrants:
            stack.callback(entrant.close)
        prepare(entrants)
        if wrong := next((entrant for entrant in entrants if entrant.status != "ok"), None):
            raise EngineError(f"{wrong.contender.label()}: {wrong.reason}")
        timed = time_ways(entrants)
    records = [
        {**start, **_fields(entrant), "way": way, **samples(rounds)}
        for way in WAYS
        for entrant, rounds in zip(entrants, timed[way], strict=True)
    ]
    for record in records:
        results.append(record)
    return records


def time_ways(entrants: Sequence[Entrant]) -> dict[str, list[Rounds]]:
    """Time the entrants in each of `WAYS`; return way -> the rounds of each entrant, in order.

    Single calls are a round each. The naive way makes as many calls as the turns time.
    """
    alone: list[Rounds] = []
    for entrant in entrants:
        time.sleep(_REST_S)
        alone.append([[sample] for sample in entrant.time_alone()])
    plans = [entrant.plan for entrant in entrants]
    time.sleep(_REST_S)
    calls = range(min(plan.rounds * plan.calls for plan in plans))
    naive = [[entrant.run(calls=1, discard=0)[0] for entrant in entrants] for _ in calls]
    time.sleep(_REST_S)
    turns = [[entrant.take_turn() for entrant in entrants] for _ in range(min(plan.rounds for plan in plans))]
    return {"alone": alone, "naive": list(zip(*naive, strict=True)), "turns": list(zip(*turns, strict=True))}


def samples(rounds: Rounds) -> Record:
    """The samples of one entrant as fields of a record."""
    return {"samples_ns": [ns for turn in rounds for ns in turn], "rounds": [len(turn) for turn in rounds]}


def _fields(entrant: Entrant) -> Record:
    contender, settings = entrant.contender, entrant.settings
    own = {"engine": contender.engine, "format": contender.format, "max_abs_err": entrant.max_abs_err}
    return {**contender.point, **own, "settings": settings}
