"""
Every builder of a product, against the operator's own NumPy step.

`builder_oracle.check` gives all signals random values, for minibatches of one and of
several items, and compares all signals after the step.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import scipy.sparse
from builder_oracle import check, gradients, make_step, signal, view
from nengo.builder.operator import DotInc, ElementwiseInc, SparseDotInc
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix

from nengo_dl.graph.operators import DotSet, ElementwiseSet, SparseDotSet
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.op_builders.products import MAX_ITEMS, MIN_LARGE, MIN_ROWS

jit = pytest.mark.parametrize("jit_compile", [False, True])


# -- what is merged -------------------------------------------------------------------


def product(n_a, n_x, n_y):
    """Returns a product of signals with these shapes."""
    return ElementwiseInc(*(Signal(shape=n) for n in (n_a, n_x, n_y)))


@pytest.mark.parametrize(
    "x, y, expected",
    [
        (product(3, 3, 3), product(3, 3, 3), True),
        (product(1, 1, 1), product((), (), ()), True),
        (product(1, 3, 3), product((), 3, 3), False),
        (product(3, 3, 3), product(2, 2, 2), False),
    ],
)
def test_mergeable_products(x, y, expected):
    assert mergeable(x, [y]) is expected


# -- ElementwiseInc -------------------------------------------------------------------


ELEMENTWISE_SHAPES = [
    ((), (), ()),
    ((), (3,), (3,)),
    ((3,), (), (3,)),
    ((1,), (3,), (3,)),
    ((3,), (3,), (3,)),
    ((3,), (1,), (3,)),
    ((1,), (1, 1), (1, 1)),
    ((3, 1), (4,), (3, 4)),
    ((3, 1), (1, 4), (3, 4)),
    ((3, 4), (3, 4), (3, 4)),
    ((4,), (3, 4), (3, 4)),
    ((), (3, 4), (3, 4)),
]


@pytest.mark.parametrize("op", [ElementwiseInc, ElementwiseSet])
@pytest.mark.parametrize("n_ops, jit_compile", [(1, False), (3, False), (3, True)])
def test_elementwise_inc(op, n_ops, jit_compile):
    for a, x, y in ELEMENTWISE_SHAPES:
        for shared in [()] if jit_compile else [(), ("a",), ("x",), ("a", "x")]:
            ops = [
                op(
                    signal(*a, shared="a" in shared),
                    signal(*x, shared="x" in shared),
                    signal(*y),
                )
                for _ in range(n_ops)
            ]
            check(ops, minibatch_sizes=(3,), jit_compile=jit_compile)


def test_elementwise_inc_of_scalars_and_single_elements():
    check(
        [
            ElementwiseInc(signal(), signal(1), signal(1)),
            ElementwiseInc(signal(), signal(), signal()),
        ]
    )


def test_elementwise_inc_of_one_target():
    target = signal(3)
    check([ElementwiseInc(signal(), signal(3), target) for _ in range(3)])


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("is_parameter", [False, True])
def test_elementwise_inc_of_one_large_target(is_large, is_parameter):
    """Equal factors that may change in different ways are multiplied each."""
    size = MIN_LARGE // 2 if is_large else MIN_LARGE // 2 - 1
    gains = [Signal(np.full(size, value)) for value in (2.0, 3.0, 2.0)]
    for gain in gains:
        gain.minibatched, gain.trainable = False, False if is_parameter else None
    target = signal(size)
    ops = [ElementwiseInc(gain, signal(size), target) for gain in gains]
    check(ops, minibatch_sizes=(2,))
    step = make_step(ops, 2)
    step.start({})
    (build,) = step.builder.op_builds.values()
    n_inputs = [len(inputs) for _, inputs in build.terms]
    assert n_inputs == ([1] if not is_large else [1, 1, 1] if is_parameter else [2, 1])


def test_elementwise_inc_of_large_targets():
    """Targets that are not all the same, and factors of other shapes."""
    targets = [signal(MIN_LARGE) for _ in range(2)]
    check([ElementwiseInc(signal(), signal(MIN_LARGE), t) for t in targets * 2])
    target = signal(2 * MIN_LARGE)
    for part in (target, target[MIN_LARGE:]):
        shapes = ((), part.shape), (part.shape, (1,)), ((1,), part.shape)
        for a, x in shapes:
            factors = [(signal(*a), signal(*x)) for _ in range(2)]
            check([ElementwiseInc(A, X, part) for A, X in factors])


def test_elementwise_inc_of_incompatible_shapes():
    op = ElementwiseInc(signal(1), signal(1), signal(3))
    with pytest.raises(BuildError, match="cannot be written to a signal of shape"):
        make_step([op], 1).start({})


def test_elementwise_inc_in_a_model(Simulator):
    model = nengo.builder.Model(dt=0.001)
    a, x, y = (
        Signal(np.full(1, 2.0)),
        Signal(np.full((1, 1), 3.0)),
        Signal(shape=(1, 1)),
    )
    for s in (a, x):
        model.sig[s]["in"] = s
    model.add_op(ElementwiseInc(a, x, y))
    with pytest.warns(UserWarning, match="No top-level network"):
        sim = Simulator(None, model=model)
    with sim:
        sim.run_steps(5)


# -- DotInc ---------------------------------------------------------------------------


DOT_SHAPES = [
    ((3, 4), (4,), (3,)),
    ((1, 4), (4,), (1,)),
    ((3, 1), (1,), (3,)),
    ((1, 1), (1,), (1,)),
    ((4,), (4,), ()),
    ((4,), (4,), (1,)),
    ((), (4,), (4,)),
    ((), (), ()),
    ((3, 4), (4, 1), (3, 1)),
]


@pytest.mark.parametrize("op", [DotInc, DotSet])
@pytest.mark.parametrize("n_ops, jit_compile", [(1, False), (3, False), (3, True)])
def test_dot_inc(op, n_ops, jit_compile):
    for a, x, y in DOT_SHAPES:
        for shared in [()] if jit_compile else [(), ("a",), ("x",), ("a", "x")]:
            ops = [
                op(
                    signal(*a, shared="a" in shared),
                    signal(*x, shared="x" in shared),
                    signal(*y),
                )
                for _ in range(n_ops)
            ]
            check(ops, jit_compile=jit_compile)


@pytest.mark.parametrize("shared", [False, True])
def test_dot_inc_of_one_input(shared):
    x = signal(4)
    check([DotInc(signal(3, 4, shared=shared), x, signal(3)) for _ in range(3)])


@pytest.mark.parametrize("shared", [False, True])
def test_dot_inc_with_views(shared):
    rows, columns = slice(1, 4), slice(None, None, 2)
    check(
        [
            DotInc(view((5, 4), rows, shared), signal(4), signal(3)),
            DotInc(view((7, 4), slice(0, 6, 2), shared), signal(4), signal(3)),
        ]
    )
    check([DotInc(view((5, 4), (rows, columns), shared), signal(2), signal(3))])
    check([DotInc(signal(3, 2), view((6,), slice(0, 4, 2)), view((9,), slice(5, 8)))])


@pytest.mark.parametrize("n_ops", [1, 2])
@pytest.mark.parametrize("n_columns", [1, 2, 100])
@pytest.mark.parametrize("n_rows", [MIN_ROWS - 2, MIN_ROWS])
@pytest.mark.parametrize("training", [False, True])
def test_matrices_are_transposed_for_minibatches(training, n_rows, n_columns, n_ops):
    x, n = signal(n_columns), n_rows // n_ops
    ops = [
        DotInc(signal(n, n_columns, shared=True), x, signal(n)) for _ in range(n_ops)
    ]
    is_large = n_columns > 1 and n_rows >= MIN_ROWS
    most = MAX_ITEMS[training]
    for n_items, are_few in [(1, False), (most, True), (most + 1, False)]:
        sizes = (n_items,)
        step = check(ops, minibatch_sizes=sizes, compiles=True, training=training)
        (build,) = step.builder.op_builds.values()
        assert (build.transposed is not None) == (are_few and is_large)


def test_matrices_that_are_not_transposed():
    """On GPUs, without XLA, for more than one input, or if each item has its own."""
    shape = (MIN_ROWS, 4)
    for shared, n_inputs, options in [
        (True, 1, {"compiles": True, "cpu_only": False}),
        (True, 1, {"compiles": False}),
        (True, 2, {"compiles": True}),
        (False, 1, {"compiles": True}),
    ]:
        ops = [
            DotInc(signal(*shape, shared=shared), signal(4), signal(MIN_ROWS))
            for _ in range(n_inputs)
        ]
        step = check(ops, **options)
        (build,) = step.builder.op_builds.values()
        assert build.transposed is None


@jit
def test_gradients_of_transposed_matrices(jit_compile):
    weights = signal(MIN_ROWS, 4, shared=True)
    ops = [DotInc(weights, signal(4), signal(MIN_ROWS))]
    expected, _ = gradients(ops, 3, jit_compile)
    found, step = gradients(ops, 3, jit_compile, compiles=True)
    (build,) = step.builder.op_builds.values()
    assert build.transposed is not None
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        assert np.any(gradient != 0)
        np.testing.assert_allclose(found[key], gradient, rtol=1e-10, atol=1e-12)


# -- SparseDotInc ---------------------------------------------------------------------


def sparse_signal(matrix, kind):
    if kind == "nengo":
        rows, columns = np.nonzero(matrix)
        indices = np.stack([rows, columns], axis=1)[::-1]
        matrix = SparseMatrix(indices, matrix[tuple(indices.T)], matrix.shape)
    else:
        matrix = scipy.sparse.csr_matrix(matrix)
    result = Signal(matrix, readonly=True)
    result.minibatched = False
    return result


@jit
@pytest.mark.parametrize("op", [SparseDotInc, SparseDotSet])
@pytest.mark.parametrize("kind", ["nengo", "scipy"])
def test_sparse_dot_inc(op, kind, jit_compile, rng):
    even = np.diag(rng.uniform(1, 2, size=4)) + np.diag(rng.uniform(1, 2, size=3), 1)
    uneven = np.diag(rng.uniform(1, 2, size=20))
    uneven[7] = rng.uniform(1, 2, size=20)
    holes = np.zeros((5, 3))
    holes[1, 2] = holes[3, 0] = 2
    for matrices in ([even], [uneven], [holes], [even, uneven, holes, even]):
        for shared in (False, True):
            ops = [
                op(
                    sparse_signal(matrix, kind),
                    signal(matrix.shape[1], shared=shared),
                    signal(matrix.shape[0]),
                )
                for matrix in matrices
            ]
            check(ops, jit_compile=jit_compile)
