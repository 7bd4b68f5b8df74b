"""Where the pending trace in Calico's own flow logs will differ from our pending verdict, and why.

Calico fills pending_policies with a matcher of its own (app-policy/checker), not with the dataplane's rules, and that
matcher has gaps (policy_semantics.md 11.4). We give the dataplane's answer. A difference that one of them explains
is no contradiction between policy and traffic; this module names the gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

from models.verdicts import Connection, Direction
from monitor.policy import addresses, model
from monitor.policy.addresses import Net
from monitor.policy.chains import Question
from monitor.policy.engine import Engine
from monitor.policy.verdict import Stage, TierSteps

_ICMP: Final = frozenset({1, 58})
_SCTP: Final = 132
_LOST_LENGTHS: Final = {4: range(25, 32), 6: range(121, 128)}


class Gap(StrEnum):
    """What Calico's matcher does otherwise."""

    NAMED_PORT = "named ports never match and never exclude there"
    ICMP = "ICMP type and code are ignored there"
    FAMILY = "ipVersion and the address family are ignored there"
    SET_MEMBER = "members of network sets of /25 to /31 and /121 to /127 are never found there"
    SCTP_SERVICE = "services over SCTP never match there"
    MISSING_TIER = "a tier without a Tier object gives no answer there"


def pending_gaps(engine: Engine, connection: Connection, *, endpoint_id: str, direction: Direction) -> tuple[str, ...]:
    """The gaps that can make Calico's pending trace differ for this connection at this endpoint, in words.

    Named are gaps of rules that the connection could meet there; none named means the traces should agree.
    """
    chain = engine.chain(endpoint_id, Question(direction, Stage.NORMAL, is_pending=True))
    found = {gap for tier in chain.tiers for gap in _of_tier(engine, tier, connection, direction)}
    return tuple(gap.value for gap in Gap if gap in found)


def _of_tier(engine: Engine, tier: TierSteps, connection: Connection, direction: Direction) -> Iterator[Gap]:
    if tier.tier.name not in engine.world.tiers:
        yield Gap.MISSING_TIER
    for policy in tier.policies:
        for rule in policy.egress if direction is Direction.EGRESS else policy.ingress:
            if _can_concern(rule, connection):
                yield from _of_rule(rule, connection)
                yield from _of_sets(engine, rule, connection)


def _can_concern(rule: model.Rule, connection: Connection) -> bool:
    """Whether the protocol, which that matcher reads rightly, lets the rule match."""
    if rule.protocol is not None and rule.protocol != connection.protocol:
        return False
    return rule.not_protocol is None or rule.not_protocol != connection.protocol


def _of_rule(rule: model.Rule, connection: Connection) -> Iterator[Gap]:
    sides = (rule.source, rule.destination)
    if any(side.ports.names or side.not_ports.names for side in sides) and connection.protocol in model.PORT_PROTOCOLS:
        yield Gap.NAMED_PORT
    if (rule.icmp or rule.not_icmp) and connection.protocol in _ICMP:
        yield Gap.ICMP
    version = addresses.version(addresses.address(connection.destination_address))
    if version in rule.never or rule.version not in (None, version):
        yield Gap.FAMILY
    if rule.destination.service is not None and connection.protocol == _SCTP:
        yield Gap.SCTP_SERVICE


def _of_sets(engine: Engine, rule: model.Rule, connection: Connection) -> Iterator[Gap]:
    for side, written in (
        (rule.source, connection.source_address),
        (rule.destination, connection.destination_address),
    ):
        address = addresses.address(written)
        for selector in (side.selector, side.negated):
            if selector is not None and any(
                selector.matches(each.labels) and _is_lost(each.nets, address) for each in _sets_at(engine, address)
            ):
                yield Gap.SET_MEMBER


def _sets_at(engine: Engine, address: int) -> Iterable[model.Set]:
    subjects = engine.world.subjects
    return [subjects.sets[each] for each in dict.fromkeys(subjects.places.sets(address))]


def _is_lost(nets: Iterable[Net], address: int) -> bool:
    """Whether every net of the set around the address is of a length that is never found."""
    around = [each for each in nets if each[0] <= address <= each[1]]
    lost = _LOST_LENGTHS[addresses.version(address)]
    return all(addresses.prefix_length(each) in lost for each in around)
