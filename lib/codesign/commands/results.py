"""Commands on what was measured: verdicts, and the figure of the README."""

from __future__ import annotations

import argparse

from codesign.answers import machines
from codesign.answers.frames import Frames
from codesign.commands.shown import check_json, show
from codesign.plot import latency_bars
from codesign.records import RESULTS_ROOT
from codesign.study import places
from codesign.study.parameters import check


def claims(options: argparse.Namespace) -> None:
    check_json(options.json)
    found = Frames(places.results(check("results", options.results)), committed=RESULTS_ROOT).machines
    show(options.json, machines.table(found), machines.documents(found))


def headline(options: argparse.Namespace) -> None:
    drawing = latency_bars(Frames(places.results(places.SHOWN)).at("latency"))
    for path in drawing.save(places.BOOK / "_static" / "headline"):
        print(path)
