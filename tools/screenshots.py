"""`make pictures`: the status page and a report's first page for docs/images, from the demo as it really runs."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from parts.chromium import Chromium  # noqa: E402 - tests/ comes onto the path above
from parts.process import stop_on_sigterm  # noqa: E402

PAGE = "127.0.0.1:19465"
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


def now() -> str:
    return datetime.now(UTC).isoformat()  # noqa: TID251 - a tool, whose period is the present


def reported(folder: Path, begin: str) -> Path:
    """The HTML of a report from when the demo was first judged until now."""
    period = ["--from", begin, "--to", now()]
    place = ["--out", str(folder / "reports"), "--database", f"sqlite:///{folder / 'segmon.db'}"]
    command = [sys.executable, "-m", "monitor.cli.main", "report", "create", "--all", *period, *place]
    subprocess.run(command, cwd=ROOT, check=True)
    return next((folder / "reports").rglob("*.html"))


def main() -> None:
    stop_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        listening = ["--page-listen", PAGE, "--metrics-listen", "127.0.0.1:0"]
        command = [sys.executable, "-m", "monitor.cli.main", "up", "--demo", "--data", folder, *listening]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            begin = now()
            for line in demo.stdout or ():
                if "DOMAIN" in line:
                    begin = now()
                if "flow-escaped" in line and "opened" in line:
                    break
            asyncio.run(take(reported(Path(folder), begin)))
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(timeout=30)


if __name__ == "__main__":
    main()
