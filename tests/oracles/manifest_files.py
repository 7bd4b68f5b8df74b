"""API objects in the YAML and JSON files of oracles, read independently of the product's own reader."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def objects(files: Iterable[Path]) -> list[dict]:
    """All objects, the items of lists one by one."""
    return [obj for file in files for obj in _in_file(file)]


@functools.lru_cache(maxsize=256)
def _in_file(file: Path) -> tuple[dict, ...]:
    with file.open() as text:
        return tuple(obj for document in yaml.load_all(text, LOADER) for obj in _flat(document, {}))


def _flat(document: object, inherited: dict) -> Iterator[dict]:
    if isinstance(document, list):
        for part in document:
            yield from _flat(part, inherited)
    elif isinstance(document, dict) and "items" in document:
        kind = str(document.get("kind", "")).removesuffix("List")
        for part in document["items"] or []:
            yield from _flat(part, {"apiVersion": document.get("apiVersion"), "kind": kind})
    elif isinstance(document, dict):
        yield {**inherited, **document}
