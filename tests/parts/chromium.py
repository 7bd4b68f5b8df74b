"""Headless Chromium, driven by the DevTools protocol over one websocket; every page is opened in an empty profile.

A page collects what a person cannot see: console errors, uncaught exceptions, failed and made requests. Nothing leaves
the machine by itself: background networking is switched off and names other than localhost do not resolve.
"""

import asyncio
import base64
import itertools
import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from parts.process import Part, program

QUIET = (
    "--headless=new",
    "--no-sandbox",  # root has no user namespace to build one in; the pages are our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)
QUIET_MILLISECONDS = 300


class PageFailed(Exception):  # noqa: N818 - the page's failure, not a mistake in calling us
    """A page that did not open, or a script that threw in it."""


class Chromium(Part):
    """`async with browser.page() as page:` opens a tab of its own, with storage of its own."""

    name = "chromium"

    def command(self) -> Sequence[str]:
        profile = f"--user-data-dir={self.folder / 'profile'}"
        return [program(self.name, "chromium", "chromium-browser"), *QUIET, "--remote-debugging-port=0", profile]

    def answers(self) -> bool:
        return self._endpoint_file.exists() and self._endpoint_file.read_text().count("\n") == 1

    def start(self) -> "Chromium":
        if self._folder is not None and not self.running:
            self._endpoint_file.unlink(missing_ok=True)
        super().start()
        return self

    @property
    def _endpoint_file(self) -> Path:
        return self.folder / "profile" / "DevToolsActivePort"

    @asynccontextmanager
    async def page(self) -> AsyncIterator["Page"]:
        port, path = self._endpoint_file.read_text().splitlines()
        address = f"ws://127.0.0.1:{port}{path}"
        limit = 256 * 2**20  # a printed report comes in one message
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=limit) as socket:
            wire = Wire(socket)
            reading = asyncio.create_task(wire.read())  # no task group: it would wrap what the test raises
            try:
                context = await wire.call("Target.createBrowserContext", disposeOnDetach=True)
                place = {"url": "about:blank", "browserContextId": context["browserContextId"]}
                target = await wire.call("Target.createTarget", **place)
                attached = await wire.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                page = Page(wire, attached["sessionId"])
                await page.listen()
                yield page
            finally:
                reading.cancel()


class Wire:
    """Calls and their answers, events and who waits for them, over one websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.page: Page | None = None

    async def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_str(json.dumps(message))
        async with asyncio.timeout(60):
            answer = await self._answers[number]
        del self._answers[number]
        if "error" in answer:
            raise PageFailed(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def read(self) -> None:
        async for message in self._socket:
            content = json.loads(message.data)
            if waiting := self._answers.get(content.get("id", 0)):
                waiting.set_result(content)
            elif self.page and content.get("sessionId"):
                self.page.heard(content["method"], content["params"])
        for waiting in self._answers.values():
            waiting.set_exception(PageFailed("the browser ended"))


class Page:
    """One tab. `errors` are console errors and uncaught exceptions, `requests` the URLs asked for, `failures` those
    that got no answer or one of 400 and above.
    """

    def __init__(self, wire: Wire, session: str) -> None:
        self._wire = wire
        self._session = session
        self._open_requests: set[str] = set()
        self._loaded = asyncio.Event()
        self._activity = asyncio.Event()
        self._urls: dict[str, str] = {}
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.failures: list[str] = []
        wire.page = self

    async def listen(self) -> None:
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._call(f"{domain}.enable")

    async def open(self, url: str) -> None:
        """Return once the page was loaded and asked for nothing more during 0.3 s (a stream kept open is no asking)."""
        self._loaded.clear()
        answer = await self._call("Page.navigate", url=url)
        if problem := answer.get("errorText"):
            raise PageFailed(f"{url}: {problem}")
        async with asyncio.timeout(30):
            await self._loaded.wait()
        await self.settle()

    async def settle(self) -> None:
        """Wait until no request has begun or ended during 0.3 s, at most 10 s."""
        try:
            async with asyncio.timeout(10):
                while await self._heard_something():
                    pass
        except TimeoutError:
            return

    async def evaluate(self, script: str) -> Any:
        """The value of an expression (a promise is awaited); what it throws is raised."""
        how = {"returnByValue": True, "awaitPromise": True}
        answer = await self._call("Runtime.evaluate", expression=script, **how)
        if thrown := answer.get("exceptionDetails"):
            raise PageFailed(_thrown(thrown))
        return answer["result"].get("value")

    async def press(self, key: str) -> None:
        """One key as the keyboard sends it: Tab, Enter, Escape, ArrowDown, …"""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, " ": 32}.get(key, 0)
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    async def view(self, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Size of the window and the colour scheme that the user prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        calm = {"name": "prefers-reduced-motion", "value": "reduce"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme, calm])

    async def paper(self, *, width_millimetres: float) -> None:
        """Laid out as for print, on paper that leaves so much between its margins."""
        size = {"width": round(width_millimetres / 25.4 * 96), "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **size)
        await self._call("Emulation.setEmulatedMedia", media="print")

    async def screenshot(
        self, path: Path, *, width: int = 1280, height: int = 800, dark: bool = False, whole: bool = False
    ) -> None:
        """A PNG of the window, or of the `whole` page however long."""
        await self.view(width=width, height=height, dark=dark)
        picture = await self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(picture["data"]))

    async def print_pdf(self, path: Path) -> None:
        """What the print dialogue would give on A4, with the page's own margins and colours."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "printBackground": True}
        document = await self._call("Page.printToPDF", **paper)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(document["data"]))

    def heard(self, event: str, content: dict[str, Any]) -> None:
        """What the browser tells of itself (called by the wire)."""
        if event == "Page.loadEventFired":
            self._loaded.set()
        elif event == "Runtime.consoleAPICalled" and content["type"] in {"error", "assert"}:
            self.errors.append(" ".join(str(part.get("value", part.get("description"))) for part in content["args"]))
        elif event == "Runtime.exceptionThrown":
            self.errors.append(_thrown(content["exceptionDetails"]))
        elif event == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.errors.append(f"{content['entry']['text']} {content['entry'].get('url', '')}".strip())
        elif event.startswith("Network."):
            self._heard_of_request(event.removeprefix("Network."), content)

    def _heard_of_request(self, event: str, content: dict[str, Any]) -> None:
        self._activity.set()
        number = content.get("requestId", "")
        if event == "requestWillBeSent":
            self._urls[number] = content["request"]["url"]
            self.requests.append(self._urls[number])
        elif event == "loadingFailed" and not content.get("canceled"):
            self.failures.append(f"{self._urls.get(number)}: {content['errorText']}")
        elif event == "responseReceived" and content["response"]["status"] >= 400:
            self.failures.append(f"{content['response']['url']}: {content['response']['status']}")

    async def _heard_something(self) -> bool:
        self._activity.clear()
        try:
            async with asyncio.timeout(QUIET_MILLISECONDS / 1000):
                await self._activity.wait()
        except TimeoutError:
            return False
        return True

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._wire.call(method, self._session, **parameters)


def foreign(requests: Sequence[str], origin: str) -> list[str]:
    """The requests that left this origin; what a page carries within itself (data:, blob:) did not."""
    return [url for url in requests if not url.startswith(origin) and not re.match(r"(data|blob|about):", url)]


def _thrown(details: dict[str, Any]) -> str:
    return str(details.get("exception", {}).get("description") or details["text"])
