"""The crossing of domains on the status page: states in words and glyphs, bounded, never good where it is not known."""

import pytest
from msgspec import structs
from store.recordings import at, passing, posture, recording, seen
from store.test_recording_flows import batch
from store.test_reporting_views import path
from web.made_views import make_cluster, make_view

from models.compliance import Domain
from models.facts import FlowClass
from models.recording import Reach, ReachUpdate
from monitor.store import Store
from monitor.store.pairs import TrafficRow
from monitor.web import page, status, talking, views
from monitor.web.server import page_app, serving
from monitor.web.views import Talk

SHOP, PAYMENTS = "namespace/shop", "namespace/payments"
TOLD = ReachUpdate(
    pairs=(
        Reach(source=SHOP, destination=PAYMENTS, connections=("tcp/8080",)),
        Reach(source=SHOP, destination="outside", connections=("tcp/443 (203.0.113.0/24)",)),
    ),
    needs=("Pod",),
)


@pytest.fixture
def store(tmp_path):
    opened = Store.open(f"sqlite:///{tmp_path}/segmon.db")
    opened.upgrade()
    other = posture(domain=Domain(id=PAYMENTS, level="namespace", name="payments"))
    opened.record(recording(1, passing(), other, reach=TOLD, vouched=(seen(1),)))
    yield opened
    opened.close()


def talk(store, seconds=2):
    with store.look() as connection:
        return status.cluster_view(connection, "h", at(seconds)).talk


def states(talk):
    [crossing] = talk.crossings
    return crossing.states


def test_what_may_connect_and_was_never_seen_is_told_from_what_was(store):
    store.record_flows(structs.replace(batch(0, 4), paths=(path("a", "b", (SHOP,), (PAYMENTS,)),)))

    assert states(talk(store)) == {
        (SHOP, PAYMENTS): "allowed and seen",
        (SHOP, "outside"): "allowed but never seen",
    }


def test_the_worst_that_was_seen_of_a_pair_is_its_state(store):
    both = (
        path("a", "b", (SHOP,), (PAYMENTS,)),
        path("a", "b2", (SHOP,), (PAYMENTS,), FlowClass.ESCAPED),
        path("public", "b", (), (PAYMENTS,), FlowClass.REJECTED),
        path("unknown", "b", (), (PAYMENTS,), FlowClass.INDETERMINATE),
    )
    store.record_flows(structs.replace(batch(0, 4), paths=both))

    assert states(talk(store)) == {
        (SHOP, PAYMENTS): "escaped",
        (SHOP, "outside"): "allowed but never seen",
        ("outside", PAYMENTS): "denied",
        ("unknown", PAYMENTS): "cannot tell",
    }


def test_where_reach_is_not_known_nothing_is_said_to_be_closed_or_open(store):
    store.record(recording(2, reach=ReachUpdate(unknown="Tier: forbidden"), vouched=(seen(2),)))
    told = talk(store)

    assert (told.unknown, states(told)) == ("Tier: forbidden", {})
    html = page.render(make_view(make_cluster(talk=told)))
    assert "What may connect is not known: Tier: forbidden" in html
    assert "neither" not in html.partition("Between namespaces")[2].partition("Last transitions")[0]


def test_reach_whose_input_went_stale_since_is_not_known(store):
    assert talk(store, seconds=1000).unknown == "Pod not seen lately"


def test_of_many_domains_those_with_the_worst_traffic_are_shown_and_the_rest_counted():
    domains = [f"namespace/n{number:03}" for number in range(300)]
    rows = [
        TrafficRow(sources=[domains[299]], destinations=[domains[250]], flow_class="escaped", paths=1),
        TrafficRow(sources=[domains[200]], destinations=["outside"], flow_class="permitted", paths=9),
    ]
    traffic = talking.seen_between(rows, "namespace")
    found = talking.crossing("namespace", domains, traffic, (), is_known=True)

    assert {domains[299], domains[250], domains[200]} <= set(found.ends)
    assert (len(found.ends), found.more_domains) == (17, 284)
    assert [row.state for row in found.pairs] == ["escaped", "allowed and seen"]


def test_traffic_of_other_levels_is_not_mixed_in():
    row = TrafficRow(
        sources=["namespace/a", "tenant/x"], destinations=["tenant/y", "namespace/b"], flow_class="permitted", paths=1
    )

    assert set(talking.seen_between([row], "tenant")) == {("tenant/x", "tenant/y")}


def test_every_state_has_its_own_glyph_and_look():
    assert len(set(views.STATES.values())) == len(views.STATES)
    assert set(views.STATES) == set(views.LOOKS)


def test_the_page_says_each_state_in_words_and_what_may_connect(store):
    store.record_flows(structs.replace(batch(0, 4), paths=(path("a", "b", (SHOP,), (PAYMENTS,)),)))
    html = page.render(make_view(make_cluster(talk=talk(store))))

    assert "allowed and seen</span> <strong>shop → payments</strong>" in html
    assert "may: tcp/443 (203.0.113.0/24)" in html
    assert "seen: 1 permitted" in html


async def test_a_wide_crossing_scrolls_within_its_box_at_400_pixels(chromium):
    domains = [f"namespace/a-namespace-with-a-long-name-{number:02}" for number in range(16)]
    rows = [TrafficRow(sources=domains[:1], destinations=domains[1:], flow_class="escaped", paths=1)]
    made = talking.crossing("namespace", domains, talking.seen_between(rows, "namespace"), (), is_known=True)
    html = page.render(make_view(make_cluster(talk=Talk(crossings=(made,)))))
    app = page_app(lambda: html, style=page.asset("style.css"), script=page.asset("live.js"))
    async with serving(app, "127.0.0.1:0", setting="page") as address, chromium.page() as browser:
        await browser.view(width=400, height=800)
        await browser.open(f"http://{address}/")
        first = "document.querySelector('.crossing tbody th').getBoundingClientRect()"

        assert browser.errors == []
        assert await browser.evaluate("document.documentElement.scrollWidth") <= 400
        assert await browser.evaluate(f"{first}.width") < 200
        await browser.evaluate("document.querySelector('.crossing').parentElement.scrollLeft = 400")
        assert await browser.evaluate(f"{first}.left") >= 0
