"""What `kernel` records say: the best schedule of each block shape and family.

The rule against the winner's curse lives here: even rounds choose, odd rounds tell (`codesign.study.kernels`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from codesign.answers.words import shape_order
from codesign.measure.ratios import Interval
from codesign.schema import Record

#: Whether a kernel finds its weights in a cache, from the call before, or not.
State = Literal["hot", "cold"]
STATES: tuple[State, State] = ("hot", "cold")
_RESAMPLES = 2000


class Matrix(NamedTuple):
    """What is the same for all block shapes that were timed in turns."""

    outputs: int
    inputs: int
    tokens: int
    isa: str
    threads: int
    seed: int

    @property
    def size(self) -> str:
        """Outputs by inputs, as in ``"768x768"``."""
        return f"{self.outputs}x{self.inputs}"


def matrix_of(record: Mapping[str, Any]) -> Matrix:
    """Return the matrix, load and target that a record is about."""
    return Matrix(*(record[name] for name in Matrix._fields))


def shares(record: Record, state: State) -> np.ndarray:
    """Share of the peak that a timed kernel reached in each round, float64[rounds]: a drift of the clock cancels."""
    rates = record["flops"] / np.asarray(record[f"{state}_ns"])
    return rates / np.asarray(record["peak_gflops"])


def choosing(record: Record, state: State) -> float:
    """Median share of the rounds that may choose: the even ones."""
    return float(np.median(shares(record, state)[::2]))


def telling(record: Record, state: State) -> np.ndarray:
    """Return the shares that say how fast a chosen kernel is: those of odd rounds."""
    return shares(record, state)[1::2]


def share(record: Record, state: State) -> float:
    """Share of the peak, the median of `telling`. Zeros that are skipped do not count as work."""
    return float(np.median(telling(record, state)))


def gflops(record: Record, state: State) -> float:
    """Useful floating-point operations a second, in billions, of the same rounds."""
    return float(record["flops"] / np.median(record[f"{state}_ns"][1::2]))


def share_draws(record: Record, state: State) -> np.ndarray:
    """Bootstrap draws of `share`, float64[2000]; records of one session see the same drawn rounds."""
    told = telling(record, state)
    drawn = np.random.default_rng(0).integers(len(told), size=(_RESAMPLES, len(told)))
    return np.median(told[drawn], axis=1)


def interval(value: float, draws: np.ndarray) -> Interval:
    """95% interval of bootstrap draws around a value."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def in_turns(records: Iterable[Record]) -> dict[Matrix, list[Record]]:
    """Return the timed records of each matrix that belong together: one session, the one with the most block shapes.

    Of several such sessions, the newest counts.
    """
    sessions: dict[Matrix, dict[str, list[Record]]] = {}
    for record in records:
        if record["stage"] == "timed" and record["status"] == "ok":
            sessions.setdefault(matrix_of(record), {}).setdefault(record["session_id"], []).append(record)
    return {
        matrix: max(reversed(found.values()), key=lambda timed: len({record["block"] for record in timed}))
        for matrix, found in sessions.items()
    }


def by_block(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Group records by block shape, dense first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["block"], []).append(record)
    return {block: groups[block] for block in sorted(groups, key=shape_order)}


def winner(records: Iterable[Record], state: State) -> Record:
    """Return the record that the even rounds choose."""
    return max(records, key=lambda record: choosing(record, state))


def winners(timed: Iterable[Record], state: State) -> dict[str, Record]:
    """Return the best of all families for each block shape of one matrix."""
    return {block: winner(found, state) for block, found in by_block(timed).items()}


def family_winners(timed: Iterable[Record], state: State) -> dict[str, dict[str, Record]]:
    """Return block shape -> family -> its best, for one matrix."""
    return {
        block: {
            family: winner([r for r in found if r["family"] == family], state)
            for family in dict.fromkeys(r["family"] for r in found)
        }
        for block, found in by_block(timed).items()
    }


def family_rows(records: Iterable[Record], state: State) -> list[dict[str, Any]]:
    """Lay out the best kernel of each family: a row a matrix, block shape and family, with its share."""
    return [
        {"matrix": matrix, "block": block, "family": family, "share": share(record, state)}
        for matrix, timed in in_turns(records).items()
        for block, families in family_winners(timed, state).items()
        for family, record in families.items()
    ]


def share_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Lay out the best kernels as rows: a row a matrix and block shape, with the shares hot and cold."""
    rows = []
    for matrix, timed in in_turns(records).items():
        hot, cold = (winners(timed, state) for state in STATES)
        for block, record in hot.items():
            rows.append(
                {
                    "matrix": matrix,
                    "block": block,
                    "family": record["family"],
                    "decisions": ", ".join(f"{name} {value}" for name, value in record["decisions"].items()),
                    "gflops": gflops(record, "hot"),
                    "hot": share(record, "hot"),
                    "cold": share(cold[block], "cold"),
                    "rotated_mib": record["rotated_bytes"] / 2**20,
                }
            )
    return rows
