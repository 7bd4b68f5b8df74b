"""The engine against a slow, literal transcription of the rules, and against itself after any sequence of edits."""

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from policy import transcription
from policy.strategies import change_of, clusters, edits, packets

from models.verdicts import Decision, Direction
from monitor.policy.engine import Engine

PACKETS = 8
SLOW_START = [HealthCheck.too_slow, HealthCheck.data_too_large]
BY_SIDE = {"egress": False, "ingress": False, "egress_pending": True, "ingress_pending": True}


def endpoints_of(cluster):
    return {name: [str(net[0]) for net in thing.nets] for name, thing in cluster.endpoints.items()}


def drawn_packets(data, endpoints, count=PACKETS):
    return data.draw(st.lists(packets(endpoints), min_size=count, max_size=count))


def expected(cluster, connection, endpoint, direction, *, is_pending):
    if endpoint is None:
        return None
    return transcription.outcomes(cluster, connection, cluster.endpoints[endpoint], direction, is_pending=is_pending)


def assert_agrees(outcomes, verdict, what):
    """One possible outcome must be met to the letter; several that decide differently must be left open."""
    if outcomes is None:
        assert verdict is None, what
        return
    decisions = {outcome.decision for outcome in outcomes}
    if len(outcomes) == 1:
        (outcome,) = outcomes
        found = (verdict.decision, verdict.trace, verdict.logs)
        assert found == (outcome.decision, outcome.trace, outcome.logs), what
    elif len(decisions) == 1:
        assert {verdict.decision} == decisions, what
    else:
        assert verdict.decision is Decision.UNKNOWN, what
        assert verdict.unknown_because, what


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW_START)
@given(clusters(), st.data())
def test_every_verdict_is_what_the_rules_say(found, data):
    cluster = transcription.Cluster(found)
    engine = Engine.build(found)

    assert {name: dict(endpoint.labels) for name, endpoint in engine.endpoints.items()} == {
        name: thing.labels for name, thing in cluster.endpoints.items()
    }
    for connection, source, destination in drawn_packets(data, endpoints_of(cluster)):
        verdict = engine.judge(connection, source=source, destination=destination)
        for side, is_pending in BY_SIDE.items():
            direction = side.removesuffix("_pending")
            endpoint = source if direction == "egress" else destination
            outcomes = expected(cluster, connection, endpoint, direction, is_pending=is_pending)
            assert_agrees(outcomes, getattr(verdict, side), f"{side} of {connection} from {source} to {destination}")


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW_START)
@given(clusters(), st.lists(edits(), min_size=1, max_size=4), st.data())
def test_an_engine_after_edits_equals_one_built_from_what_is_left(found, sequence, data):
    walking, present = Engine.build(found), dict(found)
    for edit in sequence:
        change = change_of(edit, present)
        note(f"change: {change}")
        walking.apply(change)
        present = {key: fact for key, fact in (present | change).items() if fact is not None}
        built = Engine.build(present)

        assert dict(walking.endpoints) == dict(built.endpoints)
        for connection, source, destination in drawn_packets(data, endpoints_of(transcription.Cluster(present)), 4):
            ends = {"source": source, "destination": destination}
            assert walking.judge(connection, **ends) == built.judge(connection, **ends)
        for endpoint in built.endpoints:
            for direction in Direction:
                assert walking.selecting(endpoint, direction) == built.selecting(endpoint, direction)
                assert walking.stranger(endpoint, direction) == built.stranger(endpoint, direction)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW_START)
@given(clusters(), edits(), st.data())
def test_whoever_answers_differently_after_an_edit_was_named(found, edit, data):
    engine = Engine.build(found)
    before = transcription.Cluster(found)
    asked = [
        (connection, source, destination, engine.judge(connection, source=source, destination=destination))
        for connection, source, destination in drawn_packets(data, endpoints_of(before), 10)
    ]
    change = change_of(edit, found)

    affected = engine.apply(change).endpoints
    still = engine.endpoints
    for connection, source, destination, known in asked:
        ends = {"source": source, "destination": destination}
        verdict = engine.judge(connection, **{side: name if name in still else None for side, name in ends.items()})
        for side in BY_SIDE:
            endpoint = source if side.startswith("egress") else destination
            if endpoint in still and getattr(verdict, side) != getattr(known, side):
                assert affected is None or endpoint in affected, (
                    f"{side} of {connection} from {source} to {destination}"
                )


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW_START)
@given(clusters(), st.data())
def test_what_a_packet_does_not_tell_leaves_open_no_more_than_it_must(found, data):
    """Without its ports a packet's verdict covers what every pair of ports would give (20.1, 20.4)."""
    cluster = transcription.Cluster(found)
    engine = Engine.build(found)
    for connection, source, destination in drawn_packets(data, endpoints_of(cluster), 4):
        blind = {"source_port": None, "destination_port": None, "icmp_type": None, "icmp_code": None}
        hidden = {name: None for name in blind if data.draw(st.booleans())}
        known = type(connection)(**{**{f: getattr(connection, f) for f in connection.__struct_fields__}, **hidden})
        told = engine.judge(connection, source=source, destination=destination)
        verdict = engine.judge(known, source=source, destination=destination)
        for side, is_pending in BY_SIDE.items():
            direction = side.removesuffix("_pending")
            endpoint = source if direction == "egress" else destination
            if endpoint is None:
                continue
            full, partial = getattr(told, side), getattr(verdict, side)
            assert partial.decision in (full.decision, Decision.UNKNOWN)
            outcomes = expected(cluster, known, endpoint, direction, is_pending=is_pending)
            possible = {outcome.decision for outcome in outcomes}
            assert partial.decision in (possible if len(possible) == 1 else {Decision.UNKNOWN})
