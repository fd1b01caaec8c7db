"""TensorNodes in simulations: what is compiled, whose weights they are, which types."""

from __future__ import annotations

import pickle

import keras
import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.tensor_node import operator
from nengo_dl.tensor_node.trial import Traits


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        yield net


def simulate(net, n_steps=5, **kwargs):
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False, **kwargs) as sim:
        sim.run_steps(n_steps)
        return sim.tensor_graph.step, [sim.data[probe] for probe in net.all_probes]


def traits(net):
    """Return the traits of the only TensorNode."""
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        (op,) = (op for op in sim.model.operators if hasattr(op, "traits"))
        return op.traits


# -- what is compiled -----------------------------------------------------------------


@pytest.mark.parametrize(
    "func",
    [
        tf.sin,
        keras.ops.sin,
        keras.layers.Lambda(tf.sin),
        tf.function(tf.sin),
        lambda x: tf.while_loop(
            lambda i, _: i < 3, lambda i, y: (i + 1, y + x), (0, x)
        )[1],
    ],
)
def test_compiled(net, func):
    nengo.Probe(nengo_dl.Layer(func)(nengo.Node([1, 2])))
    assert simulate(net)[0].compiles


def test_not_merged(net):
    for value in (1, 2):
        nengo.Probe(nengo_dl.Layer(tf.sin)(nengo.Node([value])))
    step, data = simulate(net)
    plan = step.program.plan
    assert [len(ops) for ops in plan if hasattr(ops[0], "traits")] == [1, 1]
    np.testing.assert_allclose(np.ravel(data), np.sin(np.repeat([1, 2], 5)), rtol=1e-6)


def printing(x):
    with tf.control_dependencies([tf.print("x =", x[0, 0])]):
        return tf.sin(x)


def asserting(x):
    with tf.control_dependencies([tf.debugging.assert_less(x, 3.0)]):
        return tf.sin(x)


NOT_COMPILED = {
    "numpy_function": lambda x: tf.numpy_function(np.sin, [x], tf.float32),
    "py_function": lambda x: tf.py_function(tf.sin, [x], tf.float32),
    "within a tf.function": tf.function(
        lambda x: tf.numpy_function(np.sin, [x], tf.float32), autograph=False
    ),
    "printing": printing,
    "asserting": asserting,
    "strings": lambda x: tf.sin(tf.strings.to_number(tf.strings.as_string(x))),
}


@pytest.mark.parametrize("kind", NOT_COMPILED)
@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_not_compiled(net, kind, jit_compile):
    """The rest of the step still is, and the numbers are right."""
    nengo_dl.configure_settings(jit_compile=jit_compile)
    x = nengo_dl.Layer(lambda x: x)(nengo.Node([1, 2]))
    for _ in range(3):
        x = nengo_dl.Layer(tf.identity)(x)
    nengo.Probe(nengo_dl.Layer(NOT_COMPILED[kind])(x))
    step, (data,) = simulate(net)
    assert not step.pure and not step.compiles
    is_compiled = {
        build.op.func is NOT_COMPILED[kind]: step._is_compiled(build)
        for build in step.builder.op_builds.values()
        if isinstance(build, operator.SimTensorNodeBuilder)
    }
    assert is_compiled == {True: False, False: True}
    np.testing.assert_allclose(data, [np.sin([1, 2])] * 5, rtol=1e-5)


def test_printed_in_every_step(net, capfd):
    nengo_dl.TensorNode(lambda t: printing(tf.reshape(t, (1, 1))), shape_out=(1,))
    simulate(net, n_steps=3)
    assert capfd.readouterr().err.count("x = ") == 3


def test_assertions_are_kept(net):
    nengo.Probe(nengo_dl.Layer(asserting)(nengo.Node(lambda t: 4 * (t > 0.0025))))
    simulate(net, n_steps=2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="assertion failed"):
        simulate(net, n_steps=3)


def test_layers_may_refuse(net):
    class Refusing(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_jit = False

        def call(self, x):
            return 2 * x

    nengo.Probe(nengo_dl.Layer(Refusing())(nengo.Node([1, 2])))
    assert not simulate(net)[0].pure


def test_random_operations(net):
    """They follow the seed of the simulator, which XLA would ignore."""
    for _ in range(2):
        node = nengo_dl.TensorNode(lambda t: tf.random.uniform((4, 10)))
        nengo.Probe(node)
    state = tf.random.get_global_generator().state.numpy()
    _, first = simulate(net, seed=1, minibatch_size=4)
    _, second = simulate(net, seed=1, minibatch_size=4)
    np.testing.assert_array_equal(first, second)
    assert not np.any(first[0] == first[1])
    assert len(np.unique(first[0])) == first[0].size
    _, other = simulate(net, seed=2, minibatch_size=4)
    assert not np.any(first[0] == other[0])
    np.testing.assert_array_equal(tf.random.get_global_generator().state, state)


@pytest.mark.parametrize(
    "layer, shape_in, n_products",
    [
        (keras.layers.Conv2D(7, (2, 3)), (5, 6, 4), 4 * 4 * 2 * 3 * 4 * 7),
        (keras.layers.DepthwiseConv2D(2), (5, 6, 4), 4 * 5 * 2 * 2 * 4),
        (keras.layers.Conv2DTranspose(7, 2), (5, 6, 4), 5 * 6 * 2 * 2 * 4 * 7),
        (keras.layers.Conv3D(3, 2), (2, 3, 4, 5), 1 * 2 * 3 * 2 * 2 * 2 * 5 * 3),
        (keras.layers.Dense(10), (5, 6, 4), 0),
        (
            keras.Sequential([keras.layers.Conv1D(3, 2), keras.layers.Conv1D(5, 1)]),
            (4, 2),
            3 * 2 * 2 * 3 + 3 * 1 * 3 * 5,
        ),
    ],
)
def test_products_of_convolutions(net, layer, shape_in, n_products):
    nengo_dl.TensorNode(layer, shape_in=shape_in, pass_time=False)
    assert traits(net) == Traits(compiles=True, n_products=n_products)


def test_large_convolutions_are_left_to_tensorflow(net, monkeypatch):
    layer = keras.layers.Conv2D(2, 2)
    nengo.Probe(nengo_dl.Layer(layer)(nengo.Node(np.ones(9)), shape_in=(3, 3, 1)))
    step, small = simulate(net)
    assert step.compiles
    monkeypatch.setattr(operator, "MAX_XLA_PRODUCTS", 0)
    step, large = simulate(net)
    assert step.pure and not step.compiles
    np.testing.assert_allclose(small, large, rtol=1e-6)


# -- numbers --------------------------------------------------------------------------


def test_float_types(net):
    """Layers compute in their own type."""
    nengo_dl.configure_settings(dtype="float64")
    x = nengo.Node([1 / 3])
    types = {}

    def remember(name):
        def func(x):
            types[name] = x.dtype
            return x

        return func

    nodes = [
        nengo_dl.Layer(keras.layers.Lambda(remember(dtype), dtype=dtype))(x)
        for dtype in ("float64", "float32", "mixed_float16")
    ]
    nodes.append(nengo_dl.Layer(remember("function"))(x))
    for node in nodes:
        nengo.Probe(node)
    _, data = simulate(net)
    assert types == {
        "float64": tf.float64,
        "float32": tf.float32,
        "mixed_float16": tf.float16,
        "function": tf.float64,
    }
    # XLA may leave out the rounding
    for values, rtol in zip(data, [0, 1e-7, 1e-3, 0]):
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, np.full((5, 1), 1 / 3), rtol=rtol)


def test_layer_in_double_precision(net):
    nengo.Probe(nengo_dl.Layer(keras.layers.Dense(3, dtype="float64"))(nengo.Node([1])))
    _, (data,) = simulate(net)
    assert data.dtype == np.float32


def test_integers(net):
    layer = keras.layers.Lambda(lambda x: tf.cast(x, tf.int32))
    nengo_dl.Layer(layer)(nengo.Node([1]))
    with pytest.raises(nengo.exceptions.ValidationError, match="should have dtype"):
        simulate(net)


def test_unknown_shapes(net):
    """What is not known when the graph is built is known when it runs."""
    func = NOT_COMPILED["numpy_function"]
    nengo.Probe(nengo_dl.Layer(func)(nengo.Node(np.ones(6)), shape_in=(3, 2)))
    _, (data,) = simulate(net)
    np.testing.assert_allclose(data, np.full((5, 6), np.sin(1)), rtol=1e-6)


def test_several_inputs(net):
    """Side by side, as the documentation of TensorNode says."""

    class Product(keras.layers.Layer):
        def call(self, x):
            a, b = keras.ops.split(x, 2, axis=-1)
            return a * b

    node = nengo_dl.TensorNode(Product(), shape_in=(4,), pass_time=False)
    nengo.Connection(nengo.Node([1, 2]), node[:2], synapse=None)
    nengo.Connection(nengo.Node([3, 4]), node[2:], synapse=None)
    nengo.Probe(node)
    _, (data,) = simulate(net)
    np.testing.assert_array_equal(data, [[3, 8]] * 5)


# -- training and inference -----------------------------------------------------------


class Phase(keras.layers.Layer):
    """Puts out 1 in training, else 0."""

    def call(self, t, training=None):
        assert isinstance(training, bool)
        return tf.fill((2, 1), 1.0 if training else 0.0)


@pytest.mark.training
def test_training_argument(net):
    node = nengo_dl.TensorNode(Phase(), shape_in=None)
    probe = nengo.Probe(node)
    kwargs = {"minibatch_size": 2, "device": "/cpu:0", "progress_bar": False}
    with nengo_dl.Simulator(net, **kwargs) as sim:
        assert np.all(sim.predict(n_steps=3, verbose=0)[probe] == 0)
        sim.run_steps(3)
        assert np.all(sim.data[probe] == 0)
        sim.compile(keras.optimizers.SGD(0.0), loss="mse")
        target = np.zeros((2, 3, 1))
        assert sim.fit(n_steps=3, y=target, verbose=0).history["loss"] == [1]
        assert sim.evaluate(n_steps=3, y=target, verbose=0)["loss"] == 0

    with net:
        nengo_dl.configure_settings(learning_phase=True)
    with nengo_dl.Simulator(net, **kwargs) as sim:
        assert np.all(sim.predict(n_steps=3, verbose=0)[probe] == 1)
        sim.run_steps(3)
        assert np.all(sim.data[probe] == 1)


@pytest.mark.training
def test_state_of_layers_in_a_loop(net):
    """In every step as in a call of the Keras layer, in one compiled loop."""
    nengo_dl.configure_settings(learning_phase=True)
    kwargs = {"momentum": 0.5}
    ours = keras.layers.BatchNormalization(**kwargs)
    dropout = keras.layers.Dropout(0.5, seed=3)
    x = nengo.Node(np.zeros(4))
    nengo.Probe(nengo_dl.Layer(ours)(x))
    probe = nengo.Probe(nengo_dl.Layer(dropout)(x))
    data = np.random.RandomState(0).normal(size=(3, 7, 4)).astype("float32")

    theirs = keras.layers.BatchNormalization(**kwargs)
    their_dropout = keras.layers.Dropout(0.5, seed=3)
    dropped = []

    @tf.function(jit_compile=True)  # XLA has random numbers of its own
    def drop(x):
        return their_dropout(x, training=True)

    for step in range(7):
        theirs(data[:, step], training=True)
        dropped.append(drop(data[:, step]).numpy())

    with nengo_dl.Simulator(
        net, minibatch_size=3, device="/cpu:0", progress_bar=False
    ) as sim:
        assert sim.tensor_graph.step.compiles
        sim.run_steps(7, data={x: data})
        for weight, expected in zip(ours.get_weights(), theirs.get_weights()):
            np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            sim.data[probe], np.stack(dropped, axis=1), rtol=1e-6
        )


@pytest.mark.training
@pytest.mark.parametrize("jit_compile", [False, True])
def test_state_of_layers_in_training_over_time(net, jit_compile):
    """The same in `fit`, with gradients through the loop."""
    normalize, their_normalize = (
        keras.layers.BatchNormalization(momentum=0.5, epsilon=0.1) for _ in range(2)
    )
    model = keras.Sequential(
        [
            normalize,
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Reshape((2, 2)),
            keras.layers.LSTM(3),
        ]
    )
    probe = nengo.Probe(nengo_dl.Layer(model)(nengo.Node(np.zeros(4))))
    data = np.random.RandomState(0).normal(size=(3, 5, 4)).astype("float32")
    for step in range(5):
        their_normalize(data[:, step], training=True)
    with nengo_dl.Simulator(
        net, minibatch_size=3, device="/cpu:0", progress_bar=False
    ) as sim:
        before = model.layers[-1].get_weights()
        sim.compile(keras.optimizers.SGD(0.1), loss="mse", jit_compile=jit_compile)
        sim.fit(data, {probe: np.ones((3, 5, 3))}, verbose=0)
        assert sim.keras_model.compiles_training is jit_compile
        for weight, expected in zip(
            normalize.non_trainable_weights, their_normalize.non_trainable_weights
        ):
            np.testing.assert_allclose(weight.numpy(), expected.numpy(), rtol=1e-4)
        for old, new in zip(before, model.layers[-1].get_weights()):
            assert np.all(np.isfinite(new)) and np.any(new != old)


def test_inference_leaves_state_alone(net):
    layer = keras.layers.BatchNormalization()
    nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([3, 4])))
    simulate(net)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), [0, 0])


class Penalty(keras.layers.Layer):
    def call(self, x):
        self.add_loss(tf.reduce_mean(x))
        return x


@pytest.mark.training
@pytest.mark.parametrize("n_steps", [1, 5])
def test_losses_of_activity(net, n_steps):
    """They are averaged over the steps, like the losses of Probes."""
    nodes, models = [], []
    for _ in range(2):
        layer = keras.layers.Dense(
            2,
            kernel_regularizer=keras.regularizers.L1(10.0),
            activity_regularizer=keras.regularizers.L1(1.0),
        )
        penalty = Penalty()
        nodes.append(nengo.Node([0, 0]))
        output = nengo_dl.Layer(penalty)(nengo_dl.Layer(layer)(nodes[-1]))
        models.append(keras.Sequential([keras.Input((2,)), layer, penalty]))
    probe = nengo.Probe(output)
    values = np.random.RandomState(0).normal(size=(4, n_steps, 2)).astype("float32")
    data = dict.fromkeys(nodes, values)
    target = {probe: np.zeros((4, n_steps, 2))}
    with nengo_dl.Simulator(
        net, minibatch_size=4, device="/cpu:0", progress_bar=False
    ) as sim:
        expected = []
        for step in range(n_steps):
            outputs = [model(values[:, step]) for model in models]
            losses = [loss.numpy() for model in models for loss in model.losses]
            assert len(losses) == 2 * 3  # activity, penalty, and kernel
            expected.append(np.mean(outputs[-1].numpy() ** 2) + sum(losses))
        expected = np.mean(expected)

        sim.compile(keras.optimizers.SGD(0.0), loss={probe: "mse"})
        loss = sim.fit(data, target, verbose=0).history["loss"]
        np.testing.assert_allclose(loss, [expected], rtol=1e-5)
        loss = sim.evaluate(data, target, verbose=0)["loss"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        sim.run_steps(n_steps)  # Keras must not find losses of other functions
        loss = sim.evaluate(data, target, verbose=0)["loss"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    # nor must the user
    assert len(models[0].losses) == 1


@pytest.mark.training
@pytest.mark.parametrize(
    "n_steps, func",
    [
        (1, tf.square),
        (4, tf.square),
        (4, lambda x: printing(x) * 0 + x**2),
        # in a loop, TensorFlow does not find its gradient
        (1, lambda x: tf.py_function(tf.square, [x], tf.float32)),
    ],
)
def test_gradients_through_functions(net, n_steps, func):
    """Also where XLA does not compile; without any warning."""
    layer = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    x = nengo.Node([2.0])
    probe = nengo.Probe(nengo_dl.Layer(func)(nengo_dl.Layer(layer)(x)))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(0.01), loss=lambda _, y: tf.reduce_mean(y))
        sim.fit(n_steps=n_steps, y={probe: np.zeros((1, n_steps, 1))}, verbose=0)
    # d/dw (2 w)**2 = 8 w
    np.testing.assert_allclose(layer.get_weights()[0], [[1 - 0.01 * 8]], rtol=1e-5)


@pytest.mark.training
@pytest.mark.parametrize("use_loop, n_steps", [(False, 1), (False, 3), (True, 3)])
def test_nothing_but_layers(net, use_loop, n_steps):
    """No state, and targets for the last step alone."""
    nengo_dl.configure_settings(stateful=False, use_loop=use_loop, keep_history=False)
    layer = keras.layers.Dense(1, kernel_initializer="ones", use_bias=False)
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([0.0])))
    x = np.zeros((4, n_steps, 1))
    x[:, -1] = 2
    y = np.full((4, 1, 1), 6.0)
    with nengo_dl.Simulator(
        net,
        minibatch_size=2,
        unroll_simulation=1 if use_loop else n_steps,
        device="/cpu:0",
        progress_bar=False,
    ) as sim:
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        assert sim.evaluate(x, y, verbose=0)["loss"] == 16
        sim.fit(x, y, epochs=10, verbose=0)
        np.testing.assert_allclose(sim.predict(x, verbose=0)[probe], y, rtol=1e-4)
        assert sim.n_steps == 0


@pytest.mark.training
def test_gradients_through_time(net):
    """A layer in a loop of the network, unrolled by hand in Keras."""
    layer = keras.layers.Dense(3, activation="tanh")
    x = nengo.Node(np.zeros(3))
    node = nengo_dl.TensorNode(layer, shape_in=(3,), pass_time=False)
    nengo.Connection(x, node, synapse=None)
    nengo.Connection(node, node, synapse=0)
    with net:
        nengo_dl.configure_settings(trainable=False)
    probe = nengo.Probe(node)
    data = np.random.RandomState(0).normal(size=(2, 4, 3)).astype("float32")
    with nengo_dl.Simulator(
        net, minibatch_size=2, device="/cpu:0", progress_bar=False
    ) as sim:
        kernel, bias = (tf.Variable(w) for w in layer.get_weights())
        with tf.GradientTape() as tape:
            y = tf.zeros((2, 3))
            loss = 0.0
            for step in range(4):
                y = tf.tanh(tf.matmul(data[:, step] + y, kernel) + bias)
                loss += tf.reduce_mean(y**2) / 4
        expected = tape.gradient(loss, [kernel, bias])

        sim.compile(keras.optimizers.SGD(1.0), loss="mse")
        before = layer.get_weights()
        history = sim.fit({x: data}, {probe: np.zeros((2, 4, 3))}, verbose=0)
        np.testing.assert_allclose(history.history["loss"], [loss], rtol=1e-5)
        for old, new, gradient in zip(before, layer.get_weights(), expected):
            np.testing.assert_allclose(old - new, gradient, rtol=1e-4, atol=1e-6)


# -- whose weights they are -----------------------------------------------------------


@pytest.mark.parametrize("inference_only", [False, True])
def test_weights_are_created_once(net, inference_only):
    class Scale(keras.layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(2.0)
            )

        def call(self, x):
            return self.scale * x

    nengo_dl.configure_settings(inference_only=inference_only)
    one = nengo.Node([1])
    scale = Scale()
    dense = keras.layers.Dense(
        10, use_bias=False, kernel_initializer=keras.initializers.Constant(3.0)
    )
    first = nengo.Probe(nengo_dl.Layer(scale)(one))
    second = nengo.Probe(nengo_dl.Layer(dense)(one))
    third = nengo.Probe(nengo_dl.Layer(scale)(nengo_dl.Layer(scale)(one)))
    with nengo_dl.Simulator(
        net, unroll_simulation=5, device="/cpu:0", progress_bar=False
    ) as sim:
        sim.run_steps(5)
        for probe, value in [(first, 2), (second, 3), (third, 4)]:
            assert np.all(sim.data[probe] == value)
        weights = [w for w in sim.keras_model.weights if "TensorGraph" not in w.path]
        assert weights[0] is scale.scale and weights[1] is dense.kernel
        assert len(weights) == 2
        trained = sim.keras_model.trainable_weights
        assert len(trained) == (0 if inference_only else 2)
        assert len(trained + sim.keras_model.non_trainable_weights) == len(
            sim.keras_model.weights
        )
    assert scale.trainable and scale.scale.trainable and dense.kernel.trainable


def test_layers_of_the_graph(net):
    nengo_dl.TensorNode(lambda t: tf.zeros((1, 1)))
    dense = keras.layers.Dense(2)
    first = nengo_dl.Layer(dense)(nengo.Node([1]))
    second = nengo_dl.Layer(dense)(nengo.Node([1]))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        assert sim.tensor_graph.tensor_nodes == {first: dense, second: dense}
        assert sim.tensor_graph.tensor_node_layers == [dense]
        n_params = len(sim.tensor_graph.base_params)
        assert [w.path for w in sim.tensor_graph.weights[n_params:]] == [
            w.path for w in dense.weights
        ]


def test_weights_are_those_of_the_user(net):
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([1])))
    kwargs = {"device": "/cpu:0", "progress_bar": False}
    with (
        nengo_dl.Simulator(net, **kwargs) as sim,
        nengo_dl.Simulator(net, **kwargs) as other,
    ):
        sim.run_steps(1)
        layer.set_weights([np.array([[5]])])
        sim.run_steps(1)
        other.run_steps(1)
        assert sim.data[probe].ravel().tolist() == [1, 5]
        assert other.data[probe].ravel().tolist() == [5]

        sim.reset(include_trainable=False)
        assert layer.get_weights()[0] == 5
        sim.reset()
        assert layer.get_weights()[0] == 1
        sim.run_steps(1)
        assert sim.data[probe].ravel().tolist() == [1]
    # the layer outlives its simulators, and the next one starts from where it is
    layer.set_weights([np.array([[7]])])
    _, (data,) = simulate(net, n_steps=1)
    assert data.ravel().tolist() == [7]


@pytest.mark.training
def test_training_is_shared_with_keras(net):
    """The simulator trains the object of the user, in a model of the user."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1,)), layer])
    probe = nengo.Probe(nengo_dl.Layer(layer)(nengo.Node([1])))
    x = np.ones((4, 1))
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        for _ in range(2):
            before = layer.get_weights()[0].item()
            sim.fit(n_steps=1, y=np.zeros((1, 1, 1)), verbose=0)
            assert layer.get_weights()[0].item() == pytest.approx(0.8 * before)
            model.fit(x, 0 * x, batch_size=4, verbose=0)
            assert layer.get_weights()[0].item() == pytest.approx(0.64 * before)
        sim.run_steps(1)
        assert sim.data[probe].item() == pytest.approx(layer.get_weights()[0].item())
        assert model.predict(x, verbose=0)[0] == pytest.approx(sim.data[probe][0])


@pytest.mark.training
def test_freezing(net):
    """Layers can be trained without the rest of the network."""
    nengo_dl.configure_settings(trainable=False)
    frozen = keras.layers.Dense(3)
    frozen.trainable = False
    trained = keras.layers.Dense(2)
    x = nengo.Node([1, 2])
    neurons = nengo.Ensemble(5, 2, neuron_type=nengo.RectifiedLinear())
    nengo.Connection(x, neurons, synapse=None)
    y = nengo_dl.Layer(trained)(nengo_dl.Layer(frozen)(neurons))
    probe = nengo.Probe(y)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        assert {w.path for w in sim.keras_model.trainable_weights} == {
            w.path for w in trained.weights
        }
        before = [w.numpy() for w in sim.keras_model.weights]
        sim.compile(keras.optimizers.SGD(0.1), loss="mse")
        sim.fit(n_steps=1, y={probe: np.ones((1, 1, 2))}, verbose=0)
        changed = {
            w.path
            for w, old in zip(sim.keras_model.weights, before)
            if np.any(w.numpy() != old)
        }
    assert changed == {w.path for w in trained.weights}


def test_pickled_simulator():
    """A copy of the simulator has layers of its own, with the same weights."""
    layer = keras.layers.Dense(2)
    with nengo.Network() as net:
        x = nengo.Node([1, 2])
        nengo.Probe(nengo_dl.Layer(layer)(x))
        nengo.Probe(nengo_dl.Layer(layer)(x, transform=2))
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        initial_weights = layer.get_weights()
        layer.set_weights([np.eye(2), np.array([1, 0])])
        with pickle.loads(pickle.dumps(sim)) as copy:
            (copied,) = copy.tensor_graph.tensor_node_layers
            assert copied is not layer
            layer.set_weights([np.eye(2), np.array([9, 9])])
            copy.run_steps(1)
            data = [copy.data[probe] for probe in copy.model.probes]
            np.testing.assert_array_equal(data, [[[2, 2]], [[3, 4]]])
            copy.reset()  # to what the layer was when the first simulator was made
            for weight, initial in zip(copied.get_weights(), initial_weights):
                np.testing.assert_array_equal(weight, initial)


def test_state_is_kept_when_a_run_fails(net):
    """A TensorNode among functions that fail."""

    def faulty(t, x):
        assert t < 0.0035
        return x

    node = nengo.Node(faulty, size_in=1)
    nengo.Connection(nengo_dl.TensorNode(lambda t: tf.reshape(t, (1, 1))), node)
    probe = nengo.Probe(node)
    with nengo_dl.Simulator(net, device="/cpu:0", progress_bar=False) as sim:
        sim.run_steps(3)
        with pytest.raises(AssertionError):
            sim.run_steps(1)
        assert sim.n_steps == 3 and len(sim.data[probe]) == 3
