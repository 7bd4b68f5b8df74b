"""The verdict engine: facts of one cluster in, exactly Calico's answers out, kept up as facts change.

Trusts: the facts, as far as they are what Calico would read; `Rejected` ones count as absent.
Law 1: the engine after any sequence of changes gives the same answers as one built from the last facts.
Law 2: `Affected` names every endpoint whose own verdicts can have changed; it may name more. An endpoint that comes,
goes, or changes address is named itself, and so are those whose policies ask for what it is or was; who reaches it
without asking, as an open pod does, is not.
Law 3: no answer without its trace; what is not known is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from models.facts import Fact, FactKey
from models.verdicts import Connection, Direction, FlowVerdict, Verdict
from monitor.policy import addresses, model, strangers
from monitor.policy.chains import Question
from monitor.policy.matching import Packet
from monitor.policy.verdict import Chain, Outcome, Stage
from monitor.policy.world import World

_MANY_ANSWERS = 32_768


class Affected(Struct, frozen=True, kw_only=True):
    """Whose answers can have changed. None: anybody's.

    `to_strangers`: those whose answers to a stranger can have, or which policies select them.
    """

    endpoints: frozenset[str] | None
    to_strangers: frozenset[str] | None = None


class _Lists(Struct, frozen=True):
    """An endpoint's chains in one direction."""

    enforced: Chain
    pending: Chain

    def verdicts(self, packet: Packet) -> tuple[Verdict, Verdict]:
        """Without a staged policy both lists are one."""
        enforced = self.enforced.walked(packet).verdict
        return enforced, enforced if self.pending is self.enforced else self.pending.walked(packet).verdict


_End = tuple[int, int, int]
"""An address as a number, its version, and the peers that hold for its owners, as bits."""

_Kind = tuple[int, tuple[str, ...]]
"""Label class and profiles of an endpoint: all that its chains are made of."""


class Engine:
    """One cluster. Not thread-safe: one owner applies and asks."""

    def __init__(self) -> None:
        self.world = World()
        self._strangers = strangers.Strangers(self.world)
        self._met: dict[strangers.Alike, Verdict] = {}
        self._lists: dict[tuple[Chain, Chain], _Lists] = {}
        self._lists_of: dict[Direction, dict[_Kind, _Lists]] = {direction: {} for direction in Direction}
        self._judged: dict[tuple[Connection, str | None, str | None], FlowVerdict] = {}
        self._asked_of: dict[Direction, dict[str, _Lists]] = {direction: {} for direction in Direction}
        self._ends: dict[str, _End] = {}

    @classmethod
    def build(cls, facts: Mapping[FactKey, Fact]) -> Engine:
        engine = cls()
        engine.world.load(facts)
        return engine

    def apply(self, changes: Mapping[FactKey, Fact | None]) -> Affected:
        """Takes in changed facts; None = gone."""
        named = self.world.apply(changes)
        self.forget_answers()
        if named is None:
            return Affected(endpoints=None)
        return Affected(endpoints=named.endpoints, to_strangers=named.to_strangers)

    def forget_answers(self) -> None:
        """What was found out by asking. After every endpoint was asked it is much, and not asked again soon."""
        self._judged.clear()
        self._ends.clear()
        self._lists.clear()
        for direction in Direction:
            self._lists_of[direction].clear()
            self._asked_of[direction].clear()
        self._strangers.forget()
        self._met.clear()

    # --- who is there --------------------------------------------------------------------------------------------

    @property
    def endpoints(self) -> Mapping[str, model.Endpoint]:
        return MappingProxyType(self.world.subjects.endpoints)

    def endpoints_at(self, address: str) -> tuple[model.Endpoint, ...]:
        """Normally one; two live pods can own an address for a moment (15.4)."""
        return self.world.subjects.places.endpoints(addresses.address(address))

    # --- verdicts ------------------------------------------------------------------------------------------------

    def judge(self, connection: Connection, *, source: str | None, destination: str | None) -> FlowVerdict:
        """Both sides of a connection. KeyError for an endpoint that is not there; None = no endpoint on that side."""
        asked = (connection, source, destination)
        found = self._judged.get(asked)
        if found is None:
            if len(self._judged) > _MANY_ANSWERS:
                self._judged.clear()
            found = self._judged[asked] = self._judge(connection, source, destination)
        return found

    def _judge(self, connection: Connection, source: str | None, destination: str | None) -> FlowVerdict:
        packet = self.packet(connection)
        egress = ingress = egress_pending = ingress_pending = None
        if source is not None:
            egress, egress_pending = self._lists_at(source, Direction.EGRESS).verdicts(packet)
        if destination is not None:
            ingress, ingress_pending = self._lists_at(destination, Direction.INGRESS).verdicts(packet)
        return FlowVerdict(
            egress=egress, ingress=ingress, egress_pending=egress_pending, ingress_pending=ingress_pending
        )

    def stage(self, host_id: str, stage: str, direction: Direction, connection: Connection) -> Verdict | None:
        """One of a host endpoint's four policy lists (13.4). None: nothing in it decides, and what follows is asked."""
        chain = self.chain(host_id, Question(direction, Stage(stage)))
        if not chain.tiers and chain.end is not Outcome.DENY:
            return None
        walked = chain.walked(self.packet(connection))
        return None if walked.is_undecided else walked.verdict

    def stranger(self, endpoint_id: str, direction: Direction) -> Verdict:
        """The verdict for a peer that nothing names: the proof behind default-deny."""
        endpoint, chain = self._endpoint(endpoint_id), self._of(endpoint_id, direction).enforced
        alike = self._strangers.alike(endpoint, chain, direction)
        found = self._met.get(alike) if alike else None
        if found is None:
            met = self._strangers.packets(endpoint, chain, direction)
            found = strangers.most_open([chain.verdict(packet) for packet in met])
            if alike:
                self._met[alike] = found
        return found

    def selecting(self, endpoint_id: str, direction: Direction) -> tuple[model.Policy, ...]:
        """The enforced policies that select an endpoint in a direction, in order."""
        tiers = self._of(endpoint_id, direction).enforced.tiers
        return tuple([policy for tier in tiers for policy in tier.policies])

    # --- for explanations and sets -------------------------------------------------------------------------------

    def chain(self, endpoint_id: str, question: Question) -> Chain:
        """What an endpoint meets, in order. KeyError for one that is not there."""
        self._endpoint(endpoint_id)
        return self.world.chain(endpoint_id, question)

    def packet(self, connection: Connection) -> Packet:
        """A connection with the owners of its addresses looked up."""
        source, _, source_held = self._end(connection.source_address)
        destination, version, destination_held = self._end(connection.destination_address)
        return Packet(
            source,
            destination,
            version,
            connection.protocol,
            connection.source_port,
            connection.destination_port,
            connection.icmp_type,
            connection.icmp_code,
            source_held,
            destination_held,
            self.world.generation,
        )

    def _end(self, written: str) -> _End:
        found = self._ends.get(written)
        if found is None:
            if len(self._ends) > _MANY_ANSWERS:
                self._ends.clear()
            number = addresses.address(written)
            found = self._ends[written] = (number, addresses.version(number), self.world.held(number))
        return found

    def _endpoint(self, endpoint_id: str) -> model.Endpoint:
        found = self.world.subjects.endpoints.get(endpoint_id)
        if found is None:
            raise KeyError(_no_endpoint(endpoint_id))
        return found

    def _lists_at(self, endpoint_id: str, direction: Direction) -> _Lists:
        """As `_of`, for those who are asked again and again."""
        known = self._asked_of[direction]
        found = known.get(endpoint_id)
        if found is None:
            found = known[endpoint_id] = self._of(endpoint_id, direction)
        return found

    def _of(self, endpoint_id: str, direction: Direction) -> _Lists:
        endpoint = self._endpoint(endpoint_id)
        kind = (self.world.subjects.class_of(endpoint_id).id, endpoint.profiles)
        known = self._lists_of[direction]
        found = known.get(kind)
        if found is None:
            found = known[kind] = self._made(endpoint_id, direction)
        return found

    def _made(self, endpoint_id: str, direction: Direction) -> _Lists:
        """One object for all endpoints that meet the same chains."""
        enforced = pending = self.chain(endpoint_id, Question(direction))
        if self.world.staged:
            pending = self.chain(endpoint_id, Question(direction, Stage.NORMAL, is_pending=True))
        found = self._lists.get((enforced, pending))
        if found is None:
            found = self._lists[enforced, pending] = _Lists(enforced, pending)
        return found


def _no_endpoint(endpoint_id: str) -> str:
    return f"no endpoint {endpoint_id}: not there, finished, without address or on the host's network"
