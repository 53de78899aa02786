# Everything a person or CI does here. `make` alone lists it.

PORT ?= 8000
REWARDS_HOME ?= var
PG15 ?= /usr/lib/postgresql/15/bin
PYTHON ?= python3
# Most tests wait for something most of the time. Those of a file stay together, in order.
TESTS_AT_ONCE ?= 2
SIDE_BY_SIDE = -n $(TESTS_AT_ONCE) --dist loadfile
UV = uv>=0.13,<0.14
BIN = .venv/bin
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -c
.PHONY: help install run test gates test-long test-pg15 bench openapi fmt audit

help: ## List what can be made
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-18s %s\n' "$$name" "$$what"; done

install: .venv/.installed ## Make .venv from the lock; does nothing when nothing changed

.venv/.installed: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check "$(UV)"
	@$(BIN)/uv sync --quiet --locked --python $(BIN)/python
	@touch $@

run: install ## Start the whole sandbox on port 8000 and print how to reach it
	@exec $(BIN)/rewards sandbox --port $(PORT) --home "$(REWARDS_HOME)"

test: gates ## All gates and tests; leaves out what is marked long
	$(BIN)/pytest -m "not long" $(SIDE_BY_SIDE) $(ARGS)

gates: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test-long: install ## The tests with the full figures (about an hour)
	$(BIN)/pytest -m long --timeout 3600 $(SIDE_BY_SIDE) $(ARGS)

test-pg15: install ## The tests on a throw-away cluster of Debian's PostgreSQL 15
	$(BIN)/python -m tests.other_postgres "$(PG15)" -m "not long" $(SIDE_BY_SIDE) $(ARGS)

bench: install ## Measure, and print ratios
	$(BIN)/python -m benchmarks $(ARGS)

openapi: install ## Write the OpenAPI documents to docs/
	$(BIN)/rewards openapi > docs/openapi.json
	$(BIN)/rewards openapi --staff > docs/admin-openapi.json

fmt: install ## Format and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

audit: install ## Look the locked packages up in the list of known vulnerabilities
	@$(BIN)/uv export --quiet --locked --all-extras --no-emit-project --format requirements-txt > .venv/locked.txt
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r .venv/locked.txt
