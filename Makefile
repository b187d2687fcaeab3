# Every goal sets up what it needs. A Python other than python3: make PYTHON=python3.12 demo

PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test docs bench clean
.DELETE_ON_ERROR:

help: ## list these goals
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/.run ## train the classic VAE on all of MNIST and write a report (about a minute)
	$(BIN)/vaekit fit mnist --out runs/demo --recipe vae --epochs 10 --validation 0 --samples 50 --seed 0 --force

test: .venv/.dev ## lint, type-check, test and build the docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n auto --dist worksteal
	@$(MAKE) --no-print-directory docs

docs: .venv/.dev ## build docs/_build/html, every warning an error
	$(BIN)/sphinx-build -E -W --keep-going -n -q -d docs/_build/doctrees docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

bench: .venv/.dev ## measure speed, memory, resuming and the code itself, and write benchmarks/RESULTS.md (about an hour)
	for each in classic_job first_step contention fit_many streams distributed kills duplication results; do \
		GOMP_SPINCOUNT=3000 $(BIN)/python benchmarks/$$each.py || exit 1; \
	done

clean: ## remove .venv, the built docs, the demo's run and all caches
	rm -rf .venv docs/_build runs/demo build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks docs -type d -name __pycache__ -prune -exec rm -rf {} +

# Stamps: an install is repeated only when what it depends on has changed.

.venv/.run: .venv/.made pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev,docs]'
	@touch $@ .venv/.run

.venv/.made:
	@command -v $(PYTHON) > /dev/null || { echo "vaekit: there is no '$(PYTHON)': install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vaekit: '$(PYTHON)' is older than Python 3.11: install a newer one, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "vaekit: '$(PYTHON) -m venv' failed: install Python's venv module (python3-venv on Debian)" >&2; exit 1; }
	@touch $@
