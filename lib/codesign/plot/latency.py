"""How long one inference takes, per block shape: beside other engines, on several machines, and where you tried it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from codesign.answers.frames import (
    CONTENDER,
    DENSE,
    OUR_DENSE,
    OURS,
    beside,
    by_shape,
    median_ms,
    newest,
    usable,
    where,
)  # fmt: skip
from codesign.answers.words import ENGINE_LABELS, SCOPE_LABELS, three_digits
from codesign.measure.ratios import Interval, ratio
from codesign.plot.charts import bars, spans, spoken
from codesign.plot.look import BLUE, ORANGE, SKY, Drawing

DENSE_ENGINES = (
    *(OUR_DENSE, "openvino", "onnxruntime", "torch-compile", "torch-eager", "tvm-stock-tuned"),
    *("openvino-bf16", "openvino-int8", "onnxruntime-int8", "torch-compile-bf16"),
)
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
    """Return a row per block shape, the fastest marked, and one per engine of others and our dense, by time."""
    sparse = where(timed, engine=OURS, scope=scope)
    if not len(sparse):
        return sparse
    dense = where(timed[timed["engine"].isin(DENSE_ENGINES)], stored_block=DENSE[1])
    others = pd.concat([dense, where(timed[timed["engine"].isin(PEERS)], scope=scope)])
    block = (", " + others["stored_block"]).mask(others["stored_block"] == DENSE[1], "")
    others = others.assign(label=others["engine"].map(ENGINE_LABELS) + block, kind="other")
    ours = by_shape(sparse.assign(label=sparse["block"], kind="ours"))
    ours, others = (spans(each.assign(ms=each["record"].map(median_ms)), "ms") for each in (ours, others))
    ours.loc[ours["value"].idxmin(), "kind"] = "best"
    rows = pd.concat([ours, others.sort_values("value")], ignore_index=True)
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
        f"batch {one['batch']}, {one['seq']} tokens, {one['threads']} threads, in float32 unless a format is named. "
        "Blue: our compiler on sparse weights, one row a block shape, the fastest highlighted. "
        f"Orange: other engines on the same weights, dense unless a block shape is named. Dashed: {guides}, dense. "
        "Bars are medians; the line at their end is the 95% interval."
    )


def machines(found: Mapping[str, Mapping[str, Interval]]) -> Drawing:
    """Draw one panel a machine: a bar for each block shape, with its 95% interval; left of the orange line sparse wins.

    Parameters
    ----------
    found
        Label of a machine -> block shape -> relative time, from `codesign.answers.machines.relative_times`. A machine
        without any is left out; a shape that was timed on another one has a row all the same.
    """
    drawn = {label: times for label, times in found.items() if times}
    if not drawn:
        return Drawing([], "No block shape has been timed beside a dense engine on any machine.")
    shapes = list(dict.fromkeys(block for times in drawn.values() for block in times))
    limit = max(1.0, *(time.high for times in drawn.values() for time in times.values())) * 1.2
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
        "Time of one inference with all encoder weights pruned, in units of the best dense engine of the same "
        "machine, which is the orange line: shorter is better. The fastest shape is highlighted; lines at the end of "
        "bars are 95% intervals."
    )
    return Drawing(figures, alt, caption)


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
    if not len(rows := usable(latencies)):
        return pd.DataFrame(columns=["label", "gain", "kind"])
    rows = newest(rows, ["session_id", *CONTENDER])
    dense = where(rows, engine=OUR_DENSE)[["session_id", "record"]]
    both = where(rows, engine=OURS, scope=scope).merge(dense, on="session_id", suffixes=("", "_dense"))
    both = by_shape(both.drop_duplicates(["block", "sparsity"], keep="last").sort_values("sparsity"))
    labels = both["block"] + " at " + both["sparsity"].map("{:.0%}".format) + f", {kind}"
    return pd.DataFrame({"label": labels, "gain": list(map(ratio, both["record_dense"], both["record"])), "kind": kind})
