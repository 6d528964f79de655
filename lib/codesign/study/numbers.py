"""Every number that the book's prose may print, as text with its unit, computed from records.

A page writes ``{num}`latency.tvm-bsr.all.32x1```; a key that does not exist is an error, never a hole.
"""

from __future__ import annotations

import difflib
import statistics
from collections.abc import Callable, Iterator

from codesign.answers.words import ENGINE_LABELS, TIMES, shape_order, three_digits, times
from codesign.errors import InputError, MissingRecord
from codesign.schema import KINDS, Record
from codesign.study.accuracy_claims import accuracy_numbers
from codesign.study.claims import NOT_MEASURED as NOT_MEASURED
from codesign.study.claims import Verdict, amdahl_bound, attention_share, counts, evaluate
from codesign.study.evidence import DENSE, Evidence, Source, key_of, median_ms
from codesign.study.profiles import by_kind, outside_linears
from codesign.study.searched import searched_numbers
from codesign.study.shape_claims import shape_numbers
from codesign.study.soaked import soak_numbers
from codesign.study.swept import swept_numbers
from codesign.study.tradeoff import tradeoff_numbers
from codesign.study.ways import distortions, newest
from codesign.study.ways import ratios as way_ratios

BASELINES = ("tvm-dense", "openvino", "torch-eager", "tvm-stock-tuned", "tvm-stock-default")

Item = tuple[str, str]
Part = Callable[[Evidence], Iterator[Item]]


def numbers(results: Source, **point: object) -> dict[str, str]:
    """Return every number as key -> text. Keys read from the general to the particular, joined by dots."""
    evidence = Evidence(results, **point)  # type: ignore[arg-type]
    parts: tuple[Part, ...] = (
        points,
        stamp,
        patterns,
        compiles,
        tasks,
        tunings,
        latencies,
        ratios,
        best,
        swept_numbers,
        profiles,
    )
    parts += (protocols, searched_numbers, accuracy_numbers, shape_numbers, tradeoff_numbers, claim_numbers)
    parts += (soak_numbers,)
    return {key: text for part in parts for key, text in part(evidence)}


def lookup(values: dict[str, str], key: str, strict: bool) -> str:
    """Return the text of ``key``.

    Raises
    ------
    InputError
        When there is no such number and ``strict``; else it reads "not measured here".
    """
    if key in values:
        return values[key]
    if not strict:
        return NOT_MEASURED
    nearest = next(iter(difflib.get_close_matches(key, values, n=1)), None)
    raise InputError("num", key, "a number that the committed records contain", nearest)


def milliseconds(value: float) -> str:
    """Format a latency with three significant digits: ``9.41 ms``, ``31.2 ms``, ``24,366 ms``."""
    return f"{three_digits(value)} ms"


def error(value: float) -> str:
    """Format a largest absolute error: ``2e-6``."""
    return f"{value:.0e}".replace("e-0", "e-")


def points(evidence: Evidence) -> Iterator[Item]:
    """Yield the operating point and what follows from it by arithmetic alone."""
    yield "point.model", evidence.model
    yield "point.sparsity", f"{evidence.sparsity:.0%}"
    yield "point.batch", str(evidence.batch)
    yield "point.seq", str(evidence.seq)
    yield "point.threads", str(evidence.threads)
    yield "amdahl.attention.share", f"{attention_share(evidence.seq):.0%}"
    yield "amdahl.attention.bound", f"{amdahl_bound(evidence.sparsity, evidence.seq):.2f}{TIMES}"


def stamp(evidence: Evidence) -> Iterator[Item]:
    """Yield which machine, commit, profile and date the numbers come from; nothing when no machine is recorded."""
    try:
        machine = evidence.machine
    except MissingRecord:
        return
    shown = evidence.records("latency") or [machine]
    newest = shown[-1]
    yield "stamp.machine", f"{machine['cpu']}, {machine['cores']} cores"
    yield "stamp.machine_id", machine["machine_id"]
    yield "stamp.commit", short_commit(newest["commit"])
    yield "stamp.profile", newest["profile"]
    yield "stamp.date", newest["started_at"][:10]
    yield "stamp.code", written_by(newest)
    yield "machine.cpu", machine["cpu"]
    yield "machine.vendor", machine["vendor"]
    yield "machine.cores", str(machine["cores"])
    yield "machine.l2", f"{machine['l2_kib'] / 1024:.0f} MiB"
    yield "machine.l3", f"{machine['l3_kib'] / 1024:.0f} MiB"
    yield "machine.memory", f"{machine['memory_gib']:.0f} GiB"
    for name, version in newest["versions"].items():
        yield f"version.{name}", version


def written_by(record: Record) -> str:
    """Say whether the code that made a record would make it today."""
    return "this code" if record["measurement"] == KINDS[record["kind"]].measurement_version else "older code"


def short_commit(commit: str) -> str:
    """Shorten a commit to ten digits, keeping ``-dirty``."""
    digits, dash, state = commit.partition("-")
    return digits[:10] + dash + state


def patterns(evidence: Evidence) -> Iterator[Item]:
    """Yield what pruning left of the weights."""
    for (_, scope, block), record in evidence.newest("pattern").items():
        key = f"pattern.{scope}.{block}"
        yield f"{key}.block_sparsity", f"{record['block_sparsity']:.1%}"
        yield f"{key}.element_sparsity", f"{record['element_sparsity']:.1%}"
        yield f"{key}.retained_l2", f"{record['retained_l2']:.0%}"
        yield f"{key}.matrices", str(len(record["matrices"]))


def compiles(evidence: Evidence) -> Iterator[Item]:
    """Yield size, build time and error of compiled models."""
    for parts, record in evidence.newest("compile").items():
        key = ".".join(("compile", *parts))
        yield f"{key}.build", f"{record['build_s']:.0f} s"
        yield f"{key}.size", f"{record['artifact_bytes'] / 2**20:.0f} MiB"
        yield f"{key}.functions", str(record["functions"])
        yield f"{key}.bsr_linears", str(record["bsr_linears"])
        yield f"{key}.error", error(record["max_abs_err"])


def tasks(evidence: Evidence) -> Iterator[Item]:
    """Yield how many tuning tasks each compiled model has."""
    for engine, scope, block in evidence.newest("task"):
        found = evidence.tasks(engine, scope, block)
        key = f"tasks.{engine}.{scope}.{block}"
        yield f"{key}.count", str(len(found))
        yield f"{key}.sparse", str(sum(t["family_kind"] == "bsr" for t in found))
        yield f"{key}.uses", str(sum(t["weight"] for t in found if t["family_kind"] == "bsr"))
        yield f"{key}.trials", f"{sum(t['trials'] for t in found):,}"


def tunings(evidence: Evidence) -> Iterator[Item]:
    """Yield what tuning cost."""
    continued = [record for record in evidence.records("tuning") if not record.get("from_nothing")]
    for parts, record in {key_of(record): record for record in continued}.items():
        key = ".".join(("tuning", *parts))
        yield f"{key}.tasks", str(record["tasks"])
        yield f"{key}.trials", f"{record['trials']:,}"
        yield f"{key}.failed", str(record["failed_trials"])
        yield f"{key}.minutes", f"{record['seconds'] / 60:.1f} min"


def latencies(evidence: Evidence) -> Iterator[Item]:
    """Yield medians and errors of everything that was timed."""
    for parts, record in evidence.latencies.items():
        key = ".".join(("latency", *parts))
        yield key, milliseconds(median_ms(record).value)
        yield f"{key}.error", error(record["max_abs_err"])
        yield f"{key}.solo", milliseconds(statistics.median(record["solo_ns"]) / 1e6)


def ratios(evidence: Evidence) -> Iterator[Item]:
    """Yield how many times faster each contender is than each dense engine."""
    for fast in evidence.latencies:
        for baseline in BASELINES:
            slow = (baseline, *DENSE)
            if slow != fast and slow in evidence.latencies:
                yield f"ratio.{'.'.join(fast)}.over.{baseline}", times(evidence.speedup(slow, fast))


def best(evidence: Evidence) -> Iterator[Item]:
    """Yield the fastest and the slowest block shape of each scope."""
    for scope in ("attention", "ffn", "all"):
        found = {block: median_ms(r).value for block, r in evidence.shapes(scope).items()}
        if not found:
            continue
        ranked = sorted(found, key=lambda block: (found[block], shape_order(block)))
        for name, block in (("best", ranked[0]), ("worst", ranked[-1])):
            yield f"{name}.{scope}.block", block
            yield f"{name}.{scope}.latency", milliseconds(found[block])
            for baseline in BASELINES:
                slow = (baseline, *DENSE)
                if slow in evidence.latencies:
                    yield f"{name}.{scope}.over.{baseline}", times(evidence.speedup(slow, ("tvm-bsr", scope, block)))
        yield f"shapes.{scope}", str(len(found))


def protocols(evidence: Evidence) -> Iterator[Item]:
    """Yield what each way of taking turns made of two engines, in the newest comparison."""
    if not (records := newest(evidence.records("protocol"))):
        return
    yield "protocol.other", ENGINE_LABELS[records[1]["engine"]]
    for way, found in way_ratios(records).items():
        yield f"protocol.{way}.ratio", times(found)
    for name, row in zip(("ours", "other"), distortions(records), strict=True):
        yield f"protocol.alone.{name}", milliseconds(row["alone_ms"])
        for way in ("naive", "turns"):
            yield f"protocol.{way}.{name}", f"{row[way]:.2f}{TIMES}"


def profiles(evidence: Evidence) -> Iterator[Item]:
    """Yield how the time in kernels is divided: shares of the linears, of what is outside, and of each kind."""
    for parts, records in evidence.profiles().items():
        key = ".".join(("profile", *parts))
        found = by_kind(records)
        total = sum(found.values())
        outside = outside_linears(records)
        yield f"{key}.outside", f"{outside:.0%}"
        yield f"{key}.linears", f"{1 - outside:.0%}"
        yield f"{key}.kernels", milliseconds(total / 1e6)
        for kind, ns in found.items():
            yield f"{key}.{kind.lower().replace(' ', '_')}", f"{ns / total:.1%}"


def claim_numbers(evidence: Evidence) -> Iterator[Item]:
    """Yield verdict and effect of every claim, and how many have each verdict."""
    verdicts = evaluate(evidence)
    yield "claims.count", str(len(verdicts))
    for word, count in counts(verdicts).items():
        yield f"claims.{word.replace(' ', '-')}", str(count)
    for verdict in verdicts:
        yield f"claim.{verdict.id}.verdict", verdict.verdict
        if verdict.effect is not None:
            yield f"claim.{verdict.id}.effect", effect_text(verdict)


def effect_text(verdict: Verdict) -> str:
    """Format the effect of a claim in its own unit; a dash where nothing was measured."""
    effect = verdict.effect
    if effect is None:
        return "-"
    match verdict.unit:
        case "ratio":
            return times(effect)
        case "share":
            return f"{effect.value:.0%} ({effect.low:.0%} to {effect.high:.0%})"
        case unit:
            return f"{effect.value:.1f} {unit}"
