"""Whether patterns inside blocks make a kernel faster, and whether it matters where the blocks lie.

The paper explains block shapes by "fewer, more common patterns" that a runtime can reuse. A BSR kernel multiplies the
zeros inside a block like any other value, so the expectation, written down before anything was measured, is a ratio of
1.00. Which columns a block-row reads is another matter: it decides which activations are still in a cache.

One kernel a matrix and block shape, the fastest that the study of kernels found, is given weights that differ in one
of the two only (`codesign.study.variants`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from codesign import machine
from codesign.compiler.bench import Bench, Candidate
from codesign.compiler.workers import runner
from codesign.errors import InputError
from codesign.records import Record, new_run_id
from codesign.study.chain import Study
from codesign.study.kernels import Problem
from codesign.study.variants import VARIANTS, time_variants

#: A kernel to look at: a matrix in a block shape, and how to compute it.
Chosen = tuple[Problem, Candidate]

#: Profile -> rounds, and the least duration of a sample in seconds.
EFFORTS = {"quick": (4, 1e-3), "default": (12, 4e-3), "full": (64, 6e-3)}
_TIMEOUT_S = 900.0


def ensure_patterns(study: Study, chosen: Sequence[Chosen]) -> list[Record]:
    """Time every kernel that still needs it with all variants; return their `variant` records.

    Raises
    ------
    InputError
        If a kernel cannot be built, or blocks do not tile the matrix.
    MissingRecord
        Reading committed results, if they lack a kernel.
    """
    candidates, found = dict(chosen), []
    for problem in study.left(list(candidates), "timing patterns of", lambda problem: _session_of(study, problem)):
        _time(study, problem, candidates[problem])
    for problem in candidates:
        session = _session_of(study, problem) or study.newest("variant", asdict(problem))["session_id"]
        found += study.found("variant", asdict(problem) | {"session_id": session})
    return found


def _session_of(study: Study, problem: Problem) -> str | None:
    """Return the newest session that has a record of every variant; an interrupted write has not."""
    found = [record["session_id"] for record in study.found("variant", asdict(problem))]
    return next((name for name in reversed(found) if found.count(name) == len(VARIANTS)), None)


def _time(study: Study, problem: Problem, candidate: Candidate) -> None:
    worker = runner(problem.threads, _TIMEOUT_S)
    try:
        with machine.exclusive("timing patterns inside blocks"), Bench(problem.spec, problem.seed) as bench:
            (library,) = bench.build([candidate])
            if not isinstance(library, Path):
                raise InputError("kernel", str(problem), f"a kernel that compiles ({library})")
            timings = worker.submit(time_variants, library, problem.seed, *EFFORTS[study.protocol]).result()
    finally:
        worker.shutdown()
    common = {"nnz": candidate.operator.nnz, "target": problem.spec.key, "session_id": new_run_id()}
    how = {"family": candidate.family, "decisions": dict(candidate.decisions)}
    for variant, timing in zip(VARIANTS, timings, strict=True):
        study.append("variant", asdict(problem), common, how, asdict(variant), timing)
