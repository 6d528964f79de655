"""Where inputs of chance come from: any value at all, and right ones with something changed."""

from __future__ import annotations

import random
import string
from typing import Any

_WORDS = ("4x1", "32x1", "0x4", "all", "dense", "", "NaN", "-1", "1e9", "../x", "null", "\N{SNOWMAN}", "x" * 300)


def anything(rng: random.Random, depth: int = 3) -> Any:
    """Any value that JSON can say, and NaN."""
    made: Any = rng.choice(
        (
            lambda: None,
            lambda: rng.random() < 0.5,
            lambda: rng.choice((0, 1, -1, 2**31, 2**63, 10**30, rng.randrange(-1000, 1000))),
            lambda: rng.choice((0.5, -0.0, 1e308, float("inf"), float("nan"), rng.uniform(-2, 2))),
            lambda: text(rng),
            lambda: [anything(rng, depth - 1) for _ in range(rng.randrange(4) if depth else 0)],
            lambda: {text(rng): anything(rng, depth - 1) for _ in range(rng.randrange(4) if depth else 0)},
        )
    )()
    return made


def text(rng: random.Random) -> str:
    """A word that means something somewhere, or characters."""
    if rng.random() < 0.5:
        return rng.choice(_WORDS)
    return "".join(
        rng.choice(string.printable + "\N{LATIN SMALL LETTER E WITH ACUTE}\0") for _ in range(rng.randrange(12))
    )


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Change a few bytes: overwrite, delete, insert, repeat or cut off."""
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(content) + 1)
        end = min(len(content), at + rng.randrange(1, 9))
        middle = rng.choice(
            (
                bytes(rng.randrange(256) for _ in range(end - at)),
                b"",
                content[at:end] * 3,
                rng.choice((b"0", b"[", b'"')),
            )
        )
        content = content[:at] if rng.random() < 0.1 else content[:at] + middle + content[end:]
    return content


def changed(rng: random.Random, value: Any) -> Any:
    """Change one value somewhere inside: replaced, dropped, or under another name."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        others = {key: item for key, item in value.items() if key != name}
        match rng.randrange(6):
            case 0:
                return others
            case 1:
                return others | {text(rng): value[name]}
            case _:
                return value | {name: changed(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], changed(rng, value[at]), *value[at + 1 :]]
    return anything(rng)
