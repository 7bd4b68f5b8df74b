#!/usr/bin/env bash
# axe-core, which judges how accessible a page is, as build/parts/axe/axe.min.js: out of a wheel whose hash pip checks.
source "$(dirname "$0")/system.sh"

script="$parts/axe/axe.min.js"
if [ "$script" -nt "$here/axe/requirements.txt" ]; then
    exit 0
fi
python="$here/../../.venv/bin/python"
[ -x "$python" ] || python="$(command -v python3)" || missing "Python 3 with pip; run \`make setup\`"
say "fetching axe-core"
wheel="$(mktemp -d)"
trap 'rm -rf "$wheel"' EXIT
"$python" -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes --only-binary :all: \
    --dest "$wheel" --requirement "$here/axe/requirements.txt" || missing "pip could not fetch the wheel of axe/requirements.txt"
mkdir -p "$parts/axe"
"$python" - "$wheel"/*.whl "$script" <<'END'
import pathlib, sys, zipfile
wheel, script = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    pathlib.Path(script).write_bytes(archive.read("axe_playwright_python/axe.min.js"))
END
