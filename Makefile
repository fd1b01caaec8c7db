# `make demo` and `make test` need nothing but Python (3.10 or newer). Each makes a
# virtual environment in this directory, and keeps it until pyproject.toml changes.
#
#     make demo              run the demonstration
#     make test              our tests, Nengo's tests, lint
#     make test-unit         our tests             (ARGS="-k config -x" is for pytest)
#     make test-nengo        Nengo's tests, run on our simulator
#     make test-options      our tests of simulators, made with other options; those of
#                            variables on the second of two devices
#     make test-matrix       our tests on the oldest and the newest software
#     make test-loihi        our tests with NengoLoihi, and the demonstration for it
#     make test-packages     NengoSPA's tests, run on our simulator; NengoBio's neurons
#     make test-recipes      sweeps with joblib, Optuna, and Ray, as in the documentation
#     make fuzz N=5000       random networks, compared with Nengo
#     make test-package      wheel and source distribution: build, install, and run
#     make docs              the site of the documentation, docs/_build/html; notebooks are
#                            run (NOTEBOOKS=off shows them as they are stored)
#     make lint              ruff, codespell, and mypy
#     make clean             remove the environments and whatever else was made
#
# Another Python: make test PYTHON=python3.12. Parallel processes: JOBS=4.

PYTHON ?= python3
JOBS ?= 2
N ?= 5000
ARGS ?=

VERSION := $(shell $(PYTHON) -c "import sys; print('%d.%d' % sys.version_info[:2])")
TEST := .venv-test-$(VERSION)
DEMO := .venv-demo-$(VERSION)
RECIPES := .venv-recipes-$(VERSION)
DOCS := .venv-docs-$(VERSION)
PACKAGE := .venv-package-$(VERSION)

# What trains, runs in pieces, saves, and holds Keras layers.
DEVICE_TESTS := $(addprefix tests/, parameters/test_saving.py test_simulator_state.py \
	$(addprefix tensor_node/, test_keras_layers.py test_keras_models.py \
		test_training_of_layers.py test_weights_of_layers.py) \
	$(addprefix training/, test_devices.py test_fit.py test_keras_model.py \
		test_state.py test_through_time.py))

# Processes take tests from each other, so that none has to wait at the end.
PARALLEL = -n $(JOBS) --dist worksteal

# What is independent of each other is tried together; see CONTRIBUTING.rst.
OPTIONS := --simulator-only --unroll-simulation 5 --dtype float64

TESTS := test test-unit test-nengo test-options test-matrix test-loihi test-packages \
	test-recipes test-package docs fuzz

.PHONY: demo $(TESTS) lint clean

export TF_CPP_MIN_LOG_LEVEL ?= 2
export JOBS
export NOTEBOOKS ?= force

# Several processes share the machine; TensorFlow would take all of it for each.
$(TESTS): export OMP_NUM_THREADS ?= 1
$(TESTS): export OPENBLAS_NUM_THREADS ?= 1
$(TESTS): export TF_NUM_INTRAOP_THREADS ?= 1
$(TESTS): export TF_NUM_INTEROP_THREADS ?= 2

demo: $(DEMO)/.installed
	$(DEMO)/bin/python demo/digits.py
	$(DEMO)/bin/python demo/training.py
	$(DEMO)/bin/python demo/conversion.py

test: test-unit test-nengo lint

test-unit: $(TEST)/.installed
	$(TEST)/bin/python -m pytest tests $(PARALLEL) $(ARGS)

test-nengo: $(TEST)/.installed
	JOBS=$(JOBS) .ci/test-nengo $(TEST)/bin/python $(ARGS)

test-options: $(TEST)/.installed
	$(TEST)/bin/python -m pytest tests $(PARALLEL) $(ARGS) $(OPTIONS) --inference-only
	$(TEST)/bin/python -m pytest tests $(PARALLEL) $(ARGS) $(OPTIONS) -m training
	$(TEST)/bin/python -m pytest $(DEVICE_TESTS) $(PARALLEL) $(ARGS) --device /cpu:1

test-matrix:
	.ci/matrix oldest newest -- $(ARGS)

test-loihi:
	.ci/loihi numpy1 numpy2 -- $(ARGS)

test-packages:
	PYTHON=$(PYTHON) JOBS=$(JOBS) .ci/test-packages $(ARGS)

test-recipes: $(RECIPES)/.installed
	$(RECIPES)/bin/python -m pytest tests/test_recipes.py -k "sweep or search" $(ARGS)

fuzz: $(TEST)/.installed
	seq 0 $$((($(N) - 1) / 50)) | xargs -P $(JOBS) -I CHUNK $(TEST)/bin/python -m pytest -q \
		'tests/test_fuzz.py::test_random_networks[CHUNK]' --examples $(N) $(ARGS)

test-package: $(PACKAGE)/.installed
	.ci/test-wheel $(PACKAGE)/bin/python

docs: $(DOCS)/.installed
	$(DOCS)/bin/python -m sphinx -b html -W --keep-going -n docs docs/_build/html

lint: $(TEST)/.installed
	.ci/lint $(TEST)/bin

clean:
	rm -rf .venv-* build dist *.egg-info *.plots docs/_build
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find nengo_dl tests demo docs -name __pycache__ -prune -exec rm -rf {} +

$(TEST)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(TEST) -e '.[tests,lint]'

$(DEMO)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(DEMO) -e '.[demo]'

$(RECIPES)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(RECIPES) -e '.[core-tests,sweeps]'

$(DOCS)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(DOCS) -e '.[docs]'

$(PACKAGE)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(PACKAGE) 'build>=1.2'
