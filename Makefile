# make quickstart | make test | make check | make docs
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: quickstart test check docs format clean

quickstart: $(STAMP)  ## raw web pages to a chat model, a few minutes on a laptop
	$(BIN)/seallm run recipes/quickstart.toml

test: $(STAMP)  ## the whole test suite, a file at a time on every core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(STAMP)  ## what a change must pass beside the tests
	$(BIN)/ruff format --check src tests scripts benchmarks
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house_rules.py -p no:cacheprovider

docs: $(STAMP)  ## generated pages
	$(BIN)/python -m seallm.recipe_file > docs/recipe.md

format: $(STAMP)
	$(BIN)/ruff format src tests scripts benchmarks
	$(BIN)/ruff check --fix src tests scripts benchmarks

clean:  ## forget runs and the environment
	rm -rf runs $(VENV)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@
