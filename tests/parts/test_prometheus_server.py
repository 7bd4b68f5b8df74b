"""Prometheus scrapes and answers, an alert reaches Alertmanager, and the checkers tell good files from bad."""

import asyncio

import pytest
from aiohttp import web
from parts.process import until
from parts.prometheus import Alertmanager, PrometheusServer, amtool, promtool

ROUTE = "route: {receiver: none}\nreceivers: [{name: none}]\n"
RULES = """\
groups:
- name: tests
  interval: 200ms
  rules:
  - alert: Broken
    expr: up == 0
    labels: {severity: page}
"""


def scraping(target: str, *, alertmanager: str = "127.0.0.1:9") -> str:
    return f"""\
global: {{scrape_interval: 200ms, scrape_timeout: 150ms}}
rule_files: [rules.yml]
scrape_configs:
- job_name: tests
  static_configs: [{{targets: ["{target}"]}}]
alerting:
  alertmanagers:
  - static_configs: [{{targets: ["{alertmanager}"]}}]
"""


async def eventually(get):
    """The first answer that is not empty, asked off the event loop."""
    return await asyncio.to_thread(until, get, within=30, what="an answer that is not empty")


async def test_it_scrapes_a_target_and_answers_a_query(prometheus_program):
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text="segmon_probe 42\n")

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    with PrometheusServer(scraping(f"{host}:{port}"), files={"rules.yml": RULES}) as prometheus:
        found = await eventually(lambda: prometheus.value("segmon_probe"))
    await runner.cleanup()

    assert found == 42


async def test_an_alert_reaches_alertmanager(prometheus_program, alertmanager_program):
    with Alertmanager(ROUTE) as alertmanager:
        config = scraping("127.0.0.1:9", alertmanager=alertmanager.url.removeprefix("http://"))
        with PrometheusServer(config, files={"rules.yml": RULES}):
            found = await eventually(alertmanager.alerts)

    assert found[0]["labels"]["alertname"] == "Broken"


def test_a_refused_reload_says_why(prometheus_program):
    with (
        PrometheusServer(scraping("127.0.0.1:9"), files={"rules.yml": RULES}) as prometheus,
        pytest.raises(ValueError, match="nonsense"),
    ):
        prometheus.reload("nonsense: true\n")


def test_promtool_tells_good_rules_from_bad(prometheus_program, tmp_path):
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(RULES)
    bad.write_text(RULES.replace("up == 0", "up =="))

    assert promtool("check", "rules", good).returncode == 0
    assert "parse error" in promtool("check", "rules", bad).stderr


def test_amtool_tells_a_good_configuration_from_a_bad_one(alertmanager_program, tmp_path):
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(ROUTE)
    bad.write_text(ROUTE.replace("receiver: none", "receiver: other"))

    assert amtool("check-config", good).returncode == 0
    assert amtool("check-config", bad).returncode != 0
