# make demo: see it work. make test: every test. Both need Python >= 3.11 and nothing else.
.PHONY: demo test test-background test-redis7 test-django test-postfix check format bench docs tables screenshots clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "rq-ses needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# What the demo needs, and (in the same environment) what the tests need.
$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[docs]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/rq-ses demo

# Several processes, files in the order of tests/conftest.py: the long ones first.
SPREAD := -n auto --dist loadfile --no-loadscope-reorder

# make test ROOM=lifecycle: those of one room, of every tier.
ROOM :=
ROOM_TESTS := $(if $(ROOM),$(wildcard tests/*/$(ROOM)))
ifneq ($(ROOM),)
ifeq ($(ROOM_TESTS),)
$(error no room is called $(ROOM); those with tests: $(sort $(notdir $(patsubst %/,%,$(wildcard tests/*/*/)))))
endif
endif

# Where rq-dashboard's pages are opened in, and a client of the SMTP ingress.
CHROMIUM := scripts/package.sh chromium -- chromium chromium-browser google-chrome google-chrome-stable chrome
SWAKS := scripts/package.sh swaks -- swaks
# Tests start thousands of processes; where Python is told to write no bytecode, each would compile all that it imports.
COMPILE := $(BIN)/python -m compileall -q producer worker tests

test: $(VENV)/.dev
	@$(CHROMIUM)
	@$(SWAKS)
	@$(COMPILE)
	$(BIN)/pytest $(SPREAD) $(ROOM_TESTS)

# What signals reach and terminals show, in the surroundings that a script's background job has.
BACKGROUND := tests/unit/test_interrupts.py tests/integration/deadletter/test_resend.py \
	$(addprefix tests/integration/simulator/test_,command.py stop.py) \
	$(addprefix tests/acceptance/deadletter/test_,discard.py failed.py resend.py) \
	tests/acceptance/status tests/acceptance/demo tests/acceptance/cli/test_send_output.py

test-background: $(VENV)/.dev
	scripts/in_background.sh $(SPREAD) $(BACKGROUND)

# What meets scripts and the server, once more on the oldest server that is promised: Redis 7.0.
REDIS7_ROOMS := lifecycle account audit deadletter outbox mails status server

test-redis7: $(VENV)/.dev
	@scripts/redis7.sh
	$(BIN)/pytest $(SPREAD) --server build/redis7/redis-server -m 'not waitaof' \
		$(addprefix tests/integration/,$(REDIS7_ROOMS))

# Django's backend on the versions that make test has not at hand, by its own tests and ours; DJANGO=6.1: on that one.
DJANGO :=

test-django: $(VENV)/.dev
	$(BIN)/python scripts/django_tests.py $(DJANGO)

# What Postfix relays through the SMTP ingress; as root, for Postfix is nobody's else.
test-postfix: $(VENV)/.dev
	@scripts/package.sh postfix libsasl2-modules -- postfix
	$(BIN)/pytest -m postfix tests/acceptance/smtp

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# make bench ARGS=--quick, or ARGS='--only at_once tls': see benchmarks/README.md.
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(ARGS)

# The site, in build/site. It is built and read without network.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The tables of settings (README.md, docs/settings.md), and of rooms with their picture (docs/architecture.md).
tables: $(VENV)/.dev
	$(BIN)/python scripts/settings_tables.py
	$(BIN)/python scripts/rooms.py

screenshots: $(VENV)/.dev
	@$(CHROMIUM)
	PYTHONPATH=tests $(BIN)/python scripts/screenshots.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
