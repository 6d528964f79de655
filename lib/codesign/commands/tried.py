"""Any block shape, on demand: measured beside 32x1 and the dense engines, and shown beside the book's shapes."""

from __future__ import annotations

import pandas as pd
from IPython.display import Markdown

from codesign.answers.claims import NOT_MEASURED
from codesign.answers.frames import OURS, frame, where
from codesign.plot.tables import markdown
from codesign.study import places
from codesign.study.places import TRY

#: What two records must share for their shapes to be compared.
_SETTING = ["model", "seed", "pruner", "sparsity", "batch", "seq", "threads"]


def tried() -> pd.DataFrame:
    """Return the latencies of `make try` on this machine, in the setting that was tried last."""
    latencies = frame(places.results("local").read("latency", profile=TRY))
    return alike(latencies, latencies)


def in_the_book(tried: pd.DataFrame) -> pd.DataFrame:
    """Return the committed latencies in the setting of the tried ones."""
    return alike(frame(places.results(places.SHOWN).read("latency")), tried)


def summary(tried: pd.DataFrame) -> Markdown:
    """Say in a sentence what was tried, or how to try something."""
    ours = where(tried, engine=OURS)
    if not len(ours):
        return markdown(
            f"**{NOT_MEASURED.capitalize()}.** No shape has been tried on this machine yet: "
            "`make try BLOCK=24x1 SPARSITY=0.9` takes about ten minutes and fills this page."
        )
    shapes, first = (ours["block"] + " (" + ours["scope"] + ")").unique(), ours.iloc[0]
    return markdown(
        f"Tried on this machine, with {first['model']} at {first['sparsity']:.0%} block sparsity, "
        f"batch {first['batch']}, {first['seq']} tokens and {first['threads']} threads: {', '.join(shapes)}."
    )


def alike(latencies: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return the sessions with a sparse engine of ours in the setting of the last such row in ``like``."""
    last = where(like, engine=OURS).tail(1)
    same = where(latencies, engine=OURS).merge(last[_SETTING], on=_SETTING)
    return latencies[latencies["session_id"].isin(same["session_id"])]
