"""Chromium opens a page, tells what went wrong in it, and makes pictures and prints of it."""

import struct

import pytest
from parts.chromium import PageFailed, foreign

PAGE = """\
<!doctype html><title>Probe</title>
<style>
body { background: rgb(255, 255, 255) }
@media (prefers-color-scheme: dark) { body { background: rgb(1, 2, 3) } }
</style>
<button onclick="document.title = 'pressed'">Press</button>
"""
BROKEN = "<img src='http://foreign.invalid/x.png'><script>console.error('bad'); nope()</script>"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture
def address(tmp_path):
    def write(text: str) -> str:
        file = tmp_path / "page.html"
        file.write_text(text)
        return file.as_uri()

    return write


async def test_a_page_is_opened_and_asked(chromium, address):
    async with chromium.page() as page:
        url = address(PAGE)
        await page.open(url)

        assert await page.evaluate("document.title") == "Probe"
        assert (page.requests, page.errors, page.failures) == ([url], [], [])


async def test_what_goes_wrong_in_a_page_is_collected(chromium, address):
    async with chromium.page() as page:
        await page.open(address(PAGE + BROKEN))

        assert "bad" in page.errors
        assert any("nope is not defined" in error for error in page.errors)
        assert foreign(page.requests, "file:") == ["http://foreign.invalid/x.png"]
        assert page.failures == ["http://foreign.invalid/x.png: net::ERR_NAME_NOT_RESOLVED"]


async def test_a_screenshot_has_its_size_and_the_colour_scheme(chromium, address, tmp_path):
    async with chromium.page() as page:
        await page.open(address(PAGE))
        await page.screenshot(tmp_path / "dark.png", width=400, height=300, dark=True)
        dark = await page.evaluate(BACKGROUND)
        await page.screenshot(tmp_path / "light.png", width=400, height=300)
        light = await page.evaluate(BACKGROUND)
    picture = (tmp_path / "dark.png").read_bytes()

    assert struct.unpack(">II", picture[16:24]) == (400, 300)
    assert (dark, light) == ("rgb(1, 2, 3)", "rgb(255, 255, 255)")


async def test_a_button_is_pressed_by_keyboard(chromium, address):
    async with chromium.page() as page:
        await page.open(address(PAGE))
        await page.press("Tab")
        await page.press("Enter")

        assert await page.evaluate("document.title") == "pressed"


async def test_a_page_is_printed(chromium, address, tmp_path):
    async with chromium.page() as page:
        await page.open(address(PAGE))
        await page.print_pdf(tmp_path / "page.pdf")

    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


async def test_a_script_that_throws_is_an_error_here(chromium, address):
    async with chromium.page() as page:
        await page.open(address(PAGE))

        with pytest.raises(PageFailed, match="ReferenceError: nope"):
            await page.evaluate("nope()")
