"""Wire samples: what a release of version 1 wrote can be read for ever, and means the same.

A sample is never changed. A field that is added gets a further sample, `Type.what.json`; a change that old samples do
not survive needs a new wire version.
"""

import json
import typing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec import inspect as shapes

from models import facts, wire
from models.facts import Fact, FactKey, Kind
from models.flows import FlowBatch

FOLDER = Path(__file__).parent / "samples"
SAMPLES = sorted(FOLDER.glob("v*/*.json"))
FACT_TYPES = typing.get_args(Fact)


def decoded(path):
    raw = path.read_bytes()
    return wire.decode_batch(raw) if path.name.startswith("FlowBatch") else wire.decode_fact(raw)


def encoded(value):
    return wire.encode_batch(value) if isinstance(value, FlowBatch) else wire.encode_fact(value)


def structs_in(value):
    """The structs of a value, itself included."""
    if isinstance(value, Struct):
        yield value
        for name in value.__struct_fields__:
            yield from structs_in(getattr(value, name))
    elif isinstance(value, tuple | list):
        for part in value:
            yield from structs_in(part)


def default_of(field):
    """What the wire leaves out; something that equals nothing for a field without a default."""
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def named_types(info, seen):
    """Every struct type that is reachable from a type, with its fields."""
    if isinstance(info, shapes.StructType):
        if info.cls not in seen:
            seen[info.cls] = {field.name: field for field in info.fields}
            for field in info.fields:
                named_types(field.type, seen)
    elif isinstance(info, shapes.UnionType):
        for part in info.types:
            named_types(part, seen)
    elif isinstance(info, shapes.VarTupleType):
        named_types(info.item_type, seen)
    return seen


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_sample_is_read_for_ever(path):
    assert not isinstance(decoded(path), wire.Unreadable)


@pytest.mark.parametrize("path", sorted(FOLDER.glob(f"v{wire.VERSION}/*.json")), ids=lambda path: path.stem)
def test_a_sample_of_this_version_is_written_again_to_the_letter(path):
    assert encoded(decoded(path)) == path.read_bytes().rstrip(b"\n")


@pytest.mark.parametrize("kind", FACT_TYPES, ids=lambda kind: kind.__name__)
def test_every_type_of_fact_has_a_sample(kind):
    assert any(type(decoded(path)) is kind for path in SAMPLES)


def test_every_field_is_in_some_sample_with_a_value_of_its_own():
    known = {}
    for kind in (*FACT_TYPES, FlowBatch):
        named_types(shapes.type_info(kind), known)
    shown = {kind: set() for kind in known}
    for struct in (struct for path in SAMPLES for struct in structs_in(decoded(path))):
        fields = known[type(struct)].items()
        shown[type(struct)] |= {name for name, field in fields if getattr(struct, name) != default_of(field)}
    missing = {kind.__name__: set(fields) - shown[kind] for kind, fields in known.items()}

    assert {kind: fields for kind, fields in missing.items() if fields} == {}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_field_of_a_later_release_is_passed_over(path):
    envelope = json.loads(path.read_bytes())
    body = next(value for key, value in envelope.items() if key != "v")
    known = decoded(path)

    body["fromTheFuture"] = {"a": [1]}
    envelope["alsoNew"] = True
    read = wire.decode_batch if isinstance(known, FlowBatch) else wire.decode_fact

    assert read(json.dumps(envelope).encode()) == known


def test_a_newer_version_asks_for_an_upgrade_even_where_its_shape_is_unknown():
    found = wire.decode_fact(b'{"v": 2, "somethingElse": []}')

    assert found == wire.Unreadable("written in wire version 2, this release reads up to 1: upgrade segmon")


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_bytes_make_a_reader_raise(raw):
    assert isinstance(wire.decode_fact(raw), wire.Unreadable)
    assert isinstance(wire.decode_batch(raw), wire.Unreadable)


# --- round trips -------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def values_of(info):
    """A strategy for what a type's annotation allows."""
    simple = {
        shapes.StrType: TEXT,
        shapes.BoolType: st.booleans(),
        shapes.IntType: st.integers(-(2**63), 2**64 - 1),
        shapes.FloatType: st.floats(allow_nan=False, allow_infinity=False),
        shapes.NoneType: st.none(),
        shapes.DateTimeType: st.datetimes(timezones=st.just(__import__("datetime").UTC)),
    }
    if type(info) in simple:
        return simple[type(info)]
    if isinstance(info, shapes.UnionType):
        return st.one_of(*map(values_of, info.types))
    if isinstance(info, shapes.VarTupleType):
        return st.lists(values_of(info.item_type), max_size=2).map(tuple)
    if isinstance(info, shapes.DictType):
        return st.dictionaries(TEXT, TEXT, max_size=2)
    if isinstance(info, shapes.LiteralType):
        return st.sampled_from(sorted(info.values, key=str))
    if isinstance(info, shapes.EnumType):
        return st.sampled_from(list(info.cls))
    return structs_of(info)


def structs_of(info):
    fields = {field.name: st.deferred(lambda field=field: values_of(field.type)) for field in info.fields}
    return st.builds(info.cls, **fields)


FACTS = st.one_of(*(structs_of(shapes.type_info(kind)) for kind in FACT_TYPES))


@settings(max_examples=300)
@given(FACTS)
def test_any_fact_survives_the_wire_and_equal_facts_have_equal_bytes(fact):
    raw = wire.encode_fact(fact)

    again = wire.decode_fact(raw)

    assert again == fact
    assert wire.encode_fact(again) == raw


@given(structs_of(shapes.type_info(FlowBatch)))
def test_any_batch_survives_the_wire(batch):
    assert wire.decode_batch(wire.encode_batch(batch)) == batch


def test_equal_dictionaries_in_another_order_give_equal_bytes():
    one = facts.Namespace(name="n", labels={"a": "1", "b": "2"})
    other = facts.Namespace(name="n", labels={"b": "2", "a": "1"})

    assert wire.encode_fact(one) == wire.encode_fact(other)


PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(["a/b", "%2F", "*", "a b", ""])


@given(PARTS, st.sampled_from(list(Kind)), PARTS, PARTS)
def test_a_key_survives_its_text(cluster, kind, namespace, name):
    key = FactKey(cluster, kind, namespace, name)

    assert FactKey.from_text(key.text()) == key


@pytest.mark.parametrize("text", ["", "a/Pod/b", "a/Pod/b/c/d", "a/Spaceship/b/c"])
def test_a_text_that_is_no_key_is_an_error(text):
    with pytest.raises(ValueError, match=r"fact key|Kind"):
        FactKey.from_text(text)


def test_msgspec_gives_every_fact_type_its_own_tag():
    tags = [kind.__struct_config__.tag for kind in FACT_TYPES]

    assert len(set(tags)) == len(tags)
    assert msgspec.json.decode(wire.encode_fact(facts.Tick(partition=3)))["fact"]["kind"] == "Tick"
