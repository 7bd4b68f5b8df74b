"""The two addresses of a process: `metrics_listen` (/metrics, /livez, /readyz) and `page_listen` (status page)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from models.errors import UserError
from monitor.web.exposition import Exposition
from monitor.web.health import Probe

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


THREADED_BYTES = 32 * 1024
"""Larger answers are compressed outside the event loop."""


class AddressInUseError(UserError):
    """The address cannot be listened on; the message names the setting."""


def metrics_app(exposition: Exposition, *, live: Probe, ready: Probe) -> web.Application:
    async def metrics(request: web.Request) -> web.Response:
        # as OpenMetrics for who accepts it, as Prometheus does: the older text has no exemplars
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        text = await asyncio.to_thread(exposition.text, encode)
        answer = web.Response(body=text, headers={"Content-Type": kind}, zlib_executor_size=THREADED_BYTES)
        answer.enable_compression()  # for who accepts it, as Prometheus does: a thirtieth of the bytes
        return answer

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/livez", _probe(live))
    app.router.add_get("/readyz", _probe(ready))
    return app


def page_app(render: Callable[[], str], *, style: str, script: str) -> web.Application:
    """The status page. `render` reads the database and is called in a thread; its failure is shown, not hidden."""

    async def page(_request: web.Request) -> web.Response:
        html = await asyncio.to_thread(render)
        return web.Response(text=html, content_type="text/html", headers=SECURITY_HEADERS)

    async def css(_request: web.Request) -> web.Response:
        return web.Response(text=style, content_type="text/css", headers=SECURITY_HEADERS)

    async def js(_request: web.Request) -> web.Response:
        return web.Response(text=script, content_type="text/javascript", headers=SECURITY_HEADERS)

    async def icon(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/style.css", css)
    app.router.add_get("/live.js", js)
    app.router.add_get("/favicon.ico", icon)
    return app


@asynccontextmanager
async def serving(app: web.Application, listen: str, *, setting: str) -> AsyncIterator[str]:
    """Serve until the block ends; yields the address really listened on. AddressInUseError names the setting."""
    host, _, port = listen.rpartition(":")
    if not port.isdecimal():
        raise AddressInUseError(f"{listen!r} is no address\n       fix: write host:port with {setting}")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]") or None, int(port))
        try:
            await site.start()
        except OSError as error:
            raise AddressInUseError(
                f"cannot listen on {listen}: {os.strerror(error.errno) if error.errno else error}\n"
                f"       fix: choose another address with {setting}"
            ) from error
        yield _address(runner)
    finally:
        await runner.cleanup()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"{host}:{port}"


def _probe(probe: Probe) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        good, text = probe()
        return web.Response(text=text + "\n", status=200 if good else 503)

    return answer
