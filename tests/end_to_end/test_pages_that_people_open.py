"""The status page and the report of the demo's story as a browser shows them: light and dark, wide and at 400 pixels.

No complaint in the console, no request beyond the page's own origin, nothing cut off, and no serious issue by axe-core.
"""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
from parts import axe
from parts.chromium import foreign
from parts.process import CHECKOUT

from monitor import clock
from monitor.store import Store
from monitor.web import page as status_page
from monitor.web.server import page_app, serving
from monitor.web.status import StatusPage

VIEWS = [
    pytest.param(width, dark, id=f"{'dark' if dark else 'light'}-{width}")
    for dark in (False, True)
    for width in (1280, 400)
]


def segmon(*arguments):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SEGMON_")}
    command = [sys.executable, "-m", "monitor.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, env=clean, capture_output=True, text=True, timeout=170, check=False)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The URL of the record that the demo leaves."""
    folder = tmp_path_factory.mktemp("demo")
    done = segmon("up", "--demo", "--once", "--data", folder)
    assert done.returncode == 1, done.stderr
    return f"sqlite:///{folder / 'segmon.db'}"


@pytest.fixture(scope="module")
def reported(record, tmp_path_factory):
    """Makes a report of the story; its HTML file."""

    def make(*scope):
        out, now = tmp_path_factory.mktemp("reports"), clock.now()
        period = ("--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(seconds=1)).isoformat())
        done = segmon("report", "create", *scope, *period, "--out", out, "--database", record)
        assert done.returncode == 0, done.stderr
        [html] = out.rglob("*.html")
        return html

    return make


@pytest.fixture(scope="module")
def report(reported):
    """Of a domain with findings and a waiver; it has every section that a report of all has."""
    return reported("--domain", "namespace/shop")


@pytest.fixture
def served(record):
    """The status page over the demo's record, with the clock as it stood when that was made."""
    store = Store.open(record)
    status = StatusPage(store, version="0", now=clock.now)
    yield page_app(
        lambda: status_page.render(status.view()),
        style=status_page.asset("style.css"),
        script=status_page.asset("live.js"),
    )
    store.close()


async def looked_at(page, url, origin, *, width, dark=False):
    """What is wrong with the page at this address, by kind."""
    await page.view(width=width, height=900, dark=dark)
    await page.open(url)
    return {
        "complaints": list(page.errors),
        "failed requests": list(page.failures),
        "requests elsewhere": foreign(page.requests, origin),
        "cut off": await page.evaluate("Math.max(0, document.documentElement.scrollWidth - window.innerWidth)"),
    }


async def judged(page):
    """axe-core's serious issues, with everything unfolded."""
    await page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    return await axe.serious(page)


WELL = {"complaints": [], "failed requests": [], "requests elsewhere": [], "cut off": 0}


@pytest.mark.parametrize(("width", "dark"), VIEWS)
async def test_the_status_page(chromium, served, width, dark):
    async with serving(served, "127.0.0.1:0", setting="page") as address, chromium.page() as page:
        origin = f"http://{address}"
        found = await looked_at(page, f"{origin}/", origin, width=width, dark=dark)
        issues = await judged(page)
        heads = await page.evaluate("[...document.querySelectorAll('h2')].map(each => each.textContent)")

    assert any("Open findings" in head for head in heads)
    assert (found, issues) == (WELL, [])


@pytest.mark.parametrize(("width", "dark"), VIEWS)
async def test_the_report(chromium, report, width, dark):
    async with chromium.page() as page:
        found = await looked_at(page, report.as_uri(), report.as_uri(), width=width, dark=dark)
        issues = await judged(page)
        title = await page.evaluate("document.title")

    assert "namespace/shop" in title
    assert (found, issues) == (WELL, [])


async def test_the_report_of_all_domains(chromium, reported):
    report = reported("--all")
    async with chromium.page() as page:
        found = await looked_at(page, report.as_uri(), report.as_uri(), width=400)

    assert found == WELL


async def test_axe_would_have_found_what_is_wrong(chromium, tmp_path):
    (tmp_path / "bad.html").write_text(
        "<!doctype html><title>x</title><img src='data:,'><p style='color:#ccc'>pale</p>"
    )
    async with chromium.page() as page:
        await page.open((tmp_path / "bad.html").as_uri())
        found = await axe.serious(page)

    assert {line.partition(" ")[0] for line in found} >= {"html-has-lang", "image-alt", "color-contrast"}
