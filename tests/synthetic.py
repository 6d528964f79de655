"""Invented records for tests of logic: they follow the schema and say nothing about any machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from codesign.schema import KINDS

Record = dict[str, Any]

DENSE = ("none", "dense")
MILLISECONDS = {
    ("torch-eager", *DENSE): 150.0,
    ("openvino", *DENSE): 50.0,
    ("tvm-stock-tuned", *DENSE): 140.0,
    ("tvm-dense", *DENSE): 52.0,
    ("tvm-bsr", "attention", "4x1"): 47.0,
    ("tvm-bsr", "attention", "32x1"): 40.0,
    ("tvm-bsr", "all", "4x1"): 30.0,
    ("tvm-bsr", "all", "32x1"): 20.0,
}

IN_FORMATS = {("tvm-dense", "4x1"): 50.0, ("tvm-bsr", "4x1"): 20.0, ("tvm-bsr", "32x4"): 22.0} | {
    **{("tvm-dense-int8", "4x1"): 30.0, ("tvm-bsr-int8", "4x1"): 14.0, ("tvm-bsr-int8", "32x4"): 12.5},
    **{("onnxruntime-int8", "4x1"): 28.0, ("torch-eager", "4x1"): 80.0},
}


class Memory:
    """Records that are only held in memory; reads like `codesign.records.Results`."""

    def __init__(self, records: Iterable[Record], machine: str = "xeon") -> None:
        self.records, self.machine, self.local = list(records), machine, machine == "local"
        self.root = Path("/nowhere")

    def read(self, kind: str, **filters: object) -> list[Record]:
        wanted = {"kind": kind, **filters}.items()
        return [record for record in self.records if all(record[name] == value for name, value in wanted)]


def stamp(kind: str, **changes: Any) -> Record:
    versions = {"python": "3.11.0", "torch": "2.0", "apache-tvm": "0.1", "openvino": "1.0"}
    start = {"schema_version": 2, "kind": kind, "run_id": "run", "profile": "default", "machine_id": "one"}
    end = {
        "versions": versions,
        "commit": "0123456789abcdef",
        "measurement": KINDS[kind].measurement_version,
        "started_at": "2026-01-02T03:04:05",
    }
    return start | end | changes


def point(scope: str, block: str) -> Record:
    dense = block == "dense"
    how = {"pruner": "none", "sparsity": 0.0} if dense else {"pruner": "magnitude", "sparsity": 0.8}
    load = {"model": "bert-base", "seed": 0, "batch": 1, "seq": 128, "threads": 2, "format": "fp32"}
    return load | {"scope": scope, "block": block} | how


def machine(**changes: Any) -> Record:
    sizes = {"cores": 2, "threads": 2, "l1d_kib": 48, "l2_kib": 1024, "l3_kib": 32768, "memory_gib": 15.5}
    return stamp("machine") | {"cpu": "Test CPU", "vendor": "Nobody", "isa": ["avx2"]} | sizes | changes


def latency(engine: str, scope: str, block: str, ms: float, *, spread: float = 0.01, **changes: Any) -> Record:
    """Return a record of eight rounds of ten calls around ``ms``."""
    noise = np.random.default_rng(len(engine) + len(block)).normal(1.0, spread, 80)
    samples = [float(value) for value in ms * 1e6 * noise]
    sparsity = 0.0 if block == "dense" else 0.8
    timed = {"samples_ns": samples, "rounds": [10] * 8, "warmup_ns": samples[:3], "solo_ns": samples[:10]}
    checks = {"max_abs_err": 2e-6, "block_sparsity": sparsity, "element_sparsity": sparsity, "settings": {}}
    checks |= {"peak_rss_bytes": 2**30, "disk_bytes": 2**28}
    state = {"status": "ok", "reason": None, "control": None, "flagged": False, "flag_reason": None}
    who = {"engine": engine, "session_id": "session", "isa": "native"}
    return stamp("latency") | point(scope, block) | who | timed | checks | state | changes


def session(times: Mapping[tuple[str, str, str], float] = MILLISECONDS, **changes: Any) -> list[Record]:
    return [latency(*key, ms, **changes) for key, ms in times.items()]


def pattern(scope: str, block: str, kept: float) -> Record:
    shares = {"allocation": "uniform", "element_sparsity": 0.8, "block_sparsity": 0.8, "retained_l2": kept}
    return stamp("pattern") | point(scope, block) | shares | {"matrices": []}


def accuracy(scope: str, block: str, share: float, **changes: Any) -> Record:
    """Return a record of 200 answers, of which about ``share`` are right: the same texts are easy for every model."""
    order = [n * 77 % 200 for n in range(200)]
    hits, baseline = ("".join("1" if n < round(200 * each) else "0" for n in order) for each in (share, 0.6))
    shares = {"accuracy": hits.count("1") / 200, "baseline": baseline.count("1") / 200, "majority": 0.5}
    answers = {"hits": hits, "baseline_hits": baseline, "cosine": 0.9, "rank_correlation": 0.8}
    what = {"task": "words", "task_digest": "0123", "labels": ["a", "b"], "train_size": [9, 9], "test_size": [100, 100]}
    how = {
        "recipe": "words-cubic",
        "allocation": "uniform",
        "settings": {},
        "steps": 10,
        "seconds": 1.0,
        "device": "cpu",
    }
    zeros = dict.fromkeys(("element_sparsity", "block_sparsity"), 0.0 if block == "dense" else 0.8)
    return stamp("accuracy") | point(scope, block) | what | how | shares | answers | zeros | changes


def rating(said: np.ndarray, ratings: np.ndarray, **changes: Any) -> Record:
    """Return what a dense model says of sentences."""
    from codesign.train.evaluate import correlation, signs  # with torch, which most tests do not wait for

    right = signs(said, ratings)
    r, influence = correlation(said, ratings)
    what = {"task": "reviews", "task_digest": "0123", "domain": "movies", "train_size": 9, "test_size": len(ratings)}
    how = {"recipe": "reviews-dense", "settings": {}, "steps": 10, "seconds": 1.0, "device": "cpu"}
    shares = {"sign_accuracy": right.count("1") / len(right), "hits": right}
    shares |= {"pearson": r, "influence": influence.round(3).tolist()}
    others = {"words_sign": 0.7, "words_pearson": 0.6, "raters_sign": 0.9, "raters_pearson": 0.8}
    others |= {"ceiling_pearson": 0.95, "element_sparsity": 0.0, "block_sparsity": 0.0}
    who = {"engine": "torch-eager", "isa": "native"}
    return stamp("rating") | point(*DENSE) | who | what | how | shares | others | changes


def judged(block: str, share: float, algorithm: str = "group-lasso", **changes: Any) -> Record:
    """Return the accuracy of a MiniLM that was trained; a schedule goes into its recipe."""
    schedule = changes.pop("schedule", "cubic")
    how = {} if block == "dense" else {"pruner": f"{algorithm}@{schedule}"}
    settings = {"schedule": schedule, "prune_steps": 20, "recover_steps": 10}
    scope = "none" if block == "dense" else "all"
    return accuracy(scope, block, share, model="minilm", settings=settings, **(how | changes))


def trained() -> list[Record]:
    """Return a MiniLM of which 4x1 and 32x1 were trained and timed: the former answers more, the latter is faster."""
    right = [judged("dense", 0.9), judged("4x1", 0.89), judged("32x1", 0.885), judged("32x1", 0.8, "movement")]
    right += [judged(block, 0.82, "magnitude", schedule="one-shot") for block in ("4x1", "32x1")]
    right.append(judged("1x1", 0.7, sparsity=0.9457))
    times = {"4x1": {"group-lasso@cubic": 2.0, "random": 2.0}, "32x1": {"group-lasso@cubic": 1.5, "random": 1.6}}
    timed = [
        latency("tvm-bsr", "all", block, ms, model="minilm", pruner=pruner, spread=0.001)
        for block, pruners in times.items()
        for pruner, ms in pruners.items()
    ]
    dense = {"openvino": 3.0, "torch-eager": 9.0}
    timed += [latency(name, "all", "32x1", ms, model="minilm", spread=0.001) for name, ms in dense.items()]
    other = {"pruner": "group-lasso@cubic@1x1", "sparsity": 0.9457}
    timed.append(latency("tvm-bsr", "all", "4x1", 2.2, model="minilm", spread=0.001, **other))
    return [*right, *timed]


def task(scope: str, block: str, digest: str, weight: int, **changes: Any) -> Record:
    size = {"m": 128, "n": 768, "k": 768, "nnz_blocks": 100, "weight": weight}
    tuned = {"trials": 64, "best_ns": 1e5, "decisions": None}
    who = {"engine": "tvm-bsr", "isa": "native", "target": "cpu-2t", "task": digest, "digest": digest}
    who |= {"family_kind": "bsr", "tasks": 1}
    return stamp("task") | point(scope, block) | who | size | tuned | changes


def tuning(engine: str = "tvm-dense", **changes: Any) -> Record:
    curve = [[1.0, 8, None], [2.0, 16, 8e7], [5.0, 64, 4e7]]
    cost = {"tasks": 9, "trials": 64, "seconds": 5.0, "failed_trials": 1, "curve": curve, "from_nothing": False}
    return stamp("tuning") | point(*DENSE) | {"engine": engine, "isa": "native", "target": "cpu-2t"} | cost | changes


def compared(naive: float = 2.0) -> list[Record]:
    """Return a comparison of protocols in which one call each in turn takes ``naive`` times as long."""
    pair, factors = (("tvm-bsr", 20.0), ("onnxruntime", 60.0)), {"alone": 1.0, "naive": naive, "turns": 1.0}
    kept = ("engine", "isa", "session_id", "samples_ns", "rounds", "max_abs_err", "settings")
    kept += ("block_sparsity", "element_sparsity")
    return [
        stamp("protocol") | point("all", "32x1") | {"way": way} | {name: timed[name] for name in kept}
        for way, factor in factors.items()
        for timed in (latency(engine, "all", "32x1", ms * factor, spread=0.0) for engine, ms in pair)
    ]


def everything() -> list[Record]:
    """Return records for every claim and every figure."""
    slow = latency("tvm-stock-default", *DENSE, 20_000.0, session_id="slow")
    related = latency("openvino", *DENSE, 50.0, session_id="slow")
    shapes = [(scope, block) for scope in ("attention", "all") for block in ("4x1", "32x1")]
    patterns = [pattern(scope, block, 0.7 if block == "4x1" else 0.6) for scope, block in shapes]
    tasks = [task(scope, block, f"{scope}-{block}", 48) for scope, block in shapes]
    tunings = [tuning(), tuning("tvm-stock-tuned"), tuning("tvm-bsr", **point("all", "32x1"), from_nothing=True)]
    sparse = [latency("deepsparse", *key, 45.0) for key in (*shapes, ("all", "1x1"))]
    unstructured = latency("tvm-bsr", "all", "1x1", 40.0)
    timed = [*kernels(0.9), *kernels(0.5, family="row_tile")]
    parts = {"sparse linear": 9.0, "attention": 1.0, "layer norm": 0.5}
    profiles = [record for block in ("4x1", "32x1", "1x1") for record in profile("tvm-bsr", "all", block, parts)]
    sides = {(block, isa): ms for block in ("dense", "4x1", "32x1") for isa, ms in (("native", 20.0), ("avx2", 36.0))}
    kinds = [
        record
        for size in ((768, 768), (3072, 768))
        for block in ("4x1", "32x1", "1x32", "16x16")
        for record in variants({"banded": 1.1}, outputs=size[0], inputs=size[1], block=block)
    ]
    known = [machine(), slow, related, unstructured, *sparse, *session()]
    counted = [
        identity(model, block, allocation, stored)
        for model in ("bert-base", "minilm")
        for block in ("4x1", "32x1")
        for allocation, stored in (("uniform", [60] * 8), ("global", range(56, 64)))
    ]
    found = [*trained(), *known, *patterns, *tasks, *compared(), *tunings, *searches(), *timed, *formats()]
    ways = [("4x1", "strips"), *product(("dense", "32x1"), ("whole blocks", "strips", "token-major"))]
    plain = ("tvm-dense", "tvm-bsr")  # whose tasks are there
    both = [r for r in layouts(dict.fromkeys(ways, 20.0)) if r["kind"] == "layouts" or r["engine"] not in plain]
    return [*found, *profiles, *vectors(sides), *both, *kinds, *counted]


def profile(engine: str, scope: str, block: str, kinds: Mapping[str, float], **changes: Any) -> list[Record]:
    """Return one profile: a kernel of so many milliseconds for each kind, then the whole."""
    who = {"engine": engine, "target": "cpu-2t", "isa": "native", "max_abs_err": 2e-6}
    rows = [(f"kernel{i}", kind, 6, ms) for i, (kind, ms) in enumerate(kinds.items())]
    rows.append(("main", "whole", 1, 1.05 * sum(kinds.values())))
    return [
        stamp("profile")
        | point(scope, block)
        | who
        | {"function": name, "function_kind": kind, "calls": calls, "median_ns": ms * 1e6, "samples_ns": [ms * 1e6]}
        | changes
        for name, kind, calls, ms in rows
    ]


def search(n: int, strategy: str, ns: Iterable[float], **changes: Any) -> Record:
    """Return one search of a 32x1 layer whose space has ten points, 100 ns the fastest."""
    size = {"target": "cpu-2t", "settings": {}, "m": 128, "n": n, "k": 768, "flop": 1000, "search_seed": 0}
    best = [float(value) for value in np.minimum.accumulate(list(ns))]
    found = {"strategy": strategy, "space": 10, "rank": 1, "failed": 0, "best_ns": best}
    return stamp("search") | point("all", "32x1") | size | found | changes


def searches(n: int = 768) -> list[Record]:
    """Return every strategy on one space."""
    measured = [{"family": "tile", "decisions": {"rows": row}, "ns": [100.0 + 10 * row]} for row in range(10)]
    rows = [search(n, "exhaustive", [150, 100, 190], points=measured)]
    stock = search(n, "stock rules", [500, 400], space=None, rank=None, failed=1)
    return [*rows, search(n, "scheduler", [150, 110], rank=2), stock]


def ceilings(threads: int = 2, isa: str = "avx512f", **rates: float) -> list[Record]:
    """Return a ceiling for each level: operations a second in registers, bytes a second elsewhere, in billions."""
    common = {"format": "fp32", "target": "cpu", "threads": threads, "bytes": 0, "reason": None, "samples": []}
    return [
        stamp("ceiling")
        | common
        | {"level": level, "isa": isa, "rate": float(rate), "unit": "GFLOP/s" if level == "registers" else "GB/s"}
        | {"governor": None, "load_average": 0.0}
        for level, rate in rates.items()
    ]


#: A schedule that the model of ports thinks well of.
TILE = {"rows": 4, "vectors": 4, "chains": 1, "rows_inner": 0, "slabs": 1, "prefetch": 0}


def kernel(block: str, hot: float = 0.8, cold: float | None = None, peak: float = 256, **changes: Any) -> Record:
    """Return a kernel that reaches the share ``hot`` of ``peak`` GFLOP/s with its weights in a cache."""
    outputs, inputs = changes.get("outputs", 768), changes.get("inputs", 768)
    dense = block == "dense"
    rows, cols = (48, inputs) if dense or "x" not in block else map(int, block.split("x"))
    nnz = changes.get("nnz") or max(1, round(outputs * inputs / rows / cols * (1.0 if dense else 0.2)))
    flops = 2 * nnz * rows * cols * 128
    samples = {f"{state}_ns": [flops / (share * peak)] * 8 for state, share in (("hot", hot), ("cold", cold or hot))}
    matrix = {"outputs": outputs, "inputs": inputs, "tokens": 128, "block": block, "sparsity": 0.0 if dense else 0.8}
    target = {"threads": 2, "seed": 0, "isa": "native", "lanes": 16, "target": "cpu-2t", "format": "fp32"}
    shape = {"rows": rows, "cols": cols, "nnz": nnz, "epilogue": "bias", "flops": flops}
    layout = {"slab": 64, "token_shares": 2}
    how = {"family": "token_tile", "decisions": TILE, "stage": "timed", "session_id": "turns"}
    checks = {"status": "ok", "reason": None, "rotated_bytes": 64 << 20, "balance": 1.0, "max_abs_err": 1e-5}
    record = stamp("kernel") | matrix | target | shape | layout | how | samples | checks | changes
    rounds = len(record["hot_ns"]) if record["stage"] == "timed" else 0
    return record | {"peak_gflops": [float(peak)] * rounds}


def kernels(hot: float, others: Mapping[str, float] | None = None, **changes: Any) -> list[Record]:
    """Return kernels of every size and shape that reach ``hot``; ``others`` says which reach something else."""
    blocks = ("dense", "1x1", "1x32", "4x1", "8x1", "16x1", "32x1", "64x1", "4x4", "16x16", "32x32")
    return [
        kernel(block, (others or {}).get(block, hot), outputs=outputs, inputs=inputs, **changes)
        for outputs, inputs in ((768, 768), (3072, 768), (768, 3072))
        for block in blocks
    ]


LOOP = [
    ".LBB4_32:",
    "movslq       %r12d, %r12",
    "vbroadcastss (%rdx,%r12,4), %zmm16",
    "movl         (%r10,%r11,4), %esi",
    "vmovaps      (%r9,%rsi,4), %zmm17",
    "vfmadd231ps  %zmm17, %zmm16, %zmm0",
    "vbroadcastss 4(%rdx,%r12,4), %zmm18",
    "vfmadd231ps  %zmm17, %zmm18, %zmm1",
    "decq         %rax",
    "jne          .LBB4_32",
]
#: `LOOP`, counted by hand.
LOOP_COUNTS = {
    **{"fma": 2, "broadcast": 2, "load": 1, "index": 1, "store": 0, "spill": 0, "other": 3},
    **{"instructions": 9, "reads": 4, "accumulators": 2, "chain": 1},
}
_INNER = {"loop": LOOP, "counts": LOOP_COUNTS, "loop_bytes": 44}
_OPERATOR = {
    **{"kind": "linear", "outputs": 64, "inputs": 24, "tokens": 128, "rows": 32, "cols": 1, "nnz": 12, "shares": 1},
    **{"epilogue": "bias", "slab": 64, "token_shares": 2},
}


def listing(block: str = "32x1", **changes: Any) -> Record:
    """Return a layer of two block-rows of six blocks each."""
    shapes = {"data": [12, 1, 32], "indices": [12], "indptr": [3], "bounds": [2]}
    arrays = {name: {"dtype": "float32" if name == "data" else "int32", "shape": s} for name, s in shapes.items()}
    columns = [1, 4, 5, 9, 16, 23]
    bits = "".join("1" if column in columns else "0" for column in range(24))
    heads = {"indptr": [0, 6, 12], "indices": columns, "data": [[0.5, -0.25, 0.0625, 1.0]] * 6}
    tir = (
        "@T.prim_func\ndef main(x: T.Buffer((2,)), y: T.Buffer((2,))):\n    for v in T.serial(2):\n        y[v] = x[v]"
    )
    where = {"target": "cpu-2t", "isa": "native", "layer": "encoder.layer.0.attention.self.query"}
    matrix = {"operator": _OPERATOR, "arrays": arrays, "block_row": 1, "heads": heads}
    pattern = {"pattern": [f"{int(bits, 2):06x}"] * 2}
    how = {"family": "token_tile", "decisions": TILE, "tuned": [{"family": "token_tile", "decisions": TILE, "ns": 5.0}]}
    text = {"before": tir, "after": tir, "max_abs_err": 1e-6}
    return stamp("listing") | point("attention", block) | where | matrix | pattern | how | _INNER | text | changes


def variants(ratios: Mapping[str, float], *, noise: float = 0.001, **changes: Any) -> list[Record]:
    """Return one session of a kernel: full blocks at random columns take 100 us, each other variant so many times."""
    about = {"outputs": 768, "inputs": 768, "tokens": 128, "block": "4x1", "sparsity": 0.8, "threads": 2, "seed": 0}
    target = {"isa": "native", "format": "fp32", "target": "cpu-2t", "nnz": 29491}
    how = {"family": "token_tile", "decisions": TILE, "session_id": "variants"}
    checks = {"distinct_patterns": 1, "element_density": 1.0, "rotated_bytes": 64 << 20, "max_abs_err": 1e-5}
    rows = [("full", "random", None), ("full", "random", "A/A")]
    rows += [(name, "random", None) for name in ("one pattern", "16 patterns", "all different")]
    rows += [("full", name, None) for name in ("shared", "banded")]
    made = []
    for number, (inside, where, control) in enumerate(rows):
        factor = ratios.get(inside, ratios.get(where, 1.0))
        drawn = 1e5 * factor * np.random.default_rng(number).normal(1.0, noise, 24)
        samples = {"hot_ns": list(drawn), "cold_ns": list(2 * drawn)}
        which = {"inside": inside, "where": where, "control": control}
        made.append(stamp("variant") | about | target | how | checks | which | samples | changes)
    return made


def vectors(times: Mapping[tuple[str, str], float], **changes: Any) -> list[Record]:
    """Return one session with several instruction sets: (block or "dense", isa) -> milliseconds."""
    return [
        latency("tvm-dense" if block == "dense" else "tvm-bsr", "all", "32x1" if block == "dense" else block, ms)
        | {"kind": "vectors", "isa": isa}
        | changes
        for (block, isa), ms in times.items()
    ]


def layouts(times: Mapping[tuple[str, str], float], **changes: Any) -> list[Record]:
    """Return one session with several ways, and a task of each encoder: (block or "dense", way) -> milliseconds.

    Tuning records say of each encoder that its one kernel, used ten times, takes all of its time.
    """
    found = []
    for (block, way), ms in times.items():
        suffix = {"whole blocks": "-whole", "strips": "", "token-major": "-token-major"}[way]
        engine = ("tvm-dense" if block == "dense" else "tvm-bsr") + suffix
        shape = "32x1" if block == "dense" else block
        found.append(latency(engine, "all", shape, ms, **changes) | {"kind": "layouts"})
        best = {"engine": engine, "best_ns": ms * 1e5, "run_id": f"20260101T000000Z-{way}"}
        found.append(task("all", shape, f"{block} {way}", 10, **best))
    return found


def formats(**changes: Any) -> list[Record]:
    """Return one session with our encoders in two number formats."""
    found = []
    for (engine, block), ms in IN_FORMATS.items():
        format = "int8" if "int8" in engine else "fp32"
        record = latency(engine, "all", block, ms, spread=0.001, **changes)
        found.append(record | {"kind": "formats", "format": format})
    return found


def linear(nnz: int, outputs: int = 384, inputs: int = 384, block: str = "32x1") -> dict[str, Any]:
    """Return the sizes of a linear operator, as records of tasks keep them."""
    rows, cols = map(int, block.split("x"))
    sizes = {"outputs": outputs, "inputs": inputs, "tokens": 128, "rows": rows, "cols": cols, "nnz": nnz}
    return sizes | {"shares": 2, "epilogue": "bias", "slab": 64, "token_shares": 1}


def identity(model: str, block: str, allocation: str, stored: Iterable[int], **changes: Any) -> Record:
    """Return the tasks of an encoder whose sparse linears store so many blocks; equal ones are one task."""
    stored = list(stored)
    tasks = [
        {"digest": f"{nnz}", "weight": stored.count(nnz), "family_kind": "bsr", "linear": linear(nnz, block=block)}
        for nnz in dict.fromkeys(stored)
    ]
    about = {"target": "cpu-2t", "allocation": allocation, "weights": "random", "tasks": tasks}
    return stamp("identity") | point("all", block) | {"model": model} | about | changes


def soak(campaign: str, seed: int, subject: str = "prune", **counts: Any) -> Record:
    """Return a round in which one subject was tried ten times."""
    tally = {"subject": subject, "fault": "harm", "count": 10, "refused": 4, "lost": 0, "wrong": 0, "defects": []}
    tally |= {"settings": {"SIGKILL": 7, "SIGINT": 3}} | counts
    return stamp("soak", profile="quick") | {"campaign": campaign, "seed": seed, "seconds": 90.0, "tallies": [tally]}
