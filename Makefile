# Everything runs in .venv, which the first target that needs it makes from a bare python3.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check format docs pages benchmark clean

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

# Speed beside others' networks, which have an environment of their own; QUICK=1 for the short form.
BENCH := .venv-bench
benchmark: $(BENCH)/.ready
	$(BENCH)/bin/python benchmarks/speed.py $(if $(QUICK),--quick) --docs docs/benchmarks.md

# Two of the packages that the last one asks for have no build for a PyTorch without a GPU; what is
# used of it needs neither.
$(BENCH)/.ready: pyproject.toml constraints.txt benchmarks/peers.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet torch
	$(BENCH)/bin/pip install --quiet --editable . --requirement benchmarks/peers.txt
	$(BENCH)/bin/pip install --quiet --no-deps denoising-diffusion-pytorch==2.3.4
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) build dist docs/_build docs/_figures
