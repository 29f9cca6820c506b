# The map of the house. `make help` lists the verbs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench drill sim lock clean

help: ## list the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml requirements.lock
ifneq ($(UV),)
	@test -d $(VENV) || $(UV) venv --quiet --python $(PYTHON) $(VENV)
	@$(UV) pip install --quiet --python $(BIN)/python -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps -e .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once, about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
endif
	@touch $@

install: $(STAMP) ## everything into .venv, nothing else

demo: $(STAMP) ## phones, simulated WeChat and QQ, the gateway and the console; AGENT_URL=… MODEL=… talks to a real model
	@AGENT_URL="$(AGENT_URL)" MODEL="$(MODEL)" AGENT_KEY="$(AGENT_KEY)" $(BIN)/yizhan demo

test: $(STAMP) ## every test (browser and npm tests are skipped, by name, where the program is missing)
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(STAMP) ## format, lint, types
	@$(BIN)/ruff format --check src tests benchmarks drill
	@$(BIN)/ruff check src tests benchmarks drill
	@$(BIN)/mypy

bench: $(STAMP) ## the figures we promise, each with its target (FULL=1 measures longer)
	@FULL="$(FULL)" $(BIN)/python -m benchmarks

drill: $(STAMP) ## plant known bugs, one at a time, and see the suite kill each; ONLY=name plants one
	@$(BIN)/python -m drill $(ONLY)

sim: $(STAMP) ## whole worlds from seeds: SEED=7 repeats one (EVERY=1 with all crashes), N=500 or MINUTES=10 runs many, DAYS=7 a bot on QQ for so long
	@cd tests && PYTHONHASHSEED=0 $(abspath $(BIN))/python -m simulation $(if $(SEED),--seed $(SEED)) \
		$(if $(N),--n $(N)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(EVERY),--every) $(if $(TOLD),--told) $(if $(DAYS),--days $(DAYS))

lock: ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --group dev pyproject.toml -o requirements.lock --no-header --no-annotate --quiet

clean: ## remove what make has made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
