# Every target builds the Python environment first if it is not there; nothing else has to be installed by hand.
#
#   STACK   onedl (default; current torch) or openmmlab (the classic packages; torch 2.1, Python 3.10-3.11)
#   VENV    the environment's folder; one that exists and holds everything is used as it is
#   PYTHON  the interpreter a new environment is made from (3.10-3.12)

STACK ?= onedl
VENV ?= $(if $(filter openmmlab,$(STACK)),.venv-openmmlab,.venv)
PYTHON ?=
JOBS ?= 2

$(if $(word 2,$(VENV)),$(error VENV=$(VENV): give a folder without a space in its path))
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.clipself_mm-$(STACK).stamp

# The checkout stands before an installed copy, so an environment that is shared needs no installation.
unexport STACK VENV PYTHON JOBS
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.PHONY: help env demo web reproduce test test-fast lint docs clean

help:
	@echo 'make demo    install, make the benchmark, distil the tiny CLIP, print the tables (work_dirs/demo)'
	@echo 'make web     open the web page with the shipped detector (WEB_ARGS="CONFIG CHECKPOINT --port 7860")'
	@echo 'make reproduce  measure the tables of the paper in miniature (hours; REPRODUCE_ARGS="--seeds 0 1 2 --jobs 2")'
	@echo 'make test    run the test suite (TESTS="-m parity" or a path selects, JOBS=2 processes)'
	@echo 'make test-fast  the tests that are not marked slow (two minutes)'
	@echo 'make lint    ruff check, ruff format --check, codespell, mypy'
	@echo 'make docs    the documentation as a site, in site/; nothing is loaded from elsewhere'
	@echo 'make env     build the environment only; STACK=openmmlab makes the classic one'
	@echo 'make clean   remove caches and build leftovers; environments, data and work_dirs stay'
	@echo 'Options: VENV=$(VENV) STACK=$(STACK) PYTHON=(first of 3.11, 3.12, 3.10 that runs)'

env: $(STAMP)
	@$(RUN) clipself_mm/environment.py

$(STAMP): $(wildcard requirements/*)
	@bash requirements/install.sh '$(STACK)' '$(VENV)' '$(PYTHON)'

demo: $(STAMP)
	$(RUN) tools/demo.py $(DEMO_ARGS)

web: $(STAMP)
	$(RUN) tools/web.py $(WEB_ARGS)

reproduce: $(STAMP)
	$(RUN) tools/reproduce.py all --shapes $(REPRODUCE_ARGS)

test test-fast: export OMP_NUM_THREADS ?= 1
test: $(STAMP)
	$(RUN) -m pytest -n $(JOBS) --dist worksteal $(TESTS)

test-fast: $(STAMP)
	$(RUN) -m pytest -n $(JOBS) --dist worksteal -m 'not slow' $(TESTS)

# mypy reads torch's annotations, which differ on torch 2.1: only the default stack is checked.
lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m codespell_lib
	$(if $(filter onedl,$(STACK)),$(RUN) -m mypy)

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(STAMP)
	$(RUN) -m mkdocs build --strict

clean:
	rm -rf build dist site .pytest_cache .ruff_cache
	find . -name '.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
