# The commands of the project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
EXPERIMENT ?= bottleneck
ARGS ?=
PY := .venv/bin/python
READY := .venv/.ready

PEERS := .peers
PEER_NAMES := joeynmt opennmt-py eole ctranslate2
TOOLS := .tools
WHEELS := .gpu-wheels

# Every package has to be one of the files that a lock names by SHA-256. pip asks that of all or of none, so torch comes
# after: its builds for CPUs and for CUDA are other files under one version. Whatever else a build of it needs has the
# version of requirements-torch.lock.
PIP := -m pip install --quiet --disable-pip-version-check
HASHED := $(PIP) --no-deps --require-hashes
TORCH := --constraint requirements-torch.lock torch

# The packages of .venv are compiled when they are first imported. Where this is set, as in many containers, they would
# be compiled anew by every process, which is three times as long to start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup lock audit train sweep dashboard export findings resync wandb-report test test-slurm torture check bench bench-peers cost gpu gpu-wheels menu clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## create .venv from the locks and install the project in it, editable

# Rebuilt only when a lock or the project's metadata change. The marker comes last: a broken set-up is not taken for one.
# Of the packages Python compiles what it imports, when it does: pip would compile all there is.
# setuptools comes first: what has no wheel is built with it, and with nothing that no lock names.
$(READY): requirements.lock requirements-torch.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "softlookup needs Python 3.11 or newer; make PYTHON=/path/to/python3.11 setup"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) $(HASHED) --no-compile --requirement <(sed -n '/^setuptools==/,/[^\]$$/p' requirements.lock)
	$(PY) $(HASHED) --no-compile --no-build-isolation --requirement requirements.lock
	$(PY) $(PIP) --no-compile $(TORCH)
	$(PY) $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# What writes and audits the locks has an environment of its own, from a lock of its own.
$(TOOLS)/.ready: requirements-tools.lock
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python $(HASHED) --only-binary :all: --requirement $<
	@touch $@

# A lock keeps its versions as far as what it is made from allows. What torch needs on Linux alone is CUDA's.
COMPILE = $(TOOLS)/bin/uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make lock" $(ARGS)
lock: $(TOOLS)/.ready  ## write the locks anew from pyproject.toml; with the newest versions: make lock ARGS=--upgrade
	sed -n 's/^ *"\(torch[<=>~].*\)",$$/\1/p' pyproject.toml >$(TOOLS)/torch.in
	cp requirements-torch.lock $(TOOLS)/torch.lock
	$(COMPILE) --no-annotate $(TOOLS)/torch.in --output-file $(TOOLS)/torch.lock
	{ echo "# Constraints, made by make lock: torch, and what its CUDA builds need besides requirements.lock."; \
	  grep -E "^torch==|sys_platform == 'linux'" $(TOOLS)/torch.lock; } >requirements-torch.lock
	$(COMPILE) --generate-hashes pyproject.toml --extra dev --extra report --extra slurm --constraint requirements-torch.lock \
	  $$(sed -n 's/==.*//p' requirements-torch.lock | sed 's/^/--no-emit-package /') --output-file requirements.lock
	$(COMPILE) --generate-hashes --group tools --output-file requirements-tools.lock
	for peer in $(PEER_NAMES); do \
	  $(COMPILE) --generate-hashes --no-deps --no-emit-package torch src/peers/$$peer.txt --output-file src/peers/$$peer.lock || exit 1; \
	done

# pip-audit takes hashes for all or for none, and a package once: it gets the versions of one lock at a time. --strict
# makes an error of a package that its service does not know: else a service that knows nothing finds nothing wrong.
# A report is written where something was found; to fail without one is to have checked nothing.
LOCKS := requirements.lock $(filter-out requirements.lock,$(wildcard requirements*.lock src/peers/*.lock))
audit: $(TOOLS)/.ready  ## ask PyPI for known vulnerabilities of what the locks name; another service: make audit ARGS="-s osv"
	@worst=0; for lock in $(LOCKS); do \
	  sed -n 's/^\([a-z0-9].*[^ \]\)[ \]*$$/\1/p' $$lock >$(TOOLS)/versions.txt; rm -f $(TOOLS)/report; ended=0; \
	  $(TOOLS)/bin/pip-audit --progress-spinner off --strict --disable-pip --no-deps $(ARGS) \
	    --requirement $(TOOLS)/versions.txt --output $(TOOLS)/report 2>$(TOOLS)/audit.log || ended=$$?; \
	  told="$$lock: $$(tail -n 1 $(TOOLS)/audit.log)"; \
	  if [ $$ended = 0 ]; then echo "$$told"; \
	  elif [ -s $(TOOLS)/report ]; then echo "$$told"; cat $(TOOLS)/report; worst=1; \
	  else echo "nothing was checked: $$told" >&2; exit 2; fi; \
	done; exit $$worst

train: setup  ## train one run: make train ARGS="attention=additive task=copy"
	@$(PY) src/train.py $(ARGS)

sweep: setup  ## run an experiment and draw its dashboard: make sweep EXPERIMENT=scores ARGS="workers=4"
	@$(PY) src/train.py -m experiment=$(EXPERIMENT) $(ARGS)

dashboard: setup  ## draw runs/dashboard.html from all runs
	@$(PY) src/dashboard.py $(ARGS)

export: setup  ## write all results as CSV files, into runs/tables: make export ARGS="experiment=scores"
	@$(PY) src/export.py $(ARGS)

findings: setup  ## write the finding of an experiment into experiments/README.md: make findings EXPERIMENT=scores
	@$(PY) src/findings.py experiment=$(EXPERIMENT) $(ARGS)

resync: setup  ## make lost W&B files of finished runs again: make resync ARGS="experiment=scores mode=online"
	@$(PY) src/resync.py $(ARGS)

wandb-report: setup  ## make a W&B workspace and report of an experiment: make wandb-report EXPERIMENT=scores ARGS="entity=TEAM"
	@$(PY) src/wandb_report.py experiment=$(EXPERIMENT) $(ARGS)

test: setup  ## run the tests
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist worksteal $(ARGS)

test-slurm: setup  ## run a sweep on a real Slurm of one node, started for it: as root, with Debian's packages
	@TEST_SLURM=1 OMP_NUM_THREADS=1 $(PY) -m pytest -p no:xdist -rs tests/slurm $(ARGS)

torture: setup  ## a sweep under 50 random kill -9, against the same sweep left alone: make torture ARGS="kills=100"
	@$(PY) tests/torture.py $(ARGS)

check: setup  ## format, lint, types, the order of the packages, the list of choices
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -p no:xdist tests/test_imports.py
	@$(PY) src/menu.py check=conf/README.md

bench: setup  ## time a training step of every attention, side by side
	@$(PY) src/bench.py $(ARGS)

cost: setup  ## price every attention, normalizer, window, mixer, encoder and decoder by length: make cost ARGS="attention=additive,dot longest=8192"
	@$(PY) src/cost.py $(ARGS)

# Each peer has an environment of its own: their needs contradict ours, and each other's. One that cannot be installed on
# this machine is left out, and the report says so.
$(PEERS)/%/.ready: src/peers/%.lock requirements-torch.lock
	$(PYTHON) -m venv $(PEERS)/$*
	$(PEERS)/$*/bin/python $(HASHED) --only-binary :all: --requirement $<
	$(PEERS)/$*/bin/python $(PIP) --no-deps $(TORCH)
	@touch $@

bench-peers: setup  ## training and decoding beside JoeyNMT, OpenNMT-py, Eole and CTranslate2, in turn: make bench-peers ARGS="rounds=9"
	@$(MAKE) --no-print-directory --keep-going $(PEER_NAMES:%=$(PEERS)/%/.ready) || echo "a peer cannot be installed here, and is left out" >&2
	@$(PY) src/bench_peers.py $(ARGS)

# For a machine with a GPU, a Python with torch of its own, and no network: what is missing there, unpacked into a folder
# that is carried along with the sources. Another Python reads it, so nothing in it may be compiled.
CARRIED := hydra-core omegaconf antlr4-python3-runtime entmax sacremoses joblib
$(WHEELS)/.ready: requirements.lock $(READY)
	rm -rf $(WHEELS)
	$(PY) $(HASHED) --no-compile --no-build-isolation --target $(WHEELS) --requirement \
	  <(for name in $(CARRIED); do sed -n "/^$$name==/,/[^\\]$$/p" requirements.lock; done)
	rm -rf $(WHEELS)/bin $(WHEELS)/share $(WHEELS)/etc
	find $(WHEELS) -name __pycache__ -prune -exec rm -rf {} +
	@compiled=$$(find $(WHEELS) -name '*.so' -o -name '*.pyd'); [ -z "$$compiled" ] || { echo "compiled: $$compiled"; exit 1; }
	@touch $@

gpu-wheels: $(WHEELS)/.ready  ## collect in .gpu-wheels what a machine with a GPU needs besides its own packages
	@du -sh $(WHEELS)

gpu:  ## test and time on this machine's GPU, in at most 8 min, with this machine's Python: make gpu ARGS="minutes=8"
	@PYTHONPATH=src:$(WHEELS) $(PYTHON) src/gpu.py $(ARGS)

menu: setup  ## list every choice, and put the list into conf/README.md
	@$(PY) src/menu.py write=conf/README.md && $(PY) src/menu.py

clean:  ## remove the environments and caches; runs stay
	rm -rf .venv .peers .tools .gpu-wheels .mypy_cache .ruff_cache .pytest_cache
