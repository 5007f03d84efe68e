# Every target sets up what it needs itself: the virtual environment, the Docker engine, the image.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: # Python packages, pinned by requirements.lock
	@deploy/ensure-venv.sh

.PHONY: engine
engine: # a Docker engine that answers
	@deploy/ensure-engine.sh

.PHONY: image
image: engine venv # the sandbox image
	@$(BIN)/auxot-tools sandbox build

.PHONY: demo
demo: image ## a streaming request with two parallel tool calls, from nothing to the answer
	@$(BIN)/auxot-tools demo

.PHONY: up
up: image ## worker and router that stay up; prints address, key and what to do with them
	@$(BIN)/auxot-tools up

.PHONY: lint
lint: venv ## ruff, mypy, import contracts, generated code, lock file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	proto/generate.sh --check
	$(BIN)/python deploy/check_lock.py

.PHONY: test
test: image ## all tests, with a real Docker engine
	@deploy/ensure-test-tools.sh
	@deploy/ensure-node-example.sh
	$(BIN)/python tests/support/json_schema_suite.py
	$(BIN)/pytest -n 2 --dist loadgroup

.PHONY: test-attacks
test-attacks: image ## every attack through the real worker, and in a weak set-up, where it must break
	$(BIN)/pytest tests/attacks -m attacks

.PHONY: test-chaos
test-chaos: image ## a thousand calls on an engine of their own, while everything is killed at random
	$(BIN)/pytest -s tests/chaos

.PHONY: test-clients
test-clients: venv ## Claude Code, the TypeScript SDK and the Vercel AI SDK, unmodified, against the router
	@deploy/ensure-clients.sh
	$(BIN)/pytest -s -o tmp_path_retention_policy=failed tests/clients

.PHONY: test-mutants
test-mutants: venv ## a broken router for each check of `auxot-tools roundtrip`, which must fail just that one
	$(BIN)/pytest tests/mutants

.PHONY: test-sidecar
test-sidecar: image ## the image of our services, and router and worker in containers of it
	@deploy/ensure-test-tools.sh
	$(BIN)/pytest -s tests/sidecar

.PHONY: test-litellm
test-litellm: image ## our plugin in LiteLLM's real proxy, which is installed into .venv-bench-router
	@deploy/ensure-bench-venv.sh .venv-bench-router requirements-bench-router.lock
	$(BIN)/pytest -s tests/litellm_proxy

.PHONY: roundtrip-litellm
roundtrip-litellm: venv ## the table of `auxot-tools roundtrip` for LiteLLM's proxy
	@deploy/roundtrip-litellm.sh

.PHONY: test-wheel
test-wheel: image ## the wheel, in an empty environment outside of this folder
	deploy/test-wheel.sh

.PHONY: bench
bench: image ## measure the claims; each against a baseline of the same run
	@deploy/ensure-bench-venv.sh .venv-bench-router requirements-bench-router.lock
	@for bench in benchmarks/bench_*.py; do $(BIN)/python -m benchmarks.$$(basename $$bench .py) || exit 1; done

.PHONY: bench-peers
bench-peers: image ## the same calls through other products, which are installed into .venv-bench
	@deploy/ensure-bench-venv.sh .venv-bench requirements-bench.lock && $(BIN)/python -m benchmarks.bench_sandbox --part peers

.PHONY: proto
proto: venv ## make auxot_tools/v1 from proto/
	proto/generate.sh

# Pins stay as they are unless pyproject.toml needs another; `make lock UPGRADE=1` renews them all.
.PHONY: lock
lock: ## make requirements.lock from pyproject.toml
	@[ -x $(BIN)/uv ] || deploy/ensure-venv.sh # not always: the lock may be what keeps it from working
	$(BIN)/uv pip compile pyproject.toml -o requirements.lock --quiet $(if $(UPGRADE),--upgrade) \
	  --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header --no-annotate
	$(BIN)/python deploy/check_lock.py

.PHONY: clean
clean: ## remove what these targets made here: .venv, .state, caches
	rm -rf .venv .venv-bench .venv-bench-router examples/node/node_modules .state dist build .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
