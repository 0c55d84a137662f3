# make repro: the whole pipeline.  make test: every check.  Each sets up .venv when requirements.lock changed.
.DEFAULT_GOAL := help
.PHONY: help repro repro-sample test

VENV := .venv
INSTALLED := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/'

repro: $(INSTALLED) ## run every stage whose inputs, code or params changed
	dvc repro

repro-sample: $(INSTALLED) ## ROOT=<nuScenes folder>: the same on recorded data; rewrites conf/config.yaml and params.yaml
	@test -n "$(ROOT)" || { echo "error: say where the data lies: make repro-sample ROOT=/path/to/nuscenes" >&2; exit 2; }
	calico configure dataset=nuscenes_sample dataset.root="$(ROOT)"
	dvc repro
	@echo "params.yaml describes the sample now; calico configure dataset=embedded goes back"

test: $(INSTALLED) ## lint, types and tests
	ruff check .
	ruff format --check .
	mypy
	pytest

# The first Python that fits, on the PATH before .venv exists.
$(INSTALLED): requirements.lock
	@for python in python3 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; then \
	    echo "installing into $(VENV) with $$($$python --version)"; \
	    $$python -m venv $(VENV) && exit 0 || exit 1; \
	  fi; \
	done; \
	echo "error: Python 3.11 or 3.12 is needed; python3 is $$(python3 --version 2>&1). Install one and put it on the PATH." >&2; exit 2
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@
