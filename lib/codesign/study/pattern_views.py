"""What `variant` records say: the time of each variant over that of full blocks at random columns, round by round."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from codesign.answers.words import shape_order
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.evidence import Evidence, missing
from codesign.study.kernel_views import STATES, State, interval

_RESAMPLES = 2000
SIZES = ((768, 768), (3072, 768))
BLOCKS = ("4x1", "32x1", "1x32", "16x16")

Group = tuple[int, int, str]  # outputs, inputs, block


def groups(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """Group records by matrix and block shape, the newest session of each."""
    newest: dict[Group, list[Record]] = {}
    for record in records:
        key = (record["outputs"], record["inputs"], record["block"])
        held = newest.setdefault(key, [])
        if held and held[0]["session_id"] != record["session_id"]:
            held.clear()
        held.append(record)
    return dict(sorted(newest.items(), key=lambda item: (item[0][:2], shape_order(item[0][2]))))


def base_of(group: Iterable[Record]) -> Record:
    """Return the record that the others are compared with."""
    return next(r for r in group if (r["inside"], r["where"], r["control"]) == ("full", "random", None))


def over(a: Record, b: Record, state: State, rounds: slice = slice(None)) -> Interval:
    """Return the ratio of two times, a / b: the median over rounds of one session, with a bootstrap interval."""
    ratios = (np.asarray(a[f"{state}_ns"]) / np.asarray(b[f"{state}_ns"]))[rounds]
    drawn = np.random.default_rng(0).integers(len(ratios), size=(_RESAMPLES, len(ratios)))
    return interval(float(np.median(ratios)), np.median(ratios[drawn], axis=1))


def name_of(record: Record) -> str:
    """Name a variant by what sets it apart."""
    if record["control"]:
        return "again (A/A)"
    return str(record["inside"] if record["inside"] != "full" else record["where"])


def question_of(record: Record) -> str:
    """Say which question a variant is about: "inside", "where", or both for the control."""
    if record["control"]:
        return "both"
    return "inside" if record["inside"] != "full" else "where"


def variant_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out every comparison: a row a matrix, block shape and variant, with a ratio for each state.

    Returns
    -------
    list[dict]
        ``size``, ``block``, ``question``, ``variant``, ``distinct``, ``hot`` and ``cold`` (`Interval`), ``error``.
    """
    rows: list[dict[str, Any]] = []
    for (outputs, inputs, block), group in groups(records).items():
        base = base_of(group)
        for record in group:
            if record is not base:
                row: dict[str, Any] = {"size": f"{outputs}x{inputs}", "block": block}
                row |= {"question": question_of(record), "variant": name_of(record)}
                row |= {"distinct": record["distinct_patterns"], "error": record["max_abs_err"]}
                rows.append(row | {state: over(record, base, state) for state in STATES})
    return rows


def closeness(ratio: Interval) -> Interval:
    """Say how near a ratio is to one, from below: 0.98 is two percent off, whichever way."""
    off = min(ratio.value, 1 / ratio.value)
    ends = [min(end, 1 / end) for end in (ratio.low, ratio.high)]
    return Interval(off, min(ends), 1.0 if ratio.covers(1.0) else max(ends))


def inside_effect(evidence: Evidence) -> Interval:
    """Effect: the nearness to one of whichever pattern inside blocks, shape, size and state is farthest from it."""
    near = [
        closeness(over(record, base_of(group), state))
        for group in _groups(evidence)
        for record in group
        if question_of(record) == "inside"
        for state in STATES
    ]
    return Interval(*(float(min(getattr(each, end) for each in near)) for end in ("value", "low", "high")))


def where_effect(evidence: Evidence) -> Interval:
    """Effect: time of the slowest placement of blocks over that of the fastest, for the kernel where it is largest.

    Even rounds choose kernel, state and placements; odd rounds tell.
    """
    pairs = [
        (over(slow, fast, state, slice(0, None, 2)).value, slow, fast, state)
        for group in _groups(evidence)
        for state in STATES
        for places in [[r for r in group if question_of(r) == "where"]]
        for slow in places
        for fast in places
    ]
    _, slow, fast, state = max(pairs, key=lambda pair: pair[0])
    return over(slow, fast, state, slice(1, None, 2))


def _groups(evidence: Evidence) -> list[list[Record]]:
    fields = {"tokens": evidence.batch * evidence.seq, "threads": evidence.threads, "isa": evidence.isa, "seed": 0}
    found = groups(evidence.read("variant", **fields, sparsity=evidence.sparsity))
    for size in SIZES:
        for block in BLOCKS:
            if (*size, block) not in found:
                raise missing("variant", outputs=size[0], inputs=size[1], block=block)
    return [found[*size, block] for size in SIZES for block in BLOCKS]


#: Claim id -> statement, effect and threshold, chosen before anything was measured.
PATTERN_CLAIMS: tuple[tuple[str, str, Callable[[Evidence], Interval], float], ...] = (
    ("patterns-inside", "What is inside blocks changes no kernel's time by more than 2%.", inside_effect, 0.98),
    ("patterns-where", "Where blocks lie changes the time of some kernel by at least 5%.", where_effect, 1.05),
)
