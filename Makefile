# Two commands do it on a machine that has Python 3.11, 3.12 or 3.13 with pip: `make dry-run` and `make test`.

# The first interpreter that is there and of a version we run on; PYTHON=... overrides it.
PYTHON ?= $(shell for name in python3 python3.12 python3.13 python3.11; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo $$name; break; }; done)
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready

.PHONY: dry-run test lint notebook bench evidence lock clean

dry-run: $(READY)
	$(BIN)/siim-kernel dry-run --out build/dry-run

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

notebook: $(READY)
	$(BIN)/python -m siim_kernel.delivery.notebook inference_kernel/inference.py

bench: $(READY)
	$(BIN)/python -m benchmarks

# What takes too long for every test run: half an hour of damaged films.
evidence: $(READY)
	$(BIN)/python -m tests.fuzzing --minutes 30 --seed $$(date +%s) --workers 2 --keep build/fuzzing

# The lock again after a change of dependencies; needs uv.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --extra cpu --extra report --extra kaggle --extra dask --extra dev -o requirements.lock

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 with venv found; install one (on Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf build $(VENV)
