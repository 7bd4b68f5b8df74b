"""What may connect between domains: kept up as if worked out from nothing, known only while its inputs are."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes.changes import BASE, CHANGES, applied
from scenes.log import CLUSTER, Log, seconds, take

from monitor.compliance.reaching import Reaching
from monitor.state.state import State


def worked_out(state):
    """From nothing."""
    reach = Reaching()
    reach.refresh(state, at=state.at)
    return reach


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CHANGES, st.integers(1, 3))
def test_what_is_kept_up_is_what_would_be_worked_out_from_nothing(changes, every):
    log = Log().listed(*BASE)
    state, kept, taken = State(CLUSTER), Reaching(), 0
    for number, change in enumerate(changes):
        applied(log, change, seconds(number))
        take(state, log.records[taken:])
        taken = len(log.records)
        if number % every:
            continue
        kept.refresh(state, at=state.at)
        expected = worked_out(log.state())

        assert kept.unknown == expected.unknown
        if not kept.unknown:
            assert kept.cells == expected.cells
