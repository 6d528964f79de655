"""What fits in memory at once: sessions that are too large are split, and each part gets the references again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from codesign import machine
from codesign.measure.session import REFERENCES
from codesign.study.points import Case

#: Resident size of an engine's process, from the size of the files that it loads. With BERT-base the engines here had
#: 0.4 to 1.0 GB at most, loading 0.16 to 0.42 GB: 0.2 to 0.4 GB for libraries, and the weights up to one and a half
#: times. The mean is what counts for many at once.
LIBRARIES_BYTES, COPIES = 250 * 2**20, 1.25

#: Share of the memory that engines may fill. The rest is for the system and for converting two encoders at a time.
FILLED = 0.8

#: In every part of a session: what other parts are related through, and what sparsity is credited against.
KEPT = (*REFERENCES, "tvm-dense")


def resident_bytes(file_bytes: int) -> int:
    """Estimate the resident size of an engine that loads files of this size."""
    return round(LIBRARIES_BYTES + COPIES * file_bytes)


def budget_bytes() -> int:
    """Memory that the engines of a session may fill together.

    A share of what the machine has, not of what is free just now: an interrupted run must split its sessions in the
    same way when it goes on.
    """
    return int(FILLED * machine.describe().memory_gib * 2**30)


def split(cases: Sequence[Case], resident: Callable[[Case], int], budget: int) -> list[list[Case]]:
    """Split a session into parts that fit, in order; a session that fits stays whole.

    Parameters
    ----------
    cases
        With the references. These and our dense engine, where it is there, are in every part.
    resident
        Estimates the resident size of a case, in bytes. The control counts as one more of the first case.
    budget
        Bytes that a part may fill. A part has at least one case beside those of every part, whatever its size.
    """
    kept = [case for case in cases if case.engine in KEPT]
    others = [case for case in cases if case.engine not in KEPT]
    fixed = sum(map(resident, kept)) + resident(cases[0])
    parts: list[list[Case]] = [[]]
    filled = fixed
    for case in others:
        size = resident(case)
        if parts[-1] and filled + size > budget:
            parts.append([])
            filled = fixed
        parts[-1].append(case)
        filled += size
    return [kept + part for part in parts]
