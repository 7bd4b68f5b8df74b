"""What pods have in common is held once; what they say is what it was."""

import pytest
from msgspec import structs
from scenes.log import pod

from models import facts, wire
from monitor.state.sharing import Sharing


def came(name, **more):
    """A pod as it comes off the wire, with strings of its own."""
    said = structs.replace(
        pod(name), labels={"app": "web-é", "tier": "front end"}, node="node 7", phase="Running", **more
    )
    return wire.decode_fact(wire.encode_fact(said))


OWNED = {"owner": facts.Owner(kind="Deployment", name="web shop")}


@pytest.mark.parametrize("more", [{}, OWNED, {"generate_name": "web-"}])
def test_a_pod_says_what_it_said(more):
    shared = came("a", **more)
    Sharing().share(shared)

    assert shared == came("a", **more)
    assert wire.encode_fact(shared) == wire.encode_fact(came("a", **more))


def test_two_pods_hold_the_same_names():
    one, two = came("a", **OWNED), came("b", **OWNED)
    assert one.node is not two.node
    Sharing().share(one)
    Sharing().share(two)

    assert all(getattr(one, name) is getattr(two, name) for name in ("namespace", "node", "phase"))
    assert all(one.labels[key] is two.labels[key] for key in one.labels)
    assert one.owner.name is two.owner.name


@pytest.mark.parametrize("fact", [None, facts.Namespace(name="shop", labels={"team": "a"})])
def test_what_is_no_pod_is_left_alone(fact):
    Sharing().share(fact)

    assert fact in (None, facts.Namespace(name="shop", labels={"team": "a"}))


def test_pods_of_a_template_share_their_labels_until_they_are_forgotten():
    sharing, (one, two, three) = Sharing(), (came(name) for name in "abc")
    sharing.share(one)
    sharing.share(two)
    sharing.forget()
    sharing.share(three)

    assert one.labels is two.labels
    assert three.labels is not two.labels
    assert three.labels == two.labels


def test_pods_with_other_labels_keep_them():
    sharing, one, two = Sharing(), came("a"), came("b")
    two.labels["app"] = "other"
    sharing.share(one)
    sharing.share(two)

    assert (one.labels["app"], two.labels["app"]) == ("web-é", "other")
