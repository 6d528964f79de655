"""A trained mask of single weights, stored in blocks of another shape: what an engine of blocks makes of it.

The weights, and so the right answers, stay as they were. What changes is the shape in which they are stored, and so
how many zeros are computed. It is a point of its own, whose pruner says what it is: ``algorithm@recipe@1x1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from codesign.blocks import BlockShape
from codesign.encoder import load_checkpoint, prunable_linears, save_checkpoint
from codesign.prune import norm, report
from codesign.study.chain import Study
from codesign.study.points import Point
from codesign.study.pruned import files, require_files, save_expected


def stored_in(point: Point, block: str) -> Point:
    """Return the point of the same weights in blocks of another shape."""
    return replace(point, pruner=f"{point.pruner}@{point.block}", block=block)


def ensure_stored(study: Study, points: Sequence[Point], blocks: Sequence[str]) -> list[Point]:
    """Publish the weights of each point as they are stored in the block shape of the same place; return those points.

    Raises
    ------
    MissingRecord
        If the weights are missing.
    """
    made = [stored_in(point, block) for point, block in zip(points, blocks, strict=True)]
    for point, target in zip(points, made, strict=True):
        if study.local and not (files(study, target).complete and study.found("pattern", target.fields())):
            _store(study, point, target)
    return made


def _store(study: Study, point: Point, target: Point) -> None:
    model, _ = load_checkpoint(require_files(study, point).checkpoint)
    weights = {name: linear.weight.detach().numpy() for name, linear in prunable_linears(model, point.scope).items()}
    before = study.newest("pattern", point.fields())
    achieved = report(weights, BlockShape.parse(target.block), norm(weights.values()), before["allocation"])
    where = files(study, target)
    save_checkpoint(model, where.checkpoint, target.fields())
    save_expected(where, model, target)
    study.append("pattern", asdict(achieved) | {"retained_l2": before["retained_l2"]}, target.fields())
