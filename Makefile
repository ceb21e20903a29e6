# Every task a person runs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
export PYTHONDONTWRITEBYTECODE ?= 1

.PHONY: help venv lock lint fmt typecheck generate check-generated unit integration e2e test clean

help: ## list the tasks
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort -u | awk -F ':.*## ' '{printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}'

venv: $(VENV)/.installed ## make the virtual environment from the committed lock

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "==> virtual environment in $(VENV) (from requirements/dev.txt)"
	@command -v $(PYTHON3) >/dev/null || { echo "python3 (3.11 or newer) is missing: install it, or set PYTHON3"; exit 1; }
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON3) is older: set PYTHON3"; exit 1; }
	@test -x $(PYTHON) || $(PYTHON3) -m venv $(VENV) || { echo "the venv module is missing: on Debian, apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: venv ## write requirements/*.txt anew from pyproject.toml
	@for target in operator sidecar; do \
	  $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	    pyproject.toml --extra $$target -o requirements/$$target.txt; done
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	    pyproject.toml --all-extras --group dev -o requirements/dev.txt

fmt: venv ## format the code
	@$(VENV)/bin/ruff check -q --fix . && $(VENV)/bin/ruff format -q .

lint: venv ## ruff, import contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/lint-imports

typecheck: venv ## strict mypy
	@$(VENV)/bin/mypy

generate: venv ## write the CRDs and the reference pages anew from the code
	@$(PYTHON) -m fairlead_api

unit: venv ## fast tests without a network
	@$(PYTHON) -m pytest tests/unit

integration: venv ## the sidecar against a real private sshd
	@$(PYTHON) -m pytest tests/integration

include tests/cluster/cluster.mk
