# Every recipe uses relative paths, so that a checkout may lie in a folder with a space in its name.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PY := .venv/bin/python
# Stamps tell what was installed, and where: an environment holds absolute paths, so a checkout that
# has moved needs a new one.
RUN := .venv/.installed
DEV := .venv/.installed-dev
ifneq ($(shell cat $(RUN) 2>/dev/null),$(shell pwd -P))
.PHONY: $(RUN)
endif

# Somebody else's activated environment, user site or pip defaults must not leak into ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV
export PYTHONNOUSERSITE := 1
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo docs test check lint format matrix fuzz audit scale e2e browser chaos bench lock clean

help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

install: $(RUN) ## Make .venv with what the orchestrator needs to run

demo: $(RUN) ## Make and remix a first video; ONCE=1 ends after it, else Ctrl-C
	@$(PY) -m orchestrator demo $(if $(filter 1,$(ONCE)),--once)

test: $(DEV) ## Run the unit, integration and contract tests
	@$(PY) -m pytest -q -n logical --maxprocesses 8 -m "not matrix and not scale" tests/unit tests/integration tests/contract

matrix: $(DEV) ## Run every provider profile through every fault
	@$(PY) -m pytest -q -n logical --maxprocesses 8 -m matrix tests/contract

scale: $(DEV) ## Look at the plans of all queries over a million rows
	@$(PY) -m pytest -q -m scale tests/integration

fuzz: $(DEV) ## Draw requests from the OpenAPI document; SEED=7 for others, EXAMPLES=200 for more
	@FUZZ_SEED=$(or $(SEED),1) FUZZ_EXAMPLES=$(or $(EXAMPLES),20) \
		$(PY) -m pytest -q -n logical --maxprocesses 8 -p schemathesis.pytest.plugin tests/fuzz

audit: $(DEV) ## Look all pinned packages up in a database of vulnerabilities
	@$(PY) .ci/audit.py

check: lint test ## Run lint, types, import rules and the tests: the gate

lint: $(DEV) ## Run lint, types and import rules only
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command as run; run()' --no-logo
	@DENO_DIR=.deno_cache DENO_NO_UPDATE_CHECK=1 $(PY) -m deno check --quiet api/static/dashboard

format: $(DEV) ## Format the code and repair what lint can repair
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

e2e: $(DEV) ## Run the tests that start real processes
	@$(PY) -m pytest -q tests/e2e

browser: $(DEV) ## Use the dashboard in Chromium; PICTURES=1 renews docs/images
	@$(PY) -m pytest -q -n 2 tests/browser $(if $(filter 1,$(PICTURES)),--pictures)

chaos: $(DEV) ## Kill and disturb a whole installation; SEEDS=1,2,3 for more runs
	@$(PY) -m pytest -q -n 2 --dist loadgroup tests/chaos $(if $(SEEDS),--chaos-seeds $(SEEDS))

docs: $(DEV) ## Make a site of all pages in site/, which needs no network
	@rm -rf site
	@$(PY) -m sphinx -q -W --keep-going -n -b html -c docs . site
	@echo "site/index.html"

bench: $(RUN) ## Measure speed; FULL=1 full size and peers, ONLY="submit reads", KEEP=1 for bench/results
	@$(PY) -m bench $(ONLY) $(if $(filter 1,$(FULL)),--full) $(if $(filter 1,$(KEEP)),--out bench/results)

lock: $(RUN) ## Renew both lock files after a change of pyproject.toml; UPGRADE=1 for newest
	@sh .ci/lock

clean: ## Remove the environment and caches; the data in .orchestrator and out stay
	rm -rf .venv dist build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .deno_cache .hypothesis .coverage .coverage.*

# pip runs only when what it would install has changed. A package that left the lock stays behind in
# an old environment; `make clean` gets rid of it.
$(RUN): requirements.lock pyproject.toml
	@sh .ci/venv
	@echo "Installing what the orchestrator needs (the first time a minute)"
	@sh .ci/install requirements.lock
	@$(PY) -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .
	@pwd -P > $(RUN)

$(DEV): $(RUN) requirements-dev.lock
	@echo "Installing what the tests need (the first time a minute)"
	@sh .ci/install requirements-dev.lock
	@touch $(DEV)
