"""`make pictures`: the status page and a report's first page for docs/images, from the demo as it really runs."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from parts.chromium import Chromium  # noqa: E402 - both come onto the path above
from parts.process import stop_on_sigterm  # noqa: E402

from monitor.demo import story  # noqa: E402
from monitor.store import Store, queries  # noqa: E402

PAGE = "127.0.0.1:19465"
THROUGH = "Ctrl-C stops everything"
"""What the demo says behind its story."""
LIMIT_SECONDS = 180
POLL_SECONDS = 1.0
View = tuple[str, int, int, bool]
"""Name of the picture, width, height, and whether it is dark."""
WIDTHS = (
    ("status-page", 1280, 1400, False),
    ("status-page-dark", 1280, 1400, True),
    ("status-page-400", 400, 1400, False),
)


REPORT = ("report", 900, 1270, False)  # an A4 page's shape
IMAGES = ROOT / "docs" / "images"


async def take(report: Path) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Chromium() as chromium:
        for view in WIDTHS:
            await picture(chromium, f"http://{PAGE}/", view)
        await picture(chromium, report.as_uri(), REPORT)


async def picture(chromium: Chromium, url: str, view: View) -> None:
    name, width, height, dark = view
    async with chromium.page() as page:
        await page.open(url)
        await page.screenshot(IMAGES / f"{name}.png", width=width, height=height, dark=dark)


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a tool, whose period is the present


def reported(folder: Path, begin: datetime, end: datetime) -> Path:
    """The HTML of a report of a period."""
    period = ["--from", begin.isoformat(), "--to", end.isoformat()]
    place = ["--out", str(folder / "reports"), "--database", database(folder)]
    command = [sys.executable, "-m", "monitor.cli.main", "report", "create", "--all", *period, *place]
    subprocess.run(command, cwd=ROOT, check=True)
    return next((folder / "reports").rglob("*.html"))


def database(folder: Path) -> str:
    return f"sqlite:///{folder / 'segmon.db'}"


def heard(demo: subprocess.Popen[str], words: str) -> datetime:
    """When the demo said it."""
    if not any(words in line for line in demo.stdout or ()):
        raise RuntimeError(f"the demo ended and never said {words!r}")
    return now()


def seen_whole(folder: Path, behind: datetime) -> datetime:
    """Wait until every input, traffic included, was seen behind a moment; up to when all of them were."""
    store = Store.open(database(folder))
    for _ in range(int(LIMIT_SECONDS / POLL_SECONDS)):
        with store.look() as look:
            rows = [row for row in queries.inputs(look, story.CLUSTER) if row.state != "not_served"]
        until = [row.until for row in rows if row.until and row.state == "fresh"]
        if rows and len(until) == len(rows) and min(until) > behind:
            store.close()
            return min(until)
        time.sleep(POLL_SECONDS)
    unseen = [f"{row.input}: {row.state}, seen up to {row.until}" for row in rows]
    raise TimeoutError(f"not every input was seen behind {behind} within {LIMIT_SECONDS} s: {unseen}")


def main() -> None:
    stop_on_sigterm()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listening = ["--page-listen", PAGE, "--metrics-listen", "127.0.0.1:0"]
        command = [sys.executable, "-m", "monitor.cli.main", "up", "--demo", "--data", name, *listening]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            begin = heard(demo, "DOMAIN")
            end = seen_whole(folder, heard(demo, THROUGH))
            asyncio.run(take(reported(folder, begin, end)))
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(timeout=30)


if __name__ == "__main__":
    main()
