# Everything runs in .venv, which is made from hashed lock files and made again only when those change.
# It is compiled to bytecode there and then: a cold run would compile for as long as it works.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Tests for which something has to be installed beside.
POSTGRES := tests/ledgers/test_postgres.py tests/ledgers/test_shared_home.py tests/nights/test_two_machines.py
BESIDE := $(POSTGRES) tests/tasks/training/test_private_network.py
# A worker for each core and one more, since some wait for servers; each file of tests on one of them,
# the longest first; a worker's numerical libraries take no more than its core. What pytest makes of the
# tests' source is kept, for every worker reads all of it.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -q \
	-n $$(( $$(nproc) + 1 )) --dist loadfile --no-loadscope-reorder \
	$(addprefix --ignore ,$(BESIDE))

# Those that make their own data; the others want a folder of tables, as their docstrings say.
BENCHMARKS := cold many_runs pipeline consent consent_ledger large high_dimensional verification

.DEFAULT_GOAL := help
.PHONY: setup demo test coverage nightly breaks postgres torch lint types silence docs bench lock clean help

$(STAMP): requirements.lock bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "tutela needs Python 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked dependencies into .venv (once; a minute or so)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r bootstrap.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q tutela deployments flows tasks ledgers expectations
	@touch $(STAMP)

setup: $(STAMP) ## set up .venv and no more, for a table of your own
	@echo "Now: source $(BIN)/activate && tutela init"

demo: $(STAMP) ## train the example's model, release its table, and say what happened
	@$(BIN)/tutela init >/dev/null
	@$(BIN)/tutela run diabetes

test: $(STAMP) ## pass all tests that need nothing installed beside
	@$(PYTEST) $(if $(COVERAGE),--cov --cov-report=term) tests

coverage: ## the same tests, and which lines of the code none of them runs
	@$(MAKE) --no-print-directory test COVERAGE=1

nightly: $(STAMP) ## what takes long and guards what a quick test guards too, kills among it (needs Postgres; KILLS=10 SOAK=8 for fewer)
	@$(PYTEST) -n auto -m "nightly or hypothesis" --hypothesis-profile=night tests

breaks: $(STAMP) ## weaken the code in a hundred ways, one after the other: some test must fail each time (hours)
	@$(BIN)/python -m tests.breaks contexts -n auto --dist loadfile $(addprefix --ignore ,$(BESIDE)) tests
	@$(BIN)/python -m tests.breaks run --json .breaks/found.json

postgres: $(STAMP) ## the ledgers, and two machines, on Postgres: starts a server of its own, which must be installed
	@$(BIN)/python -m pytest -q $(POSTGRES)

torch: $(STAMP) ## networks under differential privacy: installs torch and opacus beside, then tests them
	@$(BIN)/python -m pip freeze --exclude-editable 2>/dev/null | grep '==' > .venv/beside.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --constraint .venv/beside.txt --editable '.[torch]'
	@$(BIN)/python -m pytest -q tests/tasks/training/test_private_network.py

lint: $(STAMP) ## style, and imports that point downward only
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports

types: $(STAMP) ## mypy, strict
	@$(BIN)/mypy

silence: $(STAMP) ## a demo with the network cut off: no address but this machine is ever tried (needs root)
	@rm -rf .silence && TUTELA_HOME=.silence/home $(BIN)/python tests/leaks/silence.py -- $(MAKE) --no-print-directory demo && rm -rf .silence

docs: $(STAMP) ## the documents as a site in .site/, which loads nothing from elsewhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict && echo "Open .site/index.html"

bench: $(STAMP) ## how fast it is: a cold run, many runs, the pipeline beside the same work by hand, consent
	@for name in $(BENCHMARKS); do echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done

lock: $(STAMP) ## write the lock files anew: hashes, no addresses
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev pyproject.toml -o requirements.lock
	@echo 'uv==0.13.9' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header - -o bootstrap.lock
	@! grep -n '://' requirements.lock bootstrap.lock

clean: ## remove the environment and caches; the home with its keys and budget stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .breaks .silence .site
	@find . -name __pycache__ -prune -exec rm -rf {} +

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-8s %s\n' "$$name" "$$text"; done
