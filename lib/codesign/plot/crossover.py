"""From which sparsity skipping blocks pays: the gain over the best dense engine, one line a block shape."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from codesign.plot.labels import spread
from codesign.plot.look import BLUE, INK, ORANGE, SKY, Drawing, at_end, panel
from codesign.study.crossover import Crossover
from codesign.study.points import HEADLINE


def crossover(found: Sequence[Crossover]) -> Drawing:
    """Draw one panel a model: gain against sparsity, with 95% bands; above the orange line sparse wins.

    Parameters
    ----------
    found
        Crossovers of any models and shapes; each model is a panel. A shape at one sparsity is no line: it is left out
        where its model has others.
    """
    lines = {each.model for each in found if len(each.gains) > 1}
    found = [each for each in found if len(each.gains) > 1 or each.model not in lines]
    models = list(dict.fromkeys(each.model for each in found))
    gains = [gain.ratio.high for each in found for gain in each.gains]
    limit = max([1.0, *gains]) * 1.08
    by_model = {model: [each for each in found if each.model == model] for model in models}
    heights = {model: _heights(each, limit * 0.07) for model, each in by_model.items()}
    top = max([limit, *(height + limit * 0.04 for each in heights.values() for height in each)])
    panels = [_panel(model, each, heights[model], top) for model, each in by_model.items()]
    listing = "; ".join(f"{each.model} {each.block} {each.start_text()}" for each in found)
    alt = f"Sparsity from which on sparse kernels beat the best dense engine: {listing}." if found else "Nothing swept."
    caption = (
        f"How many times faster than the best dense float32 engine of the session, by share of blocks removed. One "
        f"line a block shape, {HEADLINE} highlighted; bands are 95% intervals. Above the orange line, sparse wins."
    )
    return Drawing(panels, alt, caption)


def _heights(found: Sequence[Crossover], gap: float) -> list[float]:
    """Return where the label of each line stands, so that none covers another."""
    return spread([each.gains[-1].ratio.value for each in found], gap)


def _panel(title: str, found: Sequence[Crossover], heights: Sequence[float], top: float) -> Figure:
    with panel(width=4.4, height=3.0) as (figure, axes):
        axes.axhline(1, color=ORANGE, linewidth=1.2)
        for each, height in zip(found, heights, strict=True):
            _line(axes, each, height)
        sparsities = sorted({gain.sparsity for each in found for gain in each.gains})
        room = max(sparsities[-1] - sparsities[0], 0.05)
        axes.set_xlim(sparsities[0] - 0.04 * room, sparsities[-1] + 0.22 * room)
        axes.set_xticks(sparsities)
        axes.xaxis.set_major_formatter("{x:.0%}")
        axes.set_ylim(0, top)
        axes.set_xlabel("share of blocks removed")
        axes.set_ylabel("times faster than the best dense engine")
        axes.set_title(title)
    return figure


def _line(axes: Axes, found: Crossover, place: float) -> None:
    strong = found.block == HEADLINE
    colour = BLUE if strong else SKY
    x = [gain.sparsity for gain in found.gains]
    low, value, high = zip(*((g.ratio.low, g.ratio.value, g.ratio.high) for g in found.gains), strict=True)
    axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(x, value, color=colour, linewidth=2.2 if strong else 1.4, marker="o", markersize=3.5)
    at_end(axes, found.block, x[-1], place, color=INK, weight="bold" if strong else "normal")
