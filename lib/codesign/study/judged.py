"""Which accuracy records belong together: one model, one recipe, and what each algorithm made of each block shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codesign.answers.words import shape_order
from codesign.measure.ratios import Interval
from codesign.schema import Record
from codesign.study.accuracy import accuracy, difference
from codesign.study.evidence import missing
from codesign.study.places import ASIDE

#: The algorithm that prunes at once, before as many steps of training.
AT_ONCE = "magnitude"
#: How many right answers a pruned model may lose and still be one to use.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Judged:
    """The accuracy records of one model and one recipe, whatever the schedule; every seed and sparsity.

    Parameters
    ----------
    records
        Each run once.
    main
        The algorithm that every block shape is trained with.
    """

    records: Sequence[Record]
    main: str

    @property
    def dense(self) -> list[Record]:
        """The models that were not pruned, one of each seed.

        Raises
        ------
        MissingRecord
            If there is none.
        """
        found = [record for record in self.records if record["block"] == "dense"]
        if not found:
            raise missing("accuracy", block="dense")
        return found

    def shapes(self, sparsity: float, algorithm: str | None = None, schedule: str = "cubic") -> dict[str, list[Record]]:
        """Return block shape -> the records of each seed, shapes in order."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            how = (record["pruner"].partition("@")[0], record["settings"]["schedule"], record["sparsity"])
            if record["block"] != "dense" and how == (algorithm or self.main, schedule, sparsity):
                found.setdefault(record["block"], []).append(record)
        return dict(sorted(found.items(), key=lambda item: shape_order(item[0])))

    def models(self) -> dict[tuple[str, str, float], list[Record]]:
        """Return pruner, block shape and sparsity -> the records of each seed, of every pruned model."""
        found: dict[tuple[str, str, float], list[Record]] = {}
        for record in self.records:
            if record["block"] != "dense":
                found.setdefault((record["pruner"], record["block"], record["sparsity"]), []).append(record)
        return found

    def at_once(self, sparsity: float) -> dict[str, list[Record]]:
        """Return the shapes that were pruned at once and then trained as long."""
        return self.shapes(sparsity, AT_ONCE, "one-shot")

    def algorithms(self) -> list[str]:
        """Every other algorithm that raised sparsity while training."""
        names = {r["pruner"].partition("@")[0] for r in self.records if r["settings"]["schedule"] != "one-shot"}
        return sorted(names - {self.main, "none"})


def newest_recipe(records: Iterable[Record]) -> Judged:
    """Return the records of the recipe that the newest model was trained by; of equal runs the newest.

    The algorithm that most models were trained with is the main one.

    Raises
    ------
    MissingRecord
        If no pruned model was trained.
    """
    known = [record for record in records if record["profile"] not in ASIDE]
    if not known:
        raise missing("accuracy")
    wanted = _setting(known[-1])
    same = [record for record in known if _setting(record) == wanted]
    fields = ("seed", "scope", "pruner", "block", "sparsity")
    kept = list({tuple(record[name] for name in fields): record for record in same}.values())
    models = Counter(
        record["pruner"].partition("@")[0]
        for record in kept
        if record["block"] != "dense" and record["settings"]["schedule"] != "one-shot"
    )
    if not models:
        raise missing("accuracy", recipe=known[-1]["recipe"])
    return Judged(kept, models.most_common(1)[0][0])


def _setting(record: Record) -> tuple[Any, ...]:
    """Model, task and recipe but for the schedule, which is what runs that are compared may differ in."""
    recipe = {name: value for name, value in record["settings"].items() if name != "schedule"}
    return record["model"], record["task_digest"], recipe


def against_at_once(judged: Judged, sparsity: float) -> dict[str, Interval]:
    """Return block shape -> how many more answers are right when training knew the blocks, as a share; same seeds."""
    trained, at_once = judged.shapes(sparsity), judged.at_once(sparsity)
    return {block: difference(*same_seeds(trained[block], at_once[block])) for block in trained if block in at_once}


def against_others(judged: Judged, sparsity: float) -> dict[str, dict[str, Interval]]:
    """Return block shape -> algorithm -> how many more answers are right by the main algorithm, as a share; same seeds.

    Shapes that only the main algorithm pruned are left out.
    """
    main = judged.shapes(sparsity)
    found: dict[str, dict[str, Interval]] = {}
    for name in judged.algorithms():
        for block, records in judged.shapes(sparsity, name).items():
            if block in main:
                found.setdefault(block, {})[name] = difference(*same_seeds(main[block], records))
    return {block: found[block] for block in sorted(found, key=shape_order)}


def loss(judged: Judged, records: Sequence[Record]) -> Interval:
    """Return how many fewer answers are right than of the dense model of the same seeds, as a share."""
    return difference(*same_seeds(judged.dense, records))


def same_seeds(a: Sequence[Record], b: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Keep the runs whose seeds both have."""
    shared = {record["seed"] for record in a} & {record["seed"] for record in b}
    first, second = ([record for record in each if record["seed"] in shared] for each in (a, b))
    return first, second


def repeated(judged: Judged) -> dict[tuple[str, float], list[Record]]:
    """Return block shape and sparsity -> the records of each seed, for the shapes that were trained at several.

    A sparsity counts if more than one shape was trained at it: a mask that is only stored in other blocks has its own.
    """
    sparsities = sorted({record["sparsity"] for record in judged.records if record["block"] != "dense"})
    each = {sparsity: judged.shapes(sparsity) for sparsity in sparsities}
    shared = {sparsity: shapes for sparsity, shapes in each.items() if len(shapes) > 1}
    blocks = dict.fromkeys(block for shapes in shared.values() for block in shapes)
    return {
        (block, sparsity): shapes[block]
        for block in sorted(blocks, key=shape_order)
        if sum(block in shapes for shapes in shared.values()) > 1
        for sparsity, shapes in shared.items()
        if block in shapes
    }


def accuracy_rows(judged: Judged, sparsity: float) -> list[dict[str, str]]:
    """Lay out every run at a sparsity as text, with the loss against the dense model."""
    groups = [("trained for blocks", judged.shapes(sparsity)), ("pruned at once", judged.at_once(sparsity))]
    groups += [(name, judged.shapes(sparsity, name)) for name in judged.algorithms()]
    return [
        {"block": block, "how": how, **_row(judged, records)}
        for how, shapes in groups
        for block, records in shapes.items()
    ]


def other_rows(judged: Judged, sparsity: float) -> list[dict[str, str]]:
    """Lay out `against_others` as text, a column for each algorithm."""
    names = judged.algorithms()
    return [
        {"block": block} | {name: points(leads[name]) if name in leads else "not trained" for name in names}
        for block, leads in against_others(judged, sparsity).items()
    ]


def sparsity_rows(judged: Judged) -> list[dict[str, str]]:
    """Lay out `repeated` as text."""
    return [
        {"block": block, "sparsity": f"{sparsity:.0%}", **_row(judged, records)}
        for (block, sparsity), records in repeated(judged).items()
    ]


def _row(judged: Judged, records: Sequence[Record]) -> dict[str, str]:
    return {
        "seeds": str(len(records)),
        "right": percent(accuracy(records)),
        "lost": points(loss(judged, records)),
        "cosine": f"{_mean(records, 'cosine'):.3f}",
        "rank": f"{_mean(records, 'rank_correlation'):.3f}",
    }


def percent(share: Interval) -> str:
    """Format a share with its interval: ``71.2% (69.5 to 72.9)``."""
    return f"{share.value:.1%} ({share.low * 100:.1f} to {share.high * 100:.1f})"


def points(difference: Interval) -> str:
    """Format a difference of shares in percentage points: ``+1.2 (-0.3 to +2.7)``."""
    value, low, high = (f"{end * 100:+.1f}" for end in (difference.value, difference.low, difference.high))
    return f"{value} ({low} to {high})"


def _mean(records: Sequence[Mapping[str, Any]], name: str) -> float:
    return sum(float(record[name]) for record in records) / len(records)
