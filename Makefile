PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# a process for each CPU, each with whole files
SIDE_BY_SIDE := -n auto --dist loadfile
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin

.PHONY: install demo test test-all test-gpu bench chaos soak fuzz lint audit clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/abaw-ray demo demo

test: install
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: install
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

# on a machine with a GPU; elsewhere all are skipped
test-gpu: install
	$(BIN)/python -m pytest tests/gpu

# all benchmarks, or those named: make bench ONLY="loading scaling"
bench: $(BENCH_VENV)/installed
	$(BENCH_BIN)/python tests/benchmarks/run.py $(if $(ONLY),--only $(ONLY))

$(BENCH_VENV)/installed: pyproject.toml
	test -x $(BENCH_BIN)/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_BIN)/python -m pip install --quiet --upgrade pip
	$(BENCH_BIN)/python -m pip install --quiet --editable ".[dev,bench]"
	touch $@

# faults, one after the other, or those named: make chaos ONLY="prepare-killed worker-killed"
chaos: install
	$(BIN)/python tests/chaos/run.py $(ONLY)

soak: install
	$(BIN)/python tests/chaos/soak.py --minutes 120

# every reader for so many seconds, or those named by ONLY
SECONDS_EACH ?= 600
fuzz: install
	$(BIN)/python -m pip install --quiet --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS_EACH) $(ONLY)

lint: install audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: install
	$(BIN)/python tests/audit.py

clean:
	rm -rf demo bench chaos fuzz build *.egg-info .pytest_cache .mypy_cache .ruff_cache
