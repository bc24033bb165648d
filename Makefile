# Everything a newcomer needs. Each target sets up the virtual environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MANIFEST_SCHEMAS := @microsoft/app-manifest@1.1.2

# Tests start servers by the hundred; without its compiled files each would compile the server anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up test judges judges-graph lint types contract check bench generate constraints clean

demo: $(STAMP) ## The main job from start to end, on embedded defaults
	$(BIN)/patchbay demo

up: $(STAMP) ## The demo's server, staying up
	$(BIN)/patchbay up

test: $(STAMP) ## All tests, in as many processes as there are cores, at least two
	$(BIN)/pytest -n auto --dist loadscope

judges: $(STAMP) ## Microsoft's own validators, 27 MB, and manifest schemas, for tests that skip without them
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[judges]'
	mkdir -p $(VENV)/judges
	cd $(VENV)/judges && { tar -xzf "$$(npm pack --silent $(MANIFEST_SCHEMAS))" package/build/json-schemas \
		|| echo 'without npm and its registry there is no schema of manifests: one test will skip'; }

judges-graph: $(STAMP) ## Microsoft's own client of Graph, 400 MB, for the tests that skip without it
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[judges-graph]'

lint: $(STAMP) ## Style, format, layering
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

contract: $(STAMP) ## Lint, format and breaking changes of the protos
	$(BIN)/python scripts/check_contract.py

check: lint types contract

bench: $(STAMP) ## Ratios to floors measured in the same run
	$(BIN)/python -m benchmarks

generate: $(STAMP) ## Everything that is made from the protos
	$(BIN)/python scripts/generate.py

constraints: $(STAMP) ## Locks what is installed now
	$(BIN)/python scripts/lock.py

$(STAMP): pyproject.toml clients/python/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e clients/python -e '.[server,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
