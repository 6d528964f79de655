"""What another batch, sequence or number of threads does to the gain."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from codesign.plot.labels import spread
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.crossover import Gain
from codesign.study.points import HEADLINE
from codesign.study.swept import LOADS

Shapes = Mapping[str, Mapping[int, Gain]]

#: Said in place of a figure.
NOTHING = "No other batch, sequence length or number of threads has been measured."


def loads(found: Mapping[str, Shapes]) -> Drawing:
    """Draw one panel a factor: gain over the best dense engine against its values, with 95% intervals.

    Parameters
    ----------
    found
        Factor -> block shape -> value -> gain, from `codesign.study.swept.by_load`.
    """
    every = [gain.ratio for shapes in found.values() for values in shapes.values() for gain in values.values()]
    limit = max([1.0, *(ratio.high for ratio in every)]) * 1.08
    panels = [_panel(LOADS[factor], shapes, limit) for factor, shapes in found.items()]
    listing = "; ".join(
        f"{LOADS[factor]} {value}, {block}: {gain.ratio.value:.2f}"
        for factor, shapes in found.items()
        for block, values in shapes.items()
        for value, gain in values.items()
    )
    alt = f"Times faster than the best dense engine: {listing}." if found else NOTHING
    caption = (
        "How many times faster than the best dense float32 engine of the session, when one factor of the load changes. "
        f"{HEADLINE} is highlighted; lines through the points are 95% intervals. Above the orange line, sparse wins."
    )
    return Drawing(panels, alt, caption)


def _panel(title: str, shapes: Shapes, limit: float) -> Figure:
    values = sorted({value for gains in shapes.values() for value in gains})
    places = {value: place for place, value in enumerate(values)}  # evenly spaced: the values grow by factors
    with panel(width=2.9, height=2.8) as (figure, axes):
        axes.axhline(1, color=ORANGE, linewidth=1.2)
        heights = spread([list(gains.values())[-1].ratio.value for gains in shapes.values()], gap=limit * 0.08)
        for (block, gains), height in zip(shapes.items(), heights, strict=True):
            strong = block == HEADLINE
            colour = BLUE if strong else SKY
            x = [places[value] for value in gains]
            axes.plot(x, [g.ratio.value for g in gains.values()], color=colour, linewidth=1.6, marker="o", markersize=4)
            axes.vlines(x, [g.ratio.low for g in gains.values()], [g.ratio.high for g in gains.values()], color=INK)
            at_end(axes, block, x[-1], height, weight="bold" if strong else "normal")
        axes.set_xticks(range(len(values)), [str(value) for value in values])
        axes.set_xlim(-0.3, len(values) - 0.3)
        axes.set_ylim(0, limit)
        axes.set_xlabel(title)
        axes.set_ylabel("times faster than dense")
    return figure
