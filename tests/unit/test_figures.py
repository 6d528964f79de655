"""Figures: what they draw, what they say to those who cannot see them, and how they follow the page."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from synthetic import (
    MILLISECONDS,
    Memory,
    Record,
    accuracy,
    compared,
    identity,
    latency,
    listing,
    pattern,
    point,
    profile,
    session,
    task,
    tuning,
    vectors,
)

from codesign import plot as figures
from codesign.answers.accuracy import newest_recipe
from codesign.answers.builds import sides
from codesign.answers.crossover import by_load, by_sparsity
from codesign.answers.frames import Frames, frame
from codesign.answers.ledger import by_kind, kernels, ledger
from codesign.answers.machines import relative_times
from codesign.answers.roofline import loops
from codesign.answers.tasks import counted
from codesign.plot.charts import spread
from codesign.plot.look import Drawing
from codesign.plot.tasks import shares
from codesign.study import places

SWEPT = [
    latency(engine, "all", "32x1", ms, session_id=f"{sparsity} {seq}", sparsity=sparsity, seq=seq)
    for sparsity, seq in ((0.5, 128), (0.8, 128), (0.8, 384))
    for engine, ms in (("openvino", 90.0), ("tvm-bsr", 60.0))
]
CENTRE = point("all", "32x1")

MACHINES = {"one": MILLISECONDS, "two": {k: v for k, v in MILLISECONDS.items() if k[2] != "4x1"}, "none": {}}

JUDGED = [accuracy("none", "dense", 0.9), accuracy("all", "4x1", 0.85), accuracy("all", "32x1", 0.8)]


def pareto(judged: list[Record], timed: Sequence[Record] = session()) -> Drawing:
    return figures.pareto(newest_recipe(frame(judged)), frame(timed))


PROFILES = [
    *profile("tvm-dense", "none", "dense", {"dense linear": 40.0, "attention": 2.0}),
    *profile("tvm-bsr", "all", "32x1", {"sparse linear": 8.0, "attention": 1.5, "layer norm": 0.5}),
]
WIDE = vectors({("dense", "native"): 50.0, ("dense", "avx2"): 90.0, ("32x1", "native"): 22.0, ("32x1", "avx2"): 28.0})

#: Whose axis would have ticks between two percents.
CLOSE = [accuracy("none", "dense", 0.67), accuracy("all", "4x1", 0.595), accuracy("all", "32x1", 0.525)]

FIGURES: dict[str, Callable[[], Drawing]] = {
    "pareto": lambda: pareto(JUDGED),
    "pareto, close": lambda: pareto(CLOSE),
    "latency_bars": lambda: figures.latency_bars(frame(session())),
    "machines": lambda: figures.machines(
        {name: relative_times(Frames(Memory(session(times)))) for name, times in MACHINES.items()}
    ),
    "masks": lambda: figures.masks({"4x1": np.eye(8), "32x1": np.ones((8, 8))}, crop=8),
    "ladder": lambda: figures.ladder(
        ledger(Frames(Memory([*session(), *PROFILES, *WIDE])), "torch-eager", "all", "32x1")
    ),
    "operator_profile": lambda: figures.operator_profile(by_kind(kernels(frame(PROFILES)))),
    "vectors": lambda: figures.vectors(sides(frame(WIDE), "isa")),
    "inner_loops": lambda: figures.inner_loops(loops([listing(), listing("4x1")])),
    "layer_arrays": lambda: figures.layer_arrays(listing()),
    "layer_matrix": lambda: figures.layer_matrix(listing()),
    "protocol": figures.protocol,
    "retained_norm": lambda: figures.retained_norm(
        frame(pattern("attention", block, kept) for block, kept in (("4x1", 0.7), ("32x1", 0.6)))
    ),
    "task_map": lambda: figures.task_map(frame([task("all", "32x1", "a", 48)])),
    "task_counts": lambda: figures.task_counts(counted(frame([identity("minilm", "32x1", "global", [60, 61])]), 0.5)),
    "crossover": lambda: figures.crossover(by_sparsity(frame(SWEPT), CENTRE)),
    "loads": lambda: figures.loads(by_load(frame(SWEPT), CENTRE)),
    "ways": lambda: figures.ways(frame(compared())),
    "tuning_curves": lambda: figures.tuning_curves(frame([tuning(), tuning("tvm-stock-tuned")])),
    "your_shape": lambda: figures.your_shape(frame(session()), frame(session())),
}


@cache
def drawn(name: str) -> tuple[Drawing, str]:
    """Return a figure and its markup, made once."""
    drawing = FIGURES[name]()
    return drawing, drawing._repr_html_()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_follows_the_page_loads_nothing_and_has_words(name: str) -> None:
    drawing, markup = drawn(name)
    assert "currentColor" in markup
    assert "#010203" not in markup
    assert "#fcfdfe" not in markup
    assert not re.search(r'(?:src|href)="(?!#)(?!data:)', markup)
    ids = re.findall(r'\bid="([^"]+)"', markup)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", markup)) <= set(ids)
    assert len(drawing.alt) > 40
    assert 'role="img"' in markup
    assert drawing.caption.endswith(".")
    for axes in (axes for figure in drawing.panels for axes in figure.axes):
        for axis in (axes.xaxis, axes.yaxis):
            for place, label in zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True):
                if (text := label.get_text()).endswith("%"):  # a tick lies at the percentage that it says
                    assert float(text.replace("\N{MINUS SIGN}", "-")[:-1]) == pytest.approx(100 * place)


def test_files_come_light_and_dark(tmp_path: Path) -> None:
    light, dark = drawn("latency_bars")[0].save(tmp_path / "figure")
    for path in (light, dark):
        ElementTree.parse(path)
        assert "currentColor" not in path.read_text()
    assert light.read_bytes() != dark.read_bytes()


def test_the_same_records_give_the_same_bytes() -> None:
    assert FIGURES["latency_bars"]()._repr_html_() == drawn("latency_bars")[1]


def test_a_point_needs_an_accuracy_and_a_latency_of_the_same_weights() -> None:
    alt = pareto([*JUDGED, accuracy("all", "8x1", 0.99), accuracy("attention", "4x1", 0.99)]).alt
    assert "4x1 at 80%: 85.0% in 29.9 ms; 32x1 at 80%: 80.0% in 20.0 ms." in alt
    assert "8x1" not in alt
    assert "Dense: 90.0%. our compiler, dense: 52.1 ms. OpenVINO: 50.1 ms." in alt
    assert pareto(JUDGED, session()[:2]).panels == []


def test_the_frontier_leaves_out_what_is_beaten_both_ways() -> None:
    worse = [JUDGED[0], accuracy("all", "4x1", 0.7), accuracy("all", "32x1", 0.8)]
    assert "Best trade-offs: 32x1 at 80%." in pareto(worse).alt
    assert "Best trade-offs: 4x1 at 80%, 32x1 at 80%." in pareto(JUDGED).alt


@pytest.mark.parametrize(
    ("name", "kind"),
    [("latency_bars", "latency"), ("retained_norm", "pattern"), ("task_map", "task"), ("tuning_curves", "tuning")],
)
def test_without_records_there_is_nothing_to_see(name: str, kind: str) -> None:
    assert getattr(figures, name)(Frames(Memory([])).at(kind)).panels == []


def test_a_machine_lacks_what_it_did_not_measure() -> None:
    drawing, markup = drawn("machines")
    assert "one: 4x1 0.60; 32x1 0.40. two: 32x1 0.40." in drawing.alt
    assert "none" not in drawing.alt
    assert len(drawing.panels) == 2
    assert "not measured" in markup
    assert figures.machines({"none": {}}).panels == []


def test_latencies_are_named_in_words_and_failures_left_out() -> None:
    failed = latency("tvm-bsr", "all", "8x1", 1.0, status="failed", reason="wrong")
    alt = figures.latency_bars(frame([*session(), failed])).alt
    assert "32x1 20.0 ms" in alt
    assert "OpenVINO" in alt
    assert "8x1" not in alt


def test_the_figure_of_the_readme_is_drawn_from_the_reference(tmp_path: Path) -> None:
    records = Frames(places.results(places.SHOWN)).at("latency")
    if records.empty:
        pytest.skip("no reference records yet")
    for drawn in figures.latency_bars(records).save(tmp_path / "headline"):
        assert (places.BOOK / "_static" / drawn.name).read_text() == drawn.read_text(), "run: make headline"


def test_nothing_swept_or_compared_is_nothing_to_see() -> None:
    none = frame([])
    swept = figures.crossover(by_sparsity(none, CENTRE)), figures.loads(by_load(none, CENTRE))
    assert [drawing.panels for drawing in (*swept, figures.ways(none))] == [[], [], []]


def test_other_engines_that_skip_zeros_stand_beside_the_dense_ones() -> None:
    peers = [latency("deepsparse", "all", "32x1", 25.0), latency("deepsparse", "attention", "32x1", 45.0)]
    alt = figures.latency_bars(frame([*session(), *peers])).alt
    assert "DeepSparse, 32x1 25.0 ms" in alt.partition("All encoder")[2]
    assert "DeepSparse, 32x1 45.0 ms" in alt.partition("All encoder")[0]


def test_a_naive_protocol_is_drawn_beside_ours() -> None:
    alt = drawn("ways")[0].alt
    assert "our compiler, sparse, one call each in turn: 2.00" in alt
    assert "our compiler, sparse, our turns: 1.00" in alt


def test_a_gain_needs_the_dense_engine_of_its_own_session() -> None:
    alone = latency("tvm-bsr", "attention", "24x1", 30.0, session_id="another")
    assert "24x1" not in figures.your_shape(frame([*session(), alone]), frame([])).alt
    both = [alone, latency("tvm-dense", "none", "dense", 60.0, session_id="another")]
    assert "24x1 at 80%, here 2.00" in figures.your_shape(frame([*session(), *both]), frame([])).alt


def test_a_curve_starts_where_every_task_has_a_time() -> None:
    assert shares([[1.0, 8, None], [2.0, 16, 80.0], [5.0, 64, 40.0]]) == [(2.0, 1.0), (5.0, 0.5)]


@given(st.lists(st.floats(0, 100), max_size=8), st.floats(0.1, 10))
def test_labels_keep_their_distance_and_their_order(places: list[float], gap: float) -> None:
    moved = spread(places, gap)
    assert all(after >= before for before, after in zip(places, moved, strict=True))
    assert all(b - a >= gap * 0.999 for a, b in pairwise(sorted(moved)))
