# Needs git, make, Python 3.11 and a package registry; everything else goes into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check compile images install clean

demo: install  ## the flights of New York: two models, from raw data to one graph that answers
	$(BIN)/seaway run chained_delay

test: install  ## every test
	$(BIN)/python -m pytest

check: install  ## style, types, layers, golden YAML, README
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/seaway compile --check
	$(BIN)/python -m tests.support.readme --check

compile: install  ## write component.yaml, pipeline.yaml and the generated parts of the READMEs
	$(BIN)/seaway compile
	$(BIN)/python -m tests.support.readme

images: install  ## the container images, by podman, docker or buildah
	PYTHON=$(BIN)/python images/build

install: $(VENV)/installed

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
