"""Steps of operators that only NumPy can run, one for each item of the minibatch."""

from __future__ import annotations

import threading

import nengo
import numpy as np
import pytest
import scipy.sparse
from nengo.builder import Signal
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix
from numpy_operators import PlainOperator

from nengo_dl.execution.operator_steps import NumpyOperators, copies


class Gadget(PlainOperator):
    def make_step(self, signals, dt, rng):
        self.check(signals, dt, rng)
        return lambda: None


def make_step(op, **kwargs):
    """Return the step of an operator for the only item."""
    operators = NumpyOperators([op], 1, dt=0.002)
    operators.make_step(op, 0, np.random.RandomState(3))
    return operators.steps[op][0]


def test_arguments_are_those_of_nengo():
    x, whole = Signal(np.ones(2), name="x"), Signal(np.arange(6.0).reshape(2, 3))
    constant = Signal(np.ones(1), readonly=True)
    seen = []

    def check(signals, dt, rng):
        seen.append((dt, rng.randint(100)))
        np.testing.assert_array_equal(signals[x], [1, 1])
        part = signals[whole[:, 1]]
        np.testing.assert_array_equal(part, [1, 4])
        part[...] = 7
        np.testing.assert_array_equal(signals[whole], [[0, 7, 2], [3, 7, 5]])
        with pytest.raises(ValueError, match="read-only"):
            signals[constant][...] = 2

    make_step(Gadget([x], reads=[whole, constant], check=check))
    assert seen == [(0.002, np.random.RandomState(3).randint(100))]


def test_undeclared_signals():
    whole = Signal(np.zeros(4), name="whole")
    for used in (Signal(np.zeros(1), name="other"), whole, whole[1:]):
        op = Gadget(reads=[whole[:2]], check=lambda signals, *_, s=used: signals[s])
        with pytest.raises(BuildError, match="must list all signals.*`sets`") as err:
            make_step(op)
        assert "`make_step` of the operator `Gadget`" in err.value.__notes__[0]


def test_invalid_numbers_are_errors_as_in_nengo():
    class Invalid(Gadget):
        def make_step(self, signals, dt, rng):
            return lambda: np.log(-np.ones(1))

    with pytest.raises(FloatingPointError):
        make_step(Invalid())(None)


MATRIX = np.array([[0.0, 0, 5], [3, 0, 0], [0, 4, 0]])
ENTRIES = [(2, 1), (0, 2), (1, 0)], np.array([4.0, 5.0, 3.0])
SPARSE = [
    SparseMatrix(*ENTRIES, shape=(3, 3)),
    scipy.sparse.csr_matrix(MATRIX),
    scipy.sparse.csc_matrix(MATRIX),
    scipy.sparse.coo_matrix(MATRIX),
    scipy.sparse.bsr_matrix(MATRIX, blocksize=(1, 1)),
]


@pytest.mark.parametrize("matrix", SPARSE, ids=lambda matrix: type(matrix).__name__)
def test_sparse_signals_follow_what_is_stored(matrix):
    """As do weights that are trained."""
    from nengo_dl.graph.layout import sparse_indices

    signal = Signal(matrix)
    matrices = []
    op = Gadget(reads=[signal], check=lambda sigs, *_: matrices.append(sigs[signal]))
    step = make_step(op)
    for factor in (1, 2, 2, 3):
        step(None, (factor * sparse_indices(signal)[1]).astype("float32"))
        value = matrices[0]
        value = value.toarray() if hasattr(value, "toarray") else value
        np.testing.assert_array_equal(value, factor * MATRIX)
    matrix = matrix.allocate() if isinstance(matrix, SparseMatrix) else matrix
    np.testing.assert_array_equal(matrix.toarray(), MATRIX)


def test_copies():
    x, constant = Signal(np.zeros(2)), np.ones(3)
    constant.setflags(write=False)
    ens = nengo.Ensemble(2, 1, add_to_container=False)
    op = Gadget(
        [x], count=[0], f=lambda: None, LIF=nengo.LIF(), ens=ens, constant=constant
    )
    (copied,) = copies(op, 1)
    assert copied is not op and copied.sets[0] is x
    assert copied.f is op.f and copied.LIF is op.LIF and copied.ens is ens
    assert copied.constant is constant
    assert copied.count == op.count and copied.count is not op.count


def test_what_cannot_be_copied():
    op = Gadget(lock=threading.Lock())
    assert copies(op, 0) == []
    with pytest.raises(BuildError, match="operator of its own.*minibatch_size=1"):
        NumpyOperators([op], 2, dt=0.001)
