# Everything happens in .venv; `make install PYTHON=python3.12` chooses its Python.
SHELL := /bin/bash
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --require-virtualenv
# The lock names every package. Without --no-deps pip would refuse it on the day a newer version of an extra appears.
LOCKED := install --no-deps --require-hashes -r
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade
TOOLS := .venv/.tools

.PHONY: help install tools run test check bench soak chaos dist lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

install: .venv/.installed  ## the environment .venv, from requirements.lock alone

run: .venv/.installed  ## Penstock with its own Redis on http://127.0.0.1:8080
	@exec .venv/bin/penstock up

test: check  ## all checks and all tests
	@deploy/debian.sh
	$(PY) -m pytest --numprocesses 3 --dist loadfile

check: $(TOOLS)  ## format, lint, types and import rules
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

bench: $(TOOLS)  ## what a request costs: a table
	$(PY) -m tests.bench.mapping
	$(PY) -m tests.bench

soak: $(TOOLS)  ## half an hour of load while workers are killed: memory, leftovers, answers
	$(PY) -m tests.bench.soak

chaos: $(TOOLS)  ## every fault, at full length
	@deploy/debian.sh
	$(PY) -m pytest tests/chaos -m ""

dist: $(TOOLS)  ## the wheel, in dist/
	$(PY) -m build --wheel --no-isolation --outdir dist .

lock: $(TOOLS)  ## all lock files, with the newest versions that fit
	$(COMPILE) --group build -o requirements.lock pyproject.toml
	$(COMPILE) --group pyproject.toml:test -c requirements.lock -o tests/requirements.lock
	cd tests/clients && for name in frameworks openai-0.28; do ../../$(COMPILE) -o $$name.lock $$name.in; done
	$(COMPILE) -o tests/clients/openai-0.28.lock tests/clients/openai-0.28.in
	$(COMPILE) -o tests/clients/frameworks.lock tests/clients/frameworks.in
	cd tests/clients/node && npm update --package-lock-only --no-audit --no-fund

clean:  ## removes the environment and what tools left
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@python=$$(deploy/find-python.sh $(PYTHON)) && echo "Creating .venv with $$python" && "$$python" -m venv --clear .venv

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/python
	@echo "Installing $$(grep -c '^[a-z]' requirements.lock) packages into .venv"
	$(PIP) $(LOCKED) requirements.lock
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): tests/requirements.lock .venv/.installed
	@echo "Installing the tools of checks and tests into .venv"
	$(PIP) $(LOCKED) tests/requirements.lock
	@touch $@

tools: $(TOOLS)
