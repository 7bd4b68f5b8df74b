"""How facts and flow batches travel: msgspec JSON in a versioned envelope.

Law 1: bytes are deterministic (sorted keys), so equal facts have equal bytes and digests.
Law 2: what cannot be read is a value, `Unreadable`, never an exception that stops a stream.
Unknown fields are ignored, so that an older reader survives a newer writer of the same version.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from models.facts import Fact
from models.flows import FlowBatch

VERSION = 1
"""Raised when a reader of the old version would read a new value wrongly."""


class Unreadable(Struct, frozen=True):
    """Bytes that this release cannot read. `reason` is for people."""

    reason: str


class _FactEnvelope(Struct, frozen=True):
    v: int
    fact: Fact


class _FlowEnvelope(Struct, frozen=True):
    v: int
    batch: FlowBatch


class _Version(Struct, frozen=True):
    v: int


_encoder = msgspec.json.Encoder(order="deterministic")
_fact_decoder = msgspec.json.Decoder(_FactEnvelope)
_flow_decoder = msgspec.json.Decoder(_FlowEnvelope)
_version_decoder = msgspec.json.Decoder(_Version)


def encode_fact(fact: Fact) -> bytes:
    """Canonical bytes of a fact: what is published, stored and digested."""
    return _encoder.encode(_FactEnvelope(VERSION, fact))


def decode_fact(raw: bytes) -> Fact | Unreadable:
    """The fact in these bytes, or why it cannot be read."""
    try:
        envelope = _fact_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _unreadable(raw, error)
    return envelope.fact if envelope.v <= VERSION else _newer(envelope.v)


def encode_batch(batch: FlowBatch) -> bytes:
    """Canonical bytes of a flow batch."""
    return _encoder.encode(_FlowEnvelope(VERSION, batch))


def decode_batch(raw: bytes) -> FlowBatch | Unreadable:
    """The batch in these bytes, or why it cannot be read."""
    try:
        envelope = _flow_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _unreadable(raw, error)
    return envelope.batch if envelope.v <= VERSION else _newer(envelope.v)


def _unreadable(raw: bytes, error: Exception) -> Unreadable:
    """A newer version may well not fit today's types: say so rather than "invalid"."""
    try:
        version = _version_decoder.decode(raw).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unreadable(f"not a segmon message: {error}")
    return _newer(version) if version > VERSION else Unreadable(str(error))


def _newer(version: int) -> Unreadable:
    return Unreadable(f"written in wire version {version}, this release reads up to {VERSION}: upgrade segmon")
