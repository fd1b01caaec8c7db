"""
Every builder of a basic operator, against the operator's own NumPy step.

`builder_oracle.check` gives all signals random values, for minibatches of one and of
several items, and compares all signals after the step.
"""

from __future__ import annotations

import nengo
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from builder_oracle import base_signals, check, make_step, run_builder
from nengo.builder.operator import (
    Copy,
    DotInc,
    ElementwiseInc,
    SimPyFunc,
    SparseDotInc,
    TimeUpdate,
)
from nengo.builder.probe import SimProbe
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from nengo.transforms import SparseMatrix

from nengo_dl.builder import Builder
from nengo_dl.graph.operators import (
    DotSet,
    ElementwiseSet,
    ResetInc,
    SparseDotSet,
    reset_to,
)
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.op_builders import sparse_matmul


def signal(*shape, shared=False):
    """Returns a signal; a shared one has no minibatch axis."""
    result = Signal(shape=shape)
    result.minibatched = not shared
    return result


def view(shape, index, shared=False):
    """Returns a part of a signal."""
    return signal(*shape, shared=shared)[index]


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


def test_mergeable_functions():
    time = Signal(0.0)

    def function(t):
        return SimPyFunc(Signal(shape=1), np.sin, t, Signal(shape=1))

    assert mergeable(function(time), [function(time)])
    assert mergeable(function(None), [function(None)])
    assert not mergeable(function(time), [function(None)])
    assert not mergeable(function(time), [function(Signal(0.0))])


# -- Reset ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [reset_to, ResetInc])
def test_reset(make):
    check([make(signal(3), 1.5)])
    check([make(signal(), 1.5), make(signal(1), -2)])
    check([make(signal(2, 3), 1.5), make(signal(4, 3), 1.5)])
    check([make(signal(3), np.arange(3.0)), make(signal(2), 1.0)])
    check([make(view((5,), slice(1, 3)), 2.0), make(view((4,), slice(0, 4, 2)), 3.0)])


def test_reset_of_a_column():
    check([reset_to(view((4, 3), (slice(None), slice(1, 2))), 2.0)])


def test_reset_of_integers():
    dst = Signal(np.zeros(2, dtype=int))
    check([reset_to(dst, 3)])


# -- Copy -----------------------------------------------------------------------------


@jit
@pytest.mark.parametrize("inc", [False, True])
def test_copy(inc, jit_compile):
    def run(*args, **kwargs):
        check([Copy(*args, inc=inc, **kwargs)], jit_compile=jit_compile)

    run(signal(3), signal(3))
    run(signal(), signal())
    run(signal(2, 3), signal(2, 3))
    run(signal(3, shared=True), signal(3))
    run(signal(6), signal(3), src_slice=slice(0, 6, 2))
    run(signal(3), signal(6), dst_slice=slice(1, None, 2))
    run(signal(6), signal(3), src_slice=[5, 0, 2])
    run(signal(6), signal(3), src_slice=[1, 1, 1])
    run(signal(6), signal(3), src_slice=[-1, -6, 2])
    run(signal(3), signal(6), dst_slice=[-1, 0, 2])
    run(signal(6), signal(7), src_slice=[3, 1], dst_slice=[0, -1])
    run(signal(2), signal(4), dst_slice=np.array([True, False, False, True]))
    run(signal(4), signal(2), src_slice=[False, True, True, False])
    run(signal(1), signal(4))
    run(signal(1), signal(4), dst_slice=[0, 2])
    run(signal(3, 2), signal(5, 2), dst_slice=[4, 0, 1])
    run(view((5, 4), (slice(1, 4), slice(None, None, 2))), signal(3, 2))
    run(signal(3, 2), view((5, 4), (slice(1, 4), slice(None, None, 2))))


def test_copy_accumulates_repeated_indices():
    check([Copy(signal(4), signal(3), dst_slice=[0, 2, 0, -1], inc=True)])


def test_copy_to_repeated_indices():
    op = Copy(signal(3), signal(3), dst_slice=[0, 2, -1])
    with pytest.raises(BuildError, match="must not contain an element twice"):
        make_step([op], 1).start({})


@jit
def test_merged_copies(jit_compile):
    target = signal(4)
    check(
        [
            Copy(signal(3), signal(3)),
            Copy(signal(6), signal(2), src_slice=[5, 0]),
            Copy(signal(2), signal(7), dst_slice=[0, 3]),
        ],
        jit_compile=jit_compile,
    )
    check(
        [
            Copy(signal(4), target, inc=True),
            Copy(signal(4), target, inc=True),
            Copy(signal(2), target, dst_slice=[3, 0], inc=True),
            Copy(signal(3), signal(3), inc=True),
        ],
        jit_compile=jit_compile,
    )
    check([Copy(signal(1), signal(3)), Copy(signal(2), signal(2))])


def test_many_increments_of_one_signal():
    target = signal(1)
    ops = [Copy(signal(1), target, inc=True) for _ in range(1000)]
    check(ops, atol=1e-10)

    step = make_step(ops, 2)
    step.signals.bases = {
        key: tf.zeros(array.full_shape(2), tf.float64)
        for key, array in step.program.layout.arrays.items()
    }

    def build():
        step.start({})
        step.builder.build_step(step.signals)

    graph = tf.function(build, autograph=False).get_concrete_function().graph
    assert len(graph.get_operations()) < 50


def test_copy_carries_what_it_does_not_write():
    dst = signal(3)
    builder = Builder.builder_of(Copy(signal(3), dst))
    assert builder.carried(Copy(signal(3), dst)) == []
    assert builder.carried(Copy(signal(1), dst, dst_slice=[1])) == [dst]


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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("device", ["/cpu:0", None])
def test_sparse_matmul(dtype, device):
    indices = [(0, 0), (1, 1), (2, 2), (2, 2)]
    with tf.device(device):
        data = tf.constant([2, 2, 1, 1], dtype)
        product = sparse_matmul(indices, data, (3, 3), tf.ones((3, 2), dtype))
    assert product.dtype == dtype
    assert np.allclose(product, 2)
    product = sparse_matmul(
        indices, data, (3, 3), tf.ones((2, 3), dtype), transpose_x=True
    )
    assert product.shape == (2, 3)
    assert np.allclose(product, 2)


def test_sparse_matmul_of_nothing():
    product = sparse_matmul(np.zeros((0, 2)), tf.zeros(0), (3, 4), tf.ones((4, 2)))
    assert product.shape == (3, 2)
    assert np.allclose(product, 0)


@jit
def test_sparse_matmul_of_very_uneven_rows(jit_compile):
    """One full row does not make the others take as much memory."""
    n = 10_000
    indices = [(i, i) for i in range(n)] + [(5, i) for i in range(n) if i != 5]

    def multiply(data, x):
        return sparse_matmul(indices, data, (n, n), x, transpose_x=True)

    data = tf.ones(len(indices))
    x = tf.ones((2, n))
    function = tf.function(multiply, jit_compile=jit_compile)
    product = function(data, x).numpy()
    assert np.allclose(product[:, 5], n)
    assert np.allclose(np.delete(product, 5, axis=1), 1)
    sizes = [
        tensor.shape.num_elements()
        for op in function.get_concrete_function(data, x).graph.get_operations()
        for tensor in op.outputs
    ]
    assert max(sizes) < 10 * n


# -- SimPyFunc ------------------------------------------------------------------------


def test_pyfunc():
    def function(x):
        return [x[0] * x[1], x[0]]

    check([SimPyFunc(signal(2), function, None, signal(2))])
    check([SimPyFunc(signal(2), function, None, signal(2)) for _ in range(2)])
    check([SimPyFunc(signal(1), lambda x: x.sum(), None, signal(3))])
    check(
        [
            SimPyFunc(signal(1), np.sum, None, signal(3)),
            SimPyFunc(signal(2), function, None, signal(2)),
        ]
    )
    check([SimPyFunc(signal(2), function, None, signal(2, shared=True))])


def test_pyfunc_gets_the_time_as_a_float():
    times = []
    time = Signal(np.array(0.5), name="time")
    time.minibatched = False
    op = SimPyFunc(signal(1), lambda t, x: times.append(t) or x, time, signal(1))
    values = {s: np.full((2, *s.shape), 1.0) for s in base_signals([op])}
    values[time] = np.array(0.5)
    results, _ = run_builder([op], values, minibatch_size=2, dtype="float32")
    assert times == [0.5, 0.5]
    assert all(isinstance(t, float) for t in times)
    assert np.allclose(results[op.output], 1)


def test_pyfunc_gets_copies():
    arrays = []

    def function(x):
        arrays.append(x)
        x *= 0
        return x

    x = signal(2)
    op = SimPyFunc(signal(2), function, None, x)
    values = {s: np.ones((3, 2)) for s in base_signals([op])}
    results, _ = run_builder([op], values, minibatch_size=3, n_steps=2)
    assert len(arrays) == 6
    assert np.allclose(results[x], 1)
    assert np.allclose(results[op.output], 0)


def test_merged_pyfuncs(Simulator, seed):
    with nengo.Network(seed=seed) as net:
        net.config[nengo.Ensemble].neuron_type = nengo.Direct()
        nodes = [nengo.Node(lambda t, x: t + x, size_in=1) for _ in range(2)]
        ensembles = [nengo.Ensemble(10, 1) for _ in range(2)]
        for node, ensemble in zip(nodes, ensembles):
            nengo.Connection(node, ensemble, function=lambda x: x**2)
            nengo.Connection(ensemble, ensembles[0], function=lambda x: x + 1)
        probes = [nengo.Probe(obj) for obj in nodes + ensembles]

    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.run_steps(10)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
    for probe in probes:
        for item in sim.data[probe]:
            assert np.allclose(item, reference.data[probe])


# -- the rest -------------------------------------------------------------------------


def test_time_update():
    step, time = Signal(np.array(4)), Signal(np.array(0.004))
    step.minibatched = time.minibatched = False
    check([TimeUpdate(step, time)], n_steps=3)


def test_sim_probe():
    check([SimProbe(signal(3))])
