"""Sessions about another question than those of step 4: their records are of a kind of their own.

The same encoders run beside each other, compiled in several ways. What such a session says of an encoder must not take
the place of what step 4 says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codesign.measure import PROTOCOLS, run_session
from codesign.records import Record, Results, code_digest
from codesign.study.chain import Study, duration, say
from codesign.study.compiled import ensure_built
from codesign.study.points import Case
from codesign.study.timed import contender, session_id
from codesign.study.tuned import ensure_tuned

#: For the estimate, seconds: to tune, build and time an encoder of BERT-base's size.
_TUNE_S, _BUILD_S, _TIME_S = 20.0, 6.0, 20.0


@dataclass(frozen=True)
class _OfKind(Results):
    """Results to which a session appends latency records under the name of another kind."""

    kind: str = ""

    def append(self, record: Any) -> None:
        super().append({**record, "kind": self.kind, "code": code_digest(self.kind)})


def ensure_aside(
    study: Study, kind: str, wanted: Sequence[Case], untuned: Sequence[Case], trials_per_task: int
) -> list[Record]:
    """Tune, build and time what still needs it; return the records of one session, the control included.

    Parameters
    ----------
    kind
        Of the records.
    wanted
        What is timed, `codesign.measure.session.REFERENCES` among them.
    untuned
        Those that notebook 03_tune does not tune.
    trials_per_task
        Most trials of a task of these.

    Raises
    ------
    InputError
        If this machine lacks an instruction set.
    MissingRecord
        If a checkpoint or, reading committed results, a record is missing.
    """
    if study.local and session_id(study, list(wanted), kind) is None:
        seconds = len(untuned) * _TUNE_S + len(wanted) * (_BUILD_S + _TIME_S)
        say(f"{len(wanted)} encoders side by side: about {duration(seconds)}")
        if untuned:
            ensure_tuned(study, untuned, trials_per_task)
        ensure_built(study, [case for case in wanted if case.compiled])
        run_session(
            [contender(study, case) for case in wanted],
            protocol=PROTOCOLS[study.protocol],
            results=_OfKind(study.results.mode, study.results.root, kind=kind),
            profile=study.profile,
            run_id=study.run_id,
        )
    session = session_id(study, list(wanted), kind) or study.newest(kind, wanted[-1].fields())["session_id"]
    return study.found(kind, {"session_id": session})


def newest(records: Sequence[Record]) -> list[Record]:
    """Return the records of the newest session; none where there is none."""
    return [record for record in records if record["session_id"] == records[-1]["session_id"]]
