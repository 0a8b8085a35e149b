# Every recipe uses relative paths, so that a checkout may lie in a folder with a space in its name.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PY := .venv/bin/python
STAMP := .venv/.installed

# Somebody else's activated environment, user site or pip defaults must not leak into ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV
export PYTHONNOUSERSITE := 1
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check lint format e2e lock clean

help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## Make and remix a first video; ONCE=1 ends after it, else Ctrl-C
	@$(PY) -m orchestrator demo $(if $(filter 1,$(ONCE)),--once)

test: $(STAMP) ## Run the unit, integration and contract tests
	@$(PY) -m pytest -q -n logical --maxprocesses 8 tests/unit tests/integration tests/contract

check: lint test ## Run lint, types, import rules and the tests: the gate

lint: $(STAMP) ## Run lint, types and import rules only
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

format: $(STAMP) ## Format the code and repair what lint can repair
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

e2e: $(STAMP) ## Run the tests that start real processes
	@$(PY) -m pytest -q tests/e2e

lock: $(STAMP) ## Choose the newest allowed versions anew and write requirements.lock
	@sh .ci/lock

clean: ## Remove the environment and caches; data in .orchestrator and out stay
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*

# pip runs again only when what it would install has changed, or when the checkout has moved: an
# environment holds absolute paths.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(shell pwd))
.PHONY: $(STAMP)
endif

$(STAMP): requirements.lock pyproject.toml
	@sh .ci/venv
	@echo "Installing the packages of requirements.lock (first time: a minute or two)"
	@$(PY) -m pip install --quiet --progress-bar on --require-hashes --requirement requirements.lock
	@$(PY) -m pip install --quiet --no-deps --no-index --no-build-isolation --editable .
	@pwd > $(STAMP)
