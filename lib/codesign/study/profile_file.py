"""Profile files: YAML of a fixed outline, where anything else is refused by what is wrong with it."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from codesign.errors import InputError
from codesign.study.parameters import nearest

SECTIONS = ("common", "notebooks", "budget_minutes")
_CALLED = {
    type(None): "nothing",
    str: "text",
    list: "a list",
    int: "a number",
    float: "a number",
    bool: "a truth value",
}


class _Loader(yaml.SafeLoader):
    """YAML without code, in which a key may stand once: of two values, YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if (text := str(key.value)) in seen:
                line = key.start_mark.line + 1
                raise InputError(text, "twice", f"one value for each name (line {line} gives a second)")
            seen.add(text)
        return super().construct_mapping(node, deep)


def read(path: Path, known: list[str]) -> dict[str, dict[str, Any]]:
    """Read the sections of a profile; those that are absent or empty are empty mappings.

    Parameters
    ----------
    path
        The file.
    known
        Names of the committed profiles, for the message where there is no such file.

    Returns
    -------
    dict[str, dict[str, Any]]
        Each of `SECTIONS`; what they say is not looked at. A notebook with nothing to say has an empty mapping.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a file.
    """
    try:
        found = path.is_file()
        text = path.read_text(encoding="utf-8") if found else ""
    except (OSError, ValueError) as error:
        raise InputError("profile", path.name, f"a file of text that can be read ({error})") from None
    if not found:
        raise InputError("profile", path.stem, "one of " + ", ".join(known), nearest(path.stem, known))
    content = _parse(path, text)
    if not isinstance(content, dict):
        called = _CALLED.get(type(content), type(content).__name__)
        raise InputError("profile", path.name, f"a mapping with the sections {', '.join(SECTIONS)}, not {called}")
    for name in content.keys() - set(SECTIONS):
        raise InputError("section", name, f"a section of {path.name}", nearest(name, SECTIONS))
    if "notebooks" not in content:
        raise InputError("section", "notebooks", f"what {path.name} is about, and it is missing")
    sections = {name: _mapping(path, name, content.get(name)) for name in SECTIONS}
    notebooks = {name: _mapping(path, name, own) for name, own in sections["notebooks"].items()}
    return sections | {"notebooks": notebooks}


def _parse(path: Path, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise InputError("profile", path.name, f"YAML ({where}{error.problem or error.context})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("profile", path.name, f"YAML ({' '.join(str(error).split())[:120]})") from None


def _mapping(path: Path, name: object, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(str(name), value, f"a mapping of names to values in {path.name}")
    return value
