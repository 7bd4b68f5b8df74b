"""What is written as CSV is what the csv module would have written, and starts no formula."""

import csv
import io
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from monitor.reports import cells

TEXTS = st.text(st.sampled_from("a,\"'\r\n=+-@\t \u202eü;"), max_size=8) | st.text(
    st.characters(codec="utf-8"), max_size=8
)
TIMES = st.datetimes(timezones=st.just(UTC))


@given(st.lists(TEXTS, min_size=2, max_size=4))
def test_a_row_is_what_the_csv_module_would_have_written(values):
    safe = [f"'{value}" if value[:1] in tuple("=+-@\t\r\n") else value for value in values]
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerow(safe)

    assert cells.row(values) == file.getvalue().encode()


@given(TIMES)
def test_a_time_is_whole_and_utc(at):
    written = cells.time(at)

    assert written.endswith("Z")
    assert datetime.fromisoformat(written) == at


def test_numbers_lists_and_what_is_not_there():
    assert cells.row((1.5, 2.0, 0.000001, 7, None, ("a", "b"), [])) == b'1.5,2,0.000001,7,,"a\nb",\r\n'
