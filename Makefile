# Each target sets up what it needs: a machine with Python 3.11 (or later) and make is enough.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo try demo-cluster dev test e2e cluster-up cluster-down cluster-status images check format chaos bench bench-page bench-queue real schema manifests model lock clean

help: ## Show the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 16

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) hack/require_python.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## Make .venv with everything the other targets need

demo: $(STAMP) ## Real speech through a real queue and a real model, on this machine alone
	$(BIN)/whisperfleet demo

TRY = $(if $(MODEL),--model $(MODEL)) $(if $(LANGUAGE),--language $(LANGUAGE))
try: $(STAMP) ## The words of a recording of yours, by real weights, on this machine alone: FILE=my.ogg
	@$(BIN)/python -m hack.try_it $(TRY) $(if $(FILE),"$(FILE)")

demo-cluster: $(STAMP) ## The same on a Kubernetes cluster made for it: apply, XADD, words, zero pods (root); DEMO=--keep
	$(BIN)/python -m hack.demo_cluster $(DEMO)

KUBECTL ?= kubectl
dev: $(STAMP) ## The operator on this machine, for the cluster of KUBECONFIG; DEV="--namespaces=team-a --log-level=debug"
	$(KUBECTL) apply --server-side --force-conflicts -f crds
	$(KUBECTL) wait --for=condition=Established -f crds --timeout=60s
	exec $(BIN)/whisperfleet-operator --http-port=0 $(DEV)

COVERED = $(BIN)/python -m slipcover --source inference/whisperfleet,operator/whisperfleet_operator --json --out build/coverage.json
test: $(STAMP) ## Run the tests, and say which lines of the product they ran
	@mkdir -p build
	@# Three at a time on two cores: many tests wait for a server or a time-out.
	$(COVERED) -m pytest -n 3 --dist worksteal --durations=20 -m "not cluster" $(TESTS)
	@$(BIN)/python -m hack.coverage build/coverage.json

E2E = $(BIN)/python -m pytest --durations=25 -o timeout_func_only=true
e2e: $(STAMP) ## Run the tests that need a Kubernetes cluster, on one that is given or on one made for them
	@# First what can share the cluster, then one by one what needs it for itself.
	$(E2E) -n 4 --dist loadgroup --no-loadscope-reorder -m "cluster and not alone" $(or $(TESTS),tests/e2e) || [ $$? = 5 ]
	$(E2E) -m "cluster and alone" $(or $(TESTS),tests/e2e) || [ $$? = 5 ]

cluster-up: ## A Kubernetes cluster with KEDA on this machine; the first time builds both (root)
	$(PYTHON) -m hack.testbed up

cluster-down: ## Take it away again: nothing is left but the built programs in the cache
	$(PYTHON) -m hack.testbed down

cluster-status: ## A line for each of its components
	$(PYTHON) -m hack.testbed status

images: $(STAMP) ## Build the images without Docker and without a registry, and say what fills them
	$(BIN)/python -m hack.images

check: $(STAMP) ## Check format, lint, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy -p hack.bench -p hack.chaos -p hack.demo_cluster -p hack.images -p hack.random_model -p hack.real -p hack.testbed -m hack.cache -m hack.coverage -m hack.evaluation -m hack.manifests -m hack.null_worker -m hack.process_tree -m hack.proxy -m hack.table -m hack.try_it
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

JOBS ?= 2000
SEED ?= 1
chaos: $(STAMP) ## Random faults over workers and servers, nothing may be lost or seen twice: CHAOS="--only fail-over --mix healthy"
	$(BIN)/python -m hack.chaos --jobs $(JOBS) --seed $(SEED) $(CHAOS)

bench: $(STAMP) ## Recognition against faster-whisper on the same audio by turns; long: BENCH="--only real"
	@# Where there is no network either, the bench takes the system's cuBLAS or names what is missing.
	@if nvidia-smi >/dev/null 2>&1; then \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/cuda.txt \
	    || echo "cuBLAS could not be installed from requirements/cuda.txt"; \
	fi
	$(BIN)/python -m hack.bench.recognition $(BENCH)

FIGURES ?= docs/recognition.json docs/recognition-real.json
bench-page: $(STAMP) ## Figures of make bench into docs/benchmarks.md: FIGURES="docs/recognition.json ..."
	$(BIN)/python -m hack.bench.page docs/benchmarks.md $(FIGURES)

bench-queue: $(STAMP) ## The queue with an engine that takes no time, beside its calls of Redis alone
	$(BIN)/python -m hack.bench

real: $(STAMP) ## Real weights on real speech beside faster-whisper; hours of CPU: REAL=--quick takes minutes
	$(BIN)/python -m hack.real $(REAL)

schema: $(STAMP) ## Write the JSON Schemas of the wire contract into docs/schema, the CRD into crds and the chart, and the pages of both references
	$(BIN)/python -m whisperfleet.contract.schema docs/schema
	$(BIN)/python -m whisperfleet_operator.resource.crd crds
	$(BIN)/python -m whisperfleet_operator.resource.reference docs
	$(BIN)/python -m whisperfleet.settings.reference docs
	$(BIN)/python -m whisperfleet_operator.resource.crd charts/whisperfleet/files

manifests: $(STAMP) ## Write operator/manifests from the chart, for those who do without Helm; needs helm, the testbed's or another
	$(BIN)/python -m hack.manifests

model: ## Train the demo model anew: an hour and a half on two cores; needs espeak-ng and flite
	$(PYTHON) -m venv build/model
	build/model/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r hack/demo_model/requirements.txt
	build/model/bin/python -m hack.demo_model all

lock: $(STAMP) ## Pin every dependency with its hashes, without the addresses of a registry
	$(BIN)/python hack/lock.py

clean: ## Remove the virtual environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
