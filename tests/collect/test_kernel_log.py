"""The kernel's own log, read from the real device."""

import os
import uuid

import pytest

from monitor.collect.kmsg import BOOT_ID, DEVICE, KmsgSource
from monitor.collect.sources import Place


@pytest.fixture
def mark():
    if not os.access(DEVICE, os.W_OK) or os.geteuid() != 0:
        pytest.skip(f"part missing: kernel-log: {DEVICE} cannot be written by this user")
    return f"segmon-test-{uuid.uuid4().hex}"


def say(text):
    DEVICE.write_text(text + "\n")


def drained(following):
    pieces = []
    while piece := following.read():
        pieces.append(piece)
    return pieces


def numbers_of(pieces, mark):
    return [line.end for piece in pieces for line in piece.lines if mark in line.text.decode()]


def test_records_come_with_their_sequence_number(mark):
    following = KmsgSource(name="kmsg", place=None)
    drained(following)
    say(mark)
    [piece] = drained(following)
    following.close()

    assert piece.generation == BOOT_ID.read_text().strip()
    assert piece.end == piece.lines[-1].end
    assert len(numbers_of([piece], mark)) == 1


def test_a_restart_goes_on_at_the_sequence_number(mark):
    say(mark)
    first = KmsgSource(name="kmsg", place=None)
    pieces = drained(first)
    first.close()
    say(mark)
    place = Place(generation=pieces[-1].generation, position=pieces[-1].end, length=pieces[-1].end)
    again = KmsgSource(name="kmsg", place=place)
    rest = drained(again)
    again.close()

    assert len(numbers_of(pieces, mark)) == 1
    assert len(numbers_of(rest, mark)) == 1
    assert rest[0].start == place.position
    assert all(piece.lost == 0 for piece in rest)


def test_records_that_were_overwritten_while_nobody_read_are_counted_as_lost(mark):
    say(mark)
    first = KmsgSource(name="kmsg", place=None)
    oldest = first.read()
    first.close()
    # A place before the oldest record that the kernel still has, as after a long stop.
    place = Place(generation=oldest.generation, position=oldest.start - 7)
    again = KmsgSource(name="kmsg", place=place)
    piece = again.read()
    again.close()

    assert (piece.start, piece.lost) == (place.position, 7)


def test_another_boot_is_another_generation_and_names_the_former_one(mark):
    say(mark)
    following = KmsgSource(name="kmsg", place=Place(generation="former-boot", position=10, length=20))
    piece = following.read()
    following.close()

    assert (piece.predecessor, piece.predecessor_end) == ("former-boot", 20)
