# Everything a contributor runs. `make help` lists it.
# PYTHON: the interpreter that .venv is made with (3.11 or newer). PYTEST: more options for pytest, as in PYTEST="-k watch".
# RUNBOOKS: where your copy of docs/runbooks is read; the alerts that `make dashboards` writes point there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PYTEST ?=
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
SOURCES := models monitor streams dashboards tests benchmarks tools

.PHONY: help setup demo stack compose-env test test-slow lint bench oracles parts pictures dashboards clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# Both stamps install from a lock whose hashes pip checks. The project itself is linked with the build backend that the
# lock names, so nothing is fetched that the lock does not know.
$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit("segmon needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 has no venv module here: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/pip
	@echo "installing what segmon needs into $(VENV) …" >&2
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/pip
	@echo "installing what segmon and its tests need into $(VENV) …" >&2
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps --no-index --no-build-isolation --editable .
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev ## .venv with everything, and .venv/bin/segmon

demo: $(VENV)/.run ## the demo cluster on embedded parts, until Ctrl-C
	@$(VENV)/bin/segmon up --demo

stack: $(VENV)/.run ## the demo on Kafka, PostgreSQL, Prometheus and Alertmanager of this machine, until Ctrl-C
	@for part in postgres kafka monitoring; do tools/parts/$$part.sh; done
	@$(PY) tools/stack.py

compose-env: ## .env and passwords for docker-compose.yml, made once
	@deploy/compose/prepare.sh

parts: ## the real programs that tests run on (Kafka, API server, PostgreSQL, Prometheus, Chromium, ...)
	@for part in postgres kafka apiserver monitoring network browser axe compose; do tools/parts/$$part.sh; done

test: setup parts ## all tests but the slow ones, on the real parts
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST)

test-slow: setup parts ## the tests that take longer than a minute
	$(PY) -m pytest -m slow $(PYTEST)

lint: setup ## formatting, style, types, import contracts and the Dockerfile
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m dashboards.build --check
	$(VENV)/bin/hadolint Dockerfile

bench: setup parts ## figures side by side with their ceilings
	$(PY) benchmarks/run.py

oracles: setup ## every case of SEGMON_ORACLES (default ../shared/oracles)
	$(PY) tests/oracles/run.py

pictures: setup ## take docs/images anew, from the demo as it runs (Chromium)
	@tools/parts/browser.sh
	$(PY) tools/screenshots.py

dashboards: setup ## rebuild the committed boards and rules
	$(PY) -m dashboards.build $(if $(RUNBOOKS),--runbooks $(RUNBOOKS))

clean: ## what make made, but not the built parts (build/parts: minutes to make again)
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find build -mindepth 1 -maxdepth 1 ! -name parts -exec rm -rf {} + 2>/dev/null || true
	find $(wildcard $(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +
