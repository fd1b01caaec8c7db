# `make demo` and `make test` need nothing but Python (3.10 or newer). Each makes a
# virtual environment in this directory, and keeps it until pyproject.toml changes.
#
#     make demo              run the demonstration
#     make test              our tests, Nengo's tests, lint
#     make test-unit         our tests             (ARGS="-k config -x" is for pytest)
#     make test-nengo        Nengo's tests, run on our simulator
#     make test-matrix       our tests on the oldest and the newest software
#     make test-loihi        our tests with NengoLoihi, and the demonstration for it
#     make fuzz N=5000       random networks, compared with Nengo
#     make lint              ruff and mypy
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

.PHONY: demo test test-unit test-nengo test-matrix test-loihi fuzz lint clean

export TF_CPP_MIN_LOG_LEVEL ?= 2
export JOBS

# Several processes share the machine; TensorFlow would take all of it for each.
test test-unit test-nengo test-matrix test-loihi fuzz: export OMP_NUM_THREADS ?= 1
test test-unit test-nengo test-matrix test-loihi fuzz: export OPENBLAS_NUM_THREADS ?= 1
test test-unit test-nengo test-matrix test-loihi fuzz: export TF_NUM_INTRAOP_THREADS ?= 1
test test-unit test-nengo test-matrix test-loihi fuzz: export TF_NUM_INTEROP_THREADS ?= 2

demo: $(DEMO)/.installed
	$(DEMO)/bin/python demo/digits.py
	$(DEMO)/bin/python demo/training.py

test: test-unit test-nengo lint

test-unit: $(TEST)/.installed
	$(TEST)/bin/python -m pytest tests -n $(JOBS) $(ARGS)

test-nengo: $(TEST)/.installed
	JOBS=$(JOBS) .ci/test-nengo $(TEST)/bin/python $(ARGS)

test-matrix:
	.ci/matrix oldest newest -- $(ARGS)

test-loihi:
	.ci/loihi numpy1 numpy2 -- $(ARGS)

fuzz: $(TEST)/.installed
	$(TEST)/bin/python -m pytest tests/test_fuzz.py --examples $(N) -n $(JOBS) $(ARGS)

lint: $(TEST)/.installed
	.ci/lint $(TEST)/bin

clean:
	rm -rf .venv-* build dist *.egg-info *.plots
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find nengo_dl tests demo docs -name __pycache__ -prune -exec rm -rf {} +

$(TEST)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(TEST) -e '.[tests,lint]'

$(DEMO)/.installed: pyproject.toml .ci/install
	.ci/install $(PYTHON) $(DEMO) -e '.[demo]'
