# Every target sets up what it needs and can be repeated. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV := $(shell command -v uv 2>/dev/null || echo .build/uv/bin/uv)
RUN := $(UV) run --frozen --no-sync
PYTEST := $(RUN) pytest
CLUSTER := $(RUN) python -m devcluster
BENCH := $(RUN) python -m tests.bench
WORKERS ?= 2
SLICE ?= 1
POINT ?=
PICK ?=
QUICK ?=

.PHONY: help setup check test faults rights security sbom audit e2e e2e-all demo bench generate compatible up down clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.ready

.venv/.ready: uv.lock pyproject.toml
	@command -v $(UV) >/dev/null || { python3 -m venv .build/uv && .build/uv/bin/pip install --quiet 'uv==0.13.9'; } || \
	  { echo "error: uv is needed: pip install uv (https://docs.astral.sh/uv)" >&2; exit 2; }
	@$(UV) sync --frozen --quiet
	@touch $@

check: setup ## format, lint, types, import contracts, unit and golden tests, generated files (no cluster)
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) mypy devcluster/*.py devcluster/images/*.py
	$(RUN) lint-imports
	$(RUN) python -m airflow_operator.crdgen --check
	$(RUN) python -m airflow_operator.installgen --check
	$(RUN) python -m airflow_operator.docgen --check
	$(PYTEST) -n $(WORKERS) tests

test: check ## check, and the integration tests on a real etcd, kube-apiserver (1.37, and 1.30 for the CRDs) and PostgreSQL
	$(CLUSTER) build control-plane kubernetes-1.30
	$(PYTEST) -n $(WORKERS) -m integration --durations=10 tests

faults: setup ## the operator killed, refused and misled at each of its requests; SLICE=4 runs every fourth point, POINT=create-017-after one, PICK="crash or stale" two of the sweeps
	$(CLUSTER) build control-plane
	FAULTS_SLICE=$(SLICE) FAULTS_POINT='$(POINT)' $(PYTEST) -n 0 -m faults $(if $(PICK)$(POINT),-k "$(or $(PICK),sweep)") --durations=10 \
		-o log_cli=true -o log_cli_level=INFO tests/faults

rights: setup ## the scenarios of `make test` once more, with the rights of each of the two other installs
	$(CLUSTER) build control-plane
	INSTALL=opt-in $(PYTEST) -n $(WORKERS) -m integration --durations=10 tests/integration -k scenario
	INSTALL=single-namespace $(PYTEST) -n $(WORKERS) -m integration --durations=10 tests/integration -k scenario

security: setup ## proofs of what stays apart and stays secret, on a real etcd and kube-apiserver
	$(CLUSTER) build control-plane
	$(PYTEST) -n $(WORKERS) -m security $(if $(PICK),-k "$(PICK)") --durations=10 tests/security
	$(PYTEST) -n 0 -q tests/unit/runtime/test_health.py

sbom: setup ## the components of the operator's image as CycloneDX: dist/sbom.cdx.json
	@mkdir -p dist
	$(UV) export --frozen --no-dev --quiet --format cyclonedx1.5 --preview-features sbom-export -o dist/sbom.cdx.json

audit: setup ## known vulnerabilities of every dependency; passes where their database cannot be reached
	$(RUN) python -m tests.security.audit

e2e: setup ## real Airflow on a real cluster: the demo and the core of the end-to-end tests
	$(PYTEST) -m cluster_down tests/devcluster
	$(RUN) python -m tests.e2e.prepare
	$(PYTEST) -m "cluster or e2e" --durations=10 --timeout=1500 tests

e2e-all: e2e ## every end-to-end test, and the Jobs' scripts in every version of Airflow that can be had
	$(PYTEST) -m "airflow or e2e_all" --durations=10 --timeout=1500 tests

demo: setup ## from nothing to a finished DAG run on a cluster that stays up
	$(RUN) python -m tests.e2e.demo

bench: setup ## what the operator costs, figure by figure, in 50 minutes on a quiet machine: dist/bench; QUICK=1 only shows that the scripts run
	$(CLUSTER) build control-plane
	$(BENCH).throughput $(if $(QUICK),2 1,100 5) --json dist/bench/throughput.json
	$(if $(QUICK),,$(BENCH).throughput 1000 1 --without-kubectl --json dist/bench/throughput-large.json)
	$(BENCH).latency $(if $(QUICK),3,60) --json dist/bench/latency.json
	$(BENCH).limits $(if $(QUICK),3 --storm 2,30) --json dist/bench/limits.json
	$(BENCH).memory $(if $(QUICK),120 --clusters 3,20000) --json dist/bench/memory.json
	$(BENCH).fleet $(if $(QUICK),3 --changes 3 --idle 2,1000) --json dist/bench/fleet.json
	$(if $(QUICK),,$(BENCH).critical_path $(ROUNDS) --json dist/bench/critical-path.json)

up: setup ## a Kubernetes cluster for development, with all images
	$(RUN) python -m tests.e2e.prepare

down: setup ## remove that cluster without a trace
	$(CLUSTER) down

generate: setup ## write crds/, the install manifests and the API reference anew
	$(RUN) python -m airflow_operator.crdgen
	$(RUN) python -m airflow_operator.installgen
	$(RUN) python -m airflow_operator.docgen
	$(RUN) python -m tests.golden.regenerate

compatible: setup ## what crds/ refuses, drops or reads otherwise that the release SINCE=TAG took
	@test -n "$(SINCE)" || { echo "error: say SINCE=TAG, such as SINCE=v0.1.0" >&2; exit 2; }
	@rm -rf .build/released && mkdir -p .build/released
	git archive $(SINCE) crds | tar -x -C .build/released
	$(RUN) python -m airflow_operator.crdgen.compatibility .build/released/crds crds

clean: down ## the same, and the virtual environment and build output too
	rm -rf .venv .build dist
