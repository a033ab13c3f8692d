# Every target works on a fresh machine with Python 3.11, make and git: the environment is made
# from uv.lock on first use, inside this directory (.tools/, .venv/), and nothing else is touched.

PYTHON ?= python3
BIN := .venv/bin
UV := .tools/uv

# Behind a company's own certificate authority the system's certificates are the right ones.
export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export UV_COMPILE_BYTECODE := 1
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
ifeq ($(shell test -w "$$HOME" && echo yes),)
export UV_CACHE_DIR := $(CURDIR)/.tools/cache
endif

SYNC := $(UV) sync --frozen --quiet --python $(PYTHON)
PYTEST := $(BIN)/pytest -rs -n 2 --dist worksteal

.PHONY: help demo demo-tunnel demo-live test lint bench docs captures recordings clients clean

help:
	@echo 'make demo      how the connections of the example capture died, then the dashboard, filled, with a tunnel that works'
	@echo 'make demo-tunnel  a tunnel from its beginning to its end, on this machine'
	@echo 'make demo-live  connections cut by a middlebox, a sensor that watches them, and the answer beside the truth (root on Linux)'
	@echo 'make test      the whole test suite'
	@echo 'make lint      format, lint, types, import layers'
	@echo 'make bench     speed and memory, beside other tools where they are installed'
	@echo 'make docs      write the generated pages of docs/, and a site of all of them (docs/_build)'
	@echo 'make clients   bring what the tests of the official clients and of the pages need (Node.js for the TypeScript SDK and axe-core)'
	@echo 'make captures  make the captures of captures/ again (root on Linux)'
	@echo 'make recordings  record what cloudflared says again (root on Linux, HALFOPEN_CLOUDFLARED)'
	@echo 'make clean     remove the environment'

demo: .venv/.runtime
	@$(BIN)/python scripts/demo.py

demo-tunnel: .venv/.runtime
	@$(BIN)/python scripts/demo_tunnel.py

demo-live: .venv/.dev
	@$(BIN)/python scripts/demo_live.py

test: .venv/.dev
	$(PYTEST) $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	MYPYPATH=benchmarks:captures:scripts:. $(BIN)/mypy scripts benchmarks captures
	$(BIN)/lint-imports

bench: .venv/.dev
	PYTHONPATH=. $(BIN)/python benchmarks/run.py $(ARGS)

docs: .venv/.dev
	$(BIN)/python scripts/make_docs.py
	$(BIN)/python -m sphinx -W --keep-going -q -c docs . docs/_build
	@echo 'docs/_build/docs/index.html'

captures: .venv/.dev
	$(BIN)/python captures/make.py $(ARGS)

recordings: .venv/.dev
	$(BIN)/python -m tests.tunnelwire.recording.record $(ARGS)

# Not part of the environment: without them their tests are skipped.
clients:
	@$(PYTHON) scripts/sdk_tests.py
	@npm ci --prefix tests/typescript --no-audit --no-fund --loglevel error
	@npm ci --prefix tests/dashboard --no-audit --no-fund --loglevel error

clean:
	rm -rf .venv .tools docs/_build tests/typescript/node_modules tests/dashboard/node_modules .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache

$(UV): uv.lock scripts/bootstrap.py
	@$(PYTHON) scripts/bootstrap.py

# The second stamp waits for the first, so two syncs never meet in one make.
.venv/.runtime: $(UV) pyproject.toml
	@echo 'Making the environment in .venv from uv.lock (once) ...'
	@$(SYNC) --no-dev --inexact
	@touch $@

.venv/.dev: .venv/.runtime
	@echo 'Adding the tools for development to .venv (once) ...'
	@$(SYNC)
	@touch $@
