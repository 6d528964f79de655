"""Any block shape, on demand: measured beside 32x1 and the dense engines, and shown beside the book's shapes."""

from __future__ import annotations

from collections.abc import Sequence

from IPython.display import Markdown

from codesign.answers.claims import NOT_MEASURED
from codesign.answers.tables import markdown
from codesign.records import Record
from codesign.study import places
from codesign.study.places import TRY

#: What two records must share for their shapes to be compared.
_SETTING = ("model", "seed", "pruner", "sparsity", "batch", "seq", "threads")


def tried() -> list[Record]:
    """Return the latency records of `make try` on this machine, in the setting that was tried last."""
    records = places.results("local").read("latency", profile=TRY)
    return _alike(records, records)


def in_the_book(tried: Sequence[Record]) -> list[Record]:
    """Return the committed latency records in the setting of the tried ones."""
    return _alike(places.results(places.SHOWN).read("latency"), tried)


def summary(tried: Sequence[Record]) -> Markdown:
    """Say in a sentence what was tried, or how to try something."""
    shapes = list(dict.fromkeys(f"{r['block']} ({r['scope']})" for r in tried if r["engine"] == "tvm-bsr"))
    if not shapes:
        return markdown(
            f"**{NOT_MEASURED.capitalize()}.** No shape has been tried on this machine yet: "
            "`make try BLOCK=24x1 SPARSITY=0.9` takes about ten minutes and fills this page."
        )
    record = next(r for r in tried if r["engine"] == "tvm-bsr")
    return markdown(
        f"Tried on this machine, with {record['model']} at {record['sparsity']:.0%} block sparsity, "
        f"batch {record['batch']}, {record['seq']} tokens and {record['threads']} threads: {', '.join(shapes)}."
    )


def _alike(records: Sequence[Record], like: Sequence[Record]) -> list[Record]:
    """Return the sessions among `records` with a sparse engine in the setting of the last such record in `like`."""
    last = next((record for record in reversed(like) if record["engine"] == "tvm-bsr"), None)
    if last is None:
        return []
    setting = {name: last[name] for name in _SETTING}
    sessions = {r["session_id"] for r in records if r["engine"] == "tvm-bsr" and setting.items() <= r.items()}
    return [record for record in records if record["session_id"] in sessions]
