# One command to rebuild the demo swaps, one to test. `make help` lists all.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DO_NOT_TRACK := 1
export DVC_NO_ANALYTICS := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0
# Every stage is a process: where compiled modules are not kept, each compiles thousands anew.
unexport PYTHONDONTWRITEBYTECODE
# A worker for each core, to which whole files are given in the order of tests/conftest.py.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help setup swap test test-fast lint bench ui lock occlusion clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 11

setup: .venv/.installed  ## create .venv and install the locked versions

# uv installs in seconds what takes pip minutes. It does not read pip's settings, so that
# the places where pip looks for packages are handed over; where uv cannot, pip does it.
.venv/.installed: requirements.lock pyproject.toml scripts/setup.py
	$(PYTHON) scripts/setup.py
	@touch $@

swap: setup  ## fetch weights and demo footage, rebuild every swap, print what ran
	@$(BIN)/likeness fetch --demo
	@$(BIN)/likeness swap

lint: setup  ## ruff, mypy strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint  ## lint, types, import contracts and all tests
	@$(BIN)/likeness fetch
	$(BIN)/pytest $(PARALLEL)

test-fast: setup  ## import contracts, units and properties
	$(BIN)/lint-imports
	@$(BIN)/likeness fetch
	$(BIN)/pytest $(PARALLEL) -m "not slow" tests/unit tests/graph

bench: setup  ## speed and memory beside named baselines; ONLY=blend runs one part
	@$(BIN)/likeness fetch
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

ui: setup  ## Prefect server with this project's deployments on 127.0.0.1
	@$(BIN)/likeness ui

lock: setup  ## write requirements.lock from pyproject.toml
	$(PYTHON) scripts/lock.py

occlusion: setup  ## teach the shipped network of occlusions anew, after `make swap` (8 minutes)
	$(BIN)/python -m tasks.occlusion --params models/analysers/shipped/occlusion.yaml \
	  --crops data/crops --weights reports/occlusion.safetensors --record reports/occlusion.json

clean:  ## remove outputs, caches and resume state; footage, weights, metrics and .venv stay
	rm -rf data/code data/packs data/crops data/rosters data/manifests data/models reports
	[ ! -d data/swaps ] || find data/swaps -type f -not -name metrics.json -delete
	find data/shards data/traces data/probes data/appearance -type f -not -name .gitkeep -delete
	rm -rf .likeness/training .likeness/trials .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find data/clips -name '*.parquet' -delete -o -name aligned.json -delete
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
