# `make` alone lists the targets. Everything is installed into .venv, from requirements.lock.

.DEFAULT_GOAL := help
.PHONY: help setup report site pictures test mutation fuzz reliability bench history audit tables lab lock
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME PIP_REQUIRE_VIRTUALENV PIP_USER PIP_TARGET

# The first Python that is new enough; `make PYTHON=/path/to/python3.12` chooses another.
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin

# The stamps name what was installed, so a changed lock, another Python or a checkout that moved is installed anew.
LOCKED := $(shell { cat requirements.lock; pwd; $(PYTHON) -VV; } 2>/dev/null | cksum | tr ' ' '-')
INSTALLED := $(shell { cat pyproject.toml requirements.lock; pwd; $(PYTHON) -VV; } 2>/dev/null | cksum | tr ' ' '-')
MUTATION := $(VENV)/mutation/installed-$(shell cksum < tests/mutation/requirements.txt | tr ' ' '-')
BENCH := $(VENV)/bench/installed-$(shell cksum < benchmarks/requirements.txt | tr ' ' '-')
FUZZ := $(VENV)/fuzz/installed-$(shell cksum < tests/fuzz/requirements.txt | tr ' ' '-')
SECONDS := 60
# One more than there are cores: many tests wait for a browser or a kernel.
WORKERS = $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16
	@echo '  Options of the report: make report ARGS="15-your-trace -p TRACE=my.jsonl"'

setup: $(VENV)/installed-$(INSTALLED) ## Create .venv from the lock and install the package (skipped when up to date).

report: setup ## Run all notebooks and write the report; open reports/index.html.
	$(BIN)/rmapmodel report $(ARGS)

site: setup ## Build the workbook, the designs and the API as a site, with no network; open site/index.html.
	$(BIN)/python docs/build.py

pictures: setup ## Make the README's pictures in docs/ anew, from the report where it is current.
	$(BIN)/python docs/pictures.py

test: setup $(BENCH) ## Run all tests, on all cores.
	$(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 $(ARGS)

mutation: setup $(MUTATION) ## Break the model in hundreds of places and see whether the quick tests notice (half an hour).
	$(BIN)/python tests/mutation/run.py --tool $(VENV)/mutation/bin/python $(ARGS)

bench: setup $(BENCH) ## Measure the model beside Linux and other libraries, print one table (minutes; ARGS="--large --write").
	PYTHONPATH=$(CURDIR)/$(VENV)/bench/lib $(BIN)/python -m benchmarks $(ARGS)

history: setup $(BENCH) ## The same by pytest-benchmark, which keeps each run in .benchmarks for `pytest-benchmark compare`.
	PYTHONPATH=$(CURDIR)/$(VENV)/bench/lib $(BIN)/python -m pytest -p no:cacheprovider -o addopts= benchmarks/history.py --benchmark-autosave $(ARGS)
fuzz: setup $(FUZZ) ## Search for inputs that are not refused as they should be, with coverage for a guide (SECONDS each).
	PYTHONPATH=$(CURDIR)/$(VENV)/fuzz/lib:$(CURDIR) $(BIN)/python -m tests.fuzz.harness $(SECONDS) $(KINDS)

reliability: setup ## Print the table of docs/reliability.md: what was tried, how many times, what was lost.
	$(BIN)/python tests/faults/table.py $(ARGS)

audit: setup ## Say which locked packages have known vulnerabilities (a report; needs osv.dev).
	$(BIN)/python tests/audit.py

tables: setup ## Make the tables of data/tables anew from data/traces (minutes).
	$(BIN)/python data/corpus/tables.py

lab: setup ## Open JupyterLab on the notebooks, for this machine only (127.0.0.1, with a token).
	$(BIN)/jupyter lab --ip=127.0.0.1 --LabApp.default_url=/lab/tree/notebooks \
	    $(if $(filter 0,$(shell id -u)),--allow-root) $(ARGS)

lock: setup ## Resolve the dependencies of pyproject.toml anew into requirements.lock (needs uv).
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], \
	    sep="\n")' | uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --all-extras --upgrade \
	        --generate-hashes --no-annotate --custom-compile-command 'make lock' -o requirements.lock pyproject.toml -

# The tool that makes the mutants has an environment of its own: it is no part of what `make test` needs.
$(MUTATION): tests/mutation/requirements.txt $(VENV)/locked-$(LOCKED)
	$(PYTHON) -m venv --clear $(VENV)/mutation
	$(VENV)/mutation/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes --no-deps -r $<
	touch $@

# So have the libraries that the model is measured beside, with the packages of the lock.
$(BENCH): benchmarks/requirements.txt $(VENV)/locked-$(LOCKED)
	rm -rf $(VENV)/bench
	$(PIP) install --quiet --require-hashes --no-deps --target $(VENV)/bench/lib -r $<
	touch $@

# atheris is used beside the locked packages, which the commands that it fuzzes need.
$(FUZZ): tests/fuzz/requirements.txt $(VENV)/locked-$(LOCKED)
	rm -rf $(VENV)/fuzz
	$(PIP) install --quiet --require-hashes --no-deps --target $(VENV)/fuzz/lib -r $<
	touch $@

$(VENV)/locked-$(LOCKED): requirements.lock
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.12))
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --quiet --compile --require-hashes --no-deps -r requirements.lock
	touch $@

$(VENV)/installed-$(INSTALLED): pyproject.toml $(VENV)/locked-$(LOCKED)
	rm -f $(VENV)/installed-*
	$(PIP) install --quiet --no-deps --no-build-isolation --no-index -e .
	touch $@
