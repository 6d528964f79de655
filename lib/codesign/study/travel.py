"""One shape for several machines: how much longer each shape takes on each of them than the fastest shape there.

A model that is pruned once and served on several processors wants the shape that loses least where it loses most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codesign.answers.words import shape_order, times
from codesign.measure.ratios import Interval
from codesign.study.claims import NOT_MEASURED, SUPPORTED
from codesign.study.evidence import OURS, beside, median_ms
from codesign.study.machines import NOT_MEASURED_THERE, Machine

#: What the fastest shape of a machine loses there: it is what the others are compared with.
FASTEST = Interval(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Loss:
    """A shape, and its time on each machine in units of the fastest shape there; None where it was not timed."""

    block: str
    on: tuple[Interval | None, ...]

    @property
    def worst(self) -> Interval | None:
        """Return the largest loss; None unless the shape was timed on every machine."""
        known = [loss for loss in self.on if loss is not None]
        return max(known, key=lambda loss: loss.value) if known and len(known) == len(self.on) else None


def timed_machines(found: Sequence[Machine], scope: str = "all") -> list[Machine]:
    """Return the machines on which a shape of ``scope`` was timed, at the operating point of the book."""
    return [machine for machine in found if _losses(machine, scope)]


def losses(found: Sequence[Machine], scope: str = "all") -> list[Loss]:
    """Return the loss of every shape on every machine of `timed_machines`, in the order of shapes."""
    on = [_losses(machine, scope) for machine in timed_machines(found, scope)]
    shapes = sorted({block for each in on for block in each}, key=shape_order)
    return [Loss(block, tuple(each.get(block) for each in on)) for block in shapes]


def safest(found: Sequence[Loss]) -> Loss | None:
    """Return the shape whose worst loss is least, of those that were timed on every machine, if there are several."""
    known = [(loss.worst.value, loss) for loss in found if loss.worst is not None and len(loss.on) > 1]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def travel_rows(found: Sequence[Machine], scope: str = "all") -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table: shapes by machines, and the worst of each shape."""
    head = ["block shape", *(machine.label for machine in timed_machines(found, scope)), "worst"]
    rows = [
        [loss.block, *(_text(each) for each in loss.on), "-" if loss.worst is None else times(loss.worst)]
        for loss in losses(found, scope)
    ]
    return head, rows


def travel_numbers(found: Sequence[Machine], scope: str = "all") -> Iterator[tuple[str, str]]:
    """Yield on how many machines each claim holds, and the shape to prune to where the machine is not known.

    Of the latter nothing for one machine.
    """
    for verdicts in zip(*(machine.verdicts for machine in found), strict=True):
        known = [verdict.verdict for verdict in verdicts if verdict.verdict != NOT_MEASURED]
        yield f"travel.{verdicts[0].id}.supported", f"{known.count(SUPPORTED)} of {len(known)}"
    shape = safest(losses(found, scope))
    if shape is None or shape.worst is None:
        return
    yield "travel.block", shape.block
    yield "travel.loss", times(shape.worst)
    yield "travel.machines", str(len(shape.on))


def _losses(machine: Machine, scope: str) -> dict[str, Interval]:
    evidence = machine.evidence
    timed = beside(evidence.records("latency"), scope)
    shapes = {block: record for (engine, where, block), record in timed.items() if (engine, where) == (OURS, scope)}
    if not shapes:
        return {}
    fastest = min(shapes.values(), key=lambda record: median_ms(record).value)
    return {block: FASTEST if record is fastest else evidence.gain(record, fastest) for block, record in shapes.items()}


def _text(loss: Interval | None) -> str:
    if loss is None:
        return NOT_MEASURED_THERE
    return "the fastest" if loss is FASTEST else times(loss)
