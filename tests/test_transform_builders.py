"""Convolutions: the builder against Nengo's NumPy step, and whole networks."""

from __future__ import annotations

import contextlib
import itertools
import warnings

import nengo
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from builder_oracle import (
    base_signals,
    check,
    make_step,
    random_values,
    run_builder,
    signal,
    view,
)
from nengo import Convolution, ConvolutionTranspose
from nengo.builder.operator import SparseDotInc
from nengo.builder.transforms import ConvInc, ConvTransposeInc
from nengo.exceptions import ValidationError

from nengo_dl.graph.operators import ConvSet, ConvTransposeSet, SparseDotSet
from nengo_dl.graph.scaled_convolutions import ScaledConvInc, ScaledConvSet
from nengo_dl.graph_optimizer import mergeable
from nengo_dl.transform_builders import ConvIncBuilder, grouped_convolution

ignores_channels_first = pytest.mark.filterwarnings("ignore:.*channels_last=False")


def make_ops(op, convs, shared_input=False):
    """Returns operators that apply transforms to one input."""
    X = signal(int(convs[0].input_shape.size), shared=shared_input)
    return [
        op(
            signal(*conv.kernel_shape, shared=True),
            X,
            signal(int(conv.output_shape.size)),
            conv,
        )
        for conv in convs
    ]


def make_conv(cls=Convolution, n_axes=2, n_filters=4, channels_last=True, **kwargs):
    """Returns a transform with 4 input channels."""
    space = (7, 6, 5)[:n_axes]
    shape = (*space, 4) if channels_last else (4, *space)
    kernel_size = kwargs.pop("kernel_size", (2, 3, 2)[:n_axes])
    strides = kwargs.pop("strides", (2, 1, 1)[:n_axes])
    return cls(
        n_filters,
        shape,
        channels_last=channels_last,
        kernel_size=kernel_size,
        strides=strides,
        **kwargs,
    )


# -- single operators -----------------------------------------------------------------

layouts = pytest.mark.parametrize("channels_last", [True, False])
paddings = pytest.mark.parametrize("padding", ["same", "valid"])
n_axes_of_nengo = pytest.mark.parametrize("n_axes", [1, 2])


@ignores_channels_first
@layouts
@paddings
@n_axes_of_nengo
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution(channels_last, padding, n_axes, groups):
    for kernel_size, strides, n_ops in itertools.product((1, 2, 3), (1, 2, 3), (1, 2)):
        conv = make_conv(
            n_axes=n_axes,
            n_filters=8,
            kernel_size=(kernel_size,) * n_axes,
            strides=(strides,) * n_axes,
            padding=padding,
            channels_last=channels_last,
            groups=groups,
        )
        for op in (ConvInc, ConvSet):
            check(make_ops(op, [conv] * n_ops), minibatch_sizes=(3,))


@ignores_channels_first
@layouts
@paddings
@n_axes_of_nengo
def test_transposed_convolution(channels_last, padding, n_axes):
    for kernel_size, strides, n_ops in itertools.product((1, 2, 3), (1, 2, 3), (1, 2)):
        kwargs = {
            "n_axes": n_axes,
            "kernel_size": (kernel_size,) * n_axes,
            "strides": (strides,) * n_axes,
            "padding": padding,
            "channels_last": channels_last,
        }
        convs = [make_conv(ConvolutionTranspose, **kwargs)]
        smallest = convs[0].output_shape
        for extra in range(1, strides):  # several sizes of the output are possible
            space = (n + extra for n in smallest.spatial_shape)
            shape = (*space, 4) if channels_last else (4, *space)
            with contextlib.suppress(ValidationError):
                convs.append(
                    make_conv(ConvolutionTranspose, output_shape=shape, **kwargs)
                )
        for conv, op in itertools.product(convs, (ConvTransposeInc, ConvTransposeSet)):
            check(make_ops(op, [conv] * n_ops), minibatch_sizes=(3,))


@ignores_channels_first
@layouts
@pytest.mark.parametrize("stride", [1, 2])
def test_biases_of_channels(channels_last, stride):
    """One channel, and a kernel of one element: outer products."""
    shape = (7, 5, 1) if channels_last else (1, 7, 5)
    conv = Convolution(
        3,
        shape,
        kernel_size=(1, 1),
        strides=(stride, 1),
        channels_last=channels_last,
    )
    for op, n_ops in itertools.product((ConvInc, ConvSet), (1, 2)):
        ops = make_ops(op, [conv] * n_ops)
        assert ConvIncBuilder(ops).is_products
        check(ops, minibatch_sizes=(3,))
        check(ops, minibatch_sizes=(3,), cpu_only=False)


@layouts
@pytest.mark.parametrize(
    "conv, jit_compile",
    [
        ({}, True),
        ({"n_axes": 1, "padding": "same", "strides": (1,)}, False),
        ({"groups": 4, "kernel_size": (1, 1)}, False),
    ],
)
def test_scaled_convolution(conv, jit_compile, channels_last):
    """The image is convolved at the start, once for all steps and items."""
    conv = make_conv(channels_last=channels_last, **conv)
    for op in (ScaledConvInc, ScaledConvSet):
        ops = [
            op(
                signal(*conv.kernel_shape, shared=True),
                signal(conv.input_shape.size, 1, shared=True),
                view((3,), slice(1, 2)),
                signal(conv.output_shape.size),
                conv,
            )
        ]
        step = check(ops, n_steps=2, jit_compile=jit_compile)
        (build,) = step.builder.op_builds.values()
        assert build.image.shape == (1, conv.output_shape.size)


@ignores_channels_first
@layouts
@pytest.mark.parametrize(
    "op, conv",
    [
        (ConvInc, {"padding": "same"}),
        (ConvInc, {"padding": "same", "groups": 2}),
        (ConvInc, {"padding": "valid", "groups": 4, "kernel_size": (1, 2)}),
        (ConvTransposeInc, {"cls": ConvolutionTranspose, "padding": "same"}),
    ],
)
def test_compiled(op, conv, channels_last):
    conv = make_conv(channels_last=channels_last, **conv)
    check(make_ops(op, [conv, conv]), jit_compile=True)
    # the layout of GPUs
    check(make_ops(op, [conv, conv]), jit_compile=True, cpu_only=False)


def test_input_without_minibatch():
    check(make_ops(ConvInc, [make_conv()] * 2, shared_input=True))
    conv = make_conv(ConvolutionTranspose)
    check(make_ops(ConvTransposeInc, [conv], shared_input=True))


def test_input_that_is_a_view():
    conv = make_conv()
    (op,) = make_ops(ConvInc, [conv])
    size = conv.size_in
    op.reads = [op.W, signal(2 * size)[1 : size + 1]]
    check([op])
    op.reads = [op.W, signal(2 * size)[::2]]
    check([op])


@ignores_channels_first
@layouts
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_three_spatial_axes(channels_last, groups, rng):
    """Nengo cannot do this, SciPy can."""
    conv = make_conv(
        n_axes=3,
        channels_last=channels_last,
        padding="same",
        kernel_size=(3, 3, 3),
        strides=(1, 1, 1),
        groups=groups,
    )
    (op,) = make_ops(ConvSet, [conv])
    values = random_values(base_signals([op]), 2, rng)
    results, _ = run_builder([op], values, 2)

    W = values[op.W]
    for x, y in zip(values[op.X], results[op.Y]):
        x, y = x.reshape(conv.input_shape.shape), y.reshape(conv.output_shape.shape)
        if not channels_last:
            x, y = np.moveaxis(x, 0, -1), np.moveaxis(y, 0, -1)
        for i in range(4):
            first = i * groups // 4 * (4 // groups)  # the channels of filter i
            expected = sum(
                scipy.signal.correlate(x[..., first + j], W[..., j, i], mode="same")
                for j in range(4 // groups)
            )
            assert np.allclose(y[..., i], expected)


def test_transposed_with_three_spatial_axes(rng):
    """The transpose is the gradient of the sum of the convolution times the input."""
    conv = make_conv(ConvolutionTranspose, n_axes=3, n_filters=3)
    (op,) = make_ops(ConvTransposeInc, [conv])
    values = random_values(base_signals([op]), 1, rng)
    results, _ = run_builder([op], values, 1)

    y = tf.Variable(tf.zeros((1, *conv.output_shape.shape), tf.float64))
    W = tf.constant(np.swapaxes(values[op.W], -1, -2))
    x = values[op.X].reshape((1, *conv.input_shape.shape))
    with tf.GradientTape() as tape:
        forward = tf.nn.conv3d(y, W, (1, *conv.strides, 1), padding="VALID")
        product = tf.reduce_sum(forward * x)
    expected = tape.gradient(product, y).numpy().ravel() + values[op.Y]
    assert np.allclose(results[op.Y], expected)


@pytest.mark.parametrize("groups", [2, 6])
@paddings
def test_grouped_convolution_has_gradients(groups, padding, rng):
    """Both for few and for many groups, in double precision, without XLA."""
    X = tf.constant(rng.uniform(-1, 1, size=(1, 4, 3, 6)))
    W = tf.constant(rng.uniform(-1, 1, size=(2, 2, 6 // groups, 6)))

    def convolve(X, W):
        return grouped_convolution(X, W, (2, 1), padding.upper(), groups)

    @tf.function(jit_compile=True)
    def convolve_by_xla(X, W):
        return tf.nn.convolution(X, W, (2, 1), padding.upper())

    assert np.allclose(convolve(X, W), convolve_by_xla(X, W))
    theoretical, numerical = tf.test.compute_gradient(convolve, [X, W])
    for x, y in zip(theoretical, numerical):
        assert np.allclose(x, y, atol=1e-6)


def test_too_many_spatial_axes():
    shape = (3, 3, 3, 3, 2)
    conv = Convolution(2, shape, kernel_size=(2,) * 4, strides=(1,) * 4)
    with pytest.raises(NotImplementedError, match="one, two, or three spatial axes"):
        ConvIncBuilder(make_ops(ConvInc, [conv]))


def test_kernels_with_minibatch():
    ops = make_ops(ConvInc, [make_conv()])
    ops[0].W.minibatched = True
    with pytest.raises(NotImplementedError, match="kernels of their own"):
        make_step(ops, 2).start({})


# -- merging --------------------------------------------------------------------------


def test_mergeable():
    def pair(first, second, op=ConvInc):
        x, y = make_ops(op, [first])[0], make_ops(op, [second])[0]
        y.reads = [y.W, x.X]
        return mergeable(y, [x])

    conv = make_conv()
    assert pair(conv, make_conv())
    assert not pair(conv, make_conv(padding="same"))
    assert not pair(conv, make_conv(kernel_size=(3, 3)))
    assert not pair(conv, make_conv(strides=(1, 1)))
    assert not pair(conv, make_conv(n_filters=8))
    assert not pair(
        make_conv(kernel_size=(2, 2), n_filters=8),
        make_conv(kernel_size=(2, 2), n_filters=8, groups=2),
    )
    square = {"n_filters": 4, "kernel_size": (1, 1), "strides": (1, 1)}
    assert not pair(
        Convolution(input_shape=(4, 4, 4), **square),
        Convolution(input_shape=(4, 4, 4), channels_last=False, **square),
    )
    transposed = ConvolutionTranspose(input_shape=(4, 4, 4), **square)
    assert pair(transposed, transposed, ConvTransposeInc)
    x = make_ops(ConvInc, [Convolution(input_shape=(4, 4, 4), **square)])[0]
    y = make_ops(ConvTransposeInc, [transposed])[0]
    y.reads = [y.W, x.X]
    assert not mergeable(y, [x])


def test_mergeable_inputs():
    x, y = make_ops(ConvInc, [make_conv()] * 2)
    assert mergeable(y, [x])
    both = signal(2 * x.X.size)
    x.reads = [x.W, both[: x.X.size]]
    y.reads = [y.W, both[: x.X.size]]  # another view of the same elements
    assert mergeable(y, [x])
    y.reads = [y.W, both[x.X.size :]]
    assert not mergeable(y, [x])


# -- networks -------------------------------------------------------------------------


@layouts
@pytest.mark.parametrize("cls", [Convolution, ConvolutionTranspose])
def test_merged_network(channels_last, cls, Simulator, seed):
    with nengo.Network(seed=seed) as net:
        a = nengo.Node(np.ones(4 * 4 * 2))
        probes = []
        for _ in range(2):
            shape = (4, 4, 2) if channels_last else (2, 4, 4)
            transform = cls(3, shape, channels_last=channels_last)
            b = nengo.Node(size_in=transform.size_out)
            nengo.Connection(a, b, synapse=None, transform=transform)
            probes.append(nengo.Probe(b))
    with nengo.Simulator(net, progress_bar=False) as reference:
        reference.step()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Simulator(net, minibatch_size=2) as sim:
            sim.step()
            plan = sim.tensor_graph.plan
    for probe in probes:
        for item in sim.data[probe]:
            assert np.allclose(item, reference.data[probe], atol=5e-6)
    builds = (ConvInc, ConvSet, ConvTransposeInc, ConvTransposeSet)
    assert [len(group) for group in plan if type(group[0]) in builds] == [2]
    has_gpu = tf.config.list_physical_devices("GPU")
    warned = any("channels_last=False" in str(w.message) for w in caught)
    assert warned == (not channels_last and not has_gpu)


def test_number_of_spatial_axes(Simulator):
    def network(n_axes):
        shape = (3,) * n_axes
        with nengo.Network() as net:
            a = nengo.Node(np.ones(3**n_axes))
            transform = Convolution(
                2, (*shape, 1), kernel_size=(2,) * n_axes, strides=(1,) * n_axes
            )
            b = nengo.Node(size_in=transform.size_out)
            nengo.Connection(a, b, synapse=None, transform=transform)
            net.probe = nengo.Probe(b)
        return net

    net = network(3)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.run_steps(2)
    assert sim.data[net.probe].shape == (2, 16)
    with pytest.raises(NotImplementedError, match="spatial axes"):
        with Simulator(network(4), unroll_simulation=1) as sim:
            sim.step()


@pytest.mark.parametrize(
    "shape, filters, minibatch_size, is_faster",
    [
        ((14, 14, 32), 32, 1, True),
        ((28, 28, 16), 16, 4, True),
        ((28, 28, 1), 32, 1, True),
        ((28, 28, 1), 32, 32, False),
        ((28, 28, 4), 4, 8, False),
        ((14, 14, 16), 16, 32, False),
    ],
)
def test_convolutions_that_run_faster_in_xla(shape, filters, minibatch_size, is_faster):
    conv = Convolution(filters, shape, padding="same")
    build = ConvIncBuilder(make_ops(ConvInc, [conv]))
    assert build.runs_faster_in_xla(True, minibatch_size) == is_faster
    assert build.runs_faster_in_xla(False, minibatch_size)
    # one group for every channel
    depthwise = Convolution(filters, shape, padding="same", groups=shape[-1])
    build = ConvIncBuilder(make_ops(ConvInc, [depthwise]))
    assert build.runs_faster_in_xla(True, minibatch_size) == (
        is_faster or shape[-1] > 1
    )


def sparse_and_dense(seed, full=False):
    """Returns a network with sparse and dense connections of equal weights."""
    rng = np.random.RandomState(seed)
    with nengo.Network(seed=seed) as net:
        stimulus = nengo.Node(np.ones(4))
        net.pairs = []
        net.stimulus = stimulus
        for _ in range(2):
            weights = rng.uniform(0.5, 1, size=(4, 4) if full else 4)
            weights = weights if full else np.diag(weights)
            indices = np.stack(np.nonzero(weights), axis=1)
            data = weights[tuple(indices.T)]
            probes, connections = [], []
            for transform in (
                weights,
                nengo.Sparse((4, 4), indices=indices, init=data),
            ):
                node = nengo.Node(size_in=4)
                connections.append(
                    nengo.Connection(stimulus, node, synapse=None, transform=transform)
                )
                probes.append(nengo.Probe(node))
            net.pairs.append((probes, connections))
    return net


def test_sparse(Simulator, seed):
    net = sparse_and_dense(seed)
    with Simulator(net, minibatch_size=2) as sim:
        sim.run_steps(10)
        plan = sim.tensor_graph.plan
    for (dense, sparse), _ in net.pairs:
        assert np.allclose(sim.data[dense], sim.data[sparse])
    sizes = [len(g) for g in plan if isinstance(g[0], (SparseDotInc, SparseDotSet))]
    assert sizes == [2]


@pytest.mark.training
@pytest.mark.parametrize("full, epochs", [(False, 1), (True, 10)])
def test_train_sparse(full, epochs, Simulator, seed, rng):
    net = sparse_and_dense(seed, full)
    x = rng.uniform(-1, 1, size=(4, 1, 4))
    with Simulator(net, minibatch_size=4, unroll_simulation=1) as sim:
        sim.compile(optimizer=tf.optimizers.SGD(0.01), loss="mse")
        probes = [probe for pair, _ in net.pairs for probe in pair]
        sim.fit(
            {net.stimulus: x},
            {probe: np.ones((4, 1, 4)) for probe in probes},
            epochs=epochs,
            verbose=0,
        )
        for _, (dense, sparse) in net.pairs:
            initial = dense.transform.init
            dense, sparse = sim.data[dense].weights, sim.data[sparse].weights
            # From the second step on they would differ: the dense connection learns
            # elements that the sparse one does not have.
            assert not np.any(np.isclose(dense, initial))
            data = sparse.data if hasattr(sparse, "data") else sparse
            shared = np.ravel(dense) if full else np.diag(dense)
            assert np.allclose(shared, np.ravel(data), atol=1e-5)
