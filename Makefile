# The commands of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
EXPERIMENT ?= bottleneck
ARGS ?=
PY := .venv/bin/python
READY := .venv/.ready

PEERS := .peers

# The packages of .venv are compiled when they are first imported. Where this is set, as in many containers, they would
# be compiled anew by every process, which is three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup train sweep dashboard export resync test test-slurm torture check bench bench-peers menu clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY)  ## create .venv from requirements.lock and install the project in it, editable

# Rebuilt only when the lock or the project's metadata change. The marker comes last: a broken set-up is not taken for one.
# Of the packages Python compiles what it imports, when it does: pip would compile all there is.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "softlookup needs Python 3.11 or newer; make PYTHON=/path/to/python3.11 setup"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

train: setup  ## train one run: make train ARGS="attention=additive task=copy"
	@$(PY) src/train.py $(ARGS)

sweep: setup  ## run an experiment and draw its dashboard: make sweep EXPERIMENT=scores ARGS="workers=4"
	@$(PY) src/train.py -m experiment=$(EXPERIMENT) $(ARGS)

dashboard: setup  ## draw runs/dashboard.html from all runs
	@$(PY) src/dashboard.py $(ARGS)

export: setup  ## write all results as CSV files, into runs/tables: make export ARGS="experiment=scores"
	@$(PY) src/export.py $(ARGS)

resync: setup  ## make lost W&B files of finished runs again: make resync ARGS="experiment=scores mode=online"
	@$(PY) src/resync.py $(ARGS)

test: setup  ## run the tests
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal $(ARGS)

test-slurm: setup  ## run a sweep on a real Slurm of one node, started for it: as root, with Debian's packages
	@TEST_SLURM=1 OMP_NUM_THREADS=1 $(PY) -m pytest -p no:xdist -rs tests/slurm $(ARGS)

torture: setup  ## a sweep under 50 random kill -9, against the same sweep left alone: make torture ARGS="kills=100"
	@$(PY) tests/torture.py $(ARGS)

check: setup  ## format, lint, types and import directions
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -p no:xdist tests/test_imports.py

bench: setup  ## time a training step of every attention, side by side
	@$(PY) src/bench.py $(ARGS)

# Each peer has an environment of its own: their needs contradict ours, and each other's.
$(PEERS)/%/.ready: src/peers/%.txt
	$(PYTHON) -m venv $(PEERS)/$*
	$(PEERS)/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@

bench-peers: setup $(PEERS)/joeynmt/.ready $(PEERS)/opennmt-py/.ready  ## decoding beside JoeyNMT and OpenNMT-py, in turn: make bench-peers ARGS="rounds=9"
	@$(PY) src/bench_peers.py $(ARGS)

menu: setup  ## list every choice, and put the list into the README
	@$(PY) src/menu.py write=README.md && $(PY) src/menu.py

clean:  ## remove the environments and caches; runs stay
	rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache
