"""What the records of a sweep say: which belong to it, and what each factor does to the gain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from codesign.answers.words import ENGINE_LABELS, shape_order, times
from codesign.isa import NATIVE
from codesign.schema import Record
from codesign.study.crossover import SHOWN, Crossover, Gain, crossovers, gains
from codesign.study.evidence import Evidence, compiled_for
from codesign.study.places import ASIDE

#: Factors of the load, with their words; the others are the sparsity and the model.
LOADS = {"batch": "batch", "seq": "tokens a sequence", "threads": "threads"}
#: What stays the same in a whole sweep.
FIXED = ("scope", "pruner", "seed")

Centre = Mapping[str, Any]


def around(records: Iterable[Record], centre: Centre) -> list[Record]:
    """Return the latency records that differ from the centre in the load by one factor, or in sparsity and model.

    Parameters
    ----------
    records
        Latency records of any points; those of shapes tried on demand are left out.
    centre
        The point fields of the centre; its block does not matter. With an ``isa``, where that is not the machine's own.
    """
    return [record for record in records if _is_around(record, centre)]


def _is_around(record: Record, centre: Centre) -> bool:
    if record["profile"] in ASIDE or any(record[name] != centre[name] for name in FIXED):
        return False
    if not compiled_for(record, centre.get("isa", NATIVE)):
        return False
    moved = sum(record[name] != centre[name] for name in LOADS)
    other = any(record[name] != centre[name] for name in ("model", "sparsity"))
    return moved == 0 or (moved == 1 and not other)


def curves(records: Iterable[Record], centre: Centre) -> list[Crossover]:
    """Return the crossover of every model and shape at the load of the centre: its model first, shapes in order."""
    here = [r for r in around(records, centre) if all(r[name] == centre[name] for name in LOADS)]
    found = crossovers(here)
    models = sorted(dict.fromkeys(c.model for c in found), key=lambda model: model != centre["model"])
    return sorted(found, key=lambda c: (models.index(c.model), shape_order(c.block)))


def by_load(records: Iterable[Record], centre: Centre) -> dict[str, dict[str, dict[int, Gain]]]:
    """Return factor -> block shape -> value -> gain, the centre's own value among them; factors that moved only."""
    same = [
        gain
        for gain in gains(around(records, centre))
        if all(gain.sparse[name] == centre[name] for name in ("model", "sparsity"))
    ]
    found: dict[str, dict[str, dict[int, Gain]]] = {}
    for factor in LOADS:
        moved = [g for g in same if all(g.sparse[name] == centre[name] for name in LOADS if name != factor)]
        shapes = {g.sparse["block"] for g in moved if g.sparse[factor] != centre[factor]}
        for block in sorted(shapes, key=shape_order):
            values = {g.sparse[factor]: g for g in moved if g.sparse["block"] == block}
            found.setdefault(factor, {})[block] = dict(sorted(values.items()))
    return found


def crossover_rows(found: Iterable[Crossover]) -> list[dict[str, str]]:
    """Lay out the crossover table as text: ``model``, ``block``, ``start`` and a column for each of `SHOWN`."""
    return [
        {"model": c.model, "block": c.block, "start": c.start_text()}
        | {f"at{sparsity * 100:.0f}": _gain_text(c, sparsity) for sparsity in SHOWN}
        for c in found
    ]


def load_rows(found: Mapping[str, Mapping[str, Mapping[int, Gain]]]) -> list[dict[str, str]]:
    """Lay out the gains under other loads as text: ``factor``, ``value``, ``block``, ``dense`` engine and ``gain``."""
    return [
        {
            "factor": LOADS[factor],
            "value": str(value),
            "block": block,
            "dense": ENGINE_LABELS[gain.dense["engine"]],
            "gain": times(gain.ratio),
        }
        for factor, shapes in found.items()
        for block, values in shapes.items()
        for value, gain in values.items()
    ]


def _gain_text(found: Crossover, sparsity: float) -> str:
    gain = found.at(sparsity)
    return "-" if gain is None else times(gain)


def centre_of(evidence: Evidence, scope: str = "all") -> dict[str, Any]:
    """Return the operating point of some evidence as the centre of a sweep."""
    names = ("model", "sparsity", "pruner", "isa", *LOADS)
    return {name: getattr(evidence, name) for name in names} | {"scope": scope, "seed": 0}


def swept_numbers(evidence: Evidence, scope: str = "all") -> Iterator[tuple[str, str]]:
    """Yield crossovers and gains around the operating point, as key and text."""
    centre, records = centre_of(evidence, scope), evidence.read("latency")
    for found in curves(records, centre):
        key = f"crossover.{found.model}.{found.block}"
        yield f"{key}.from", found.start_text()
        for sparsity in SHOWN:
            if (gain := found.at(sparsity)) is not None:
                yield f"{key}.at{sparsity * 100:.0f}", times(gain)
    for factor, shapes in by_load(records, centre).items():
        for block, values in shapes.items():
            for value, moved in values.items():
                yield f"sweep.{factor}.{value}.{block}", times(moved.ratio)
