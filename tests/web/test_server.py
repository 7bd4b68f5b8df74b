import aiohttp
import pytest

from monitor.web import server
from monitor.web.exposition import Exposition
from monitor.web.health import UNSCRAPED_SECONDS, Health, liveness, problems, readiness
from monitor.web.server import AddressInUseError, metrics_app, page_app, serving


async def fetched(address, path):
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text(), answer.headers


async def test_metrics_start_with_the_release_and_hold_only_specified_families():
    exposition = Exposition("work", version="1.2.3", catalogue="c0")
    app = metrics_app(exposition, live=lambda: (True, "alive"), ready=lambda: (False, "state: reading"))

    async with serving(app, "127.0.0.1:0", setting="SEGMON_WEB__METRICS_LISTEN") as address:
        status, text, headers = await fetched(address, "/metrics")
        ready = await fetched(address, "/readyz")

    assert status == 200
    assert 'segmon_build_info{catalogue="c0",component="work",version="1.2.3"} 1.0' in text
    assert "text/plain" in headers["Content-Type"]
    assert "_created" not in text
    assert ready[:2] == (503, "state: reading\n")


PROMETHEUS_ACCEPTS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75"


@pytest.mark.parametrize(
    ("accepts", "kind", "has_end"),
    [(PROMETHEUS_ACCEPTS, "application/openmetrics-text", True), ("*/*", "text/plain", False)],
)
async def test_metrics_come_as_openmetrics_for_who_accepts_it(accepts, kind, has_end):
    app = metrics_app(Exposition("work", version="1"), live=lambda: (True, ""), ready=lambda: (True, ""))

    async with serving(app, "127.0.0.1:0", setting="x") as address, aiohttp.ClientSession() as session:
        asked = session.get(f"http://{address}/metrics", headers={"Accept": accepts})
        async with asked as answer:
            text = await answer.text()

    assert answer.content_type == kind
    assert text.endswith("# EOF\n") is has_end
    assert "_created" not in text


@pytest.mark.parametrize(("accepts", "encoding"), [("gzip", "gzip"), ("identity", None)])
async def test_metrics_are_compressed_for_who_accepts_it(accepts, encoding):
    exposition = Exposition("work", version="1.2.3")
    exposition.initialise("segmon_facts_total", ({"cluster": f"cluster-{n}"} for n in range(2000)))
    app = metrics_app(exposition, live=lambda: (True, ""), ready=lambda: (True, ""))

    async with serving(app, "127.0.0.1:0", setting="x") as address, aiohttp.ClientSession() as session:
        asked = session.get(f"http://{address}/metrics", headers={"Accept-Encoding": accepts})
        async with asked as answer:
            text = await answer.text()

    assert answer.headers.get("Content-Encoding") == encoding
    assert 'segmon_facts_total{cluster="cluster-1999"} 0.0' in text


async def test_a_port_in_use_names_the_address_and_the_setting():
    app = page_app(lambda: "x", style="", script="")

    async with serving(app, "127.0.0.1:0", setting="A") as address:
        with pytest.raises(AddressInUseError, match=rf"cannot listen on {address}.*\n.*SEGMON_WEB__PAGE_LISTEN"):
            async with serving(page_app(lambda: "y", style="", script=""), address, setting="SEGMON_WEB__PAGE_LISTEN"):
                pass


async def test_the_page_may_load_nothing_from_elsewhere():
    async with serving(page_app(lambda: "<p>x", style="", script=""), "127.0.0.1:0", setting="A") as address:
        _, _, headers = await fetched(address, "/")

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert server.SECURITY_HEADERS["X-Content-Type-Options"] == headers["X-Content-Type-Options"]


def test_a_worker_with_work_and_no_progress_is_not_alive():
    health = Health(moved_at=100.0, lag=5)

    assert liveness(health, at=130.0, limit_seconds=60) == (True, "alive")
    assert liveness(health, at=170.0, limit_seconds=60)[0] is False


def test_a_worker_that_waits_for_its_database_is_alive():
    health = Health(moved_at=100.0, lag=5, is_database_reachable=False)

    assert liveness(health, at=1000.0, limit_seconds=60)[0] is True


def test_a_process_is_ready_when_nothing_is_waited_for():
    health = Health()
    health.wait("state", "reading")

    before = readiness(health)
    health.arrived("state")

    assert before == (False, "state: reading")
    assert readiness(health) == (True, "ready")


def told(health, *, at):
    return " ".join(problems(health, at=at, limit_seconds=60))


def test_a_process_that_nobody_ever_scraped_is_a_trial_and_no_problem():
    assert told(Health(), at=100_000.0) == ""


def test_a_process_that_is_not_scraped_any_more_says_that_its_alerts_may_be_gone():
    health = Health()
    health.scraped(at=1000.0)

    assert told(health, at=1000.0 + UNSCRAPED_SECONDS) == ""
    assert "not been scraped for 6 min: Prometheus may be away" in told(health, at=1360.0)


def test_a_stuck_worker_says_so_on_the_page():
    assert "stuck: no position moved for 70 s" in told(Health(moved_at=100.0, lag=5), at=170.0)
