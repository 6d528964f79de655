"""How often each engine is called in a session, by profile and by how slow the engine is."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: An engine slower than this a call cannot be called often; its threads have long stopped spinning by then.
SLOW_CALL_S = 5.0
#: Threads of another engine that wait for work give up spinning by then: OpenMP's were seen to take 11 ms, TVM's 7 ms
#: (`machine.thread_environment`), those of OpenVINO and ONNX Runtime less than 1 ms.
SPIN_S = 0.02
#: Before an engine runs alone: threads of the others have gone to sleep by then.
REST_S = 0.2
_LOOKS_S = 2 * (SPIN_S + 0.005)  # before and after a turn


@dataclass(frozen=True)
class Plan:
    """What one engine does in a session.

    Alone, `solo_discard` calls thrown away and `solo` timed; then `rounds` turns, each of `discard` calls thrown away
    and `calls` timed.
    """

    rounds: int
    calls: int
    discard: int
    solo: int
    solo_discard: int

    def turn_seconds(self, call_s: float) -> float:
        """How long a turn takes when a call takes `call_s` seconds, with the looks around it."""
        return _LOOKS_S + call_s * (self.discard + self.calls)

    def solo_seconds(self, call_s: float) -> float:
        """How long a pass alone takes."""
        return REST_S + _LOOKS_S + call_s * (self.solo_discard + self.solo)


@dataclass(frozen=True)
class Protocol:
    """The size of a session.

    Engines take turns, because a machine drifts. A turn starts with calls that are thrown away, because the thread
    pool of the engine before may still be spinning, and this engine's threads and caches have gone cold: one call
    each in turn measures the engines' quarrel, at up to four times the true latency.

    Parameters
    ----------
    rounds
        Turns of each engine, at least 2; the blocks that the bootstrap resamples.
    calls
        Most timed calls in a turn.
    discard
        Least calls thrown away at the start of each turn, at least 3; more where these last under `SPIN_S`.
    turn_s
        Seconds of timed calls in a turn: a slow engine makes fewer calls.
    engine_s
        Seconds for all turns of an engine: a very slow engine takes fewer turns.
    alone_s
        Least seconds of calls thrown away, and again of calls timed, when an engine runs alone: it has been idle for
        as long as the others were prepared, and its memory has gone cold.
    alone_passes
        How often each engine runs alone. Other tenants of a shared machine come and go within seconds, so one look
        at an engine may catch them and the next may not.
    """

    rounds: int
    calls: int
    turn_s: float
    engine_s: float
    discard: int = 3
    alone_s: float = 0.0
    alone_passes: int = 1

    def __post_init__(self) -> None:
        if self.discard < 3 or self.rounds < 2 or self.calls < 1:
            raise ValueError(f"{self}: needs discard >= 3, rounds >= 2 and calls >= 1")

    def plan(self, call_s: float) -> Plan:
        """Plan an engine that takes `call_s` seconds a call: never under two rounds of one call."""
        if call_s > SLOW_CALL_S:
            return Plan(rounds=2, calls=1, discard=1, solo=1, solo_discard=1)
        discard = max(self.discard, math.ceil(SPIN_S / call_s))
        calls = min(self.calls, max(1, round(self.turn_s / call_s)))
        rounds = min(self.rounds, max(2, int(self.engine_s / ((discard + calls) * call_s))))
        alone = math.ceil(self.alone_s / call_s)
        return Plan(rounds, calls, discard, solo=max(2 * calls, alone), solo_discard=max(discard, alone))

    def seconds(self, call_s: float) -> float:
        """How long an engine keeps the machine in a session when a call takes `call_s` seconds."""
        plan = self.plan(call_s)
        return self.passes(call_s) * plan.solo_seconds(call_s) + plan.rounds * plan.turn_seconds(call_s)

    def passes(self, call_s: float) -> int:
        """How often an engine that takes `call_s` seconds a call runs alone: a very slow one once."""
        return 1 if call_s > SLOW_CALL_S else self.alone_passes

    def is_full(self, plan: Plan) -> bool:
        """Whether `plan` has every round and every discarded call of this protocol."""
        return plan.rounds == self.rounds and plan.discard >= self.discard


PROTOCOLS = {
    "quick": Protocol(rounds=4, calls=10, turn_s=0.05, engine_s=0.75),
    "default": Protocol(rounds=8, calls=6, turn_s=0.5, engine_s=8, alone_s=0.5, alone_passes=2),
    "full": Protocol(rounds=30, calls=10, turn_s=1.0, engine_s=60, alone_s=1.0, alone_passes=5),
}
