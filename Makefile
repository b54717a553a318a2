# Every target sets up the virtual environment when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install run gallery docs test lint bench bench-gpu chaos calibrate dist clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ablate needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,simclr]'
	touch $@

run: install
	$(BIN)/ablate run studies/augment_pairs.toml

gallery: install
	$(BIN)/ablate report --from results/published --reports docs/gallery

docs: install
	$(BIN)/python -m docs.site

test: install
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: install
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: install
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m tests.bench

bench-gpu: install
	$(BIN)/python -m tests.bench gpu

dist: install
	rm -rf dist
	$(BIN)/python -m hatchling build -t sdist -t wheel
	$(BIN)/python -m twine check --strict dist/*

chaos: install
	$(BIN)/python -m tests.chaos --faults 600 --seed 0 --save

calibrate: install
	$(BIN)/python -m tests.calibrate --write

clean:
	rm -rf $(VENV)
