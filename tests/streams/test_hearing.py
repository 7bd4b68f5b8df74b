"""Which log sources are heard: said on change and every minute, silent ones by name."""

from datetime import UTC, datetime, timedelta

from streams.hearing import Hearing

AT = datetime(2026, 8, 1, tzinfo=UTC)
A, B = "file:a@n1", "kmsg@n1"


def after(seconds):
    return AT + timedelta(seconds=seconds)


def said(hearing, seconds):
    word = hearing.to_say(now=after(seconds))
    if word is not None:
        hearing.said(word, at=after(seconds))
    return word and (word.sources, [each.source for each in word.silent])


def test_nothing_is_said_before_anything_was_heard():
    assert said(Hearing(3), 0) is None


def test_a_new_source_is_said_at_once_then_every_minute():
    hearing = Hearing(3)
    hearing.heard(A, at=AT, ends=False)
    first, again = said(hearing, 0), said(hearing, 30)
    hearing.heard(B, at=after(31), ends=False)
    hearing.heard(A, at=after(31), ends=False)
    with_b, nothing, due = said(hearing, 31), said(hearing, 60), said(hearing, 91)

    assert (first, again) == ((1, []), None)
    assert (with_b, nothing) == ((2, []), None)
    assert due == (2, [A, B])


def test_a_source_that_falls_silent_and_comes_back_is_said_each_time():
    hearing = Hearing(3)
    hearing.heard(A, at=AT, ends=False)
    said(hearing, 0)
    silent = said(hearing, 46)
    hearing.heard(A, at=after(50), ends=False)

    assert silent == (1, [A])
    assert said(hearing, 50) == (1, [])


def test_a_source_that_said_it_ends_is_not_missed():
    hearing = Hearing(3)
    hearing.heard(A, at=AT, ends=True)

    assert said(hearing, 3600) == (1, [])


def test_a_source_that_only_the_record_knows_is_missed_too():
    hearing = Hearing(3)
    hearing.remember(A, at=AT)

    assert said(hearing, 100) == (1, [A])


def test_a_source_that_was_silent_for_a_month_is_forgotten_and_the_last_one_takes_the_word_back():
    hearing = Hearing(3)
    hearing.heard(A, at=AT, ends=False)
    hearing.heard(B, at=after(86_400), ends=False)
    month = 30 * 86_400
    before = hearing.forget(now=after(month))
    one_left = hearing.forget(now=after(month + 1)), said(hearing, month + 1)
    none_left = hearing.forget(now=after(month + 86_401))

    assert (before, one_left, none_left) == (False, (False, (1, [B])), True)
