# make          a virtual environment in .venv with madrpc and the tools for development
# make demo     estimate pi on an orchestrator and two nodes that live as long as the run
# make test     lint, types, and then all tests
# make chaos    faults and random frames for some minutes, beyond the short form in make test
# make bench    madrpc beside a bare loop, ProcessPoolExecutor and what else is installed
# make scale    throughput against workers, nodes and orchestrators; rewrites the tables and curves in docs
# make lint     ruff: rules and format
# make types    mypy, strict
# make man      the manual pages, from the parsers
# make completions   what shells complete madrpc's command line with, from the parsers
# make docs     the reference of the Python API, from the docstrings
# make checks   linters and schemas for the files in deploy/ and for a release, into .venv
# make dist     the source distribution and the wheel, in dist/, checked and tried out
# make pythons  the unit tests and the installed wheel on each Python from 3.11 to 3.14 that is here
# make image    what the Containerfile does, without a container: builds the engine anew
# make clean    remove what the others made
# make help     this list
#
# make PYTHON=/path/to/python3 picks the interpreter; by default the first that is 3.11 or newer.

VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/installed
CHECKS = $(VENV)/checks

.PHONY: all venv demo test chaos bench scale lint types man completions docs checks dist pythons image clean help

all venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml tools/make_venv.sh
	@PYTHON='$(PYTHON)' sh tools/make_venv.sh $(VENV)
	@touch $@

demo: $(STAMP)
	$(BIN)/python js_examples/monte_carlo_pi.py --local 2

test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile

chaos: $(STAMP)
	MADRPC_CHAOS_S=60 MADRPC_FUZZ_S=60 MADRPC_FUZZ_FRAMES=500000 \
	$(BIN)/python -m pytest tests/chaos tests/wire/test_fuzz.py

bench: $(STAMP)
	$(BIN)/python benchmarks/compare.py --save benchmarks/history.jsonl
	$(BIN)/python benchmarks/cost.py

scale: $(STAMP)
	$(BIN)/python -m benchmarks.scale

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

man: $(STAMP)
	$(BIN)/python tools/make_manpages.py

completions: $(STAMP)
	$(BIN)/python tools/make_completions.py

docs: $(STAMP)
	$(BIN)/python tools/make_api.py

checks: $(CHECKS)

$(CHECKS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[checks]'
	@touch $@

dist: $(CHECKS)
	$(BIN)/python tools/make_dist.py dist
	$(BIN)/twine check --strict dist/*
	sh tools/check_dist.sh $(BIN)/python dist/*.whl

pythons: $(STAMP)
	$(BIN)/python tools/make_dist.py dist
	sh tools/test_pythons.sh $(VENV)/pythons dist/*.whl

image: $(STAMP)
	MADRPC_REHEARSE_IMAGE=1 $(BIN)/python -m pytest tests/deploy/test_container.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile
