"""Calls of Keras either succeed or change nothing."""

import keras
import nengo
import numpy as np
import pytest

import nengo_dl


@pytest.fixture
def net():
    """A network that learns, and fails in the second minibatch."""
    with nengo.Network(seed=0) as net:

        def function(t, x):
            if x > 1:
                raise ValueError("stop")
            return x

        net.inp = nengo.Node([0.5])
        node = nengo.Node(function, size_in=1, size_out=1)
        ens = nengo.Ensemble(10, 1, neuron_type=nengo.LIFRate())
        nengo.Connection(net.inp, node, synapse=None)
        nengo.Connection(node, ens, synapse=None)
        net.conn = nengo.Connection(
            ens, nengo.Node(size_in=1), learning_rule_type=nengo.PES(1e-2)
        )
        nengo.Connection(net.inp, net.conn.learning_rule, synapse=None)
        nengo.Probe(node)
    net.x = np.concatenate([np.ones((1, 5, 1)), 2 * np.ones((1, 5, 1))])
    return net


@pytest.mark.parametrize("stateful", [False, True])
@pytest.mark.parametrize("method", ["predict", "evaluate", "fit"])
@pytest.mark.training
def test_failures_change_nothing(method, stateful, net, Simulator):
    args = () if method == "predict" else (net.x,)
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        sim.run_steps(1)
        before = sim.data[net.conn].weights
        kwargs = {"stateful": stateful, "verbose": 0}
        kwargs |= {"shuffle": False} if method == "fit" else {}
        with pytest.raises(ValueError, match="stop"):
            getattr(sim, method)(net.x, *args, **kwargs)
        assert sim.n_steps == sim.tensor_graph.values.n_steps() == 1
        assert np.array_equal(sim.data[net.conn].weights, before)
        sim.run_steps(1)
        assert sim.n_steps == sim.tensor_graph.values.n_steps() == 2


@pytest.mark.training
def test_interrupts_keep_what_was_learned(net, Simulator):
    def interrupt(batch, logs):
        raise KeyboardInterrupt

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    x = net.x[:1]
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(loss="mse")
        before = sim.data[net.conn].weights
        with pytest.raises(KeyboardInterrupt):
            sim.fit(x, x, stateful=True, callbacks=[callback], verbose=0)
        assert sim.n_steps == sim.tensor_graph.values.n_steps() == 0
        assert not np.array_equal(sim.data[net.conn].weights, before)


@pytest.mark.training
def test_number_of_steps_in_callbacks(Simulator):
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(learning_phase=True)
        ens = nengo.Ensemble(5, 1)
        probe = nengo.Probe(ens)
    lengths = []
    with Simulator(net, unroll_simulation=1) as sim:
        predict = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda *_: lengths.append(
                sim.predict(n_steps=7, verbose=0)[probe].shape[1]
            )
        )
        sim.compile(loss="mse")
        sim.fit(n_steps=3, y=np.zeros((1, 3, 1)), callbacks=[predict], verbose=0)
        lengths.append(sim.predict(n_steps=9, verbose=0)[probe].shape[1])
    assert lengths == [7, 9]


def test_synapses_without_state(Simulator):
    with nengo.Network() as net:
        nengo_dl.configure_settings(stateful=False)
        nengo.Probe(nengo.Node([1.0]), synapse=0.1)
    with Simulator(net, unroll_simulation=1) as sim:
        for call in (sim.step, lambda: sim.predict_on_batch(n_steps=1)):
            with pytest.warns(UserWarning, match="one timestep"):
                call()
