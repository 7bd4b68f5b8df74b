"""The status page as a browser shows it: what it asks for, what it complains of, what the keyboard reaches."""

from web.made_views import AT, make_cluster, make_finding, make_view

from monitor.web import page as status_page
from monitor.web.server import page_app, serving
from monitor.web.views import Cell


def shown():
    cells = {"default-deny-ingress": Cell(outcome="fail"), "flow-escaped": Cell(outcome="error", reason="silent")}
    hostile = '"><img src=x onerror=alert(1)>\u202e' + "x" * 253
    findings = (make_finding(steps=("one", "two"), fix="close it"), make_finding(id="2", subject=hostile))
    return status_page.render(make_view(make_cluster(cells=cells, findings=findings), problems=("no database",)))


def served():
    return page_app(shown, style=status_page.asset("style.css"), script=status_page.asset("live.js"))


async def test_the_page_asks_nobody_else_and_complains_of_nothing(chromium):
    async with serving(served(), "127.0.0.1:0", setting="page") as address, chromium.page() as page:
        await page.open(f"http://{address}/")
        asked = {url.split("/")[2] for url in page.requests}

        assert page.errors == []
        assert page.failures == []
        assert asked == {address}


async def test_a_finding_is_unfolded_by_keyboard_and_stays_so_when_the_page_refreshes(chromium):
    async with serving(served(), "127.0.0.1:0", setting="page") as address, chromium.page() as page:
        await page.open(f"http://{address}/")
        await page.evaluate("document.querySelector('summary').focus()")
        await page.press("Enter")
        await page.evaluate(
            "new Promise(done => { const seen = new MutationObserver(() => done(true));"
            "seen.observe(document.body, {childList: true}); })"
        )

        assert await page.evaluate("document.querySelector('details').open")
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"


async def test_nothing_is_cut_off_at_400_pixels(chromium):
    async with serving(served(), "127.0.0.1:0", setting="page") as address, chromium.page() as page:
        await page.view(width=400, height=800)
        await page.open(f"http://{address}/")

        assert await page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_page_reads_the_same_without_script():
    assert AT.isoformat() in shown()
    assert "close it" in shown()
    assert "not evaluated" in shown()
