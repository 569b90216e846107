# Callseal's house tools; `make` alone lists them.
#
# A target brings what it needs: the virtual environment, our package with its extras, and for the
# tests the Debian packages of packages.txt and the npm packages of tests/peers. A second run finds
# them and starts at once; a changed pyproject.toml installs anew.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The Python that makes the virtual environment (3.11 or newer).
PYTHON ?= python3
# More words for the command: make demo ARGS="--out /tmp/d", make test ARGS="tests/seal -k vectors".
ARGS ?=
VENV := .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --quiet

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- what the README says -------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.installed-run  ## one recorded call from end to end on this machine
	@$(VENV)/bin/callseal demo $(ARGS)

.PHONY: test
test: $(VENV)/.installed-dev peers  ## every test, those with real peers included
	$(VENV)/bin/pytest $(ARGS)

# An S3 store to try things out with; DEVICE=dev-… gives that device an account.
STORE ?= callseal-store
DEVICE ?=

.PHONY: store-up
store-up: $(VENV)/.installed-dev  ## an S3 store (SeaweedFS) on this machine, to try things out with
	@$(VENV)/bin/python -m callseal.cli.demo.store_up up $(STORE) $(DEVICE)

.PHONY: store-down
store-down:  ## stops it; its data stay
	@$(VENV)/bin/python -m callseal.cli.demo.store_up down $(STORE)

# --- daily ----------------------------------------------------------------------------------------

.PHONY: check
check: format lint types layers test  ## all that must hold before a commit

.PHONY: soak
soak: $(VENV)/.installed-dev peers  ## the long tests with their full counts: seeds, kills, fuzzing
	CALLSEAL_SOAK=1 $(VENV)/bin/pytest -m soak --timeout=7200 $(ARGS)

.PHONY: format
format: $(VENV)/.installed-dev  ## is every file formatted?
	$(VENV)/bin/ruff format --check

.PHONY: lint
lint: $(VENV)/.installed-dev  ## ruff's rules
	$(VENV)/bin/ruff check

.PHONY: types
types: $(VENV)/.installed-dev  ## mypy, strict
	$(VENV)/bin/mypy

.PHONY: layers
layers: $(VENV)/.installed-dev  ## do the parts import downwards only?
	$(VENV)/bin/lint-imports

.PHONY: fix
fix: $(VENV)/.installed-dev  ## format every file and mend what ruff can mend
	$(VENV)/bin/ruff check --fix-only
	$(VENV)/bin/ruff format

.PHONY: clean
clean:  ## away with all that the targets made, the virtual environment included
	rm -rf $(VENV) build dist tests/peers/node_modules .mypy_cache .ruff_cache .pytest_cache \
	  .hypothesis .import_linter_cache .coverage .coverage.*

# --- what the targets need ------------------------------------------------------------------------

.PHONY: peers
peers:
	@.ci/prepare packages
	@.ci/prepare peers

$(VENV)/bin/python:
	@.ci/prepare venv $(PYTHON) $(VENV)

$(VENV)/.installed-run: pyproject.toml | $(VENV)/bin/python
	@echo 'installing callseal and the bridge into $(VENV)'
	@$(PIP) install --editable '.[bridge]'
	@touch $@

# The tools come on top of what the demo needs, so this stamp stands for both.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo 'installing callseal, the bridge and the development tools into $(VENV)'
	@$(PIP) install --editable '.[bridge,dev]'
	@touch $(VENV)/.installed-run $@
