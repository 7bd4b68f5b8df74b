"""A log file is followed over rotation and restarts without losing or repeating a place."""

import os
import shutil

import pytest

from monitor.collect.files import LINE_BYTES, FileSource, FileSourceError
from monitor.collect.sources import NOT_BEGUN, Place


@pytest.fixture
def log(tmp_path):
    return tmp_path / "kern.log"


def source(path, place=None):
    return FileSource(path, name="file:kern.log", place=place)


def append(path, *lines):
    with path.open("ab") as file:
        for line in lines:
            file.write(line.encode() + b"\n")


def drained(following):
    pieces = []
    while piece := following.read():
        pieces.append(piece)
    return pieces


def texts(pieces):
    return [line.text.decode() for piece in pieces for line in piece.lines]


def place_after(pieces):
    last = pieces[-1]
    return Place(generation=last.generation, position=last.end, length=last.length)


def newer(path, than):
    """Give a file a later time of change, as real writers do: these files are written within one clock tick."""
    stamp = than.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(stamp, stamp))


def test_lines_are_given_with_the_place_behind_them(log):
    append(log, "one", "three")

    [piece] = drained(source(log))

    assert (piece.start, piece.end, [line.end for line in piece.lines]) == (0, 10, [4, 10])


def test_a_line_without_its_end_waits(log):
    append(log, "one")
    log.open("ab").write(b"tw")
    following = source(log)
    first = drained(following)
    log.open("ab").write(b"o\n")

    assert texts(first) == ["one"]
    assert texts(drained(following)) == ["two"]


def test_an_empty_or_missing_file_has_nothing_yet(log):
    following = source(log)
    before = following.read()
    log.touch()
    empty = following.read()
    append(log, "one")

    assert (before, empty) == (None, None)
    assert texts(drained(following)) == ["one"]


def test_a_file_without_a_complete_line_stands_somewhere_and_a_missing_one_nowhere(log):
    following = source(log)
    missing = following.place()
    log.open("ab").write(b"half a li")
    following.read()
    begun = following.place()
    log.open("ab").write(b"ne\n")
    drained(following)
    done = following.place()

    assert missing is None
    assert (begun.generation, begun.position) == (NOT_BEGUN, 0)
    assert (done.generation != NOT_BEGUN, done.position) == (True, 12)


def test_a_place_where_nothing_had_begun_is_no_generation_to_come_after(log):
    append(log, "one")
    following = source(log, Place(generation=NOT_BEGUN, position=0))

    assert following.read().predecessor == ""


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log):
    append(log, "one")
    following = source(log)
    first = drained(following)
    append(log, "two")
    log.rename(log.with_name("kern.log.1"))
    append(log, "three")
    newer(log, log.with_name("kern.log.1"))
    rest = drained(following)

    assert texts(first) == ["one"]
    assert texts(rest) == ["two", "three"]
    assert (rest[1].predecessor, rest[1].predecessor_end) == (first[0].generation, 8)
    assert rest[1].start == 0


def test_a_truncated_file_is_a_new_generation_and_the_copys_rest_is_read_first(log):
    append(log, "one")
    following = source(log)
    first = drained(following)
    append(log, "two")
    shutil.copy(log, log.with_name("kern.log.1"))
    os.truncate(log, 0)
    append(log, "three")
    newer(log, log.with_name("kern.log.1"))
    rest = drained(following)

    assert texts(rest) == ["two", "three"]
    assert rest[0].generation == first[0].generation
    assert rest[0].start == first[0].end
    assert rest[1].generation != first[0].generation


def test_a_truncated_file_that_grew_past_the_place_is_noticed(log):
    append(log, "one")
    following = source(log)
    drained(following)
    os.truncate(log, 0)
    append(log, "a much longer first line than before")

    assert texts(drained(following)) == ["a much longer first line than before"]


def test_a_restart_goes_on_at_the_place(log):
    append(log, "one")
    place = place_after(drained(source(log)))
    append(log, "two")

    [piece] = drained(source(log, place))

    assert (texts([piece]), piece.start, piece.predecessor) == (["two"], 4, "")


def test_two_rotations_during_a_restart_are_read_in_order(log):
    append(log, "one")
    place = place_after(drained(source(log)))
    append(log, "two")
    log.rename(log.with_name("kern.log.2"))
    append(log.with_name("kern.log.1"), "three")
    newer(log.with_name("kern.log.1"), log.with_name("kern.log.2"))
    append(log, "four")
    newer(log, log.with_name("kern.log.1"))
    pieces = drained(source(log, place))

    assert texts(pieces) == ["two", "three", "four"]
    assert pieces[1].predecessor == place.generation
    assert pieces[2].predecessor == pieces[1].generation


def test_a_file_that_is_gone_leaves_its_seen_length_as_evidence_of_the_gap(log):
    append(log, "one")
    place = place_after(drained(source(log)))
    seen = Place(generation=place.generation, position=place.position, length=900)
    log.unlink()
    append(log, "other")
    [piece] = drained(source(log, seen))

    assert (piece.predecessor, piece.predecessor_end) == (seen.generation, 900)


def test_compressed_files_are_not_lines(log):
    append(log, "one")
    place = place_after(drained(source(log)))
    log.rename(log.with_name("kern.log.1.gz"))
    append(log, "two")
    pieces = drained(source(log, place))

    assert texts(pieces) == ["two"]
    assert pieces[0].predecessor == place.generation


def test_a_line_that_never_ends_is_cut_and_memory_stays_bounded(log):
    log.write_bytes(b"x" * (LINE_BYTES * 3) + b"\nafter\n")
    pieces = drained(source(log))

    assert texts(pieces)[-1] == "after"
    assert max(len(text) for text in texts(pieces)) == LINE_BYTES


def test_pieces_are_bounded_and_join(log):
    append(log, *(f"line {number}" for number in range(30_000)))
    pieces = drained(source(log))

    assert len(pieces) > 3
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert len(texts(pieces)) == 30_000


def test_a_file_that_may_not_be_read_names_the_fix(tmp_path):
    with pytest.raises(FileSourceError, match="cannot read log file"):
        source(tmp_path).read()
