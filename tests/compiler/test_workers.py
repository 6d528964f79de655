"""Workers: what a call does to one reaches the caller as what it was, and the next call gets a whole worker."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator

import pytest

from codesign import machine
from codesign.compiler.tvm_compat import PopenPoolExecutor
from codesign.compiler.workers import builders, runner

CORES = min(machine.describe().cores, 2)


@pytest.fixture(scope="module")
def pool() -> Iterator[PopenPoolExecutor]:
    pool = runner(CORES, 2.0)
    yield pool
    pool.shutdown()


def state() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "torch": sys.modules.get("torch"),
        "threads": os.environ["TVM_NUM_THREADS"],
        "cores": len(os.sched_getaffinity(0)),
    }


def napping() -> dict[str, object]:
    time.sleep(1)
    return state()


def refuse() -> None:
    raise ArithmeticError("wrong result")


def test_one_worker_stays_and_has_no_pytorch_and_a_core_of_its_own(pool: PopenPoolExecutor) -> None:
    first, second = (pool.submit(state).result() for _ in range(2))
    assert first == second
    assert first["pid"] != os.getpid()
    assert first["torch"] is None
    assert (first["threads"], first["cores"]) == (str(CORES), 1)


def test_a_worker_has_all_that_a_candidate_needs(pool: PopenPoolExecutor) -> None:
    from codesign.compiler.bench import time_library
    from codesign.compiler.trial import run_candidate
    from codesign.study.variants import time_variants

    for function in (run_candidate, time_library, time_variants):
        assert pool.submit(callable, function).result()


def test_an_error_keeps_its_type_and_its_worker(pool: PopenPoolExecutor) -> None:
    before = pool.submit(os.getpid).result()
    with pytest.raises(ArithmeticError, match="wrong result"):
        pool.submit(refuse).result()
    assert pool.submit(os.getpid).result() == before


def test_a_call_that_hangs_ends_in_time_and_with_its_worker(pool: PopenPoolExecutor) -> None:
    before = pool.submit(os.getpid).result()
    with pytest.raises(TimeoutError):
        pool.submit(time.sleep, 600).result()
    assert pool.submit(os.getpid).result() != before


def test_a_call_that_crashes_takes_only_its_worker(pool: PopenPoolExecutor) -> None:
    before = pool.submit(os.getpid).result()
    with pytest.raises(ChildProcessError):
        pool.submit(os.abort).result()
    assert pool.submit(os.getpid).result() != before


def test_builders_work_side_by_side_with_one_thread_each() -> None:
    pool = builders(2)
    try:
        first, second = (future.result() for future in [pool.submit(napping) for _ in range(2)])
        assert first["pid"] != second["pid"]
        assert first["threads"] == second["threads"] == "1"
    finally:
        pool.shutdown()
