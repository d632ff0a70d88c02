# Everything runs in .venv, which the first target that needs it makes from a bare python3.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format docs pages clean

demo: $(READY)
	$(BIN)/ddpm demo --out runs/digits

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/deptry src

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# PyTorch goes in first and by its pinned version, so that nothing later pulls another build.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# The site, in docs/_build/index.html: two small models are trained once, so that it can draw with them.
docs: docs/_embedded/models/spiral.html docs/_embedded/models/digits.html
	$(MAKE) pages

# The site without training: what was exported before is in it, and a sentence where nothing was.
pages: $(VENV)/.docs
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --builder html docs docs/_build

docs/_embedded/models/%.html: | $(READY)
	$(BIN)/ddpm train $* --out runs/site/$*
	mkdir -p $(@D)
	$(BIN)/ddpm export runs/site/$* --out $@

$(VENV)/.docs: $(READY)
	$(BIN)/pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist docs/_build docs/_figures
