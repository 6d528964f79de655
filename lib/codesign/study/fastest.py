"""Which schedule stands for a block shape where one kernel must."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codesign.blocks import DENSE
from codesign.schema import Record
from codesign.study.evidence import missing
from codesign.study.kernel_views import in_turns, winner
from codesign.study.patterns import Chosen
from codesign.study.problems import Problem


def fastest(problems: Iterable[Problem], kernels: Sequence[Record]) -> list[Chosen]:
    """Choose the fastest hot kernel of each problem; dense is none.

    Parameters
    ----------
    problems
        Of one target.
    kernels
        Their `kernel` records.

    Raises
    ------
    MissingRecord
        If a problem was not timed.
    """
    timed = [record for records in in_turns(kernels).values() for record in records]
    chosen = []
    for problem in problems:
        mine = [r for r in timed if all(r[name] == value for name, value in vars(problem).items())]
        if problem.block != DENSE and not mine:
            raise missing("kernel", **vars(problem))
        if problem.block != DENSE:
            best = winner(mine, "hot")
            chosen.append((problem, problem.candidate(best["family"], best["decisions"])))
    return chosen
