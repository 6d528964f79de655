"""``python -m codesign.study.figures [reference|local] [STEM]`` saves the headline figure, light and dark, as files."""

from __future__ import annotations

import sys
from pathlib import Path

from codesign.study import places
from codesign.study.evidence import Evidence
from codesign.study.figures import latency_bars

HEADLINE = places.BOOK / "_static" / "headline"


def main(mode: str = "reference", stem: str = str(HEADLINE)) -> None:
    """Write ``<stem>-light.svg`` and ``<stem>-dark.svg``."""
    records = Evidence(places.results(mode)).records("latency")  # type: ignore[arg-type]  # Results refuses other modes
    for path in latency_bars(records).save(Path(stem)):
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
