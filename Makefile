# Clarion. Needs Python 3.11 or newer and make; everything else is set up by the targets themselves.
# ARGS="…" is handed on:  make demo ARGS="--port 9000"  make test ARGS="-k consent"

.PHONY: help demo test check bench docs soak mutate format
python := .venv/bin/python
SCALE ?= 0.1
ROUNDS ?= 1000
JOBS ?= 3
# A selection is mostly short: to start workers for it would take longer than they save.
workers = $(if $(ARGS),,-n $(JOBS) --dist loadfile --no-loadscope-reorder)

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: .venv/run ## the whole system with a small shop, on http://127.0.0.1:8700
	@.venv/bin/clarion demo $(ARGS)

test: .venv/test ## every test; on Debian as root, what they need is installed by apt
	@tools/need.sh postgresql firefox chromium proxies node nghttpd systemd
	@PYTHONDONTWRITEBYTECODE= $(python) -m pytest $(workers) $(ARGS)

check: .venv/dev ## style, types, import rules, the web SDK
	@$(python) -m ruff check
	@$(python) -m ruff format --check
	@$(python) -m mypy
	@.venv/bin/lint-imports
	@tools/web.sh

format: .venv/dev ## put the code in the one form that check accepts
	@$(python) -m ruff check --fix-only
	@$(python) -m ruff format

bench: .venv/dev ## every question in bench/, at a tenth of its size; SCALE=1 for all of it
	@tools/need.sh postgresql node nghttpd
	@for question in bench/[a-z]*.py; do echo; echo "$$question"; $(python) $$question --scale $(SCALE) $(ARGS) || exit 1; done

docs: .venv/dev ## writes cli.md, display-options.md, honesty.md and simulators.md in docs/reference and checks that the documents are true
	@$(python) tools/reference.py
	@$(python) tools/display_options.py
	@$(python) tools/honesty.py
	@$(python) tools/simulators.py
	@$(python) -m pytest tests/contract/test_docs.py

soak: .venv/test ## kills processes in the middle of their work, and lives through stories of all that can happen, ROUNDS times
	@tools/need.sh postgresql
	@CLARION_SOAK_ROUNDS=$(ROUNDS) $(python) -m pytest tests/processes tests/invariants -m soak $(ARGS)

mutate: .venv/test ## breaks one rule of decisions after the other: the stories of tests/invariants must notice each
	@PYTHONPATH=tests $(python) -m invariants.mutate $(ARGS)

.venv/%: pyproject.toml tools/venv.sh
	@tools/venv.sh $*
