"""The headline figure: how long one inference takes, per block shape, beside the dense engines."""

from __future__ import annotations

import pandas as pd

from codesign.answers.frames import DENSE, OUR_DENSE, OURS, beside, median_ms, newest, usable, where
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, shape_order, three_digits
from codesign.plot.charts import bars, spans, spoken
from codesign.plot.look import ORANGE, Drawing

DENSE_ENGINES = (OUR_DENSE, "openvino", "onnxruntime", "torch-compile", "torch-eager", "tvm-stock-tuned")
PEERS = ("deepsparse", "torch-bsr")  # skip zeros, too
GUIDES = (OUR_DENSE, "torch-eager")  # drawn as lines through the sparse rows


def latency_bars(latencies: pd.DataFrame, scopes: tuple[str, ...] = ("attention", "all")) -> Drawing:
    """Draw one panel a scope: a row per block shape, then the other engines, medians with 95% intervals.

    Parameters
    ----------
    latencies
        Latency rows of one operating point. A shape or an engine without a time is simply not drawn.
    scopes
        One panel each, in this order; a scope without any sparse time is left out.
    """
    panels = {scope: rows for scope in scopes if len(rows := _rows(beside(latencies, scope), scope))}
    limit = max((rows["high"].max() for rows in panels.values()), default=1.0) * 1.2
    figures = []
    for scope, rows in panels.items():
        figure, axes = bars(rows, title=SCOPE_LABELS[scope], xlabel="milliseconds (less is better)", limit=limit)
        for place, row in rows.iterrows():
            if row["engine"] in GUIDES:
                axes.plot([row["value"]] * 2, [-0.5, place], color=ORANGE, linewidth=0.9, linestyle="--", zorder=0)
        figures.append(figure)
    said = [f"{SCOPE_LABELS[scope]}: {spoken(rows, '{label} {text} ms')}." for scope, rows in panels.items()]
    return Drawing(figures, " ".join(said) or "No latency has been measured.", _caption(latencies))


def _rows(timed: pd.DataFrame, scope: str) -> pd.DataFrame:
    """Return a row per block shape, the fastest marked, and one per fp32 engine of others and our dense, by time."""
    sparse = where(timed, engine=OURS, scope=scope)
    if not len(sparse):
        return sparse
    sparse = sparse.sort_values("block", key=lambda blocks: blocks.map(shape_order)).assign(label=sparse["block"])
    dense = where(timed[timed["engine"].isin(DENSE_ENGINES)], stored_block=DENSE[1])
    peers = where(timed[timed["engine"].isin(PEERS)], scope=scope)
    others = pd.concat([dense, peers])
    block = (", " + others["stored_block"]).mask(others["stored_block"] == DENSE[1], "")
    others = others.assign(label=others["engine"].map(ENGINE_LABELS) + block)
    rows = pd.concat([sparse.assign(kind="ours"), others.assign(kind="other")])
    rows = spans(rows.assign(ms=rows["record"].map(median_ms)), "ms")
    rows.loc[where(rows, kind="ours")["value"].idxmin(), "kind"] = "best"
    split = rows["kind"] == "other"
    rows = pd.concat([rows[~split], rows[split].sort_values("value")], ignore_index=True)
    return rows.assign(text=rows["value"].map(three_digits))


def _caption(latencies: pd.DataFrame) -> str:
    """Say what was timed."""
    sparse = where(newest(usable(latencies)), engine=OURS)
    if not len(sparse):
        return ""
    one = sparse.iloc[0]
    guides = " and ".join(ENGINE_LABELS[engine] for engine in GUIDES)
    return (
        f"One inference of {one['model']} with {one['sparsity']:.0%} of the blocks pruned: "
        f"batch {one['batch']}, {one['seq']} tokens, {one['threads']} threads, float32. Blue: our compiler on "
        "sparse weights, one row a block shape, the fastest highlighted. Orange: other engines on the same weights, "
        f"dense unless a block shape is named. Dashed: {guides} on dense weights. Bars are medians; the line "
        "at their end is the 95% interval."
    )
