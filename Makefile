# Two commands matter: `make run` boots the deployment on this machine, `make test` proves that it works.
# Everything they need is set up on the way: a virtual environment, PostgreSQL, Node.js and Directus.

PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3,$(shell $(name) -c \
	'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help run test slow image-test bench rehearse check format docs lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

run: $(INSTALLED) ## Boot the deployment in this folder: embedded PostgreSQL, real Directus; ARGS="--once --fresh"
	@$(BIN)/directus-supervisor dev $(ARGS)

test: $(INSTALLED) ## Run every test, with real PostgreSQL clusters and the real Directus; ARGS for pytest
	$(BIN)/pytest --numprocesses 3 --dist worksteal $(ARGS)

slow: $(INSTALLED) ## Run what takes long: chaos, ten replicas, schema modes, the rehearsed build; about 30 minutes
	$(BIN)/pytest tests/slow --numprocesses 2 --dist loadfile --timeout 3600 $(ARGS)

image-test: $(INSTALLED) ## Build the image with podman and run it; BASE_IMAGE for another base than the stand-in
	BASE_IMAGE=$(BASE_IMAGE) scripts/with_containers $(BIN)/pytest tests/image --timeout 1800 $(ARGS)

bench: $(INSTALLED) ## Measure side by side with the bash flow, pm2-runtime and tini; needs a quiet machine, 15 minutes
	$(BIN)/python -m benchmarks.supervision $(ARGS)
	$(BIN)/python -m benchmarks.boot
	$(BIN)/python -m benchmarks.sql
	$(BIN)/python -m benchmarks.health
	$(BIN)/python -m benchmarks.log_cost
	$(BIN)/python -m benchmarks.explain
	$(BIN)/python benchmarks/exec_footprint.py

rehearse: $(INSTALLED) ## Run the steps of the build workflow with podman on a real PostgreSQL; ARGS="--fault misplaced-sql"
	scripts/with_containers $(BIN)/python -m scripts.rehearse_build $(ARGS)

check: $(INSTALLED) ## Format, lint, types, and generated documents
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/generate_docs.py --check

format: $(INSTALLED) ## Format and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(INSTALLED) ## Write what is generated from the code: reference documents, docker/.env.example, the workflow's copy
	$(BIN)/python scripts/generate_docs.py

lock: $(INSTALLED) ## Pin and hash the dependencies anew
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade pyproject.toml --extra check -c requirements.lock -o requirements-check.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade pyproject.toml --extra check --extra dev --extra otel --group build --group test --group lint -c requirements.lock -c requirements-check.lock -o requirements-dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group build -c requirements-dev.lock -o requirements-build.lock

clean: ## Remove the virtual environment and all caches of this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(INSTALLED): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
