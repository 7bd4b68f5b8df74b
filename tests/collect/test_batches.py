"""Batches of a source join without a hole, and say what could not be read."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from models.flows import FlowRecord
from monitor.collect.batching import Batcher, Origin, Parsed
from monitor.collect.sources import Line, Piece, Place

AT = datetime(2026, 8, 1, tzinfo=UTC)
ORIGIN = Origin(cluster="east", node="n1", source="file:kern.log@n1")


def parse(line):
    match line.text:
        case b"flow":
            return Parsed(FlowRecord(at=AT))
        case b"bad":
            return Parsed(problem="no addresses")
        case _:
            return Parsed()


def piece(start, *texts, generation="g1", **more):
    lines = tuple(Line(start + number + 1, text.encode()) for number, text in enumerate(texts))
    return Piece(
        generation=generation, start=start, end=start + len(texts), length=start + len(texts), lines=lines, **more
    )


def test_a_record_knows_the_place_behind_its_line():
    [batch] = Batcher(ORIGIN, parse).add(piece(7, "other", "flow"))

    assert (batch.start, batch.end, [record.position for record in batch.records]) == (7, 9, [9])


def test_pieces_without_records_are_joined_to_the_next():
    batcher = Batcher(ORIGIN, parse)
    quiet = batcher.add(piece(0, "other", "other"))
    [batch] = batcher.add(piece(2, "flow"))

    assert quiet == []
    assert (batch.start, batch.end) == (0, 3)


def test_a_heartbeat_hands_over_what_is_held_back_then_is_empty():
    batcher = Batcher(ORIGIN, parse)
    nothing = batcher.heartbeat(None)
    batcher.add(piece(0, "other"))
    held, empty = batcher.heartbeat(None), batcher.heartbeat(None)

    assert nothing is None
    assert [(beat.start, beat.end, beat.records) for beat in (held, empty)] == [(0, 1, ()), (1, 1, ())]


def test_unreadable_log_lines_are_counted_by_reason():
    batcher = Batcher(ORIGIN, parse)
    [batch] = batcher.add(piece(0, "bad", "other", "bad"))

    assert batch.unparsed == 2
    assert batcher.problems == {"no addresses": 2}


def test_a_new_generation_does_not_take_the_former_ones_rest_with_it():
    batcher = Batcher(ORIGIN, parse)
    batcher.add(piece(0, "other"))
    former, new = batcher.add(piece(0, "flow", generation="g2", predecessor="g1", predecessor_end=1))

    assert (former.generation, former.start, former.end) == ("g1", 0, 1)
    assert (new.generation, new.predecessor, new.predecessor_end) == ("g2", "g1", 1)


def test_a_source_that_ends_says_so_even_if_it_was_empty():
    end = Batcher(ORIGIN, parse).end()

    assert (end.is_end, end.records, end.end) == (True, (), 0)


@given(st.lists(st.lists(st.sampled_from(["flow", "bad", "other"]), min_size=1, max_size=4), max_size=8))
def test_batches_cover_the_source_without_hole_or_overlap_however_it_is_cut(pieces):
    batcher = Batcher(ORIGIN, parse)
    batches, at = [], 0
    for texts in pieces:
        batches += batcher.add(piece(at, *texts))
        at += len(texts)
    batches.append(batcher.end())
    spans = [(batch.start, batch.end) for batch in batches]

    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]
    assert not pieces or (spans[0][0], spans[-1][1]) == (0, at)
    assert sum(len(batch.records) for batch in batches) == sum(texts.count("flow") for texts in pieces)


def test_a_source_of_which_nothing_was_read_is_heard_at_the_place_it_stands_at():
    batcher = Batcher(ORIGIN, parse)
    resumed = batcher.heartbeat(Place(generation="g1", position=40))
    batcher.add(piece(40, "other"))
    batcher.heartbeat(None)
    read_on = batcher.heartbeat(Place(generation="g1", position=41))

    assert [(beat.generation, beat.start, beat.end) for beat in (resumed, read_on)] == [("g1", 40, 40), ("g1", 41, 41)]
