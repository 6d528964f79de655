"""Effects: what each way to lay an encoder out gives it, and whether tuning records know it."""

from __future__ import annotations

import pandas as pd

from codesign.answers.effects import closeness, effect, least
from codesign.answers.frames import DENSE, Frames, median_ms, missing, usable, where
from codesign.answers.words import shape_order, times
from codesign.blocks import BlockShape
from codesign.measure.ratios import Interval, ratio
from codesign.schema import Record
from codesign.study.comparisons import LAYOUTS, STRIPS, TOKEN_MAJOR, WHOLE

#: Layout -> the one that it is compared with.
OVER = {STRIPS: WHOLE, TOKEN_MAJOR: STRIPS}
#: Our engines -> the layout that they stand for.
_LAYOUT_OF = {engine: layout for layout, engines in LAYOUTS.items() for engine in engines}


def sides(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the encoders of one session: a row a block shape, dense first, a column a layout; a record each.

    Parameters
    ----------
    rows
        Of the kind ``layouts``.
    """
    rows = usable(rows)
    rows = rows[rows["engine"].isin(_LAYOUT_OF)] if len(rows) else rows
    if not len(rows):
        return pd.DataFrame(columns=list(LAYOUTS))
    dense = rows["engine"].isin([engine for engine, _ in LAYOUTS.values()])
    named = rows.assign(layout=rows["engine"].map(_LAYOUT_OF), encoder=rows["block"].mask(dense, "dense"))
    found = named.drop_duplicates(["encoder", "layout"], keep="last").pivot(
        index="encoder", columns="layout", values="record"
    )
    return found.reindex(index=sorted(found.index, key=shape_order), columns=list(LAYOUTS))


def of_point(frames: Frames) -> pd.DataFrame:
    """Return the `sides` of the newest session of the operating point, without those in doubt.

    Raises
    ------
    MissingRecord
        If there is none.
    """
    rows = frames.at("layouts")
    rows = rows[rows["doubt"] == ""]
    found = sides(rows[rows["session_id"] == rows["session_id"].iloc[-1]]) if len(rows) else sides(rows)
    if not len(found):
        raise missing("layouts", model=frames.model, **frames.load)
    return found


def recorded_ms(frames: Frames, scope: str, block: str) -> dict[str, float]:
    """Return layout -> what tuning records add up to: the best time of each task times its calls, in milliseconds.

    Changes of layout are tasks like any other, so they are counted.
    """
    found = {}
    for layout, (dense, sparse) in LAYOUTS.items():
        key = (dense, *DENSE) if block == "dense" else (sparse, scope, block)
        tasks = where(frames.at("task"), **dict(zip(("engine", "stored_scope", "stored_block"), key, strict=True)))
        if len(tasks):
            tasks = where(tasks, run_id=tasks["run_id"].iloc[-1]).drop_duplicates("digest", keep="last")
            if tasks["best_ns"].notna().all():
                found[layout] = float((tasks["weight"] * tasks["best_ns"]).sum()) / 1e6
    return found


@effect("ratio")
def strips_gain(frames: Frames) -> Interval:
    """Effect: what strips give the pruned encoder that gains least."""
    found = of_point(frames).drop(index="dense", errors="ignore").dropna(subset=[WHOLE, STRIPS])
    if not len(found):
        raise missing("layouts", engine=LAYOUTS[WHOLE][1])
    return least(map(ratio, found[WHOLE], found[STRIPS]))


@effect("ratio")
def tall_as_low(frames: Frames) -> Interval:
    """Effect: time of 4x1 over that of the tallest shape in strips, or its inverse if that is smaller."""
    found = of_point(frames)
    tall = found.drop(index="dense", errors="ignore").dropna(subset=[WHOLE]).index
    if not len(tall) or "4x1" not in found.index:
        raise missing("layouts", engine=LAYOUTS[STRIPS][1], block="4x1")
    tallest = max(tall, key=lambda block: (BlockShape.parse(block).rows, -BlockShape.parse(block).cols))
    return closeness(ratio(found.loc["4x1", STRIPS], found.loc[tallest, STRIPS]))


@effect("ratio")
def feature_major_lead(frames: Frames) -> Interval:
    """Effect: how many times faster the fastest feature-major encoder is than the fastest token-major one."""
    found = of_point(frames).drop(index="dense", errors="ignore")
    token_major, others = found[TOKEN_MAJOR].dropna(), found[[WHOLE, STRIPS]].stack().dropna()
    if not len(token_major) or not len(others):
        raise missing("layouts", engine=LAYOUTS[TOKEN_MAJOR][1])
    return ratio(_fastest(token_major), _fastest(others))


@effect("ratio")
def layout_picked(frames: Frames) -> Interval:
    """Effect: how many times faster the layout that tuning records choose is than the best other, where it is least."""
    gains = []
    for block, side in of_point(frames).iterrows():
        measured = side.dropna()
        expected = {w: ms for w, ms in recorded_ms(frames, "all", str(block)).items() if w in measured.index}
        if len(expected) > 1:
            picked = min(expected, key=lambda layout: expected[layout])
            gains.append(ratio(_fastest(measured.drop(picked)), measured[picked]))
    if not gains:
        raise missing("task", engine=LAYOUTS[WHOLE][1])
    return least(gains)


def _fastest(records: pd.Series) -> Record:
    return min(records, key=lambda record: median_ms(record).value)


def choices(frames: Frames, sides: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Return measured times beside those of the kernels as text, for the encoders that have several layouts.

    Returns
    -------
    pandas.DataFrame
        A row an encoder: ``block``; by layout the milliseconds, those that tuning records add up to in brackets;
        ``gain strips`` over whole blocks and ``gain token-major`` over strips; and ``picked``, the layout whose records
        add up to least.
    """
    rows = []
    for block, side in sides[sides.notna().sum(axis=1) > 1].iterrows():
        expected = {w: ms for w, ms in recorded_ms(frames, scope, str(block)).items() if w in side.dropna().index}
        measured = {w: median_ms(record).value for w, record in side.dropna().items()}
        cells = {w: f"{ms:.1f} ({expected.get(w, float('nan')):.1f})" for w, ms in measured.items()}
        gains = {w: times(ratio(side[than], side[w])) for w, than in OVER.items() if {w, than} <= cells.keys()}
        picked = min(expected, key=lambda layout: expected[layout]) if len(expected) > 1 else None
        rows.append({"block": block, "picked": picked, **cells, **{f"gain {w}": gain for w, gain in gains.items()}})
    columns = ["block", *LAYOUTS, *(f"gain {w}" for w in OVER), "picked"]
    return pd.DataFrame(rows, columns=columns).fillna("")
