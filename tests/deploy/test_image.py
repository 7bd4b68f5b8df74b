"""The Dockerfile without a container engine: linted, every file that it copies is let in, and what it installs runs."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deploy.compose_model import is_ours, model
from parts.process import CHECKOUT, program

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text()


def copied():
    """What the image takes from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return sorted({source for line in lines for source in line.split()[:-1]})


def is_let_in(path):
    """By .dockerignore, whose last matching pattern decides."""
    rules = [line for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    let_in = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        if fnmatch.fnmatch(path, pattern) or path.startswith(f"{pattern}/") or fnmatch.fnmatch(f"/{path}", pattern):
            let_in = rule.startswith("!")
    return let_in


def test_hadolint_finds_nothing():
    linter = program("hadolint", "hadolint", folders=[Path(sys.executable).parent])
    done = subprocess.run([linter, "Dockerfile"], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_base_images_are_pinned_and_the_user_is_the_one_that_compose_names(tmp_path):
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    [user] = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    users = {service["user"] for service in model(tmp_path)["services"].values() if is_ours(service)}

    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base) for base in bases)
    assert users == {user}
    assert user.partition(":")[0] not in {"0", "root"}


def test_every_volume_of_ours_is_mounted_on_a_folder_that_the_user_owns(tmp_path):
    services = model(tmp_path)["services"].values()
    mounted = {m["target"] for s in services if is_ours(s) for m in s.get("volumes", ()) if m["type"] == "volume"}
    [made] = re.findall(r"install -d -o 10001 -g 10001 (.+)$", DOCKERFILE, re.MULTILINE)

    assert mounted == set(made.split())


def test_what_is_copied_is_there_and_nothing_else_gets_in():
    tracked = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    let_in = {path.partition("/")[0] for path in tracked.splitlines() if is_let_in(path)}

    assert all((CHECKOUT / source).exists() and is_let_in(source) for source in copied())
    assert let_in == {source.partition("/")[0] for source in copied()}
    assert not is_let_in("deploy/compose/secrets/segmon_password")
    assert not is_let_in(".env")
    assert not is_let_in("monitor/web/__pycache__/page.cpython-311.pyc")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The image's site-packages: what the Dockerfile copies, installed as it does, in a folder of its own."""
    context, target = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("site")
    for source in copied():
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, context / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (context / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / source, context / source)
    [words] = re.findall(r"pip (install --no-deps .+) \.", DOCKERFILE)
    pip = [sys.executable, "-m", "pip", *words.split(), "--quiet", "--target", str(target), str(context)]
    subprocess.run(pip, check=True, cwd=context)
    return target


def run(installed, folder, *arguments):
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )


def test_the_installed_command_starts_from_the_copied_files_alone(installed, tmp_path):
    place = run(installed, tmp_path, "-c", "import monitor; print(monitor.__file__)")
    told = run(installed, tmp_path, "-m", "monitor.cli.main", "--version")

    assert place.stdout.startswith(str(installed))
    assert told.stdout.startswith("segmon ")


def test_the_installed_tables_pages_and_demo_are_complete(installed, tmp_path):
    upgraded = run(installed, tmp_path, "-m", "monitor.cli.main", "db", "upgrade")
    pages = "from monitor.web import page; print(len(page.asset('style.css')))"
    staged = "from pathlib import Path; from monitor.demo import story; print(story.set_stage(Path('stage')).log)"

    assert upgraded.returncode == 0, upgraded.stderr
    assert int(run(installed, tmp_path, "-c", pages).stdout) > 1000
    assert run(installed, tmp_path, "-c", staged).stdout.strip() == "stage/kern.log"
    assert (tmp_path / "stage/cluster/payments/default-deny.yaml").exists()
