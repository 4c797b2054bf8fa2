# make study   a full study of scikit-learn's handwritten digits, in minutes
# make test    the test suite; make test-slow has what takes longer
# Each makes its own .venv and installs what it needs. Other settings:
#   make study STUDY="--dataset cifar10 --repeats 4 --out studies/cifar10"

PYTHON ?= python3
STUDY ?= --dataset digits --pairs all --repeats 8 --epochs 4 --out studies/digits

.PHONY: study test test-slow lint clean

study: .venv/installed
	.venv/bin/python scripts/run_confusion_study.py $(STUDY)

test: .venv/installed-test
	.venv/bin/python -m pytest -m "not slow and not gpu"

test-slow: .venv/installed-test
	.venv/bin/python -m pytest -m "slow and not gpu"

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Written last, so that an installation that was interrupted is done again.
.venv/installed: setup.cfg pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-test: setup.cfg pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@ .venv/installed

.venv/installed-dev: setup.cfg pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/installed-test .venv/installed

clean:
	rm -rf .venv build *.egg-info
