# Every task a person runs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON3 ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
export PYTHONDONTWRITEBYTECODE ?= 1
# They mostly wait, so more of them than processors; too many, and those that measure time fail.
INTEGRATION_PROCESSES ?= 4
E2E_PROCESSES ?= 3

.PHONY: help venv lock lint fmt typecheck generate check-generated unit integration conformance e2e static test demo bench lock-peers bench-cluster

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

COMPILE = $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

lock: venv ## write requirements/*.txt anew from pyproject.toml
	@for target in operator sidecar; do $(COMPILE) pyproject.toml --extra $$target -o requirements/$$target.txt; done
	@$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(COMPILE) - -o requirements/build.txt

fmt: venv ## format the code
	@$(VENV)/bin/ruff check -q --fix . && $(VENV)/bin/ruff format -q .

lint: venv ## ruff, import contracts
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/lint-imports

typecheck: venv ## strict mypy
	@$(VENV)/bin/mypy

generate: venv ## write the CRDs and the reference pages anew from the code
	@$(PYTHON) -m fairlead_api
	@$(PYTHON) docs/generate.py

check-generated: venv ## fail when a generated file is stale
	@$(PYTHON) -m fairlead_api --check
	@$(PYTHON) docs/generate.py --check

unit: venv ## fast tests without a network
	@$(PYTHON) -m pytest tests/unit

integration: venv ## the sidecar and `fairlead serve` against a real private sshd
	@$(PYTHON) -m tests.cluster ssh-packages
	@$(PYTHON) -m pytest tests/integration -n $(INTEGRATION_PROCESSES)

NPM_LOCK := tests/conformance/package-lock.json
NPM_CACHE = $${XDG_CACHE_HOME:-$$HOME/.cache}/fairlead/npm-$$(sha256sum $(NPM_LOCK) | cut -c1-16)

conformance: venv ## the official MCP conformance suite, both protocol eras
	@$(PYTHON) -m tests.cluster ssh-packages
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js (any version; the suite brings its own)"; exit 1; }
	@cache="$(NPM_CACHE)"; if [ ! -e "$$cache/.installed" ]; then \
	  echo "==> conformance suite in $$cache (from $(NPM_LOCK))"; \
	  mkdir -p "$$cache" && cp $(NPM_LOCK) tests/conformance/package.json "$$cache" && \
	  npm ci --prefix "$$cache" --ignore-scripts --no-audit --no-fund --loglevel=error && touch "$$cache/.installed"; fi
	@FAIRLEAD_NODE_MODULES="$(NPM_CACHE)/node_modules" $(PYTHON) -m pytest tests/conformance -n 3

e2e: cluster images ## the whole path on the real cluster
	@failed=""; \
	$(PYTHON) -m pytest tests/e2e -m "not alone" -n $(E2E_PROCESSES) --dist loadfile || failed=yes; \
	$(PYTHON) -m pytest tests/e2e -m alone || failed=yes; \
	test -z "$$failed"

static: lint typecheck check-generated ## static checks and generated files

test: venv ## everything, as CI runs it: static checks, unit, integration, conformance, end to end
	@stages="static unit integration conformance"; \
	if [ "$$($(MAKE) --no-print-directory -s cluster-choice)" = own ]; then stages="$$stages cluster-test"; fi; \
	failed=""; for stage in $$stages e2e; do $(MAKE) --no-print-directory $$stage || failed="$$failed $$stage"; done; \
	if [ -n "$${CI:-}" ]; then $(MAKE) --no-print-directory cluster-down || failed="$$failed cluster-down"; fi; \
	if [ -n "$$failed" ]; then echo "==> failed:$$failed"; exit 1; fi

demo: venv ## from nothing to an agent's first command, through the Ingress of a real cluster
	@$(PYTHON) -m tests.demo

bench: venv ## Fairlead beside its limits and its peers from PyPI and npm, in one run (20 minutes)
	@$(PYTHON) -m tests.cluster ssh-packages
	@$(PYTHON) -m benchmarks

PEER_LOCKS = benchmarks/peers/locks

UPSTREAM_LOCKS = tests/upstreams/locks

lock-peers: venv ## lock anew what the benchmarks' peers and the tests' upstream servers depend on
	@$(COMPILE) $(UPSTREAM_LOCKS)/python.in -o $(UPSTREAM_LOCKS)/python.txt
	@$(COMPILE) tests/cluster/images/sshhost/requirements.in -o tests/cluster/images/sshhost/requirements.txt
	@cd $(UPSTREAM_LOCKS)/npm && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund
	@for peer in mcp-remote-ssh m2m; do $(COMPILE) $(PEER_LOCKS)/$$peer.in -o $(PEER_LOCKS)/$$peer.txt; done
	@for peer in ssh-mcp mcp-ssh-manager; do \
	  (cd $(PEER_LOCKS)/$$peer && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund); done

bench-cluster: cluster images ## time to Ready, time to revoke, CPU per pod, on the real cluster
	@$(PYTHON) -m benchmarks cluster

include tests/cluster/cluster.mk
