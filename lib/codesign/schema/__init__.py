"""What a record must contain: the fields of each kind, and the check that refuses anything else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match

from codesign.errors import RecordError
from codesign.isa import NATIVE
from codesign.schema.kinds import KINDS, Kind
from codesign.schema.parts import ISAS, KERNEL_KINDS, LINEARS, POINT, SCHEMA_VERSION, STAMP, WHOLE

__all__ = [
    "ISAS",
    "KERNEL_KINDS",
    "KINDS",
    "LINEARS",
    "NATIVE",
    "POINT",
    "SCHEMA_VERSION",
    "STAMP",
    "WHOLE",
    "Kind",
    "Record",
    "validate",
]

Record = dict[str, Any]


def validate(record: Mapping[str, Any]) -> None:
    """Check a record against the schema of its kind.

    Raises
    ------
    RecordError
        Naming the field. Besides the types: a timing without a correctness value is refused, and so is a skip or a
        failure without a reason.
    """
    kind = record.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecordError(f"field 'kind' is {kind!r}: expected one of {', '.join(KINDS)}")
    try:
        _compiled(kind)(record)
    except fastjsonschema.JsonSchemaValueException as refusal:
        raise RecordError(f"{kind} record: {_said_well(kind, record) or refusal.message[:200]}") from None
    if kind == "ceiling" and (record["rate"] is None) == (record["reason"] is None):
        raise RecordError("ceiling record: field 'reason': either a rate or the reason why there is none")
    if kind in ("latency", "vectors", "layouts"):
        _check_timed(record)
    if kind == "kernel":
        _check_kernel(record)
    if kind == "accuracy":
        _check_hits(record)
    if kind in ("latency", "protocol", "vectors", "layouts"):
        _check_rounds(record)


def _check_timed(record: Mapping[str, Any]) -> None:
    kind = record["kind"]
    if record["max_abs_err"] is None and (record["samples_ns"] or record["status"] == "ok"):
        raise RecordError(f"{kind} record: field 'max_abs_err': a timing without a correctness value is refused")
    if record["status"] == "ok" and not record["samples_ns"]:
        raise RecordError(f"{kind} record: field 'samples_ns': status 'ok' without a sample")
    if record["status"] != "ok" and not record["reason"]:
        raise RecordError(f"{kind} record: field 'reason': status {record['status']!r} needs one")


def _check_kernel(record: Mapping[str, Any]) -> None:
    kind = record["kind"]
    if (record["status"] == "ok") != (record["reason"] is None):
        raise RecordError(f"{kind} record: field 'reason': a failure needs one, and nothing else has one")
    if record["max_abs_err"] is None and (record["hot_ns"] or record["cold_ns"] or record["status"] == "ok"):
        raise RecordError(f"{kind} record: field 'max_abs_err': a timing without a correctness value is refused")
    if record["status"] == "ok" and not (record["hot_ns"] and record["cold_ns"]):
        raise RecordError(f"{kind} record: field 'hot_ns': status 'ok' without hot and cold samples")
    rounds = len(record["hot_ns"]) if record.get("stage") != "screened" else 0
    if len(record["peak_gflops"]) != rounds:
        raise RecordError(f"{kind} record: field 'peak_gflops': needs a rate for each round of a timed kernel")


def _check_rounds(record: Mapping[str, Any]) -> None:
    kind = record["kind"]
    for rounds, samples in (("rounds", "samples_ns"), ("disturbed_rounds", "disturbed_ns")):
        if sum(record.get(rounds, ())) != len(record.get(samples, ())):
            raise RecordError(f"{kind} record: field {rounds!r}: does not add up to the number of samples")
    if "company" in record:
        for turns, rounds in (("turns", "rounds"), ("disturbed", "disturbed_rounds")):
            if len(record["company"][turns]) != len(record.get(rounds, ())):
                raise RecordError(f"{kind} record: field 'company': needs a pair of rates for each of {rounds!r}")


def _check_hits(record: Mapping[str, Any]) -> None:
    tested = sum(record["test_size"])
    for share, hits in (("accuracy", "hits"), ("baseline", "baseline_hits")):
        if len(record[hits]) != tested:
            raise RecordError(f"accuracy record: field {hits!r}: {len(record[hits])} answers to {tested} questions")
        if abs(record[share] - record[hits].count("1") / tested) > 1e-9:
            raise RecordError(f"accuracy record: field {share!r}: is not the share of right answers in {hits!r}")


def _schema(kind: str) -> dict[str, Any]:
    fields = STAMP | KINDS[kind].fields
    return {"type": "object", "properties": fields | KINDS[kind].later, "required": list(fields)}


@functools.cache
def _compiled(kind: str) -> Callable[[Mapping[str, Any]], object]:
    """Return the check as code: a page reads thousands of records, and walking the schema for each takes seconds."""
    return fastjsonschema.compile(_schema(kind), use_default=False)


def _said_well(kind: str, record: Mapping[str, Any]) -> str | None:
    """Name the field that is wrong and what is wrong with it, as the library that walks the schema says it best."""
    error = best_match(Draft7Validator(_schema(kind)).iter_errors(record))
    if error is None:
        return None
    where = error.json_path.removeprefix("$").removeprefix(".")
    return f"{f'field {where!r}: ' if where else ''}{error.message[:200]}"
