"""Does the answer travel? Times by block shape on several machines, each in units of its own best dense engine."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from codesign.measure.ratios import Interval
from codesign.plot.charts import bars, spans, spoken
from codesign.plot.look import ORANGE, Drawing

NOTHING = "No block shape has been timed beside a dense engine on any machine."


def machines(found: Mapping[str, Mapping[str, Interval]]) -> Drawing:
    """Draw one panel a machine: a bar for each block shape, with its 95% interval; left of the orange line sparse wins.

    Parameters
    ----------
    found
        Label of a machine -> block shape -> relative time, from `codesign.answers.machines.relative_times`. A machine
        without any is left out; a shape that was timed on another one has a row all the same.
    """
    drawn = {label: times for label, times in found.items() if times}
    shapes = list(dict.fromkeys(block for times in drawn.values() for block in times))
    limit = max([1.0, *(time.high for times in drawn.values() for time in times.values())]) * 1.2
    figures, said = [], []
    for label, times in drawn.items():
        fastest = min(times, key=lambda block: times[block].value)
        rows = pd.DataFrame({"label": shapes, "time": [times.get(block, Interval(0, 0, 0)) for block in shapes]})
        rows = spans(rows, "time").assign(kind=["best" if block == fastest else "ours" for block in shapes])
        rows["text"] = rows["value"].map("{:.2f}".format).mask(~rows["label"].isin(times), "not measured")
        figure, axes = bars(rows, title=label, xlabel="time, best dense engine = 1", limit=limit, width=3.6)
        axes.axvline(1, color=ORANGE, linewidth=1.4)
        figures.append(figure)
        said.append(f"{label}: {spoken(rows[rows['label'].isin(times)], '{label} {text}')}")
    alt = f"Time of each block shape in units of the best dense engine of the machine. {'. '.join(said)}."
    caption = (
        "Time of one inference with all encoder weights pruned, in units of the best dense float32 engine of the same "
        "machine, which is the orange line: shorter is better. The fastest shape is highlighted; lines at the end of "
        "bars are 95% intervals."
    )
    return Drawing(figures, alt if drawn else NOTHING, caption if drawn else "")
