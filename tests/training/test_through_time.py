"""fit, evaluate, predict over several steps: loops, and loops that are unrolled."""

import logging

import nengo
import numpy as np
import pytest
import tensorflow as tf
from nengo.exceptions import SimulationError, ValidationError

import nengo_dl

pytestmark = pytest.mark.training


def recurrent_network(**settings):
    """LIF neurons that remember part of their input, with an input of four numbers."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64", **settings)
        net.inp = nengo.Node(np.zeros(4))
        ens = nengo.Ensemble(20, 3, max_rates=nengo.dists.Choice([100]))
        out = nengo.Node(size_in=1)
        net.conn = nengo.Connection(
            net.inp[[0, 2, 3]], ens, transform=np.eye(3), synapse=None
        )
        nengo.Connection(ens, ens, synapse=0.01)
        nengo.Connection(ens, out, function=lambda x: x[0], synapse=0.01)
        net.probe = nengo.Probe(out)
        net.sampled = nengo.Probe(out, sample_every=0.003)
    return net


def trained(net, unroll, Simulator):
    """Return the losses, and the weights of the input before and after training."""
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, size=(8, 6, 4))
    y = np.cumsum(x[..., 2:3], axis=1)
    with Simulator(net, minibatch_size=4, unroll_simulation=unroll) as sim:
        sim.compile(tf.optimizers.Adam(0.01), loss={net.probe: "mse"})
        history = sim.fit(x, {net.probe: y}, epochs=3, shuffle=False, verbose=0)
        loss = sim.evaluate(x, {net.probe: y}, verbose=0)["loss"]
        return [*history.history["loss"], loss, *np.ravel(sim.data[net.conn].weights)]


def test_loops_change_nothing(Simulator):
    """Training is the same however the steps are laid out."""
    expected = trained(recurrent_network(), 1, Simulator)
    assert expected[2] < 0.99 * expected[0]
    for unroll, settings in ((2, {}), (6, {"use_loop": False})):
        result = trained(recurrent_network(**settings), unroll, Simulator)
        np.testing.assert_allclose(result, expected, rtol=1e-7)


def test_selected_elements_are_trained(Simulator):
    """The weights of a connection from some elements are those of the elements."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(dtype="float64")
        inp = nengo.Node(np.zeros(4))
        out = nengo.Node(size_in=1)
        conn = nengo.Connection(
            inp[[0, 2, 3]], out, transform=[[1, 1, 1]], synapse=None
        )
        probe = nengo.Probe(out)
    x = np.array([[[1.0, 10, 2, 0]]])
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss={probe: "mse"})
        sim.fit(x, {probe: np.ones((1, 1, 1))}, verbose=0)
        # gradient of (1 * 1 + 1 * 2 + 1 * 0 - 1) ** 2
        np.testing.assert_allclose(sim.data[conn].weights, [[0.6, 0.2, 1]])


def test_numbers_of_steps_without_a_loop(Simulator):
    net = recurrent_network(use_loop=False)
    with Simulator(net, minibatch_size=2, unroll_simulation=3) as sim:
        sim.compile("sgd", loss="mse")
        for n_steps in (2, 6):
            x, y = np.zeros((2, n_steps, 4)), np.zeros((2, n_steps, 1))
            for call in (
                lambda x=x, y=y: sim.fit(x, [y, y], verbose=0),
                lambda x=x, y=y: sim.evaluate(x, [y, y], verbose=0),
                lambda x=x: sim.predict(x, verbose=0),
                lambda n=n_steps: sim.predict(n_steps=n, verbose=0),
                lambda x=x: sim.predict_on_batch(x),
            ):
                with pytest.raises(ValidationError, match="use_loop=False exactly"):
                    call()
        assert sim.predict(n_steps=3, verbose=0)[net.probe].shape == (2, 3, 1)
        assert sim.n_steps == 0


def test_predict_returns_all_steps(Simulator):
    """`sample_every` belongs to what `run_steps` records."""
    net = recurrent_network()
    x = np.random.RandomState(0).uniform(-1, 1, size=(2, 9, 4))
    with Simulator(net, minibatch_size=2, unroll_simulation=1) as sim:
        for outputs in (sim.predict(x, verbose=0), sim.predict_on_batch(x)):
            np.testing.assert_array_equal(outputs[net.sampled], outputs[net.probe])
            assert outputs[net.sampled].shape == (2, 9, 1)
        sim.run_steps(9, data={net.inp: x})
        assert sim.data[net.sampled].shape == (2, 3, 1)
        np.testing.assert_array_equal(
            sim.data[net.sampled], outputs[net.probe][:, 2::3]
        )


@pytest.mark.parametrize("output", [None, np.inf, "x", [1, 2]])
@pytest.mark.parametrize("size_in", [0, 1])
@pytest.mark.parametrize("method", ["predict", "evaluate", "fit"])
def test_useless_outputs(method, size_in, output, Simulator):
    """Outputs of functions that are no numbers of the right size change nothing."""

    def func(t, *x):
        return 0 if t < 0.0025 else output

    with nengo.Network() as net:
        node = nengo.Node(func, size_in=size_in, size_out=1, label="me")
        out = nengo.Node(size_in=1)
        conn = nengo.Connection(node, out, transform=1, synapse=None)
        probe = nengo.Probe(out)
    targets = {} if method == "predict" else {"y": {probe: np.ones((1, 4, 1))}}
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile("sgd", loss="mse")
        with pytest.raises(SimulationError, match="Function `func`") as error:
            getattr(sim, method)(n_steps=4, verbose=0, stateful=True, **targets)
        assert any("me" in note for note in error.value.__notes__)
        assert sim.n_steps == 0
        np.testing.assert_array_equal(sim.data[conn].weights, 1)


def test_gradients_of_spiking_neurons(Simulator):
    """They are those of the rate version of the neurons."""
    net = recurrent_network(lif_smoothing=0.1)
    probes = [net.probe, net.sampled]
    x = np.random.RandomState(0).uniform(-1, 1, size=(1, 2, 4))
    with Simulator(net, unroll_simulation=1) as sim:
        gradients = sim.check_gradients([x], probes)
    assert list(gradients) == probes
    for probe in probes:
        (analytic,) = gradients[probe]["analytic"]
        assert np.abs(analytic).max() > 1e-3


@pytest.mark.parametrize("stateful", [True, False])
@pytest.mark.parametrize("learns", [False, True])
def test_number_of_state_updates(learns, stateful, caplog, Simulator):
    """Nothing is written back without need."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(stateful=stateful)
        ens = nengo.Ensemble(10, 1)
        conn = nengo.Connection(ens, nengo.Node(size_in=1))
        if learns:
            conn.learning_rule_type = nengo.PES()
            nengo.Connection(ens, conn.learning_rule)
        nengo.Probe(ens)
    with Simulator(net, unroll_simulation=1) as sim:
        with caplog.at_level(logging.INFO):
            sim.predict(n_steps=2, verbose=0)
    updates = [
        int(r.getMessage().split(": ")[1])
        for r in caplog.records
        if r.getMessage().startswith("Number of state updates")
    ]
    if stateful:
        assert updates and min(updates) > 1
    else:
        assert set(updates) == {int(learns)}


@pytest.mark.parametrize("use_loop", [True, False])
def test_live_values(use_loop, Simulator):
    """`get_tensor` returns the weights of the moment."""
    with nengo.Network(seed=0) as net:
        nengo_dl.configure_settings(use_loop=use_loop, dtype="float64")
        one, out = nengo.Node([1.0]), nengo.Node(size_in=1)
        conn = nengo.Connection(one, out, transform=1, synapse=None)
        probe = nengo.Probe(out)
        nengo.Probe(conn, "weights")
    with Simulator(net, unroll_simulation=1) as sim:
        sim.compile(tf.optimizers.SGD(0.1), loss={probe: "mse"})
        sim.fit(n_steps=1, y={probe: [[[2.0]]]}, verbose=0)
        weights = sim.tensor_graph.get_tensor(sim.model.sig[conn]["weights"])
        np.testing.assert_allclose(weights, [[1.2]])
        sim.step()
        np.testing.assert_allclose(sim.data[probe], [[1.2]])
