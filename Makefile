# One virtual environment for all papers; a paper is installed the first time that one of its targets is asked for.
# A paper is any folder with a pyproject.toml (shared holds the plotting and logging utilities and is not one).

PYTHON ?= python3
PRESET ?= default
JOBS ?= 2
SCHEDULER ?=
DEVICE ?=

BIN := .venv/bin
PAPERS := $(filter-out shared,$(patsubst %/pyproject.toml,%,$(wildcard */pyproject.toml)))
# A paper without a command line is being built: it has tests, and nothing to reproduce yet.
RUNNABLE := $(filter $(PAPERS),$(foreach cli,$(wildcard */src/*/cli.py),$(firstword $(subst /, ,$(cli)))))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PRECIOUS: .venv/.%
.PHONY: help reproduce-all test-all bench-all report lint clean

help:
	@echo "make reproduce-PAPER   reproduce one paper: figures, tables, a verdict on every claim"
	@echo "                       PRESET=smoke|default|paper  JOBS=2  SCHEDULER=tcp://host:port  DEVICE=cuda"
	@echo "make reproduce-all     reproduce every paper"
	@echo "make test-PAPER        run one paper's tests (test-shared: those of the utilities)"
	@echo "make test-all          run all tests"
	@echo "make bench-PAPER       measure speed against named peers"
	@echo "make report            refresh the index page and the table of papers in README.md"
	@echo "make lint              check style"
	@echo "make clean             remove the virtual environment and caches; results stay"
	@echo
	@echo "papers: $(PAPERS)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed; say which one: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "could not make .venv: install Python's venv module"; exit 2; }

# Papers are installed first and shared last, as a live copy: one pip command for both is refused as a conflict.
.venv/.%: %/pyproject.toml shared/pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing $* (the first time takes a few minutes)"
	$(PIP) install -c constraints.txt -e "./$*[test]"
	$(PIP) install --no-deps -e ./shared
	@touch $@

reproduce-all: $(RUNNABLE:%=reproduce-%)
reproduce-%: .venv/.%
	$(BIN)/$* reproduce --preset $(PRESET) --jobs $(JOBS) \
	  $(if $(SCHEDULER),--scheduler $(SCHEDULER)) $(if $(DEVICE),--device $(DEVICE))

test-all: test-shared $(PAPERS:%=test-%)
test-%: .venv/.%
	cd $* && ../$(BIN)/python -m pytest

bench-all: $(RUNNABLE:%=bench-%)
bench-%: .venv/.%
	$(BIN)/$* bench

report: .venv/.shared
	$(BIN)/python -m repro_shared.report .

lint: .venv/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
.venv/.lint: constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt ruff
	@touch $@

clean:
	rm -rf .venv report
	find . \( -name __pycache__ -o -name .pytest_cache -o -name .ruff_cache \) -prune -exec rm -rf {} +
