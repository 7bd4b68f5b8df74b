"""Reading API objects by shape: the fields a fact is made of, typed as the API types them.

Trusts nothing: `read` either finds the shape or raises `MisshapenError` with the path of the field that is wrong.
A field that is null counts as absent, as it does for the API server; fields not named here are not looked at.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, field

T = TypeVar("T")

DEEPEST = 48
"""Levels of nesting below which nulls are looked for; no field that a fact needs lies deeper."""

_encoded = msgspec.json.Encoder().encode

LABELS_AND_NAME = "projectcalico.org/metadata"
"""Where Calico keeps an object's own metadata when it stores it under crd.projectcalico.org/v1."""


class MisshapenError(ValueError):
    """A field of the wrong type, or missing: `path: what is wrong`."""


class Shape(Struct, frozen=True, kw_only=True, rename="camel"):
    """Common settings: camelCase names, unknown fields ignored."""


class OwnerReference(Shape, frozen=True, kw_only=True):
    kind: str = ""  # absent only in files that no API server has seen
    name: str = ""
    controller: bool = False


class Metadata(Shape, frozen=True, kw_only=True):
    name: str
    namespace: str = ""
    uid: str = ""
    generate_name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] = ()


class StoredMetadata(Shape, frozen=True, kw_only=True):
    """Content of the annotation LABELS_AND_NAME."""

    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    creation_timestamp: datetime | None = None


class Object(Struct, frozen=True):
    """One API object, its metadata read, its other parts not yet."""

    metadata: Metadata
    body: dict[str, Any]

    def part(self, name: str, shape: type[T]) -> T:
        """A top-level part (`spec`, `status`) in its shape; absent counts as empty."""
        return read(self.body.get(name, {}), shape, name)


def read(value: Any, shape: type[T], path: str) -> T:
    """The value in this shape. MisshapenError names the first field that does not fit."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise MisshapenError(_located(str(error), path)) from None
    except OverflowError:
        raise MisshapenError(f"{path}: a number is out of range") from None


def opened(obj: dict[str, Any], *, is_stored_v1: bool) -> Object:
    """The object with nulls gone and its metadata read.

    is_stored_v1: Calico keeps the metadata that its users gave inside an annotation there.
    """
    body = obj if _is_plain(obj) else _without_nulls(obj, DEEPEST)
    metadata = read(body.get("metadata", {}), Metadata, "metadata")
    return Object(_restored(metadata, body) if is_stored_v1 else metadata, body)


def _located(message: str, path: str) -> str:
    """The "what - at `$.a.b`" of msgspec as "path.a.b: what"."""
    what, _, place = message.partition(" - at `$")
    what = what.replace("`", "")
    return f"{path}{place.rstrip('`')}: {what[:1].lower()}{what[1:]}"


def _is_plain(obj: dict[str, Any]) -> bool:
    """No nulls to take out, no bulk to drop, no broken text: one encoding is far cheaper than a walk to find out."""
    try:
        text = _encoded(obj)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return b"null" not in text and b"managedFields" not in text


def _without_nulls(value: Any, depth: int) -> Any:
    if depth and isinstance(value, dict):
        return {
            _without_nulls(key, 0): _without_nulls(part, depth - 1)
            for key, part in value.items()
            if part is not None and key != "managedFields"
        }
    if depth and isinstance(value, list | tuple):
        return [_without_nulls(part, depth - 1) for part in value]
    if isinstance(value, str) and not value.isascii():
        _check_unicode(value)
    return value


def _check_unicode(text: str) -> None:
    """JSON can carry half a surrogate pair; no fact could be published with it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise MisshapenError(f"{text[:40]!a}: is not Unicode text") from None


def _restored(metadata: Metadata, body: dict[str, Any]) -> Metadata:
    """Labels, annotations and name as their writer gave them (libcalico-go/lib/backend/k8s/resources/resources.go).

    Without a stored name, a policy of the default tier loses the prefix `default.` of its storage name.
    """
    raw = metadata.annotations.get(LABELS_AND_NAME)
    if raw is None:
        return metadata
    path = f"metadata.annotations[{LABELS_AND_NAME}]"
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        raise MisshapenError(f"{path}: is not JSON") from None
    stored = read(_without_nulls(parsed, DEEPEST), StoredMetadata, path)
    kept = {key: value for key, value in metadata.annotations.items() if key != LABELS_AND_NAME}
    return msgspec.structs.replace(
        metadata,
        name=stored.name or _without_default_tier(metadata.name, body),
        labels=metadata.labels | stored.labels,
        annotations=kept | stored.annotations,
        creation_timestamp=stored.creation_timestamp or metadata.creation_timestamp,
    )


def _without_default_tier(name: str, body: dict[str, Any]) -> str:
    spec = body.get("spec")
    tier = spec.get("tier", "default") if isinstance(spec, dict) else "default"
    is_policy = str(body.get("kind", "")).endswith("NetworkPolicy")
    return name.removeprefix("default.") if is_policy and tier == "default" else name
