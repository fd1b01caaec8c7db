"""What has been compiled for training is used again whenever it can be."""

import nengo
import numpy as np
import pytest
import tensorflow as tf

import nengo_dl
from nengo_dl.tensor_graph import MAX_COMPILED_GROUPS
from nengo_dl.training.functions import BatchFacts, TrainingFunctions


@pytest.fixture
def net():
    with nengo.Network(seed=0) as net:
        # (what is used again are functions, whatever compiles them)
        nengo_dl.configure_settings(jit_compile=False)
        net.inp = nengo.Node([0.0])
        ens = nengo.Ensemble(5, 1, neuron_type=nengo.RectifiedLinear())
        nengo.Connection(net.inp, ens)
        net.probe = nengo.Probe(ens)
    return net


pytestmark = [pytest.mark.training, pytest.mark.long]


def fit(sim, net, n_steps=2, **kwargs):
    """Train with one batch; return the function of training, and the loss."""
    x = np.ones((1, n_steps, 1))
    history = sim.fit(x, {net.probe: 2 * x}, verbose=0, **kwargs)
    return sim.keras_model.train_function, history.history["loss"][0]


def test_numbers_of_steps_and_state(net, Simulator):
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss={net.probe: "mse"})
        first, _ = fit(sim, net, 2)
        second, _ = fit(sim, net, 3)
        assert fit(sim, net, 2)[0] is first is not second
        stateful, _ = fit(sim, net, 2, stateful=True)
        assert stateful not in (first, second)
        assert fit(sim, net, 3)[0] is second
        assert fit(sim, net, 2, stateful=True)[0] is stateful


@pytest.mark.parametrize("optimizer", ["adam", {"class_name": "Adam", "config": {}}])
def test_equal_arguments_of_compile(net, Simulator, optimizer):
    """The function stays, and the optimizer starts again."""
    losses = []
    for is_equal in (True, False):
        with Simulator(net, unroll_simulation=1) as sim:
            sim.compile(optimizer, loss={net.probe: "mse"}, metrics=["mae"])
            function, _ = fit(sim, net, epochs=3)
            sim.keras_model.optimizer.learning_rate = 0.1
            fit(sim, net)
            if is_equal:
                sim.compile(optimizer, loss={net.probe: "mse"}, metrics=["mae"])
                assert fit(sim, net)[0] is function
                assert sim.keras_model.optimizer.iterations.numpy() == 1
            else:
                sim.compile(tf.optimizers.Adam(), {net.probe: "mse"}, metrics=["mae"])
                assert fit(sim, net)[0] is not function
            losses.append([fit(sim, net)[1] for _ in range(3)])
    assert losses[0] == losses[1]


def test_other_arguments_of_compile(net, Simulator):
    def own_loss(y_true, y_pred):
        return tf.abs(y_true - y_pred)

    sgd = tf.optimizers.SGD(0.1)
    with Simulator(net, unroll_simulation=1) as sim:
        functions = []
        for optimizer, loss, reused in (
            (sgd, nengo_dl.losses.nan_mse, False),
            (sgd, nengo_dl.losses.nan_mse, True),
            (sgd, "mse", False),
            ("sgd", "mse", False),
            ("sgd", own_loss, False),
            # which may depend on what has changed since
            ("sgd", own_loss, False),
        ):
            sim.compile(optimizer, loss={net.probe: loss})
            if optimizer is sgd:
                assert sim.keras_model.optimizer is sgd
            functions.append(fit(sim, net)[0])
            assert (functions[-1] in functions[:-1]) == reused
        sim.keras_model.optimizer.clipnorm = 1.0
        sim.compile("sgd", loss={net.probe: "mse"})
        function, _ = fit(sim, net)
        sim.keras_model.optimizer.clipnorm = 1.0
        sim.compile("sgd", loss={net.probe: "mse"})
        assert fit(sim, net)[0] is not function
        # a compilation of Keras's own counts as well
        function = sim.keras_model.train_function
        sim.keras_model.compile("sgd", loss={"probe": "mse"})
        assert fit(sim, net)[0] is not function


def test_parameters_that_are_not_trained_any_more(net, Simulator):
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss={net.probe: "mse"})
        function, _ = fit(sim, net)
        sim.tensor_graph.trainable = False
        sim.compile("sgd", loss={net.probe: "mse"})
        before = [w.numpy() for w in sim.keras_model.weights]
        assert fit(sim, net)[0] is not function
        for old, weight in zip(before, sim.keras_model.weights):
            np.testing.assert_array_equal(old, weight.numpy())


def test_many_unlike_parts(Simulator):
    """XLA would take minutes; who asks for that is told so."""
    with nengo.Network(seed=0) as net:
        previous = nengo.Node([0.0])
        for i in range(26):
            ens = nengo.Ensemble(5 + i, 1, neuron_type=nengo.RectifiedLinear())
            nengo.Connection(previous, ens)
            previous = ens
        probe = nengo.Probe(ens)
    with Simulator(net, unroll_simulation=1) as sim:
        assert len(sim.tensor_graph.plan) > MAX_COMPILED_GROUPS
        assert not sim.tensor_graph.compiles_training(2, ())
        sim.compile("sgd", loss={probe: "mse"})
        sim.fit(n_steps=2, y={probe: np.zeros((1, 2, 1))}, verbose=0)
        assert not sim.keras_model.facts.jit_compile
        sim.compile("sgd", loss={probe: "mse"}, jit_compile=True)
        with pytest.warns(UserWarning, match="XLA is about to compile .* groups"):
            functions = TrainingFunctions(sim._simulation, {probe: sim.get_name(probe)})
            facts = BatchFacts(2, None, (), None)
            functions.prepare(sim.keras_model, False, facts, jit_compile=True)
