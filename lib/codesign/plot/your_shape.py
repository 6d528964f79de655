"""A shape that you tried, among the ones that were measured for the book."""

from __future__ import annotations

import pandas as pd

from codesign.answers.frames import CONTENDER, DENSE, OUR_DENSE, OURS, by_shape, newest, usable, where
from codesign.answers.words import SCOPE_LABELS
from codesign.measure.ratios import ratio
from codesign.plot.charts import bars, spans, spoken
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing


def your_shape(local: pd.DataFrame, committed: pd.DataFrame, scope: str = "attention") -> Drawing:
    """Draw the gain over our own dense engine, local shapes beside the book's.

    Gains are compared, not milliseconds: each is a ratio inside one session, so two machines fit on one axis.

    Parameters
    ----------
    local, committed
        Latency rows of this machine and of the book.
    scope
        Which weights were pruned.
    """
    rows = pd.concat([_gains(local, scope, "here"), _gains(committed, scope, "book")], ignore_index=True)
    if not len(rows):
        return Drawing([], "No shape has been tried on this machine yet.")
    rows = spans(rows, "gain")
    rows["text"] = rows["value"].map("{:.2f}".format)
    figure, axes = bars(
        rows,
        title=SCOPE_LABELS[scope],
        xlabel="times faster than our dense engine (more is better)",
        limit=max(1.0, rows["high"].max()) * 1.15,
        width=5.6,
        colours={"here": BLUE, "book": SKY},
    )
    axes.axvline(1, color=ORANGE, linewidth=1.2)
    alt = f"Gain over our own dense engine: {spoken(rows, '{label} {text}')}."
    caption = "Strong blue was measured here, pale blue is the book. Left of the orange line, pruning lost."
    return Drawing([figure], alt, caption)


def _gains(latencies: pd.DataFrame, scope: str, kind: str) -> pd.DataFrame:
    """Return the newest gain of each shape and sparsity over the dense engine of its own session."""
    rows = newest(usable(latencies), ["session_id", *CONTENDER]) if len(latencies) else latencies
    if not len(rows):
        return pd.DataFrame(columns=["label", "gain", "kind"])
    dense = where(rows, engine=OUR_DENSE, stored_block=DENSE[1]).set_index("session_id")["record"]
    sparse = where(rows, engine=OURS, scope=scope)
    sparse = sparse[sparse["session_id"].isin(dense.index)].drop_duplicates(["block", "sparsity"], keep="last")
    sparse = by_shape(sparse.sort_values("sparsity"))
    gains = [ratio(dense[row["session_id"]], row["record"]) for row in sparse.to_dict("records")]
    labels = sparse["block"] + " at " + sparse["sparsity"].map("{:.0%}".format) + f", {kind}"
    return pd.DataFrame({"label": labels, "gain": gains, "kind": kind})
