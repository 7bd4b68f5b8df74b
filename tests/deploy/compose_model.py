"""docker-compose.yml as the compose specification's own loader reads it, and its parts by what they are."""

import json
import os
import subprocess
from pathlib import Path

from parts.process import CHECKOUT, built, program

VERSION_OF_OURS = "segmon:"


def load(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The loader's answer; `environment` is all that it interpolates from."""
    loader = program("compose", "compose-spec", folders=[built("compose")])
    surroundings = {"PATH": os.environ["PATH"], "HOME": "/home/somebody"} | environment
    return subprocess.run(
        [loader, "docker-compose.yml"], cwd=CHECKOUT, env=surroundings, capture_output=True, text=True, check=False
    )


def prepared(folder: Path) -> dict[str, str]:
    """What `make compose-env` writes, made in a folder of its own: the variables of .env; the secrets lie beside it."""
    script = folder / "deploy" / "compose" / "prepare.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text((CHECKOUT / "deploy/compose/prepare.sh").read_text())
    subprocess.run(["bash", str(script)], check=True, capture_output=True)
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def model(folder: Path) -> dict:
    done = load(prepared(folder))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_ours(service: dict) -> bool:
    return service["image"].startswith(VERSION_OF_OURS)


def is_job(service: dict) -> bool:
    """Ends by itself."""
    return service["restart"].startswith("on-failure")
