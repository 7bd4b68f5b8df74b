"""Pictures of the status page for docs/images, from the demo as it really runs: `python tools/screenshots.py`."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from parts.chromium import Chromium  # noqa: E402 - tests/ comes onto the path above
from parts.process import stop_on_sigterm  # noqa: E402

PAGE = "127.0.0.1:19465"
WIDTHS = (
    ("status-page", 1280, 1400, False),
    ("status-page-dark", 1280, 1400, True),
    ("status-page-400", 400, 1400, False),
)


async def take() -> None:
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with Chromium() as chromium:
        for name, width, height, dark in WIDTHS:
            async with chromium.page() as page:
                await page.open(f"http://{PAGE}/")
                await page.screenshot(images / f"{name}.png", width=width, height=height, dark=dark)


def main() -> None:
    stop_on_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        listening = ["--page-listen", PAGE, "--metrics-listen", "127.0.0.1:0"]
        command = [sys.executable, "-m", "monitor.cli.main", "up", "--demo", "--data", folder, *listening]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            for line in demo.stdout or ():
                if "flow-escaped" in line and "opened" in line:
                    break
            asyncio.run(take())
        finally:
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(timeout=30)


if __name__ == "__main__":
    main()
