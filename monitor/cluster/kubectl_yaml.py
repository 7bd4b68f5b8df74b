"""One YAML document as kubectl reads it: YAML 1.1 scalars of its Go reader, through libyaml.

Differs from PyYAML's safe loader: `y` and `n` are booleans, dates stay text, there is no base 60, a repeated key is
an error. Source: go-yaml v2 resolve.go; the strict decoding of kubectl apply.
Every failure is a ValueError; depth and aliases are bounded before an object is built.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, Final

import yaml

DEEPEST: Final = 256
MOST_NODES: Final = 100_000

_KEPT_TAGS = ("null", "float", "merge", "value")
_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$")
_BOOL = re.compile(r"(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")
_TRUE = frozenset({"y", "yes", "true", "on"})


class _Loader(yaml.CSafeLoader):
    """The safe loader with kubectl's scalars."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own way to declare them


for _first, _resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items():
    _Loader.yaml_implicit_resolvers[_first] = [
        (tag, pattern) for tag, pattern in _resolvers if tag.rpartition(":")[2] in _KEPT_TAGS and ":" not in _first
    ]
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("yYnNtTfFoO"))


def _bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in _TRUE


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    sign, digits = (-1 if text[0] == "-" else 1), text.lstrip("+-")
    if digits.startswith("0") and digits[1:].isdecimal():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    written = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    if len({key.value for key in written}) != len(written):
        seen: set[str] = set()
        twice = next(key for key in written if key.value in seen or seen.add(key.value))  # type: ignore[func-returns-value]  # add gives None
        raise ValueError(f"line {twice.start_mark.line + 1}: duplicate mapping key: {twice.value!r}")
    loader.flatten_mapping(node)
    return {
        _key(loader.construct_object(key, deep=True)): loader.construct_object(part, deep=True)
        for key, part in node.value
    }


def _key(value: Any) -> Any:
    """Keys are texts in JSON: sigs.k8s.io/yaml writes booleans and numbers out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else "null" if value is None else value


_Loader.add_constructor("tag:yaml.org,2002:bool", _bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load(text: str) -> Any:
    """The value of the one document in `text`."""
    try:
        _check(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem or error.context}") from None
    except (yaml.YAMLError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(str(error).splitlines()[0] or "cannot be read") from None


def _check(text: str) -> None:
    """Depth, and how many nodes there are once every alias is written out."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        match event:
            case yaml.CollectionStartEvent():
                opened.append((event.anchor, nodes))
                nodes += 1
            case yaml.CollectionEndEvent():
                anchor, before = opened.pop()
                sizes.update({anchor: nodes - before} if anchor else {})
            case yaml.AliasEvent():
                nodes += sizes.get(event.anchor or "", 1)
            case _:
                nodes += 1
        if len(opened) > DEEPEST:
            raise ValueError(f"{_line(event)}nested deeper than {DEEPEST} levels")
        if nodes > MOST_NODES and sizes:
            raise ValueError(f"{_line(event)}its aliases stand for more than {MOST_NODES} values")


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}: " if event.start_mark else ""
