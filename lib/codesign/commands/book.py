"""Commands that execute notebooks: one of them, all of them, and the book from what they show."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from codesign import notebooks
from codesign.errors import InputError
from codesign.study import profile_file
from codesign.study.chain import open_study
from codesign.study.parameters import check, parse
from codesign.study.trained import NOTEBOOK, ensure_trained, trainings


def run(options: argparse.Namespace) -> None:
    values: dict[str, Any] = {}
    if options.profile is not None or options.params is not None:
        if options.params is not None and not options.params.is_file():
            raise InputError("params", str(options.params), "a file like those in notebooks/params")
        path = profile_file.path_of(options.profile) if options.params is None else options.params
        named = {"profile": path.stem} if path.stem in profile_file.names() else {}
        values = profile_file.section(path, options.notebook) | named
    values |= _pairs(options.pairs)
    if options.results is not None:
        values["results"] = options.results
    print(notebooks.run(options.notebook, values))


def reproduce(options: argparse.Namespace) -> None:
    steps = profile_file.load(profile_file.path_of(options.profile))
    Console().print(notebooks.costs(options.profile, steps))
    print(notebooks.build_book("local", options.profile))


def book(options: argparse.Namespace) -> None:
    print(notebooks.build_book(check("results", options.results), options.profile))


def train(options: argparse.Namespace) -> None:
    values = profile_file.defaults(NOTEBOOK)
    if options.profile is not None:
        values |= profile_file.section(profile_file.path_of(options.profile), NOTEBOOK) | {"profile": options.profile}
    values |= profile_file.check_all(NOTEBOOK, _pairs(options.pairs))
    planned = trainings(values)
    ensure_trained(open_study("local", values["profile"]), [*planned.rated, *planned.runs])


def try_(options: argparse.Namespace) -> None:
    names = ("block", "sparsity", "scope", "model")
    required = names[:2]
    texts = {name: text for name in names if (text := getattr(options, name)) or name in required}
    values = {name: check(name, parse(name, text)) for name, text in texts.items()}
    results = check("results", options.results)
    typed = _pairs(options.pairs)
    for name in typed.keys() & {*values, *profile_file.MODE}:
        raise InputError("-p", f"{name}={typed[name]}", f"another parameter: {name} is set already")
    executed = notebooks.run(notebooks.TRY, values | typed | {"results": "local"})
    print(notebooks.build_book(results, "default", done=[executed.stem]))


def _pairs(typed: Sequence[str]) -> dict[str, Any]:
    """Read parameters typed as NAME=VALUE."""
    values = {}
    for pair in typed:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError("-p", pair, "NAME=VALUE", f"{name}=...")
        values[name] = parse(name, text)
    return values
