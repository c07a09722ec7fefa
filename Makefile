# The developer's words. `make` alone explains them.
# Needs make and Python >= 3.10; everything else goes into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)

# The first interpreter that is new enough. Another one: make demo PYTHON=/path/to/python3
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; \
	do if $$p -c '$(NEW_ENOUGH)' 2>/dev/null; then echo $$p; break; fi; done)

say = { echo; echo "make: $(1)"; echo; } >&2
NO_PYTHON = no Python >= 3.10 here$(if $(PYTHON), ($(PYTHON) is none)). Install one, or name it: make PYTHON=/path/to/python3
NO_VENV = $(PYTHON) cannot make virtual environments. Install its venv module (Debian, Ubuntu: apt install python3-venv)
NO_INSTALL = the packages could not be installed; the last lines above are pip's own words. If it found no network or no index, mend that and run the same command again: it goes on where it stopped.

# An environment whose interpreter has gone (moved, upgraded) is made anew.
ifneq (works,$(shell $(BIN)/python -c 'print("works")' 2>/dev/null))
.PHONY: $(BIN)/python
endif

$(BIN)/python:
	@'$(PYTHON)' -c '$(NEW_ENOUGH)' 2>/dev/null || { $(call say,$(NO_PYTHON)); exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { $(call say,$(NO_VENV)); exit 1; }
	@echo "Making the virtual environment $(VENV) with $$('$(PYTHON)' --version)"
	@'$(PYTHON)' -m venv --clear $(VENV)

$(VENV)/.torch: $(BIN)/python constraints.txt
	@$(BIN)/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null || \
		echo "Downloading torch $(TORCH): about 200 MB for a CPU build (macOS, Windows, or where pip" \
		"is set up for one), about 3 GB with CUDA, pip's choice on Linux. The rest is small."
	@$(PIP) torch || { $(call say,$(NO_INSTALL)); exit 1; }
	@touch $@

$(VENV)/.packages: $(VENV)/.torch pyproject.toml runtime/pyproject.toml
	@echo "Installing torch-scaffold and torch-scaffold-runtime from this folder"
	@$(PIP) --quiet --editable runtime --editable '.[projects]' || { $(call say,$(NO_INSTALL)); exit 1; }
	@touch $@

$(VENV)/.tools: $(VENV)/.packages
	@echo "Installing the tools of tests, lint and benchmarks"
	@$(PIP) --quiet --editable '.[projects,dev]' || { $(call say,$(NO_INSTALL)); exit 1; }
	@touch $@

.PHONY: help
help: ## this list
	@echo "make WORD, where WORD is one of"
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | awk -F '\t' '{ printf "  %-13s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(VENV)/.packages ## make a project, train it on real data, report its test accuracy
	@set -e; project=demo/my-digits; n=1; \
	while [ -e "$$project" ]; do n=$$((n + 1)); project=demo/my-digits-$$n; done; \
	mkdir -p demo; \
	$(BIN)/scaffold new classifier "$$project" --defaults; \
	cd "$$project"; python="$(CURDIR)/$(BIN)/python"; \
	"$$python" train.py fit; \
	"$$python" train.py test --ckpt_path best; \
	echo; echo "$$project is yours. What to try next:"; \
	echo "  . $(BIN)/activate && cd $$project"; \
	echo "  python train.py fit --trainer.max_epochs 3"; \
	echo "  python -m pytest"; \
	echo "  bash launch/ddp.sh 2    # the same training on two processes"; \
	echo "  less README.md          # your own data, other models, more machines"

.PHONY: test
test: $(VENV)/.tools ## every test at its CI sample (at most 20 minutes on 2 cores)
	@$(PYTEST)

.PHONY: test-full
test-full: $(VENV)/.tools ## the full counts of every property (hours)
	@$(PYTEST) -m "not cluster and not gpu"

.PHONY: test-cluster
test-cluster: $(VENV)/.tools ## what needs root, network namespaces or SLURM
	@$(PYTEST) -m cluster -rs

.PHONY: test-gpu
test-gpu: $(VENV)/.tools ## what needs an accelerator
	@$(PYTEST) -m gpu -rs

.PHONY: lint
lint: $(VENV)/.tools ## format, lint and strict types
	@$(BIN)/black --check --quiet . || { $(call say,some files are not formatted. Run: $(BIN)/black .); exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/mypy

.PHONY: bench
bench: $(VENV)/.tools ## speed, as ratios to named peers measured in one run
	@$(BIN)/python -m benchmarks

.PHONY: mutants
mutants: $(VENV)/.tools ## seed known faults one by one: a test must notice each
	@$(BIN)/python -m tests.mutants

.PHONY: clean
clean: ## remove the environment and what tools leave behind (demo/ is kept)
	rm -rf $(VENV) build dist runtime/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
