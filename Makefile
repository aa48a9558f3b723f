# Everything works on a fresh machine with Python 3.11 and make; each target makes `.venv` as it needs it.
PYTHON ?= python3.11
BIN := .venv/bin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
SHARED_DATA ?= $(wildcard ../shared/data)

.PHONY: help demo test test-slow test-numba lint format docs bench clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/demo  ## Compare policies on the shipped sample and draw demo.png
	$(BIN)/soonest sim --load 0.5 --load 0.7 --load 0.9 --load 1.1 --plot demo.png

test: .venv/dev  ## Run the tests; prints every skip with its reason
	$(BIN)/python -m tests.warm
	$(BIN)/python -m pytest -n 2 -rs -m "not slow"

test-slow: .venv/dev  ## Run the tests with many more random examples
	$(BIN)/python -m tests.warm
	$(BIN)/python -m pytest -n 2 -rs -m slow

test-numba: .venv-numba065/done  ## Run the kernel's tests with the oldest supported Numba
	.venv-numba065/bin/python -m tests.warm
	.venv-numba065/bin/python -m pytest -rs -m "not slow" tests/sim/test_golden.py tests/laws

lint: .venv/dev  ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy src benchmarks

format: .venv/dev  ## Put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/dev  ## Build the documentation into site/
	$(BIN)/python docs/make_pages.py
	$(BIN)/mkdocs build --strict --quiet

bench: .venv/dev  ## Measure the simulator's speed; needs the shared data
	$(BIN)/python benchmarks/sim_speed.py --trace $(SHARED_DATA)/arrivals/azure_conv_2023.csv.gz --out benchmarks/results/sim_speed.json

clean:  ## Remove what the targets made
	rm -rf .venv .venv-numba065 site build dist demo.png

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python $(PIP_INSTALL) --editable '.[plot]'
	@touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@ .venv/demo

.venv-numba065/done: pyproject.toml
	$(PYTHON) -m venv .venv-numba065
	.venv-numba065/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'numba==0.65.*' pytest hypothesis
	@touch $@
