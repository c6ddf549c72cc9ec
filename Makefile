# Everything needs only make and Python 3.11 or newer; Apache Kafka also needs Java 17 and Maven.
# ARGS are passed on: make demo ARGS=--stay, make test ARGS="-k split -x".

SHELL := /bin/sh
BIN := .venv/bin
ARGS ?=
EVENTS ?= 1000000
ROUNDS ?= 3
PORT ?= 9092
MINUTES ?= 10
SEEDS ?= 500
# How many processes share the tests, each with brokers of its own; 0 is one that a debugger can stop.
JOBS ?= 2
SHARED = -n $(JOBS) --dist worksteal
COMPILED := .cache/compiled
PEERS := .cache/peers
ACTIONLINT_VERSION := 1.7.12
ACTIONLINT := .cache/actionlint-$(ACTIONLINT_VERSION)/actionlint
# The oldest Go that builds it.
GO_MINOR_MIN := 25
# The first Python that is new enough; name another with PYTHON=.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage check kafka bench bench-peers bench-growth chaos compiled test-compiled fuzz simulate mutants reference schemas state-fixture locks clean python

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

setup: $(BIN)/.installed ## set up .venv with .venv/bin/stockfreeze in it

demo: setup ## watch real orders go through a worker (ARGS=--stay keeps it up)
	@$(BIN)/stockfreeze demo $(ARGS)

test: setup ## run all tests, on Apache Kafka where Java and Maven are, else on the embedded broker
	$(BIN)/python -m pytest $(SHARED) $(ARGS)

coverage: setup ## run all tests, and count the branches of rules and engine that they take; fails below 95 %
	$(BIN)/python -m pytest $(SHARED) --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report
	@$(BIN)/coverage json -q
	@$(BIN)/python -m tests.branches

check: setup ## lint, formatting, types, import contracts, generated files, spelling, workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m schemas.generate --check
	$(BIN)/python -m tests.reference --check
	$(BIN)/typos
	$(BIN)/zizmor --offline --quiet --persona pedantic .github
	@if go env GOVERSION 2>/dev/null | awk -F '[o.]' '{ new = $$3 >= $(GO_MINOR_MIN) } END { exit !new }'; \
		then $(MAKE) -s --no-print-directory $(ACTIONLINT) && echo actionlint && $(ACTIONLINT); \
		else echo "actionlint is skipped: it needs Go 1.$(GO_MINOR_MIN) or newer. CI runs it."; fi

kafka: python ## start Apache Kafka for development at 127.0.0.1:9092 (PORT=), Ctrl-C stops it
	@$(PYTHON) -m deploy.kafka --port $(PORT) $(ARGS)

bench: setup ## measure speed on Apache Kafka and print the table, the core compiled if there is a C compiler
	@if command -v cc >/dev/null; then $(MAKE) --no-print-directory compiled; else echo "no C compiler: the core stays Python"; fi
	PYTHONPATH=$(COMPILED)/site $(BIN)/python -m tests.bench $(ARGS)

bench-peers: setup $(PEERS)/.installed $(PEERS)/.streams ## the same job on Stockfreeze and on its peers, side by side (EVENTS=1000000 ROUNDS=3)
	@if command -v cc >/dev/null; then $(MAKE) --no-print-directory compiled; else echo "no C compiler: the core stays Python"; fi
	PYTHONPATH=$(COMPILED)/site $(BIN)/python -m tests.bench.peers --events $(EVENTS) --rounds $(ROUNDS) $(ARGS)

chaos: setup ## kill, freeze and cut off brokers and workers under load, then judge (MINUTES=10, ARGS="--seed 2 --json")
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) $(ARGS)

bench-growth: setup $(PEERS)/.installed ## how the cost of an event grows with everything it could; draws docs/growth.png (ARGS=--quick)
	@if command -v cc >/dev/null; then $(MAKE) --no-print-directory compiled; else echo "no C compiler: the core stays Python"; fi
	PYTHONSAFEPATH=1 PYTHONPATH=$(COMPILED)/site:. $(BIN)/python -m tests.bench.growth --output $(PEERS)/growth.json $(ARGS); code=$$?; \
		$(PEERS)/bin/python -m tests.bench.growth.plot $(PEERS)/growth.json docs/growth.png && exit $$code

compiled: $(COMPILED)/.built ## compile rules, codec and merge from the same source, beside the package (needs a C compiler)

test-compiled: compiled ## hold the compiled core against the model and all examples, and kill workers that run it
	rm -rf $(COMPILED)/site/tests $(COMPILED)/site/deploy && cp -r tests deploy pyproject.toml $(COMPILED)/site/
	cp -r schemas/examples schemas/README.md $(COMPILED)/site/schemas/
	PYTHONPATH=$(COMPILED)/site $(BIN)/python -P -c "import worker.domain.ledger as rules; assert not rules.__file__.endswith('.py')"
	cd $(COMPILED)/site && PYTHONPATH=$(CURDIR)/$(COMPILED)/site ../../../$(BIN)/python -m pytest -p no:cacheprovider $(SHARED) \
		tests/property tests/examples tests/unit/domain tests/unit/processors tests/unit/verification tests/unit/schemas tests/unit/stream tests/unit/ops tests/e2e/test_crashes.py $(ARGS)

fuzz: $(BIN)/.fuzz ## attack the decoder and whole partitions with made-up records, steered by coverage (MINUTES=10, Linux)
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES) $(ARGS)

simulate: setup ## try to refute exactly-once: engines in simulated worlds where everything fails (SEEDS=500)
	@$(BIN)/python -m tests.simulator --seeds $(SEEDS) $(ARGS)

mutants: setup ## break the engine on purpose, and show which seed of the simulation finds it
	@$(BIN)/python -m tests.simulator.mutants $(ARGS)

reference: setup ## write the pages of docs/reference from the code
	$(BIN)/python -m tests.reference

schemas: setup ## write the JSON Schemas and asyncapi.yaml anew
	$(BIN)/python -m schemas.generate

state-fixture: setup ## write the records that the encoding of the state is held against anew
	PYTHONHASHSEED=0 $(BIN)/python -m tests.state_fixture

locks: ## pin the dependencies of pyproject.toml anew (needs uv)
	uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra demo --group dev -o requirements.lock
	uv pip compile pyproject.toml -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group build -c requirements.lock -o requirements-run.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group pyproject.toml:compile -c requirements.lock -o requirements-compile.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group pyproject.toml:peers -o requirements-peers.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group pyproject.toml:fuzz -o requirements-fuzz.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group pyproject.toml:go -o requirements-go.lock

clean: ## remove .venv, the caches and the data of make kafka
	rm -rf .venv .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info

python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3" >&2; exit 2; }

# Each stamp is written last, so that what was interrupted is done again. Everything comes from the lock, by its hashes.
$(BIN)/.locked: requirements.lock | python
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes --no-deps -r requirements.lock
	@touch $@

$(BIN)/.installed: pyproject.toml $(BIN)/.locked
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-index --no-build-isolation -e .
	@touch $@

$(BIN)/.fuzz: requirements-fuzz.lock $(BIN)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes --no-deps -r requirements-fuzz.lock
	@touch $@

$(COMPILED)/.built: $(wildcard schemas/*.py worker/*/*.py worker/*/*/*.py) setup.py $(BIN)/.installed
	rm -rf $(COMPILED)
	COMPILE_CORE=1 $(BIN)/python -m pip wheel --disable-pip-version-check -q --no-deps --no-index --no-build-isolation \
		-w $(COMPILED)/dist .
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-index --target $(COMPILED)/site $(COMPILED)/dist/*.whl
	rm -rf build
	@touch $@

$(PEERS)/.installed: requirements-peers.lock | python
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --disable-pip-version-check -q --require-hashes --no-deps -r requirements-peers.lock
	@touch $@

# Go fetches it by its version and holds it against Go's own list of checksums.
$(ACTIONLINT):
	GOBIN=$(CURDIR)/$(@D) CGO_ENABLED=0 go install github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION)

STREAMS := tests/bench/peers/kafka-streams
$(PEERS)/.streams: $(STREAMS)/pom.xml $(wildcard $(STREAMS)/src/main/java/stockfreeze/bench/*.java) $(PEERS)/.installed
	mvn -q -B -f $(STREAMS)/pom.xml package
	@touch $@
