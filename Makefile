# make study       a confusion study of generated images whose truth is known, in minutes
# make prototypes  a full prototype study of the digits, in minutes
# make models      trains what is in saved_models/ anew, on CIFAR-10, in about an hour
# make demo-data   records what tb_plugin/demo.py writes, in minutes
# make bench       how fast everything is, in about an hour; see benchmarks/README.md
# make test        the test suite; make test-slow has what takes longer, make test-ci
#                  both, make test-all all
# make docs        these pages and those of the Python API as a site, build/docs
# make test-lowest the test suite with the lowest versions that setup.cfg allows
# Each makes its own .venv and installs what it needs. Other settings:
#   make study STUDY="--dataset digits --repeats 8 --epochs 4 --out studies/digits"

PYTHON ?= python3
# 8 repeats, as keras-confusion plan planted --effect 0.1 --comparison pair says; 5
# epochs, which find it sooner than 10 (docs/validity_tables.md).
STUDY ?= --dataset planted --pairs fine_disc-coarse_disc fine_cross-coarse_cross \
	rising_square-falling_square rising_triangle-falling_triangle \
	thin_ring-thick_ring falling_square-thin_ring --repeats 8 --epochs 5 \
	--out studies/planted
PROTOTYPES ?= --dataset digits --model cnn --epochs 12 --prototype-learning-rate 0.1 \
	--frames 6 --out studies/digits_prototypes
BENCH ?= --out studies/benchmarks/report.md
# Two processes, 3 GB of memory each; tests of a file share what they make, and
# tests/conftest.py says which file comes first.
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
FAST = -m "not slow and not exhaustive and not gpu"

.PHONY: study prototypes models demo-data bench test test-slow test-ci test-all \
	test-lowest docs lint clean

study: .venv/installed
	.venv/bin/python scripts/run_confusion_study.py $(STUDY)

prototypes: .venv/installed
	.venv/bin/python scripts/run_prototype_study.py $(PROTOTYPES)

models: .venv/installed
	.venv/bin/python scripts/train_classifier.py --dataset cifar10 --model cnn \
		--augment --epochs 20 --out saved_models/cifar10_cnn
	.venv/bin/python scripts/train_classifier.py --dataset cifar10 --model resnet18 \
		--width 12 --augment --epochs 15 --out saved_models/cifar10_resnet18_width12

# What `python -m tb_plugin.demo` writes: two studies of the digits, in minutes.
demo-data: .venv/installed
	rm -rf studies/demo
	.venv/bin/python scripts/run_confusion_study.py --dataset digits --pairs all \
		--repeats 8 --epochs 4 --out studies/demo/confusion
	.venv/bin/python scripts/run_prototype_study.py --dataset digits --model cnn \
		--epochs 12 --prototype-learning-rate 0.1 --intervals 25 60 100 --inits 2 \
		--no-boundaries --out studies/demo/prototypes
	# Once more: a running study writes its tables many times.
	.venv/bin/python scripts/analyse_study.py studies/demo/confusion
	cp studies/demo/confusion/events/training/* \
		tb_plugin/demo_data/digits_confusion.tfevents
	cp studies/demo/prototypes/events/prototypes/* \
		tb_plugin/demo_data/digits_prototypes.tfevents

# PyTorch is compared where it is installed: .venv/bin/pip install '.[benchmarks]'
bench: .venv/installed
	.venv/bin/python -m benchmarks $(BENCH)

test: .venv/installed-test
	.venv/bin/python -m pytest $(PARALLEL) $(FAST)

test-slow: .venv/installed-test
	.venv/bin/python -m pytest $(PARALLEL) -m "slow and not gpu"

# Both at once: they start one time, and while a slow file is run there are fast ones.
test-ci: .venv/installed-test
	.venv/bin/python -m pytest $(PARALLEL) -m "not exhaustive and not gpu"

# Before a release: every test, with the variants that CI leaves out.
test-all: .venv/installed-test
	.venv/bin/python -m pytest $(PARALLEL) -m "not gpu"

# Are the lower bounds of setup.cfg true? (What it needs in turn is the newest.)
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest $(PARALLEL) $(FAST)

# Warnings are errors: a name that is not documented, a link that leads nowhere.
docs: .venv/installed-docs
	.venv/bin/python -m sphinx --quiet --fail-on-warning --keep-going -c docs \
		-d build/doctrees . build/docs

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

.venv/installed-docs: setup.cfg pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@ .venv/installed

.venv/installed-dev: setup.cfg pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ .venv/installed-test .venv/installed-docs .venv/installed

.venv-lowest/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python \
		--resolution lowest-direct --editable '.[test]' 'setuptools==80.9.0'
	touch $@

clean:
	rm -rf .venv .venv-lowest build *.egg-info
