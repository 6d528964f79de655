"""What a record must contain: the kinds of records, and the check that refuses anything else.

A field with a default need not be there: records of before it existed read as the default says. ``measurement`` is
raised by hand when what a kind measures changes: local records of another version are measured again, and no
comparison mixes two versions.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from codesign.errors import RecordError
from codesign.schema import encoders, kernels
from codesign.schema.parts import Point, Stamp

Record = dict[str, Any]

#: Kind -> what its records must contain.
KINDS: dict[str, type[Stamp]] = {
    each.__name__.lower(): each
    for module in (encoders, kernels)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, Stamp) and hasattr(each, "producer")
}

#: Fields that say which experiment point a record belongs to.
POINT = tuple(name for name in Point.model_fields if name not in Stamp.model_fields)


@functools.cache
def defaults(kind: str) -> Record:
    """Return what records of a kind say that lack a field."""
    fields = KINDS[kind].model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}


def validate(record: Mapping[str, Any]) -> None:
    """Check a record against the class of its kind.

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
        KINDS[kind].model_validate(record)
    except ValidationError as refusal:
        first = refusal.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        given = "" if first["type"] in ("missing", "value_error") else f", not {first['input']!r}"[:120]
        raise RecordError(f"{kind} record: {f'field {where!r}: ' if where else ''}{what}{given}") from None
