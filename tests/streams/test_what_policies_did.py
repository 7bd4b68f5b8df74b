"""A slice of facts as a recording: what may connect, and what each change of a policy did to it. Without a broker."""

import pytest
from msgspec import structs
from scenes.log import CLUSTER, deny_all, heard, heartbeat, namespace, pod, seconds

from models.facts import CalicoPolicy, Declaration, EntityRule, NetworkSet, Rule, Sync, Tick, Tier, key_of
from models.wire import encode_fact
from monitor.broker.messages import Record
from monitor.compliance import reach_wording, reaching
from monitor.state.state import State
from streams import assessing
from streams.assessing import Known, Place, Remembered
from streams.decoding import incoming
from streams.slicing import Slice

SHOP, BANK = "namespace/shop", "namespace/bank"


def allow(where="bank", name="allow", *, ports=(5432,), source="", **more):
    """Ingress on these ports. `source`: from namespaces that this selects, else from anybody."""
    peer = EntityRule(namespace_selector=source)
    rule = Rule(action="Allow", protocol="TCP", source=peer, destination=EntityRule(ports=ports))
    more = {"policy_kind": "NetworkPolicy", "selector": "all()", "types": ("Ingress",), "ingress": (rule,), **more}
    return CalicoPolicy(namespace=where, name=name, **more)


FROM_SHOP = "kubernetes.io/metadata.name == 'shop'"
WALLS = (
    namespace("shop", tenant="red"),
    namespace("bank", tenant="blue"),
    pod("web", namespace="shop", address="10.0.0.1"),
    pod("db", namespace="bank", address="10.0.0.2"),
    deny_all("shop"),
    deny_all("bank"),
)


class Story:
    """A cluster in a worker's memory, fed slice by slice."""

    def __init__(self, *listed):
        self.known = Known(state=State(CLUSTER))
        self.offset = 0
        self.seconds = 0
        begun, done = (Sync(scope="all", phase=phase, instance="w") for phase in ("begun", "done"))
        self.first = self.slice(begun, *listed, done, heartbeat(), heard())

    def slice(self, *facts, gone=(), is_live=True, after=1):
        """The recording of one slice; `gone` is folded last."""
        self.seconds += after
        put = [(key_of(CLUSTER, fact), fact) for fact in facts] + [(key_of(CLUSTER, fact), None) for fact in gone]
        taken = tuple(self._incoming(key, value) for key, value in put)
        place = Place(0, None)
        return assessing.recording(self.known, Slice(taken, is_live=is_live), place, Remembered())

    def _incoming(self, key, value):
        self.offset += 1
        raw = None if value is None else encode_fact(value)
        at = int(seconds(self.seconds).timestamp() * 1000)
        record = Record(topic="f", partition=0, offset=self.offset, timestamp_ms=at, key=key.text().encode(), value=raw)
        return incoming(record, epoch=1)

    def cells(self):
        """What is held to be open now, in words."""
        return {pair: reach_wording.cell(cell) for pair, cell in self.known.reaching.cells.items()}


def pairs(recording):
    return {(each.source, each.destination): each.connections for each in recording.reach.pairs}


def effects(recording):
    """Widened and closed by the name of what changed."""
    return {each.key.name: (each.widened, each.closed) for each in recording.effects}


def test_the_first_evaluation_tells_all_that_may_connect():
    first = Story(*WALLS, allow(ports=(5432,), source=FROM_SHOP)).first.reach

    assert (first.is_whole, first.unknown, first.pairs) == (True, "", ())
    open_shop = Story(*WALLS[:-2]).first.reach
    assert {(each.source, each.destination) for each in open_shop.pairs} == {
        (SHOP, BANK),
        (BANK, SHOP),
        (SHOP, "outside"),
        ("outside", SHOP),
        (BANK, "outside"),
        ("outside", BANK),
    }
    assert {each.connections for each in open_shop.pairs} == {("all",)}


def test_nested_domains_and_the_cluster_are_in_no_pair():
    told = pairs(Story(*WALLS[:-2], Declaration(tenant_label="tenant")).first)
    levels = {tuple(end.partition("/")[0] for end in pair) for pair in told}

    assert levels == {
        ("namespace", "namespace"),
        ("tenant", "tenant"),
        *((level, "outside") for level in ("namespace", "tenant")),
        *(("outside", level) for level in ("namespace", "tenant")),
    }
    assert told["tenant/red", "tenant/blue"] == ("all",)


def test_a_policy_deleted_tells_what_it_widened_and_put_back_what_it_closed():
    story = Story(*WALLS)
    deleted = story.slice(gone=(deny_all("bank"),))
    restored = story.slice(deny_all("bank"))

    widened = ("bank -> outside all", "outside -> bank all")
    assert effects(deleted) == {"default-deny": (widened, ())}
    assert pairs(deleted) == {(BANK, "outside"): ("all",), ("outside", BANK): ("all",)}
    assert effects(restored) == {"default-deny": ((), widened)}
    assert pairs(restored) == {(BANK, "outside"): (), ("outside", BANK): ()}
    assert not restored.reach.is_whole


def test_what_one_policy_opens_is_told_with_its_ports():
    opener = allow("shop", "out", types=("Egress",), ingress=(), egress=(Rule(action="Allow", protocol="TCP"),))
    story = Story(*WALLS, opener)

    opened = story.slice(allow(ports=(5432, "8080:8090"), source=FROM_SHOP))

    assert effects(opened) == {"allow": (("shop -> bank tcp/5432, tcp/8080:8090",), ())}


def test_policies_of_one_slice_are_weighed_each_for_itself():
    story = Story(*WALLS)
    both = story.slice(allow("bank", "a", ports=(1,)), allow("shop", "b", ports=(2,)), pod("late", address="10.0.0.9"))

    assert effects(both) == {
        "a": (("outside -> bank tcp/1",), ()),
        "b": (("outside -> shop tcp/2",), ()),
    }


def test_what_a_pod_changes_in_the_same_slice_is_not_laid_to_the_policy():
    story = Story(*WALLS[:-1])
    together = story.slice(
        pod("new", namespace="bank", address="10.0.0.3"), allow("shop", "b", ports=(2,)), gone=(WALLS[3],)
    )

    assert effects(together) == {"b": (("bank -> shop tcp/2", "outside -> shop tcp/2"), ())}


def test_too_many_at_once_say_that_they_are_told_together():
    story = Story(*WALLS)
    many = story.slice(*(allow("bank", f"p{number}", ports=(number,)) for number in range(1, 11)))
    said = ("outside -> bank tcp/1:10 (one of 10 changes at once)",)

    assert set(effects(many).values()) == {(said, ())}
    assert len(many.effects) == 10


def test_a_network_set_and_a_tier_are_weighed_as_policies_are():
    partners = EntityRule(selector="role == 'partner'", namespace_selector="global()")
    rule = Rule(action="Allow", protocol="TCP", source=partners)
    story = Story(*WALLS, allow(name="edge.in", tier="edge", order=1.0, ingress=(rule,)), Tier(name="edge", order=1.0))
    added = story.slice(NetworkSet(name="partners", labels={"role": "partner"}, nets=("203.0.113.0/24",)))
    behind = story.slice(Tier(name="edge", order=1e9))

    opened = ("outside -> bank tcp (203.0.113.0/24)",)
    assert effects(added) == {"partners": (opened, ())}
    assert effects(behind) == {"edge": ((), opened)}


def test_a_staged_policy_and_a_declaration_change_nothing_that_is_enforced():
    story = Story(*WALLS)
    both = story.slice(allow(name="later", policy_kind="StagedNetworkPolicy"), Declaration(tenant_label="none"))

    assert effects(both) == {"later": ((), ()), "domains.yaml": ((), ())}
    assert both.reach is None


def test_a_change_that_moves_no_pair_is_worked_out_and_empty():
    story = Story(*WALLS)

    assert effects(story.slice(deny_all("bank", name="twice"))) == {"twice": ((), ())}


@pytest.mark.parametrize("state", ["stale", "not_readable"])
def test_while_a_kind_that_decides_is_not_fresh_nothing_is_known(state):
    story = Story(*WALLS)
    lost = story.slice(heartbeat(Tier=state))
    meanwhile = story.slice(gone=(deny_all("bank"),))
    again = story.slice(heartbeat())

    assert lost.reach.unknown.startswith("Tier: ")
    assert lost.reach.pairs == ()
    assert meanwhile.reach is None
    assert meanwhile.effects == ()
    assert (again.reach.unknown, set(pairs(again))) == ("", {(BANK, "outside"), ("outside", BANK)})


def test_a_kind_that_decides_no_verdict_leaves_reach_known():
    story = Story(*WALLS)

    assert story.slice(heartbeat(StagedNetworkPolicy="not_readable", Node="not_readable")).reach is None


def test_nothing_is_told_again_that_did_not_change():
    story = Story(*WALLS)

    assert story.slice(Tick(partition=0)).reach is None
    assert story.slice(pod("web", namespace="shop", address="10.0.0.1", app="x")).reach is None


def test_what_was_only_folded_is_told_with_the_next_slice_that_is_judged():
    story = Story(*WALLS)
    late = story.slice(gone=(deny_all("bank"),), is_live=False)
    live = story.slice(Tick(partition=0))

    assert (late.reach, late.effects) == (None, ())
    assert set(pairs(live)) == {(BANK, "outside"), ("outside", BANK)}


def test_a_worker_that_starts_again_tells_the_whole_as_it_is():
    story = Story(*WALLS)
    story.slice(gone=(deny_all("bank"),))
    again = Story(*WALLS[:-1])

    assert again.first.reach.is_whole
    assert pairs(again.first) == story.cells()


def test_in_a_large_cluster_making_anew_waits_and_reach_is_not_known_meanwhile(monkeypatch):
    monkeypatch.setattr(reaching, "SMALL", 1)
    story = Story(*WALLS)
    nets = [Rule(action="Allow", protocol="TCP", source=EntityRule(nets=(f"198.51.{n}.0/24",))) for n in range(2)]
    soon = story.slice(structs.replace(allow(name="a"), ingress=(nets[0],)))
    later = story.slice(Tick(partition=0), after=15)
    then = story.slice(structs.replace(allow(name="b"), ingress=(nets[1],)), after=15)

    assert soon.reach.unknown.startswith("being worked out anew")
    assert soon.effects == ()
    assert pairs(later) == {("outside", BANK): ("tcp (198.51.0.0/24)",)}
    assert effects(then) == {"b": (("outside -> bank tcp (198.51.1.0/24)",), ())}


def test_what_cannot_be_worked_out_is_not_known_and_findings_go_on(monkeypatch):
    story = Story(*WALLS)

    def broken(*_):
        raise RuntimeError("no such class")

    monkeypatch.setattr(reaching.Reaching, "_answers", broken)
    failed = story.slice(gone=(deny_all("bank"),))
    monkeypatch.undo()
    healed = story.slice(Tick(partition=0))

    assert failed.reach.unknown == "could not be worked out: RuntimeError: no such class"
    assert failed.evaluation is not None
    assert set(pairs(healed)) == {(BANK, "outside"), ("outside", BANK)}
